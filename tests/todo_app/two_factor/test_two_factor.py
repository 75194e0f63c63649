"""Second factors: set up, asked for, reset, required."""

from __future__ import annotations

import dataclasses
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyotp
import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet
from flask import Flask
from werkzeug.test import TestResponse

from tests.factories import PASSWORD, Company, Person, sign_in, wait_until
from tests.todo_app.helpers import (
    BAD_TEXTS,
    RAW_BODIES,
    assert_problem,
    at_once,
    inside,
    send_raw,
    statuses,
)
from tests.todo_app.sessions.kit import (
    actions,
    enrol,
    forget_last_step,
    log_in,
    outbox,
    require_two_factor,
    stale,
)
from todo_app.accounts.service import get_user
from todo_app.database import db
from todo_app.permissions.service import POWERS_LOCK
from todo_app.tenancy import operations
from todo_app.two_factor import service
from todo_app.two_factor.models import RecoveryCode, TwoFactor
from todo_app.two_factor.service import STEP_SECONDS

WRONG = "urn:todo:problem:wrong-code"
NEEDED = "urn:todo:problem:second-factor-needed"


def fresh_code(app: Flask, person: Person, totp: pyotp.TOTP) -> str:
    """A code that was not used."""
    forget_last_step(app, person)
    return totp.now()


def a_wrong_code(totp: pyotp.TOTP) -> str:
    """A code of no step that is near."""
    step = int(time.time()) // STEP_SECONDS
    near = {totp.generate_otp(step + offset) for offset in range(-3, 4)}
    return next(code for code in map("{:06}".format, range(10)) if code not in near)


def test_a_factor_counts_once_it_is_confirmed(app: Flask, acme: Company) -> None:
    assert acme.get("/auth/two-factor").json == {
        "is_on": False,
        "confirmed_at": None,
        "recovery_codes_left": 0,
        "is_required": False,
    }
    answer = acme.post("/auth/two-factor")
    assert answer.json["uri"].startswith("otpauth://totp/Acme")
    assert answer.json["secret"] in answer.json["uri"]
    assert acme.get("/auth/two-factor").json["is_on"] is False
    assert log_in(acme).status_code == 200
    totp = pyotp.TOTP(answer.json["secret"])
    codes = acme.post("/auth/two-factor/confirm", {"code": totp.now()}).json["recovery_codes"]
    assert len(set(codes)) == 10
    state = acme.get("/auth/two-factor").json
    assert (state["is_on"], state["recovery_codes_left"]) == (True, 10)
    assert "Your second factor is set up" in outbox(app, acme.email)
    assert "two_factor.enabled" in actions(app, acme)


def test_secrets_and_codes_are_not_stored_in_clear(app: Flask, acme: Company) -> None:
    totp, codes = enrol(acme)
    with inside(app, acme.slug):
        [sealed] = db.session.scalars(sa.select(TwoFactor.secret)).all()
        digests = db.session.scalars(sa.select(RecoveryCode.digest)).all()
    assert totp.secret.encode() not in sealed
    assert all(len(digest) == 32 for digest in digests)
    assert not {code.encode() for code in codes} & set(digests)


def test_confirming_ends_the_other_sessions(acme: Company) -> None:
    other = sign_in(acme.client, acme.slug, acme.email)
    enrol(acme)
    assert_problem(other.get("/users/"), 401)
    assert acme.get("/users/").status_code == 200


def test_log_in_asks_for_a_code_after_the_right_password_only(app: Flask, acme: Company) -> None:
    totp, _ = enrol(acme)
    assert assert_problem(log_in(acme), 401)["type"] == NEEDED
    wrong = assert_problem(log_in(acme, "wrong password"), 401)
    assert wrong["type"] == "urn:todo:problem:wrong-credentials"
    code = fresh_code(app, acme, totp)
    problem = assert_problem(log_in(acme, "wrong password", code=code), 401)
    assert problem["type"] == "urn:todo:problem:wrong-credentials"
    assert assert_problem(log_in(acme, code=a_wrong_code(totp)), 401)["type"] == WRONG
    assert log_in(acme, code=totp.now()).status_code == 200


