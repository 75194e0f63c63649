"""All comparisons with days and moments, around the days on which clocks are changed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import product
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.factories import Company
from tests.todo_app.filters.evaluator import meets
from tests.todo_app.filters.filters import MOMENTS, ORDERED, ZONES
from tests.todo_app.helpers import inside
from todo_app.database import db
from todo_app.filters.compiler import compile
from todo_app.filters.context import Context
from todo_app.filters.fields import Field, Fields, by_name
from todo_app.filters.kinds import MomentKind
from todo_app.filters.language import parse
from todo_app.filters.nodes import ANCHORS, Condition, Day, FieldName, Instant, Operator, Value
from todo_app.filters.search import vector

RELATIVE = (
    *("now+1d", "now-1w", "now+1mo", "now-1y", "-1h30m", "+26h", "today+1w", "tomorrow-1mo"),
    *("yesterday+6h", "startofweek-1w", "startofmonth+1mo", "endofweek+1d", "endofmonth-1mo"),
)
ROWS = sa.values(sa.column("n", sa.Integer), sa.column("at", sa.DateTime(timezone=True)), name="r")
TICK = timedelta(microseconds=1)


@pytest.mark.parametrize("now", MOMENTS)
@pytest.mark.parametrize("zone", ZONES)
def test_the_database_compares_as_the_evaluator_does(
    app: Flask, company: Company, zone: str, now: str
) -> None:
    context = Context(1, datetime.fromisoformat(now).replace(tzinfo=UTC), ZoneInfo(zone))
    values = values_near(context)
    rows = rows_near(context)
    single = (Operator.EQUAL, Operator.NOT_EQUAL, *ORDERED)
    questions = [
        *(Condition(FieldName("at"), sign, (value,)) for sign, value in product(single, values)),
        Condition(FieldName("at"), Operator.IN, tuple(values[:4])),
        Condition(FieldName("at"), Operator.NOT_IN, tuple(values[:4])),
        Condition(FieldName("at"), Operator.EMPTY),
    ]
    given = ROWS.data(list(enumerate(rows)))
    fields = Fields(
        by_name(Field("at", MomentKind(), sa.cast(given.c.at, sa.DateTime(timezone=True)))),
        vector(sa.literal("")),
    )
    answers = [compile(node, fields, context).is_(sa.true()) for node in questions]
    with inside(app, company.slug):
        found = db.session.execute(sa.select(*answers).select_from(given).order_by(given.c.n)).all()
    for at, row in zip(rows, found, strict=True):
        wanted = [meets({"at": at}, node, context) for node in questions]
        answered = zip(questions, row, wanted, strict=True)
        assert [node for node, answer, right in answered if answer != right] == [], at


def days_near(context: Context) -> list[date]:
    today = context.now.astimezone(context.zone).date()
    return [today + timedelta(days) for days in (-31, -7, -2, -1, 0, 1, 2, 7, 31)]


def values_near(context: Context) -> list[Value]:
    """Days and moments of every sort, near to now."""
    texts = [parse(f"at = {text}") for text in (*ANCHORS, *RELATIVE)]
    written = [node.values[0] for node in texts if isinstance(node, Condition)]
    return [*written, *map(Day, days_near(context)), Instant(context.now)]


def rows_near(context: Context) -> list[datetime | None]:
    """Moments at, before and behind each boundary of days near to now, and none."""
    midnights = [
        datetime(day.year, day.month, day.day, tzinfo=context.zone).astimezone(UTC) + distance
        for day in days_near(context)
        for distance in (timedelta(), timedelta(days=1), timedelta(hours=9))
    ]
    exact = [*midnights, context.now]
    return [None, *(each + tick for each in exact for tick in (-TICK, timedelta(), TICK))]
