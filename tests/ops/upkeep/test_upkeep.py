"""Each tenant forgets what has expired, and nothing else."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from ops.runs import job as runs
from ops.runs.job import RunUnderwayError
from ops.runs.models import DONE, FAILED, SUCCEEDED
from ops.upkeep import job, tidy
from tests.factories import Company, wait_until
from tests.todo_app.helpers import inside
from todo_app.accounts.models import User
from todo_app.audit.models import AuditEntry
from todo_app.audit.service import record
from todo_app.database import db, own_connection, transaction
from todo_app.errors import InvalidInputError
from todo_app.idempotency import IdempotencyKey
from todo_app.invitations.models import Invitation
from todo_app.permissions.models import Role
from todo_app.registration.models import ACTIVATION, PASSWORD_RESET, OneTimeToken
from todo_app.sessions.models import AccessToken
from todo_app.tenancy import operations
from todo_app.tenants.models import SUSPENDED, Tenant

NOTHING = dict.fromkeys(
    ("audit_entries", "sessions", "mailed_codes", "idempotency_keys", "invitations"), 0
)


def secret() -> bytes:
    return secrets.token_bytes(32)


def add_waste(app: Flask, company: Company) -> None:
    """Of each kind one thing that is to go, and one that is just not old enough."""
    now = sa.func.now()
    with inside(app, company.slug):
        user = db.session.scalars(sa.select(User).order_by(User.id)).first()
        role = db.session.scalars(sa.select(Role).limit(1)).one()
        assert user is not None
        for expires in (now - timedelta(seconds=1), now + timedelta(hours=1)):
            db.session.add(AccessToken(user_id=user.id, digest=secret(), expires_at=expires))
        for purpose, expires in (
            (PASSWORD_RESET, now - timedelta(seconds=1)),
            (ACTIVATION, now - timedelta(days=30)),
        ):
            db.session.add(
                OneTimeToken(user_id=user.id, purpose=purpose, digest=secret(), expires_at=expires)
            )
        for age in (25, 23):
            key = IdempotencyKey(caller="x", key=f"k{age}", request_digest=b"")
            key.created_at = now - timedelta(hours=age)
            db.session.add(key)
        for name, moments in {
            "accepted": {"accepted_at": now - timedelta(days=91)},
            "revoked": {"revoked_at": now - timedelta(days=91)},
            "expired": {"expires_at": now - timedelta(days=91)},
            "accepted lately": {"accepted_at": now - timedelta(days=89)},
            "pending": {},
        }.items():
            values = {"expires_at": now + timedelta(days=3), "sent_at": now, **moments}
            db.session.add(
                Invitation(
                    email=name,
                    role_id=role.id,
                    invited_by_id=user.id,
                    language="de",
                    digest=secret(),
                    **values,
                )
            )
        for days in (31, 29):
            record(None, f"days.{days}")
    with app.app_context(), db.engines["ops"].begin() as connection:
        for days in (31, 29):
            connection.execute(
                sa.text(
                    f"UPDATE {company.schema_name}.audit_log SET at = now() - :age"
                    " WHERE action = :action"
                ),
                {"age": timedelta(days=days), "action": f"days.{days}"},
            )


def left(app: Flask, company: Company) -> dict[str, Any]:
    with inside(app, company.slug):
        return {
            "audit": set(
                db.session.scalars(
                    sa.select(AuditEntry.action).where(AuditEntry.action.startswith("days."))
                )
            ),
            "codes": set(db.session.scalars(sa.select(OneTimeToken.purpose))),
            "keys": set(db.session.scalars(sa.select(IdempotencyKey.key))),
            "invitations": set(db.session.scalars(sa.select(Invitation.email))),
            "expired": db.session.scalar(
                sa.select(sa.func.count()).where(AccessToken.expires_at < sa.func.now())
            ),
        }


def upkeep(app: Flask, *arguments: str) -> dict[str, Any]:
    result = app.test_cli_runner().invoke(args=["tenants", "upkeep", *arguments, "--json"])
    assert result.exit_code == 0, result.output
    run: dict[str, Any] = json.loads(result.stdout)
    return run


def test_what_has_expired_goes_and_the_rest_stays(
    app: Flask, acme: Company, globex: Company
) -> None:
    assert acme.patch("/settings/", {"audit_keep_days": 30}).status_code == 200
    for company in (acme, globex):
        add_waste(app, company)
    run = upkeep(app, acme.slug, globex.slug, "--inline")
    assert (run["kind"], run["state"]) == ("upkeep", "succeeded")
    found = {item["tenant"]: {name: item[name] for name in NOTHING} for item in run["tenants"]}
    gone = {"sessions": 1, "mailed_codes": 1, "idempotency_keys": 1, "invitations": 3}
    assert found == {
        acme.slug: {"audit_entries": 1, **gone},
        # That company keeps its record for a year.
        globex.slug: {"audit_entries": 0, **gone},
    }
    stays = {
        "codes": {ACTIVATION},
        "keys": {"k23"},
        "invitations": {"accepted lately", "pending"},
        "expired": 0,
    }
    assert left(app, acme) == {"audit": {"days.29"}, **stays}
    assert left(app, globex) == {"audit": {"days.29", "days.31"}, **stays}
    assert acme.get("/users/me").status_code == 200
    again = upkeep(app, acme.slug, "--inline")
    assert {name: again["tenants"][0][name] for name in NOTHING} == NOTHING


def test_much_goes_in_many_short_transactions(
    app: Flask, acme: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.app_context(), db.engines["ops"].begin() as connection:
        connection.exec_driver_sql(
            f"INSERT INTO {acme.schema_name}.audit_log (at, actor_name, action)"
            " SELECT now() - interval '2 years', 'x', 'x.x' FROM generate_series(1, 12345)"
        )
    statements = []
    with app.app_context(), own_connection() as connection:
        sa.event.listen(
            connection,
            "after_cursor_execute",
            lambda c, cursor, sql, *_: (
                statements.append(cursor.rowcount) if "audit_log" in sql else None
            ),
        )
        outcome = tidy.tidy(connection, acme.schema_name, app.config["SETTINGS"])
    assert outcome.result["audit_entries"] == 12_345
    assert statements == [5_000, 5_000, 2_345]


@contextmanager
def changed(app: Flask, company: Company, **values: Any) -> Iterator[None]:
    """The tenant's row in the catalogue is another one while the block runs."""
    this = sa.update(Tenant).where(Tenant.slug == company.slug)
    with app.app_context(), operations():
        tenant = db.session.scalars(sa.select(Tenant).where(Tenant.slug == company.slug)).one()
        before = {name: getattr(tenant, name) for name in values}
    with app.app_context(), operations(), transaction():
        db.session.execute(this.values(**values))
    yield
    with app.app_context(), operations(), transaction():
        db.session.execute(this.values(**before))