def test_a_code_of_who_has_no_factor_is_not_looked_at(company: Company) -> None:
    assert log_in(company, code="123456").status_code == 200


def test_no_code_is_taken_twice(app: Flask, acme: Company) -> None:
    totp, _ = enrol(acme)
    # What confirmed it is used up, too.
    assert assert_problem(log_in(acme, code=totp.now()), 401)["type"] == WRONG
    code = fresh_code(app, acme, totp)
    assert log_in(acme, code=code).status_code == 200
    assert assert_problem(log_in(acme, code=code), 401)["type"] == WRONG


def test_a_code_is_taken_once_of_two_at_one_instant(app: Flask, acme: Company) -> None:
    totp, _ = enrol(acme)
    people = [acme, sign_in_with(app, acme, totp)]
    body = {"password": PASSWORD, "code": fresh_code(app, acme, totp)}
    answers = at_once(app, *[(person, lambda p: step_up(p, body)) for person in people])
    assert statuses(answers) == [204, 401]
    assert assert_problem(log_in(acme, code=body["code"]), 401)["type"] == WRONG


def step_up(person: Person, body: dict[str, str]) -> TestResponse:
    return person.post("/auth/step-up", body)


def sign_in_with(app: Flask, person: Person, totp: pyotp.TOTP) -> Person:
    answer = log_in(person, code=fresh_code(app, person, totp))
    assert answer.status_code == 200, answer.json
    return Person(person.client, person.slug, answer.json["token"], person.uuid, person.email)


