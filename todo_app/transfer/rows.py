"""Many rows written at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from todo_app.database import db


def insert_all(model: Any, rows: Sequence[Mapping[str, Any]], *returning: Any) -> Sequence[Any]:
    """Insert rows, all in one statement that has as many parameters as they have columns.

    Args:
        model: of which table.
        rows: all with the same columns, by their names; the others get what the database gives.
        returning: what is wanted of them. They come in no certain order.
    """
    if not rows:
        return []
    columns = {name: model.__table__.c[name] for name in rows[0]}
    arrays = [
        array([row[name] for row in rows], column.type, name) for name, column in columns.items()
    ]
    values = sa.func.unnest(*arrays).table_valued(*columns).render_derived()
    statement = sa.insert(model.__table__).from_select(
        list(columns),
        sa.select(*(values.c[name] for name in columns)),
        # A default that is made here would be one and the same for all.
        include_defaults=False,
    )
    if not returning:
        db.session.execute(statement)
        return []
    return db.session.execute(statement.returning(*returning)).all()


def array(values: Sequence[Any], of: Any, name: str | None = None) -> sa.ColumnElement[Any]:
    """Values as one parameter."""
    return sa.cast(
        sa.bindparam(name, list(values), type_=ARRAY(of), unique=name is None), ARRAY(of)
    )
