"""Searches go by the index of words, of whatever tenant: one that is migrated, and a new one."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.dialects import postgresql

from tests.factories import Company
from tests.todo_app.helpers import inside
from todo_app.database import db
from todo_app.filters.nodes import Search
from todo_app.filters.search import found
from todo_app.filters.tasks import TASK_WORDS
from todo_app.todos.models import Task


@pytest.mark.parametrize("text", ["milk", '"buy milk"', "mil*", "milk or bread", "milk -bread"])
def test_the_index_has_the_very_expression_of_searches(
    app: Flask, acme: Company, text: str
) -> None:
    searched = sa.select(Task.id).where(found(TASK_WORDS, Search(text)))
    sql = searched.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})
    with inside(app, acme.slug):
        db.session.execute(sa.text("SET LOCAL enable_seqscan = off"))
        plan = "\n".join(db.session.scalars(sa.text("EXPLAIN " + str(sql).replace(":", r"\:"))))
    assert "Bitmap Index Scan on ix_tasks_words" in plan
