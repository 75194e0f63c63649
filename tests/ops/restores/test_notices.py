"""Who is reminded and told after a restore: nobody twice, and nobody never."""

from __future__ import annotations

from flask import Flask

from ops.restores import job
from tests.factories import Company, mails_to
from tests.ops.restores.keeping import Keeper, add_task
from tests.todo_app.helpers import inside
from tests.todo_app.todos.shapes import add_list
from todo_app.notifications import service as notifications
from todo_app.reminders import sending

LATER = "2100-01-01T00:00:00Z"


def add_reminder(company: Company) -> None:
    """Of a task with the title Call, in a future that nobody waits for."""
    home = add_list(company, "Home")["uuid"]
    task = company.post("/tasks/", {"title": "Call", "list_uuid": home}).json["uuid"]
    assert company.post("/reminders/", {"task_uuid": task, "at": LATER}).status_code == 201


def let_it_be_due(keeper: Keeper, schema_name: str) -> None:
    ago = "now() - interval '1 hour'"
    keeper.sql(f"UPDATE {schema_name}.reminders SET at = {ago}, next_at = {ago}")


def test_what_was_sent_is_not_sent_again_after_a_restore(
    app: Flask, acme: Company, keeper: Keeper
) -> None:
    add_reminder(acme)
    let_it_be_due(keeper, acme.schema_name)
    keeper.back_up(acme.slug)
    with inside(app, acme.slug):
        assert sending.remind() == 1
    assert keeper.restore(acme.slug)["state"] == "done"
    with inside(app, acme.slug):
        assert sending.remind() == 0
    assert len([text for text in mails_to(app, acme.email) if "Call" in text]) == 1


def test_what_is_due_and_was_not_sent_is_sent_after_a_restore(
    app: Flask, acme: Company, keeper: Keeper
) -> None:
    add_reminder(acme)
    let_it_be_due(keeper, acme.schema_name)
    keeper.back_up(acme.slug)
    assert keeper.restore(acme.slug)["state"] == "done"
    with inside(app, acme.slug):
        assert sending.remind() == 1


def test_what_was_sent_is_not_sent_again_after_an_undo(
    app: Flask, acme: Company, keeper: Keeper
) -> None:
    add_reminder(acme)
    keeper.back_up(acme.slug)
    keeper.restore(acme.slug)
    [kept] = keeper.sql(
        "SELECT r.schema_name FROM public.replaced_schemas AS r"
        " JOIN public.tenants AS t ON t.id = r.tenant_id WHERE t.slug = :slug",
        slug=acme.slug,
    )
    for schema_name in (kept.schema_name, acme.schema_name):
        let_it_be_due(keeper, schema_name)
    with inside(app, acme.slug):
        assert sending.remind() == 1
    assert keeper.undo(acme.slug)["state"] == "done"
    with inside(app, acme.slug):
        assert sending.remind() == 0


def test_an_archived_tenant_comes_back_with_its_reminders(
    app: Flask, acme: Company, keeper: Keeper
) -> None:
    add_reminder(acme)
    with keeper._entry():
        run_id = job.start_archive(acme.slug, actor="tests", settings=keeper.settings)
    keeper.work(run_id)
    assert keeper.restore(acme.slug)["state"] == "done"
    with inside(app, acme.slug):
        assert sending.next_due() is not None


def test_undo_brings_back_what_waits_for_the_end_of_quiet_hours(
    app: Flask, acme: Company, keeper: Keeper
) -> None:
    person = acme.add_person()
    keeper.back_up(acme.slug)
    add_task(acme)
    schema = acme.schema_name
    keeper.sql(
        f"INSERT INTO {schema}.held_notices (user_id, activity_id, until)"
        f" SELECT u.id, a.id, now() + interval '5 hours' FROM {schema}.users AS u,"
        f" {schema}.activity AS a WHERE u.email = :email AND a.action = 'task.added'",
        email=person.email,
    )
    keeper.tell(schema)
    with inside(app, acme.slug):
        held = notifications.next_held()
    assert held is not None
    assert keeper.restore(acme.slug)["state"] == "done"
    assert keeper.undo(acme.slug)["state"] == "done"
    with inside(app, acme.slug):
        assert notifications.next_held() == held
