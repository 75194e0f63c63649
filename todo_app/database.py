"""Models' base, the session, and the rule that every transaction has a scope.

A transaction belongs to one tenant or to the control plane. `in_scope()` says which; the session
tells PostgreSQL as its first statement, locally to the transaction, and refuses to begin without.
Nothing is remembered on a connection, so a pooled one cannot carry a tenant into the next request.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, Protocol, cast

import sqlalchemy as sa
import sqlalchemy.orm
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session as FlaskSession
from sqlalchemy import event
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import URL, make_url
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from todo_app.config import ConfigError, Settings

OPS_BIND = "ops"
"""Name of the engine that connects as the owner of all schemas."""

PING_AFTER_SECONDS = 10.0
"""A pooled connection that idled this long is tried before use; a busy one never costs a ping."""

CONNECT_TIMEOUT_SECONDS = 5


class Base(DeclarativeBase):
    """Base of all models. Control-plane tables say `schema="public"`, tenant tables say none."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    registry = sa.orm.registry(
        metadata=metadata,
        type_annotation_map={
            str: sa.Text(),
            datetime: sa.DateTime(timezone=True),
            dict[str, Any]: postgresql.JSONB(),
            list[str]: postgresql.ARRAY(sa.Text()),
            bytes: postgresql.BYTEA(),
        },
    )
    __mapper_args__ = {"eager_defaults": True}  # noqa: RUF012 (declared so by SQLAlchemy)


class IdMixin:
    """A BIGINT key inside the database and a UUID for everyone outside."""

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(always=True), primary_key=True)
    uuid: Mapped[uuid.UUID] = mapped_column(
        unique=True, default=uuid.uuid4, server_default=sa.func.gen_random_uuid()
    )


class TimestampMixin:
    """When a row was made and last changed."""

    created_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    updated_at: Mapped[datetime] = mapped_column(
        server_default=sa.func.now(), onupdate=sa.func.now()
    )


Versions = frozenset[int] | None
"""The versions that a client's change may start from; None where any will do."""


class VersionMixin:
    """A counter that every update raises; clients see it as the ETag.

    Two updates that started from the same version cannot both succeed: the second raises
    `sqlalchemy.orm.exc.StaleDataError`.
    """

    version: Mapped[int] = mapped_column(sa.Integer, server_default="1", default=1)

    @sa.orm.declared_attr.directive
    def __mapper_args__(cls) -> dict[str, Any]:
        """Let the mapper count and compare versions."""
        return {"version_id_col": cls.version, "eager_defaults": True}


class Scope(Protocol):
    """Where a transaction may read and write."""

    @property
    def bind_key(self) -> str | None:
        """Which engine: None for the API's role, OPS_BIND for the owner of all schemas."""

    def enter(self, connection: sa.Connection) -> None:
        """Bind the transaction that has just begun on `connection` to this scope."""


class ScopeMissingError(Exception):
    """A transaction was begun outside every scope."""


class ScopedSession(FlaskSession):
    """A session that begins a transaction only inside a scope."""

    scope: Scope | None = None
    depth = 0
    """How many `transaction()` blocks are open."""

    def get_bind(self, *args: Any, **kwargs: Any) -> sa.Engine:
        """The engine of the current scope."""
        return self._db.engines[self.scope.bind_key if self.scope else None]

    def close(self) -> None:
        """End the session.

        A connection that has died meanwhile is no error here: whatever was to be kept has been
        committed before, and the answer is on its way.
        """
        with suppress(sa.exc.DBAPIError):
            super().close()


db = SQLAlchemy(
    model_class=Base, session_options={"class_": ScopedSession, "expire_on_commit": False}
)


def current_session() -> ScopedSession:
    """The session of the current application context."""
    return cast(ScopedSession, db.session())


@event.listens_for(ScopedSession, "after_begin")
def _enter_scope(session: ScopedSession, transaction: Any, connection: sa.Connection) -> None:
    if transaction.nested:
        return
    if session.scope is None:
        raise ScopeMissingError("a transaction needs a tenant, or says that it needs none")
    session.scope.enter(connection)


def set_scope(scope: Scope) -> None:
    """Bind all further transactions of the current session to `scope`, until the session ends.

    Raises:
        ScopeMissingError: a transaction is open; it must end in the scope that it began in.
    """
    session = current_session()
    if session.in_transaction():
        raise ScopeMissingError("the scope cannot change inside a transaction")
    session.scope = scope