@pytest.mark.parametrize(("offset", "is_good"), [(-2, False), (-1, True), (1, True), (2, False)])
def test_a_clock_may_be_one_step_off(
    app: Flask, acme: Company, monkeypatch: pytest.MonkeyPatch, offset: int, is_good: bool
) -> None:
    totp, _ = enrol(acme)
    forget_last_step(app, acme)
    now = 1_900_000_000
    monkeypatch.setattr(service.time, "time", lambda: float(now))
    code = totp.generate_otp(now // STEP_SECONDS + offset)
    answer = acme.post("/auth/step-up", {"password": PASSWORD, "code": code})
    monkeypatch.undo()
    assert answer.status_code == (204 if is_good else 401)


def test_an_older_code_than_the_last_is_not_taken(
    app: Flask, acme: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    totp, _ = enrol(acme)
    forget_last_step(app, acme)
    now = 1_900_000_000
    step = now // STEP_SECONDS
    monkeypatch.setattr(service.time, "time", lambda: float(now))
    for code, status in ((totp.generate_otp(step), 204), (totp.generate_otp(step - 1), 401)):
        answer = acme.post("/auth/step-up", {"password": PASSWORD, "code": code})
        assert answer.status_code == status


def test_wrong_codes_are_counted(acme: Company) -> None:
    totp, _ = enrol(acme)
    wrong = a_wrong_code(totp)
    for _ in range(5):
        assert assert_problem(log_in(acme, code=wrong), 401)["type"] == WRONG
    for more in ({"code": wrong}, {"code": totp.now()}, {}):
        assert_problem(log_in(acme, **more), 429)


def test_the_right_password_without_a_code_clears_no_count(acme: Company) -> None:
    totp, _ = enrol(acme)
    wrong = a_wrong_code(totp)
    for _ in range(5):
        assert_problem(log_in(acme, code=wrong), 401)
        log_in(acme)
    assert_problem(log_in(acme, code=wrong), 429)


def test_wrong_codes_that_confirm_are_counted(acme: Company) -> None:
    secret = acme.post("/auth/two-factor").json["secret"]
    wrong = a_wrong_code(pyotp.TOTP(secret))
    for _ in range(5):
        assert_problem(acme.post("/auth/two-factor/confirm", {"code": wrong}), 401)
    code = pyotp.TOTP(secret).now()
    assert_problem(acme.post("/auth/two-factor/confirm", {"code": code}), 429)


def test_a_recovery_code_works_once(app: Flask, acme: Company) -> None:
    _, codes = enrol(acme)
    typed = codes[0].lower().replace("-", " ")
    assert log_in(acme, code=typed).status_code == 200
    assert assert_problem(log_in(acme, code=codes[0]), 401)["type"] == WRONG
    assert acme.get("/auth/two-factor").json["recovery_codes_left"] == 9
    assert "two_factor.recovery_code_used" in actions(app, acme)


def test_a_recovery_code_is_taken_once_of_two_at_one_instant(app: Flask, acme: Company) -> None:
    _, codes = enrol(acme)
    body = {"password": PASSWORD, "code": codes[0]}
    answers = at_once(app, *[(acme, lambda p: p.post("/auth/step-up", body))] * 2)
    assert statuses(answers) == [204, 401]


def test_recovery_codes_of_somebody_else_are_wrong(acme: Company) -> None:
    person = acme.add_person()
    _, codes = enrol(acme)
    enrol(person)
    assert_problem(log_in(person, code=codes[0]), 401)


def test_new_recovery_codes_replace_the_old_ones(app: Flask, acme: Company) -> None:
    _, old = enrol(acme)
    answer = acme.post("/auth/two-factor/recovery-codes")
    assert answer.status_code == 200
    assert not set(answer.json["recovery_codes"]) & set(old)
    assert_problem(log_in(acme, code=old[0]), 401)
    assert log_in(acme, code=answer.json["recovery_codes"][0]).status_code == 200
    answers = at_once(app, *[(acme, lambda p: p.post("/auth/two-factor/recovery-codes"))] * 2)
    assert statuses(answers) == [200, 200]
    assert acme.get("/auth/two-factor").json["recovery_codes_left"] == 10


def test_switching_off(app: Flask, acme: Company) -> None:
    enrol(acme)
    assert acme.delete("/auth/two-factor").status_code == 204
    assert acme.get("/auth/two-factor").json["is_on"] is False
    assert log_in(acme).status_code == 200
    assert "Your second factor is switched off" in outbox(app, acme.email)
    assert "two_factor.disabled" in actions(app, acme)
    assert acme.delete("/auth/two-factor").status_code == 204


def test_what_contradicts_the_state_is_409(acme: Company) -> None:
    for answer in (
        acme.post("/auth/two-factor/confirm", {"code": "123456"}),
        acme.post("/auth/two-factor/recovery-codes"),
    ):
        assert assert_problem(answer, 409)["type"] == "urn:todo:problem:two-factor-off"
    enrol(acme)
    answer = acme.post("/auth/two-factor")
    assert assert_problem(answer, 409)["type"] == "urn:todo:problem:two-factor-on"
    assert_problem(acme.post("/auth/two-factor/confirm", {"code": "123456"}), 409)


def test_a_second_beginning_replaces_the_first(acme: Company) -> None:
    first, second = (pyotp.TOTP(acme.post("/auth/two-factor").json["secret"]) for _ in range(2))
    assert_problem(acme.post("/auth/two-factor/confirm", {"code": a_wrong_code(second)}), 401)
    assert first.secret != second.secret
    answer = acme.post("/auth/two-factor/confirm", {"code": second.now()})
    assert answer.status_code == 200


def test_it_is_confirmed_once_of_two_at_one_instant(app: Flask, acme: Company) -> None:
    totp = pyotp.TOTP(acme.post("/auth/two-factor").json["secret"])
    body = {"code": totp.now()}
    answers = at_once(app, *[(acme, lambda p: p.post("/auth/two-factor/confirm", body))] * 2)
    assert statuses(answers)[0] == 200
    assert statuses(answers)[1] in (401, 409)
    assert acme.get("/auth/two-factor").json["recovery_codes_left"] == 10


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/auth/two-factor"),
        ("DELETE", "/auth/two-factor"),
        ("POST", "/auth/two-factor/recovery-codes"),
        ("DELETE", "/users/{}/two-factor"),
    ],
)
def test_a_fresh_password_is_needed(app: Flask, acme: Company, method: str, path: str) -> None:
    person = acme.add_person()
    stale(app, acme)
    answer = acme.call(method, path.format(person.uuid))
    assert assert_problem(answer, 401)["type"] == "urn:todo:problem:step-up-needed"


