"""What filters ask the database for: refusals, injection, links to several values, depth."""

from __future__ import annotations

import sys
import uuid
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql

from tests.factories import Company
from tests.todo_app.filters.filters import ANY_FILTER, VALUES, conditions, filters
from tests.todo_app.helpers import inside
from todo_app.accounts.models import User
from todo_app.database import db
from todo_app.filters.compiler import compile
from todo_app.filters.context import Context
from todo_app.filters.errors import FilterError
from todo_app.filters.fields import Field, Fields, Link, by_name
from todo_app.filters.kinds import BooleanKind, DurationKind, NumberKind, TextKind
from todo_app.filters.language import MAX_DEPTH, parse
from todo_app.filters.nodes import FieldName, Node, Operator, Search
from todo_app.filters.references import ReferenceKind
from todo_app.filters.search import vector
from todo_app.filters.tasks import TASK_FIELDS
from todo_app.groups.models import Group, GroupMember
from todo_app.todos.models import Task, TodoList

CONTEXT = Context(1, datetime(2026, 11, 22, 9, tzinfo=UTC), ZoneInfo("Europe/Warsaw"))

USER_FIELDS = Fields(
    named=by_name(
        Field("name", TextKind(), User.first_name),
        Field("active", BooleanKind(), User.is_active),
        Field("age", DurationKind(), sa.case((User.first_name == "Old", 3_600), else_=60)),
        Field(
            "group",
            ReferenceKind("a group", Group.id, Group.uuid, Group.name),
            GroupMember.group_id,
            Link(GroupMember, GroupMember.user_id == User.id),
        ),
    ),
    words=vector(User.first_name, User.last_name),
    custom={"Name length": Field("Name length", NumberKind(), sa.func.length(User.first_name))}.get,
)
"""Fields of kinds that tasks lack."""


def compiled(text: str, fields: Fields = TASK_FIELDS) -> sa.ColumnElement[bool]:
    return compile(parse(text), fields, CONTEXT)


OTHERS = "`=`, `!=`, `in`, `not in`, `is empty` and `is not empty` can be asked."
MOMENT = "a day or moment such as `2026-11-22`, `today`, `now+7d` or `2026-11-22T09:30:00Z`."
USER = "`me`, the id of a user or an email address."
STATUSES = "`new`, `accepted`, `rejected`, `assigned`, `in_progress`, `paused`, `done`"
REFUSED = [
    ("prio = 3", "1: found `prio`, expected a field: `title`, `description`, `status`, `priority`, "
     "`start`, `due`, `completed`, `created`, `updated`, `estimate`, `tracked`, `list`, `section`, "
     "`tag`, `assignee`, `creator`, `task`, `parent`, `is_open`, `is_subtask`, `is_recurring`."),
    ("Title = x", "1: found `Title`, expected a field: `title`, "),
    ("title = x or field.cost > 3", "14: found `cost`, expected the name of a field of your own."),
    ("title < x", "7: found `<`, but of `title` only `=`, `!=`, `~`, `in`, `not in`, `is empty` "
     "and `is not empty` can be asked."),
    ("status >= new", f"8: found `>=`, but of `status` only {OTHERS}"),
    ("list ~ x", f"6: found `~`, but of `list` only {OTHERS}"),
    ("assignee > me", f"10: found `>`, but of `assignee` only {OTHERS}"),
    ("priority ~ 3", "10: found `~`, but of `priority` only `=`, `!=`, `<`, `<=`, `>`, `>=`, "
     "`in`, `not in`, `is empty` and `is not empty` can be asked."),
    ("priority = high", "12: found `high`, expected a number."),
    ("priority in (1, '2')", '17: found `"2"`, expected a number.'),
    ("priority > 2026-11-22", "12: found `2026-11-22`, expected a number."),
    ("status = open", f"10: found `open`, expected one of {STATUSES}."),
    ("status in (new, 3)", f"17: found `3`, expected one of {STATUSES}."),
    ("title = 3", "9: found `3`, expected a text (in quotes, where it is not plain words)."),
    ("title ~ now+7d", "9: found `now+7d`, expected a text (in quotes, where it is not plain "
     "words)."),
    ("due = soon", f"7: found `soon`, expected {MOMENT}"),
    ("due < 3", f"7: found `3`, expected {MOMENT}"),
    ("due < 30m", f"7: found `30m`, expected {MOMENT}"),
    ("due < '2026-11-22'", f'7: found `"2026-11-22"`, expected {MOMENT}'),
    ("due < me", f"7: found `me`, expected {MOMENT}"),
    ("assignee = 1", f"12: found `1`, expected {USER}"),
    ("assignee = 'me'", f'12: found `"me"`, expected {USER}'),
    ("creator in (me, Ada)", f"17: found `Ada`, expected {USER}"),
    ("list = 2026-11-22", "8: found `2026-11-22`, expected the name or id of a list (in quotes, "
     "where it is not plain words)."),
    ("search('')", "8: found no word to search for."),
    ("search('- \"\" *')", "8: found no word to search for."),
    (f"search('{'a ' * 51}')", "8: a search has at most 50 words."),
    ("not (priority = 1 and due > now+9000y)", "29: the years of a filter are from 2 to 9998."),
]  # fmt: skip


