"""Filters find in the database what an evaluator of their own finds in memory."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.factories import register
from tests.todo_app.filters.evaluator import Named, meets
from tests.todo_app.filters.filters import MOMENTS, ORDERED, RELATIVES, ZONES, conditions, filters
from tests.todo_app.helpers import inside
from todo_app.accounts.models import User
from todo_app.database import db
from todo_app.filters.compiler import compile
from todo_app.filters.context import Context
from todo_app.filters.nodes import (
    ANCHORS,
    Day,
    FieldName,
    Instant,
    Node,
    Number,
    Operator,
    Quoted,
    Value,
    Word,
)
from todo_app.filters.tasks import TASK_FIELDS
from todo_app.todos.models import Task, TaskAssignee, TodoList

TITLES = (
    "",
    "Milk",
    "milk",
    "Żółw",
    "zolw 100%",
    "Łódź_1",
    "Straße",
    "a'b\"c\\d",
    "me",
    "it's; --",
)


class World(NamedTuple):
    """A company with lists and people, and no tasks yet."""

    slug: str
    people: list[Named]
    lists: list[Named]


@pytest.fixture(scope="module")
def world(app: Flask) -> World:
    company = register(app.test_client(), "Filters")
    emails = [company.email, company.add_person().email, company.add_person().email]
    with inside(app, company.slug):
        people = [
            Named(row.id, frozenset({str(row.uuid), row.email}))
            for row in db.session.execute(sa.select(User.id, User.uuid, User.email))
            if row.email in emails
        ]
        rows = [
            TodoList(title=title, created_by_id=people[0].id, uuid=uuid.uuid4())
            for title in ("Work", "work", "Żółw list", "it's; --")
        ]
        db.session.add_all(rows)
        db.session.flush()
        lists = [Named(row.id, frozenset({str(row.uuid), row.title.lower()})) for row in rows]
    return World(company.slug, people, lists)


def fields(*names: str) -> st.SearchStrategy[FieldName]:
    return st.sampled_from(names).map(FieldName)


def named(things: list[Named]) -> st.SearchStrategy[Value]:
    """Values that mean one of the things, or none, in any case."""
    names = sorted(name for thing in things for name in thing.names)
    some = st.sampled_from([*names, *map(str.upper, names), str(uuid.UUID(int=7)), "x@y.example"])
    return some.map(Quoted)


@st.composite
def questions(draw: st.DrawFn, world: World) -> tuple[list[dict[str, Any]], Node, Context]:
    """Some tasks, a filter and who asks it when."""
    zone = ZoneInfo(draw(st.sampled_from(ZONES)))
    now = datetime.fromisoformat(draw(st.sampled_from(MOMENTS))).replace(tzinfo=UTC)
    context = Context(draw(st.sampled_from(world.people)).id, now, zone)
    distances = st.one_of(
        st.sampled_from([timedelta(), timedelta(microseconds=1), timedelta(microseconds=-1)]),
        st.timedeltas(-timedelta(days=40), timedelta(days=40)),
        st.integers(-50, 50).map(lambda hours: timedelta(hours=hours)),
    )
    day = st.integers(-8, 8).map(lambda n: now.astimezone(zone).date() + timedelta(n))
    midnights = day.map(lambda d: datetime(d.year, d.month, d.day, tzinfo=zone).astimezone(UTC))
    moments = st.builds(
        lambda start, distance: start + distance,
        st.one_of(midnights, st.just(now)),
        distances,
    )
    text = st.one_of(st.sampled_from(TITLES), st.text("aÀß%_'\\ł ", max_size=4))
    rows = draw(
        st.lists(
            st.fixed_dictionaries(
                {
                    "title": text,
                    "description": st.none() | text,
                    "priority": st.integers(0, 5),
                    "due": st.none() | moments,
                    "completed": st.none() | moments,
                    "created": moments,
                    "updated": moments,
                    "list": st.sampled_from(world.lists),
                    "assignee": st.lists(
                        st.sampled_from(world.people), max_size=2, unique_by=lambda one: one.id
                    ),
                    "creator": st.sampled_from(world.people),
                }
            ),
            min_size=4,
            max_size=8,
        )
    )
    for row in rows:
        row["status"] = "done" if row["completed"] else "new"
    known = [row[name] for row in rows for name in ("due", "created") if row[name]]
    times = st.one_of(
        st.sampled_from(known).map(Instant),
        st.sampled_from(known).map(lambda each: Day(each.astimezone(zone).date())),
        day.map(Day),
        st.sampled_from(ANCHORS).map(Word),
        RELATIVES,
    )
    asked_when = conditions(fields("due", "completed", "created", "updated"), times, ORDERED)
    numbers = st.one_of(st.integers(-1, 6), st.sampled_from([10**17, "2.5"])).map(str)
    leaves = st.one_of(
        conditions(fields("title", "description"), text.map(Quoted), (Operator.CONTAINS,)),
        conditions(fields("status"), st.sampled_from(["new", "done"]).map(Word), ()),
        conditions(fields("priority"), numbers.map(Decimal).map(Number), ORDERED),
        *(asked_when, asked_when, asked_when, asked_when),
        conditions(fields("list"), named(world.lists), ()),
        conditions(fields("assignee", "creator"), st.just(Word("Me")) | named(world.people), ()),
    )
    return rows, draw(filters(leaves, max_leaves=6)), context


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_the_database_finds_what_the_evaluator_finds(
    app: Flask, world: World, data: st.DataObject
) -> None:
    rows, node, context = data.draw(questions(world))
    wanted = [number for number, row in enumerate(rows) if meets(row, node, context)]
    with inside(app, world.slug):
        db.session.execute(sa.delete(Task))
        keys = db.session.scalars(
            sa.insert(Task).returning(Task.id, sort_by_parameter_order=True),
            [stored(row) for row in rows],
        ).all()
        db.session.add_all(
            TaskAssignee(task_id=key, user_id=person.id)
            for key, row in zip(keys, rows, strict=True)
            for person in row["assignee"]
        )
        db.session.flush()
        condition = compile(node, TASK_FIELDS, context)
        found = set(db.session.scalars(sa.select(Task.id).where(condition)))
    assert found == {keys[number] for number in wanted}


def stored(row: dict[str, Any]) -> dict[str, Any]:
    """The columns of a row."""
    return {
        **{name: row[name] for name in ("title", "description", "status", "priority")},
        **{f"{name}_at": row[name] for name in ("due", "completed", "created", "updated")},
        "list_id": row["list"].id,
        "created_by_id": row["creator"].id,
    }