def test_step_up_asks_for_the_code_too(app: Flask, acme: Company) -> None:
    totp, _ = enrol(acme)
    stale(app, acme)
    assert assert_problem(acme.post("/auth/step-up", {"password": PASSWORD}), 401)["type"] == NEEDED
    assert_problem(acme.delete("/auth/two-factor"), 401)
    body = {"password": PASSWORD, "code": fresh_code(app, acme, totp)}
    assert acme.post("/auth/step-up", body).status_code == 204
    assert acme.delete("/auth/two-factor").status_code == 204


def test_an_administrator_takes_a_lost_factor_away(app: Flask, acme: Company) -> None:
    person = acme.add_person()
    enrol(person)
    assert acme.delete(f"/users/{person.uuid}/two-factor").status_code == 204
    assert_problem(person.get("/users/"), 401)
    assert log_in(person).status_code == 200
    assert "Your second factor is switched off" in outbox(app, person.email)
    assert actions(app, acme)[-2:] == ["two_factor.reset", "session.started"]


def test_nobody_takes_a_factor_away_who_may_not(company: Company, stranger: Company) -> None:
    person = company.add_person()
    path = f"/users/{person.uuid}/two-factor"
    assert_problem(stranger.delete(path), 404)
    assert_problem(person.delete(f"/users/{company.uuid}/two-factor"), 403)
    admin = company.add_person("admin")
    assert_problem(admin.delete(f"/users/{company.uuid}/two-factor"), 403)
    assert_problem(company.delete(f"/users/{company.uuid}/two-factor"), 409)
    assert_problem(company.delete(f"/users/{uuid.uuid4()}/two-factor"), 404)
    assert_problem(company.delete("/users/nobody/two-factor"), 404)
    answer = company.client.delete(path, headers={"tenant": company.slug})
    assert_problem(answer, 401)


def test_who_lacks_a_required_factor_can_do_no_more_than_set_it_up(
    app: Flask, acme: Company
) -> None:
    person = acme.add_person()
    require_two_factor(app, acme)
    assert log_in(person).status_code == 200
    for method, path in (
        ("GET", "/users/"),
        ("GET", "/lists/"),
        ("POST", "/lists/"),
        ("GET", "/auth/tokens"),
        ("POST", "/auth/tokens"),
        ("POST", "/auth/password"),
    ):
        problem = assert_problem(person.call(method, path), 403)
        assert problem["type"] == "urn:todo:problem:second-factor-missing"
    assert person.get("/auth/two-factor").json["is_required"] is True
    assert person.get("/auth/sessions").status_code == 200
    assert person.delete("/auth/sessions").status_code == 204
    assert person.post("/auth/step-up", {"password": PASSWORD}).status_code == 204
    enrol(person)
    assert person.get("/lists/").status_code == 200
    problem = assert_problem(person.delete("/auth/two-factor"), 409)
    assert problem["type"] == "urn:todo:problem:two-factor-required"
    assert person.post("/auth/logout").status_code == 204


def test_an_api_token_of_who_lacks_a_required_factor_is_refused(app: Flask, acme: Company) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    body = {"name": "A", "scopes": ["tasks:read"], "expires_at": tomorrow}
    token = acme.post("/auth/tokens", body).json["token"]
    program = dataclasses.replace(acme, token=token)
    assert program.get("/lists/").status_code == 200
    require_two_factor(app, acme)
    assert_problem(program.get("/lists/"), 403)