@contextmanager
def in_scope(scope: Scope) -> Iterator[None]:
    """Run the block in `scope`, with a session of its own that ends with the block."""
    outer = db.session.registry() if db.session.registry.has() else None
    db.session.registry.clear()
    try:
        set_scope(scope)
        yield
    finally:
        db.session.remove()
        if outer is not None:
            db.session.registry.set(outer)


@contextmanager
def transaction() -> Iterator[None]:
    """Commit what the block did, or nothing of it. A block inside another joins the outer one.

    Only entries open it (routes, tasks, commands); services and jobs flush.
    """
    session = current_session()
    session.depth += 1
    try:
        yield
        if session.depth == 1:
            session.commit()
    except BaseException:
        session.rollback()
        raise
    finally:
        session.depth -= 1


def driver_url(url: str) -> URL:
    """`url` as SQLAlchemy wants it.

    Raises:
        ConfigError: it is not a database URL. The text does not repeat it: it holds a password.
    """
    try:
        parsed = make_url(url).set(drivername="postgresql+psycopg2")
        return parsed.set(query={"application_name": "todo", **parsed.query})
    except sa.exc.ArgumentError:
        raise ConfigError("the database URL cannot be parsed") from None


def init_app(app: Flask, settings: Settings) -> None:
    """Make the engines: one for the API's role, one for operations."""
    common: dict[str, Any] = {
        "connect_args": {"connect_timeout": CONNECT_TIMEOUT_SECONDS},
        "use_native_hstore": False,
        # Errors end in logs, and parameters hold people's data.
        "hide_parameters": True,
    }
    api_url = settings.database_url or "postgresql://database-url-is-not-set"
    ops_url = settings.ops_database_url or api_url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {
        **common,
        "url": driver_url(api_url),
        "pool_size": settings.pool_size,
        "max_overflow": 0,
        "pool_timeout": settings.pool_timeout,
        # The connection used last is used next: its caches are warm, and spare ones stay small.
        "pool_use_lifo": True,
    }
    app.config["SQLALCHEMY_BINDS"] = {
        OPS_BIND: {**common, "url": driver_url(ops_url), "pool_size": 1, "max_overflow": 4}
    }
    db.init_app(app)
    with app.app_context():
        for engine in db.engines.values():
            _watch_pool(engine, settings.pool_max_schemas)


def _watch_pool(engine: sa.Engine, max_schemas: int) -> None:
    """Try idle connections before use, and replace those that have seen many schemas.

    A PostgreSQL backend keeps a catalogue cache for every table it ever touched and never gives
    the memory back, so a connection that serves all tenants in turn grows without end.
    """

    @event.listens_for(engine, "checkin")
    def _checkin(dbapi_connection: Any, record: Any) -> None:
        record.info["idle_since"] = time.monotonic()
        if len(record.info.get("schemas", ())) >= max_schemas:
            record.invalidate()

    @event.listens_for(engine, "checkout")
    def _checkout(dbapi_connection: Any, record: Any, proxy: Any) -> None:
        idle_since = record.info.get("idle_since")
        if idle_since is None or time.monotonic() - idle_since < PING_AFTER_SECONDS:
            return
        try:
            dbapi_connection.cursor().execute("SELECT 1")
            dbapi_connection.rollback()
        except Exception:
            # The pool throws the connection away and hands out a fresh one.
            raise sa.exc.DisconnectionError from None


@contextmanager
def own_connection() -> Iterator[sa.Connection]:
    """A connection as the owner of all schemas, in autocommit mode, that ends with the block.

    Whatever it has locked, set, or cached of schemas is gone with it.
    """
    with db.engines[OPS_BIND].connect() as connection:
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.detach()
        yield connection


def saw_schema(connection: sa.Connection, schema_name: str) -> None:
    """Note that `connection` has touched `schema_name`, for its retirement."""
    connection.info.setdefault("schemas", set()).add(schema_name)


def quote_identifier(name: str) -> str:
    """`name` as a quoted SQL identifier; the only way a name gets into SQL text.

    Raises:
        ValueError: the name is empty, longer than PostgreSQL's 63 bytes, or has a null byte.
    """
    if not name or len(name.encode()) > 63 or "\x00" in name:
        raise ValueError("not a valid identifier")
    return '"' + name.replace('"', '""') + '"'