@pytest.mark.parametrize(("text", "problem"), REFUSED)
def test_refusals_tell_column_and_what_was_expected(text: str, problem: str) -> None:
    with pytest.raises(FilterError) as caught:
        compiled(text)
    assert caught.value.errors is not None
    (told,) = caught.value.errors["query"]["filter"]
    assert told.startswith(f"Column {problem}")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("active = yes", "10: found `yes`, expected `true` or `false`."),
        ("active = 'true'", '10: found `"true"`, expected `true` or `false`.'),
        ("age > 2", "7: found `2`, expected a duration of weeks, days, hours, minutes or seconds,"),
        ("age > 1mo", "7: found `1mo`, expected a duration of weeks"),
        ("age > +1h", "7: found `now+1h`, expected a duration of weeks"),
        ("field.'Name length' = x", "23: found `x`, expected a number."),
        ("field.length = 1", "1: found `length`, expected the name of a field of your own."),
    ],
)
def test_refusals_of_other_kinds(text: str, problem: str) -> None:
    with pytest.raises(FilterError) as caught:
        compiled(text, USER_FIELDS)
    assert f"Column {caught.value.column}: {caught.value.problem}".startswith(f"Column {problem}")


@given(ANY_FILTER)
def test_any_filter_is_compiled_or_refused(node: Node) -> None:
    custom = Field("any", TextKind(), Task.title)
    fields = Fields(TASK_FIELDS.named, TASK_FIELDS.words, lambda _: custom)
    try:
        str(compile(node, fields, CONTEXT))
    except FilterError as error:
        assert error.problem.endswith(".")  # noqa: PT017 (both are fine)


FIELDS_AND_VALUES = filters(
    st.one_of(
        conditions(
            st.sampled_from([FieldName(name) for name in TASK_FIELDS.named]),
            VALUES,
            tuple(Operator)[2:7],
        ),
        st.builds(Search, st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)),
    ),
    max_leaves=4,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(node=FIELDS_AND_VALUES)
def test_what_is_compiled_runs(app: Flask, shared: str, node: Node) -> None:
    try:
        condition = compile(node, TASK_FIELDS, CONTEXT)
    except FilterError:
        return
    with inside(app, shared):
        db.session.execute(sa.select(Task.id).where(condition)).all()


HOSTILE = [
    "x'; DROP TABLE tasks; --",
    "x' OR '1'='1",
    "\\'; DELETE FROM tasks; --",
    "%(param_1)s %s %%",
    ":title",
    "$1",
    "x'::tsquery",
    "' | '!a':*",
    "\u02bc\uff07; DROP TABLE tasks",
    "a & | ! ( ) <-> :* \\",
]
FORMS = ["title = {}", "title ~ {}", "title in ({0}, {0})", "list = {}", "search({})",
         "not list in ({})", "assignee = {}"]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("form", FORMS)
def test_texts_are_never_sql(app: Flask, shared: str, form: str, text: str) -> None:
    quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if form.startswith("assignee"):
        quoted = quoted[:-1] + '@example.com"'
    statement = sa.select(Task.title).where(compiled(form.format(quoted)))
    sql = str(statement.compile(dialect=postgresql.dialect()))
    assert "DROP" not in sql
    assert "DELETE" not in sql
    with inside(app, shared):
        found = db.session.scalars(statement).all()
    assert form.startswith("not") == ("other" in found)
    if form.startswith(("title", "search")) and any(map(str.isalnum, text)):
        assert found == [text] or form.startswith("search")


@pytest.mark.parametrize("name", ["title;--", 'title"', "tasks.title", "password_hash", "id"])
def test_names_of_fields_are_never_sql(name: str) -> None:
    with pytest.raises(FilterError):
        compiled(f"{name} = 1")
    with pytest.raises(FilterError):
        compiled(f"field.'{name}' = 1")


