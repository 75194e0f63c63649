"""What has changed since a client last asked, without ever missing a change.

Each change carries the number of the transaction that made it. A snapshot's xmin is the oldest
transaction that had not ended when it was taken: all below have ended, and nothing below will ever
come again. A reader takes changes below it only, and goes on from there the next time. So it does
not matter that transactions end in another order than they began in. Source: PostgreSQL's
documentation, "Transactions and Identifiers" and pg_snapshot_xmin.
"""

from __future__ import annotations

import time
import uuid
from collections import defaultdict
from typing import Any, NamedTuple

import sqlalchemy as sa

from todo_app.activity.models import Change
from todo_app.database import db
from todo_app.sync.kinds import KINDS
from todo_app.sync.tokens import Token
from todo_app.tenancy import CurrentUser
from todo_app.todos.access import visible_lists
from todo_app.todos.models import TodoList

MAX_SIZE = 500

_ORDER = (Change.transaction, Change.kind, Change.uuid, Change.list_id)
_XMIN = sa.func.pg_snapshot_xmin(sa.func.pg_current_snapshot())
_HEAD = sa.select(
    sa.cast(sa.cast(_XMIN, sa.Text), sa.BigInteger).label("until"),
    # Restored data are in tables of their own, which have other numbers.
    sa.literal_column("'changes'::regclass::oid::text").label("epoch"),
).subquery("head")


class Gone(NamedTuple):
    """Something that is no more, or no more for the user to see."""

    kind: str
    uuid: uuid.UUID


class Delta(NamedTuple):
    """A page of changes."""

    token: str
    has_more: bool
    things: dict[str, list[Any]]
    """By name: things as they are now."""
    deleted: list[Gone]
    list_uuids: list[uuid.UUID] | None
    """All lists that the user may see; None where that has not changed."""


def changes_since(actor: CurrentUser, since: str | None, size: int) -> Delta:
    """What has changed since a token was given.

    Args:
        actor: who asks; only what they may see is shown.
        since: the token of the answer before; None for all there is.
        size: how many changes at most.

    Raises:
        InvalidInputError: `since` is no token.
        ExpiredTokenError: it is too old, or of other data.
    """
    token = Token.parse(since) if since else None
    rows = db.session.execute(_statement(actor, token, size + 1)).all()
    epoch, until = rows[0].epoch, rows[0].until
    if token:
        token.check(epoch)
    begun = token.begun if token else until
    # Without changes the outer join gives one row, which has none.
    changes = [row for row in rows if row.kind is not None]
    has_more = len(changes) > size
    changes = changes[:size]
    last = changes[-1] if has_more else None
    place = last[2:] if last else (max(until, token.transaction if token else 0),)
    after = Token(epoch, int(time.time()), begun, *place)
    wanted: dict[str, set[uuid.UUID]] = defaultdict(set)
    for change in changes:
        if change.kind in KINDS:
            wanted[change.kind].add(change.uuid)
    found = {kind: KINDS[kind][1](actor, sorted(uuids)) for kind, uuids in wanted.items()}
    there = {(kind, row.uuid) for kind, rows_of_kind in found.items() for row in rows_of_kind}
    told = dict.fromkeys(
        Gone(change.kind, change.uuid)
        for change in changes
        if change.kind in wanted and change.kind != "list" and change.transaction >= begun
    )
    return Delta(
        str(after),
        has_more,
        {name: list(found.get(kind, ())) for kind, (name, _) in KINDS.items()},
        [gone for gone in told if gone not in there],
        _list_uuids(actor) if "list" in wanted else None,
    )


def _statement(actor: CurrentUser, token: Token | None, size: int) -> sa.Select[*tuple[Any, ...]]:
    """Epoch, xmin, and the next changes; those of lists are all there, for what is seen of them."""
    is_for_actor = sa.or_(
        Change.list_id == 0, Change.kind == "list", Change.list_id.in_(visible_lists(actor))
    )
    # In this order, so that the rest of a row is a place in the order of changes.
    page = (
        sa.select(*_ORDER)
        .where(Change.transaction < _HEAD.c.until, is_for_actor)
        .order_by(*_ORDER)
        .limit(size)
    )
    if token:
        place = (token.transaction, token.kind, token.uuid, token.list_id)
        page = page.where(sa.tuple_(*_ORDER) > sa.tuple_(*place))
    found = page.lateral("found")
    return sa.select(
        _HEAD.c.epoch,
        _HEAD.c.until,
        found.c.transaction,
        found.c.kind,
        found.c.uuid,
        found.c.list_id,
    ).select_from(_HEAD.outerjoin(found, sa.true()))


def _list_uuids(actor: CurrentUser) -> list[uuid.UUID]:
    found = sa.select(TodoList.uuid).where(TodoList.id.in_(visible_lists(actor)))
    return list(db.session.scalars(found.order_by(TodoList.id)))
