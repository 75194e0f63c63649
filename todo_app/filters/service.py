"""Filters as conditions on tasks."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from todo_app.accounts.models import User
from todo_app.database import db
from todo_app.errors import InvalidInputError
from todo_app.filters.compiler import compile as compile_filter
from todo_app.filters.context import Context
from todo_app.filters.custom import fields_of
from todo_app.filters.language import parse
from todo_app.filters.models import SavedFilter
from todo_app.tenancy import CurrentUser

NO_SUCH_FILTER = "There is no such filter."


def found_by(
    actor: CurrentUser, text: str | None, filter_uuid: uuid.UUID | None
) -> sa.ColumnElement[bool] | None:
    """The condition on `Task` that a filter is, or a kept one, or both; None for neither.

    Args:
        actor: whom `me` means, and in whose time zone days are.
        text: in the filter language.
        filter_uuid: a kept filter, of the actor's own or shared.

    Raises:
        FilterError: the text is no filter, or asks for what tasks do not have.
        InvalidInputError: there is no such filter.
    """
    texts = [] if text is None else [text]
    if filter_uuid is not None:
        is_seen = sa.or_(SavedFilter.user_id == actor.id, SavedFilter.is_shared)
        kept = sa.select(SavedFilter.filter).where(SavedFilter.uuid == filter_uuid, is_seen)
        found = db.session.scalar(kept)
        if found is None:
            raise InvalidInputError(errors={"query": {"filter_uuid": [NO_SUCH_FILTER]}})
        texts.append(found)
    if not texts:
        return None
    zone = db.session.scalars(sa.select(User.timezone).where(User.id == actor.id)).one()
    context = Context(actor.id, datetime.now(UTC), ZoneInfo(zone))
    return sa.and_(*(compile_filter(parse(one), fields_of(actor), context) for one in texts))


def check(actor: CurrentUser, text: str) -> None:
    """Check that a text is a filter of tasks.

    Raises:
        FilterError: it is none, or asks for what tasks do not have.
    """
    context = Context(actor.id, datetime.now(UTC), ZoneInfo("UTC"))
    compile_filter(parse(text), fields_of(actor), context)