@pytest.mark.parametrize(
    "text",
    [
        "not " * MAX_DEPTH + "priority = 1",
        "(" * MAX_DEPTH + "priority = 1" + ")" * MAX_DEPTH,
        "priority = 1 or (priority = 2 and (" * (MAX_DEPTH // 2)
        + "priority = 1" + "))" * (MAX_DEPTH // 2),
        "not (priority = 1 or " * (MAX_DEPTH // 2) + "priority = 1" + ")" * (MAX_DEPTH // 2),
        " or ".join(["(not title ~ é)"] * 200),
        f"priority in ({', '.join(map(str, range(500)))})",
        f"due in ({', '.join(['today'] * 500)})",
        f"list in ({', '.join(['a'] * 500)})",
        f"search('{' or '.join(['ab*'] * 25)}')",
        f"search('{'x' * 3_900}*')",
    ],
)  # fmt: skip
def test_the_largest_filters_run(app: Flask, shared: str, text: str) -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(depth_here() + 500)
    try:
        with inside(app, shared):
            db.session.execute(sa.select(Task.id).where(compiled(text))).all()
    finally:
        sys.setrecursionlimit(limit)


def depth_here() -> int:
    frame: Any = sys._getframe()
    depth = 0
    while frame:
        frame, depth = frame.f_back, depth + 1
    return depth


@pytest.fixture(scope="module")
def shared(app: Flask, company: Company) -> str:
    """A company with a few tasks."""
    with inside(app, company.slug):
        user_id = db.session.scalar(sa.select(User.id).where(User.uuid == uuid.UUID(company.uuid)))
        todo_list = TodoList(title="A", created_by_id=user_id)
        db.session.add(todo_list)
        db.session.flush()
        for title in (*HOSTILE, "other"):
            task = Task(title=title, list_id=todo_list.id, created_by_id=user_id)
            db.session.add(task)
    return company.slug


@pytest.fixture(scope="module")
def groups(app: Flask, stranger: Company) -> str:
    """A company: Ada in sales and support, Bob in support, Old in none."""
    with inside(app, stranger.slug):
        boss = db.session.scalars(sa.select(User)).one()
        members = {"Ada": ("Sales", "Support"), "Bob": ("Support",), "Old": ()}
        teams = {name: Group(name=name) for name in ("Sales", "Support")}
        db.session.add_all(teams.values())
        for name, teams_of in members.items():
            user = User(
                first_name=name,
                last_name="Lovelace",
                email=f"{name}@example.com",
                password_hash="-",
                role_id=boss.role_id,
                is_active=name != "Bob",
            )
            db.session.add(user)
            db.session.flush()
            for team in teams_of:
                db.session.add(GroupMember(group_id=teams[team].id, user_id=user.id))
        boss.email = "boss@example.com"
        boss.first_name = "Boss"
        db.session.add(GroupMember(group_id=teams["Sales"].id, user_id=boss.id))
    return stranger.slug


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("group = sales", "Ada Boss"),
        ("group != sales", "Bob Old"),
        ("not group = SALES", "Bob Old"),
        ("not group != sales", "Ada Boss"),
        ("group in (sales, support)", "Ada Bob Boss"),
        ("group not in (sales, support)", "Old"),
        ("group = sales and group = support", "Ada"),
        ("group is empty", "Old"),
        ("group is not empty", "Ada Bob Boss"),
        ("not group is empty", "Ada Bob Boss"),
        ("group = unknown", ""),
        ("group != unknown", "Ada Bob Boss Old"),
        ("active = TRUE", "Ada Boss Old"),
        ("active != true", "Bob"),
        ("active in (true, false)", "Ada Bob Boss Old"),
        ("age >= 1h", "Old"),
        ("age = 60m", "Old"),
        ("age < 1m30s", "Ada Bob Boss"),
        ("field.'Name length' > 3", "Boss"),
        ("field.'Name length' != 3", "Boss"),
        ("search('LOVE* -ada')", "Bob Boss Old"),
        ("search('ada or bob')", "Ada Bob"),
    ],
)
def test_fields_of_other_kinds(app: Flask, groups: str, text: str, names: str) -> None:
    statement = sa.select(User.first_name).where(compiled(text, USER_FIELDS))
    with inside(app, groups):
        found = db.session.scalars(statement.order_by(User.first_name)).all()
    assert found == names.split()