def test_tenants_that_keep_none_of_this_are_skipped(app: Flask, acme: Company) -> None:
    with changed(app, acme, revision="0003"):
        (item,) = upkeep(app, acme.slug, "--inline")["tenants"]
    assert (item["state"], item["error"]) == ("skipped", "Revision 0003 keeps none of this.")
    with app.app_context(), own_connection() as connection:
        with changed(app, acme, state=SUSPENDED):
            assert (
                tidy.tidy(connection, acme.schema_name, app.config["SETTINGS"]).error
                == "The tenant is suspended."
            )
        assert (
            tidy.tidy(connection, "t_nobody", app.config["SETTINGS"]).error == "The tenant is gone."
        )


def test_only_active_tenants_can_be_named(app: Flask, acme: Company) -> None:
    with app.app_context(), operations(), pytest.raises(InvalidInputError, match="nobody"):
        job.start(["nobody"], actor="me")
    with (
        changed(app, acme, state=SUSPENDED),
        app.app_context(),
        operations(),
        pytest.raises(InvalidInputError, match=acme.slug),
    ):
        job.start([acme.slug], actor="me")


def test_two_runs_never_take_one_tenant(app: Flask, acme: Company) -> None:
    with app.app_context(), operations(), transaction():
        run_id = job.start([acme.slug], actor="me")
    with app.app_context(), operations(), pytest.raises(RunUnderwayError):
        job.start([acme.slug], actor="me")
    with app.app_context(), operations(), transaction():
        runs.cancel(run_id, "me")


def test_a_locked_table_is_tried_again_later(
    app: Flask, acme: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tidy, "LOCK_SECONDS", 1)
    with app.app_context(), operations(), transaction():
        run_id = job.start([acme.slug], actor="me")
    item = tidy.Item(0, acme.schema_name, acme.slug, 1, 1, {}, run_id)
    with app.app_context(), tidy.tidying(app.config["SETTINGS"]) as perform:
        with db.engines["ops"].begin() as connection:
            connection.exec_driver_sql(f"LOCK TABLE {acme.schema_name}.invitations")
            outcome = perform(item)
        assert (outcome.state, outcome.retry) == ("failed", True)
        assert perform(item).state == "done"
        # Rows that somebody changes are left for the next night, and nobody waits.
        add_waste(app, acme)
        with db.engines["ops"].begin() as connection:
            connection.exec_driver_sql(
                f"SELECT FROM {acme.schema_name}.invitations WHERE email = 'revoked' FOR UPDATE"
            )
            assert perform(item).result["invitations"] == 2
        assert perform(item).result["invitations"] == 1
    with app.app_context(), operations(), transaction():
        runs.cancel(run_id, "me")


def test_a_worker_does_it_when_beat_says_so(
    app: Flask, acme: Company, worker: subprocess.Popen[bytes]
) -> None:
    add_waste(app, acme)
    celery = app.extensions["celery"]
    said = celery.send_task("ops.upkeep.tasks.begin").get(timeout=60)
    run_id = int(said.split()[1])
    with app.app_context():

        def is_over() -> bool:
            with operations():
                return runs.look(run_id).is_over

        wait_until(is_over, 120)
        with operations():
            run = runs.look(run_id)
            items = {item.slug: item for item in runs.items(run_id)}
    assert (run.title, run.actor) == ("upkeep", "beat")
    assert items[acme.slug].state == DONE
    assert items[acme.slug].result["invitations"] == 3
    # Tenants of other tests are broken on purpose.
    is_any_broken = any(item.state == FAILED for item in items.values())
    assert run.state == (FAILED if is_any_broken else SUCCEEDED)
    listed = app.test_cli_runner().invoke(args=["runs", "list"])
    assert "upkeep" in listed.stdout
