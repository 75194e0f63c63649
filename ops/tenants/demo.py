"""Two companies with believable people, lists and tasks, to try the API on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from todo_app.accounts import service as accounts
from todo_app.accounts.models import User
from todo_app.accounts.passwords import hash_password
from todo_app.database import db, transaction
from todo_app.permissions.models import USER
from todo_app.registration import service as registration
from todo_app.tenancy import control_plane
from todo_app.tenants.models import Tenant
from todo_app.todos import positions
from todo_app.todos.models import Task, TaskAssignee, TodoList
from todo_app.todos.workflow import DONE, NEW

COMPANIES: tuple[dict[str, Any], ...] = (
    {
        "slug": "acme",
        "name": "Acme Bakery",
        "city": "Warsaw",
        "people": (("Ada", "Kowalska"), ("Piotr", "Nowak"), ("Zofia", "Wiśniewska")),
        "lists": {
            "Opening day": ("Order flour", "Print the menu", "Invite the neighbours"),
            "Maintenance": ("Service the oven", "Replace the door seal"),
        },
    },
    {
        "slug": "globex",
        "name": "Globex Logistics",
        "city": "Lyon",
        "people": (("Marie", "Durand"), ("Hugo", "Bernard")),
        "lists": {
            "Fleet": ("Renew the insurance", "Winter tyres for van 3", "Inspect van 7"),
            "Office": ("Find a bigger room", "Backup of the accounts"),
        },
    },
)


def create(password: str) -> list[dict[str, str]]:
    """Make the companies that are missing.

    Args:
        password: of every demo user.

    Returns:
        Slug, name, email of the administrator, and the password, of each.
    """
    return [_create(company, password) for company in COMPANIES]


def _create(company: dict[str, Any], password: str) -> dict[str, str]:
    first, last = company["people"][0]
    email = _email(first, company["slug"])
    row = {"slug": company["slug"], "name": company["name"], "email": email, "password": password}
    with control_plane(), transaction():
        existing = db.session.scalar(sa.select(Tenant.id).where(Tenant.slug == company["slug"]))
        if existing is not None:
            return row
        about = {key: company[key] for key in ("name", "slug", "city")}
        person = {"first_name": first, "last_name": last, "email": email}
        password_hash = hash_password(password)
        boss = registration.found_company(about, person, password_hash, is_active=True).user
        _fill(company, boss, password_hash)
    return row


def _fill(company: dict[str, Any], boss: User, password_hash: str) -> None:
    people = [boss]
    for first, last in company["people"][1:]:
        values: dict[str, Any] = {"first_name": first, "last_name": last, "is_verified": True}
        values |= {"email": _email(first, company["slug"]), "password_hash": password_hash}
        people.append(accounts.add_user_with_role(values, USER))
    now = datetime.now(UTC).replace(microsecond=0)
    for number, (title, tasks) in enumerate(company["lists"].items()):
        todo_list = TodoList(title=title, created_by_id=boss.id, last_number=len(tasks))
        db.session.add(todo_list)
        db.session.flush()
        places = positions.evenly(None, None, len(tasks))
        for position, task in enumerate(tasks):
            is_done = position == 0
            row = Task(
                list_id=todo_list.id,
                title=task,
                number=position + 1,
                position=places[position],
                status=DONE if is_done else NEW,
                completed_at=now if is_done else None,
                priority=position,
                due_at=now + timedelta(days=7 * (position + number)),
                created_by_id=boss.id,
            )
            db.session.add(row)
            db.session.flush()
            assignee = people[position % len(people)]
            db.session.add(TaskAssignee(task_id=row.id, user_id=assignee.id))
    db.session.flush()


def _email(first_name: str, slug: str) -> str:
    return f"{first_name.lower()}@{slug}.example.com"
