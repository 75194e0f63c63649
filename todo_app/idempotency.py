"""`Idempotency-Key`: a POST that may be sent twice and is done once.

The key is inserted in the same transaction as the work. A second request with the same key waits
at the unique index until the first has ended: it then finds the stored answer and repeats it, or,
where the first failed and left nothing, does the work itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import wraps
from typing import Any

import orjson
import sqlalchemy as sa
from flask import Response, g, make_response, request
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, mapped_column

from todo_app.database import Base, current_session, db, transaction
from todo_app.errors import AppError, ConflictError
from todo_app.tenancy import TenantScope

KEPT_FOR = timedelta(hours=24)
MAX_KEY_LENGTH = 255
ANYBODY = "anybody"
"""The caller of a registration: nobody is signed in, so only the same body gets the answer."""
SWEEP_ROWS = 100
"""Expired keys that each new key takes away with it, so that the table needs no other sweeper."""

SECRETS = frozenset({"password", "current_password", "code", "token"})
"""Names of what people type or get by mail."""

KEY_PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Any text unique to this request. Sending it again within 24 hours repeats the "
    "first answer; with another body it answers 409.",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH},
    "example": "5f3a9a0e-7c44-4f7e-9d0a-0b6c3cf7a001",
}


class _KeyColumns:
    caller: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_digest: Mapped[bytes]
    status: Mapped[int | None] = mapped_column(sa.SmallInteger)
    headers: Mapped[dict[str, Any] | None]
    body: Mapped[bytes | None]
    created_at: Mapped[datetime] = mapped_column(server_default=sa.func.now(), index=True)


class IdempotencyKey(_KeyColumns, Base):
    """Answers of one tenant's POSTs."""

    __tablename__ = "idempotency_keys"


class ControlPlaneIdempotencyKey(_KeyColumns, Base):
    """Answers of the operators' POSTs, and of registrations."""

    __tablename__ = "idempotency_keys"
    __table_args__ = ({"schema": "public"},)


class IdempotencyConflictError(ConflictError):
    """The key was used for another request."""

    code = "idempotency-key-reused"
    detail = "This Idempotency-Key was used with another request."


class BadIdempotencyKeyError(AppError):
    """The header has a value that cannot be a key."""

    code = "bad-idempotency-key"
    detail = f"An Idempotency-Key has 1 to {MAX_KEY_LENGTH} printable ASCII characters."


def idempotent(view: Callable[..., Any]) -> Callable[..., Any]:
    """Let `view` be done once for each Idempotency-Key of a caller.

    Only answers of success are kept: after an error the client may try again.
    """

    @wraps(view)
    def wrapper(**kwargs: Any) -> Any:
        key = request.headers.get("Idempotency-Key")
        if key is None:
            return view(**kwargs)
        if not 1 <= len(key) <= MAX_KEY_LENGTH or not (key.isascii() and key.isprintable()):
            raise BadIdempotencyKeyError
        with transaction():
            return _once(key, lambda: make_response(view(**kwargs)))

    return wrapper


def _body() -> Any:
    """What tells one request's body from another's."""
    if "body_digest" in g:
        return g.body_digest
    if request.is_json:
        return _without_secrets(request.get_json(silent=True))
    return hashlib.sha256(request.get_data()).hexdigest()


def _without_secrets(body: Any) -> Any:
    """A body as it is told from others: a fast hash of a secret must not be stored."""
    if isinstance(body, dict):
        return {
            name: None if name in SECRETS else _without_secrets(value)
            for name, value in body.items()
        }
    return body


def _once(key: str, work: Callable[[], Response]) -> Response:
    session = current_session()
    scope = session.scope
    model = IdempotencyKey if isinstance(scope, TenantScope) else ControlPlaneIdempotencyKey
    caller: str = g.get("caller", ANYBODY)
    table: Any = model.__table__
    this_key = (table.c.caller == caller) & (table.c.key == key)
    wanted = hashlib.sha256(
        orjson.dumps(
            [
                request.method,
                request.full_path,
                request.headers.get("If-Match"),
                _body(),
            ],
            option=orjson.OPT_SORT_KEYS,
        )
    ).digest()
    expired = table.c.created_at < sa.func.now() - KEPT_FOR
    some_expired = sa.select(table.c.caller, table.c.key).where(expired).limit(SWEEP_ROWS)
    db.session.execute(sa.delete(table).where(this_key, expired))
    db.session.execute(
        sa.delete(table).where(
            sa.tuple_(table.c.caller, table.c.key).in_(
                some_expired.with_for_update(skip_locked=True)
            )
        )
    )
    is_first = db.session.execute(
        insert(table)
        .values(caller=caller, key=key, request_digest=wanted)
        .on_conflict_do_nothing()
        .returning(table.c.key)
    ).first()
    if is_first is None:
        stored = db.session.execute(sa.select(table).where(this_key)).one()
        if stored.request_digest != wanted:
            raise IdempotencyConflictError
        return Response(stored.body, status=stored.status, headers=stored.headers)
    response = work()
    if scope is not None and session.scope is not scope:
        # A registration has gone on inside its new tenant.
        session.scope = scope
        scope.enter(session.connection())
    db.session.execute(
        sa.update(table)
        .where(this_key)
        .values(
            status=response.status_code,
            headers={
                name: value
                for name, value in response.headers
                if name in ("Content-Type", "ETag", "Location")
            },
            body=response.get_data(),
        )
    )
    return response
