"""Use cases of calendars: an address for one is made, looked at, read with, and revoked.

Whoever knows an address reads the calendar, without signing in, as programs for calendars do. It
shows what its user may see at that moment. Where that is nothing any more, because the user has
left, lost the permission or the list, there is no such address.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from todo_app.accounts.models import User
from todo_app.accounts.service import lock_self
from todo_app.audit.service import record
from todo_app.database import db
from todo_app.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from todo_app.feeds import address, entries
from todo_app.feeds.models import Feed
from todo_app.permissions.models import Role
from todo_app.settings.models import CompanySettings
from todo_app.tenancy import CurrentUser, current_tenant
from todo_app.todos import ical
from todo_app.todos.access import NO_SUCH_LIST, FolderError, visible_lists
from todo_app.todos.models import FOLDER, TodoList
from todo_app.two_factor.models import TwoFactor

READ = "tasks:read"
MOST_FEEDS = 50
"""Calendars that a user may have at a time."""
NOTED_EVERY = timedelta(hours=1)
"""The last use is known to this precision: most reads write nothing."""


class NoSuchFeedError(NotFoundError):
    """There is no such calendar; the answer never says whether there was one."""

    detail = "There is no such calendar."


class TooManyFeedsError(ConflictError):
    """The user has as many calendars as there may be."""

    code = "too-many-feeds"
    detail = f"You have {MOST_FEEDS} calendars; revoke one first."


class FeedInfo(NamedTuple):
    """A calendar, as the person whose it is sees it; `secret` is known when it is made only."""

    uuid: uuid.UUID
    list: dict[str, Any] | None
    created_at: datetime
    last_used_at: datetime | None
    secret: str | None = None


class OpenFeed(NamedTuple):
    """A calendar that is being read."""

    id: int
    list_id: int | None
    is_use_noted: bool


class Calendar(NamedTuple):
    """What a calendar shows; written by `render` only where somebody wants it."""

    name: str
    kind: str
    rows: list[sa.Row[*tuple[Any, ...]]]

    @property
    def etag(self) -> str:
        """What changes whenever the calendar does."""
        return entries.etag_of(self.name, self.kind, self.rows)

    def render(self) -> bytes:
        """The calendar as a file."""
        return ical.render(self.name, map(entries.entry_of, self.rows), self.kind)


def feeds_of(actor: CurrentUser) -> list[FeedInfo]:
    """The user's calendars, the newest first."""
    return _infos(actor, Feed.user_id == actor.id)


def add_feed(actor: CurrentUser, list_uuid: uuid.UUID | None) -> FeedInfo:
    """Make a calendar of the user.

    Args:
        actor: whose it is.
        list_uuid: the list that it shows; None for the user's own tasks of all lists.

    Raises:
        ForbiddenError: the user may not read tasks.
        InvalidInputError: there is no such list, or it is not for the user to see.
        FolderError: it has no tasks.
        UnauthenticatedError: the session has ended meanwhile.
        TooManyFeedsError
    """
    if READ not in actor.permissions:
        raise ForbiddenError(f"Your role lacks the permission {READ}.")
    # Locked, so that such requests of one user are counted one after the other.
    user = lock_self(actor)
    list_id = None if list_uuid is None else _list_id(actor, list_uuid)
    count = db.session.scalar(sa.select(sa.func.count()).where(Feed.user_id == user.id))
    if (count or 0) >= MOST_FEEDS:
        raise TooManyFeedsError
    secret, its_digest = address.new(current_tenant().schema_name)
    feed = Feed(user_id=user.id, list_id=list_id, digest=its_digest)
    db.session.add(feed)
    db.session.flush()
    about = {"list_uuid": str(list_uuid)} if list_uuid else {}
    record(actor, "feed.made", ("feed", feed.uuid), **about)
    (made,) = _infos(actor, Feed.id == feed.id)
    return made._replace(secret=secret)


def delete_feed(actor: CurrentUser, feed_uuid: uuid.UUID) -> None:
    """Make one of the user's addresses worth nothing.

    Raises:
        NoSuchFeedError: the user has no such calendar.
    """
    gone = sa.delete(Feed).where(Feed.uuid == feed_uuid, Feed.user_id == actor.id)
    if db.session.scalar(gone.returning(Feed.id)) is None:
        raise NoSuchFeedError
    record(actor, "feed.revoked", ("feed", feed_uuid))


