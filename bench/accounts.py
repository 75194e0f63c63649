"""`accounts`: logging in, checking a token, a rush of log-ins, and importing users."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import argon2
import sqlalchemy as sa
from flask.testing import FlaskClient

from bench import accounts_import, accounts_rush
from bench.installation import Installation
from bench.load import Caller, LoadError
from bench.result import Figures, Options, Ratio, Result, spread
from todo_app.accounts.models import User
from todo_app.accounts.passwords import hash_password
from todo_app.database import db, transaction
from todo_app.tenancy import tenant_scope

PASSWORD = "correct horse battery"
LOG_INS = 10
"""In each round: a log-in takes some twenty milliseconds, so one alone says little."""
LOG_IN_SECONDS = 0.003
"""What a log-in may take besides the verification of the password."""

ARGON2 = "argon2 of a log-in"
REST = "log-in without argon2"

LOG_IN_TARGET = "<= 1"
TOKEN_TARGET = "<= 1"


def run(installation: Installation, options: Options) -> Result:
    """Measure all of it in one tenant."""
    caller = installation.tenants(1)[0]
    emails = _add_people(installation, caller)
    ratios: dict[str, Ratio] = {}
    figures: Figures = {}
    for more_ratios, more_figures in (
        _log_in(installation, caller, emails[0], options.rounds),
        _check_token(installation, caller),
        accounts_rush.measure(installation, caller, emails, PASSWORD, options),
        accounts_import.measure(installation, caller, options),
    ):
        ratios |= more_ratios
        figures |= more_figures
    return Result("accounts", ratios, figures)


def _add_people(installation: Installation, caller: Caller) -> list[str]:
    """People who can sign in; gives their addresses."""
    emails = [f"person{number}@example.org" for number in range(accounts_rush.PEOPLE)]
    password_hash = hash_password(PASSWORD)
    with installation.app.app_context(), tenant_scope(caller.tenant), transaction():
        role_id = db.session.scalar(sa.select(User.role_id).limit(1))
        same = {"first_name": "Grace", "last_name": "Hopper", "role_id": role_id}
        people = [{**same, "email": email, "password_hash": password_hash} for email in emails]
        db.session.execute(sa.insert(User), people)
    return emails


def _log_in(
    installation: Installation, caller: Caller, email: str, rounds: int
) -> tuple[dict[str, Ratio], Figures]:
    """A log-in in this process, and how much of it is the verification of its password."""
    client = installation.app.test_client()
    times: dict[str, list[float]] = {"log-in": [], ARGON2: [], REST: []}
    _sign_in(client, caller, email)
    with _counted() as counts:
        for _ in range(rounds):
            samples = []
            for _ in range(LOG_INS):
                before = counts.hashing
                seconds = _timed(lambda: _sign_in(client, caller, email))
                hashing = counts.hashing - before
                samples.append((seconds, hashing, seconds - hashing))
            for name, series in zip(times, zip(*samples, strict=True), strict=True):
                times[name].append(statistics.median(series))
    ratio = Ratio.of(times[REST], [LOG_IN_SECONDS] * rounds, LOG_IN_TARGET)
    return {"log-in without argon2/3 ms": ratio}, {
        name: spread(seconds) for name, seconds in times.items()
    }


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _sign_in(client: FlaskClient, caller: Caller, email: str) -> None:
    body = {"email": email, "password": PASSWORD}
    answer = client.post("/auth/login", json=body, headers={"tenant": caller.tenant})
    if answer.status_code != 200:
        raise LoadError(f"nobody can sign in: {answer.get_data(as_text=True)}")


def _check_token(installation: Installation, caller: Caller) -> tuple[dict[str, Ratio], Figures]:
    """What a request does before its view begins: statements, hashes, and the time."""
    app = installation.app
    headers = {"tenant": caller.tenant, "Authorization": f"Bearer {caller.token}"}
    seconds: list[float] = []
    with app.test_request_context("/users/", headers=headers):
        app.preprocess_request()  # The first one notes the use of the token.
        db.session.remove()
    with _counted() as counts:
        for _ in range(LOG_INS):
            with app.test_request_context("/users/", headers=headers):
                seconds.append(_timed(app.preprocess_request))
                db.session.remove()
    statements, hashes = counts.statements / LOG_INS, counts.hashes / LOG_INS
    figures = {
        "token check": spread(seconds),
        "each token check": {"statements": statements, "hashes": hashes},
    }
    ratio = Ratio.of([statements + hashes], [1], TOKEN_TARGET)
    return {"statements and hashes of a token check/1": ratio}, figures


@dataclass
class Counts:
    """What this process has done."""

    statements: int = 0
    hashes: int = 0
    hashing: float = 0.0
    """Seconds of those."""


@contextmanager
def _counted() -> Iterator[Counts]:
    """Count statements and verifications of passwords in this process, while the block runs."""
    counts = Counts()

    def count_statement(*_: object) -> None:
        counts.statements += 1

    def count_hash(self: argon2.PasswordHasher, *args: str) -> bool:
        started = time.perf_counter()
        try:
            return verify(self, *args)
        finally:
            counts.hashes += 1
            counts.hashing += time.perf_counter() - started

    verify = argon2.PasswordHasher.verify
    sa.event.listen(sa.Engine, "before_cursor_execute", count_statement)
    argon2.PasswordHasher.verify = count_hash  # type: ignore[assignment, method-assign]
    try:
        yield counts
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", count_statement)
        argon2.PasswordHasher.verify = verify  # type: ignore[method-assign]
