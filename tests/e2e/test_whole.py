"""The whole installation as a newcomer starts it: real processes, real requests, real mail."""

from __future__ import annotations

import email
import json
from pathlib import Path

import pytest

from tests.e2e.installation import ROOT, Installation, register
from tests.factories import new_user, wait_until

NEXT_REVISION = '''
"""A column that nobody needs."""

import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{head}"


def upgrade() -> None:
    op.add_column("tasks", sa.Column("proof", sa.Text))


def downgrade() -> None:
    op.drop_column("tasks", "proof")
'''

pytestmark = pytest.mark.e2e


def test_two_companies_work_and_are_upgraded(installation: Installation) -> None:
    initech, hooli = register(installation, "Initech"), register(installation, "Hooli")

    roles = installation.call("GET", "/users/roles", **initech).body["items"]
    user_role = next(role["uuid"] for role in roles if role["name"] == "user")
    peter = new_user("peter@initech.example.com", user_role)
    assert installation.call("POST", "/users/", peter, **initech).status == 201

    todo_list = installation.call("POST", "/lists/", {"title": "TPS"}, **initech).body["uuid"]
    task = installation.call(
        "POST", "/tasks/", {"title": "Cover sheet", "list_uuid": todo_list}, **initech
    ).body["uuid"]
    assert installation.call("POST", f"/tasks/{task}/complete", **initech).status == 200

    emails = {user["email"] for user in installation.call("GET", "/users/", **hooli).body["items"]}
    assert emails == {"boss@hooli.example.com"}
    assert installation.call("GET", f"/tasks/{task}", **hooli).status == 404
    assert installation.call("GET", "/tasks/", **hooli).body["total"] == 0
    assert installation.call("GET", f"/tasks/{task}", **initech).body["status"] == "done"

    mail_dir = installation.root / "var/mail"
    wait_until(
        lambda: {"boss@initech.example.com", "boss@hooli.example.com"} <= recipients(mail_dir), 30
    )

    (head,) = sorted(
        path.name[:4] for path in (ROOT / "migrations/tenant/versions").glob("[0-9]*.py")
    )[-1:]
    revision = installation.root / "migrations/tenant/versions/9999_proof.py"
    revision.write_text(NEXT_REVISION.format(head=head))
    upgraded = installation.flask("tenants", "upgrade")
    assert upgraded.returncode == 0, upgraded.stderr
    assert "(upgrade to 9999): 4 tenants in 2 waves of 1, 3." in upgraded.stdout
    assert "(upgrade to 9999) succeeded." in upgraded.stdout
    assert "Nobody has to move" in installation.flask("tenants", "upgrade").stdout
    listed = json.loads(installation.flask("tenants", "list", "--json").stdout)
    assert {row["revision"] for row in listed} == {"9999"}

    for slug in (initech["tenant"], hooli["tenant"]):
        wait_until(lambda slug=slug: slug in shown_by_flower(installation), 30)

    assert installation.call("GET", f"/tasks/{task}", **initech).status == 200
    assert installation.call("POST", "/auth/logout", **initech).status == 204
    assert installation.call("GET", "/users/", **initech).status == 401
    assert installation.call("GET", "/users/", **hooli).status == 200


def recipients(mail_dir: Path) -> set[str]:
    """Who got a mail."""
    return {email.message_from_bytes(path.read_bytes())["To"] for path in mail_dir.glob("*.eml")}


def shown_by_flower(installation: Installation) -> str:
    """The results of the tasks that upgraded the tenants, as Flower's API shows them."""
    tasks = installation.flower("/api/tasks?taskname=ops.upgrades.tasks.work&state=SUCCESS")
    return "\n".join(task["result"] for task in tasks.values())