def find_reader(its_digest: bytes) -> tuple[OpenFeed, CurrentUser]:
    """The calendar that an address of the current tenant is for, and on whose behalf it is read.

    Raises:
        NoSuchFeedError: there is none, or its user may not read tasks any more.
    """
    lacks_second_factor = sa.and_(
        sa.exists().where(CompanySettings.require_two_factor),
        ~sa.exists().where(TwoFactor.user_id == User.id, TwoFactor.confirmed_at.is_not(None)),
    )
    is_noted = sa.func.coalesce(Feed.last_used_at > sa.func.now() - NOTED_EVERY, sa.false())
    statement = (
        sa.select(
            Feed.id.label("feed_id"),
            Feed.list_id,
            is_noted.label("is_noted"),
            User.id,
            User.uuid,
            User.first_name,
            User.last_name,
            User.language,
            Role.name.label("role"),
        )
        .select_from(Feed)
        .join(User, User.id == Feed.user_id)
        .join(Role, Role.id == User.role_id)
        .where(
            Feed.digest == its_digest,
            User.is_active,
            User.deleted_at.is_(None),
            Role.permissions.contains([READ]),
            ~lacks_second_factor,
        )
    )
    row = db.session.execute(statement).one_or_none()
    if row is None:
        raise NoSuchFeedError
    user = CurrentUser(
        *row[3:],
        # An address is good for its calendar alone.
        permissions=[READ],
        token_id=0,
        scopes=[],
        authenticated_ago=None,
        used_ago=None,
        lacks_second_factor=False,
    )
    return OpenFeed(row.feed_id, row.list_id, row.is_noted), user


def read_feed(reader: CurrentUser, feed: OpenFeed, kind: str) -> Calendar:
    """What a calendar shows now.

    Args:
        reader: on whose behalf it is read.
        feed: the calendar.
        kind: ical.TODOS or ical.EVENTS.

    Raises:
        NoSuchFeedError: its list is deleted, or the reader does not see it any more.
    """
    name: str | None = f"{reader.first_name} {reader.last_name}, {current_tenant().name}"
    if feed.list_id is not None:
        title = sa.select(TodoList.title).where(
            TodoList.id == feed.list_id, TodoList.id.in_(visible_lists(reader))
        )
        name = db.session.scalar(title)
    if name is None:
        raise NoSuchFeedError
    return Calendar(name, kind, entries.rows_of(reader, feed.list_id, kind))


def note_use(feed: OpenFeed) -> None:
    """Note that a calendar was read, unless that was done lately."""
    if feed.is_use_noted:
        return
    now = sa.func.now()
    db.session.execute(sa.update(Feed).where(Feed.id == feed.id).values(last_used_at=now))


def _list_id(actor: CurrentUser, list_uuid: uuid.UUID) -> int:
    found = sa.select(TodoList.id, TodoList.kind).where(
        TodoList.uuid == list_uuid, TodoList.id.in_(visible_lists(actor))
    )
    row = db.session.execute(found).one_or_none()
    if row is None:
        raise InvalidInputError(errors={"json": {"list_uuid": [NO_SUCH_LIST]}})
    if row.kind == FOLDER:
        raise FolderError
    return int(row.id)


def _infos(actor: CurrentUser, *conditions: Any) -> list[FeedInfo]:
    title = sa.case((TodoList.id.in_(visible_lists(actor)), TodoList.title))
    shown_list = sa.func.jsonb_build_object("uuid", TodoList.uuid, "title", title)
    of_list = sa.select(shown_list).where(TodoList.id == Feed.list_id).correlate(Feed)
    statement = (
        sa.select(
            Feed.uuid, of_list.scalar_subquery().label("list"), Feed.created_at, Feed.last_used_at
        )
        .where(*conditions)
        .order_by(Feed.id.desc())
    )
    return [FeedInfo._make((*row, None)) for row in db.session.execute(statement)]