def test_without_a_key_it_says_so(app: Flask, acme: Company) -> None:
    before = app.config["SETTINGS"]
    app.config["SETTINGS"] = dataclasses.replace(before, secrets_keys=())
    try:
        problem = assert_problem(acme.post("/auth/two-factor"), 409)
    finally:
        app.config["SETTINGS"] = before
    assert problem["type"] == "urn:todo:problem:two-factor-unavailable"
    assert "SECRETS_KEYS" in problem["detail"]


def test_a_new_key_goes_in_front_of_the_old_one(app: Flask, acme: Company) -> None:
    totp, codes = enrol(acme)
    before = app.config["SETTINGS"]
    new = Fernet.generate_key().decode()
    try:
        app.config["SETTINGS"] = dataclasses.replace(
            before, secrets_keys=(new, *before.secrets_keys)
        )
        assert log_in(acme, code=fresh_code(app, acme, totp)).status_code == 200
        # The old one is gone: codes of the device cannot be checked, recovery codes can.
        app.config["SETTINGS"] = dataclasses.replace(before, secrets_keys=(new,))
        problem = assert_problem(log_in(acme, code=fresh_code(app, acme, totp)), 409)
        assert problem["type"] == "urn:todo:problem:two-factor-unavailable"
        assert log_in(acme, code=codes[0]).status_code == 200
    finally:
        app.config["SETTINGS"] = before


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/auth/two-factor"),
        ("POST", "/auth/two-factor"),
        ("DELETE", "/auth/two-factor"),
        ("POST", "/auth/two-factor/confirm"),
        ("POST", "/auth/two-factor/recovery-codes"),
    ],
)
def test_nobody_has_a_factor_without_a_session(company: Company, method: str, path: str) -> None:
    answer = company.client.open(path, method=method, headers={"tenant": company.slug})
    assert_problem(answer, 401)


@pytest.mark.parametrize("code", BAD_TEXTS)
def test_bad_codes_are_422(company: Company, code: Any) -> None:
    assert_problem(company.post("/auth/two-factor/confirm", {"code": code}), 422)
    assert_problem(log_in(company, code=code), 422)


@pytest.mark.parametrize("code", ["12345", "1234567", "\uff11" * 6, "-1", "ABCD", "0x1234", "é"])
def test_codes_of_another_form_are_wrong(acme: Company, code: str) -> None:
    enrol(acme)
    assert assert_problem(log_in(acme, code=code), 401)["type"] == WRONG


@pytest.mark.parametrize(("body", "content_type", "status"), RAW_BODIES)
def test_bodies_that_cannot_be_read(
    company: Company, body: bytes, content_type: str, status: int
) -> None:
    answer = send_raw(company, "POST", "/auth/two-factor/confirm", body, content_type)
    assert_problem(answer, status)


def test_who_is_deactivated_meanwhile_takes_no_factor_away(app: Flask, acme: Company) -> None:
    admin, person = acme.add_person("admin"), acme.add_person()
    enrol(person)
    same = replace(admin, client=app.test_client())
    path = f"/users/{person.uuid}/two-factor"
    with ThreadPoolExecutor(1) as pool:
        with inside(app, acme.slug):
            here = sa.func.hashtext(sa.func.current_schema())
            db.session.execute(sa.select(sa.func.pg_advisory_xact_lock(POWERS_LOCK, here)))
            late = pool.submit(same.delete, path)
            wait_until(lambda: waiting(app), 10)
            get_user(uuid.UUID(admin.uuid), for_update=True).is_active = False
        assert_problem(late.result(), 401)
    assert person.get("/auth/two-factor").json["is_on"]


def waiting(app: Flask) -> bool:
    """Whether somebody waits to use a power."""
    found = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with app.app_context(), operations():
        return bool(db.session.scalar(sa.text(found)))
