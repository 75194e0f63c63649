"""Runs revisions of one of two histories that never mix.

`flask db upgrade` works on the control plane, `flask db -x tenant=acme upgrade` on one tenant;
`-x dry_run=true` prints the SQL and changes nothing. A program passes its own connection as
`config.attributes["connection"]` and the schema as `config.attributes["schema"]`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from alembic import context
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError

from todo_app.database import OPS_BIND, db, quote_identifier
from todo_app.histories import (
    BOUND_WAITING,
    CONTROL,
    CONTROL_SCHEMA,
    LOCK_SCHEMA,
    SCHEMA_PLACEHOLDER,
    TENANT,
    set_revision,
)

config = context.config
arguments = context.get_x_argument(as_dictionary=True)
history = config.attributes["history"]


@contextmanager
def connect() -> Iterator[sa.Connection]:
    """The caller's connection, or one of our own that ends with the command."""
    given = config.attributes.get("connection")
    if given is not None:
        yield given
        return
    with db.engines[OPS_BIND].connect() as connection:
        try:
            connection.execute(BOUND_WAITING)
            if (
                history == TENANT
                and not connection.execute(
                    LOCK_SCHEMA, {"schema": find_schema(connection)}
                ).scalar()
            ):
                raise CommandError("another operation works on this tenant")
            connection.commit()
            yield connection
        finally:
            # It is closed, not pooled: its search_path, timeout and lock must not live on.
            connection.invalidate()


def find_schema(connection: sa.Connection) -> str:
    """The schema that the command is for."""
    if history == CONTROL:
        return CONTROL_SCHEMA
    if "schema" in config.attributes:
        return str(config.attributes["schema"])
    name = arguments.get("tenant")
    schema = connection.execute(
        sa.text("SELECT schema_name FROM public.tenants WHERE :name IN (slug, schema_name)"),
        {"name": name},
    ).scalar()
    if schema is None:
        raise CommandError(f"there is no tenant {name!r}")
    return str(schema)


def note_revision(schema: str) -> Any:
    """Keep the catalogue's copy of the revision true, in the transaction of each revision."""

    def callback(ctx: Any, heads: set[str], **_: Any) -> None:
        ctx.execute(set_revision(schema, max(heads, default="")))

    return callback


def run_online(connection: sa.Connection) -> None:
    """Run the revisions on `connection`, each in a transaction of its own."""
    schema = find_schema(connection)
    path = "pg_catalog" if history == CONTROL else quote_identifier(schema)
    connection.exec_driver_sql(f"SET search_path TO {path}")
    connection.commit()
    options: dict[str, Any] = {"version_table_schema": schema, "target_metadata": db.metadata}
    if config.attributes["dry_run"]:
        run_offline(schema, starting_rev=current_revision(connection, schema))
        return
    if history == TENANT:
        options["on_version_apply"] = note_revision(schema)
    context.configure(connection=connection, transaction_per_migration=True, **options)
    with context.begin_transaction():
        context.run_migrations()


def run_offline(schema: str, starting_rev: str | None = None) -> None:
    """Print the SQL of the revisions."""
    is_real_tenant = history == TENANT and schema != SCHEMA_PLACEHOLDER
    if is_real_tenant:
        print(f"SET search_path TO {quote_identifier(schema)};")  # noqa: T201 (it is the output)
    context.configure(
        dialect_name="postgresql",
        # Else percent signs are doubled, as the driver wants them beside parameters.
        dialect_opts={"paramstyle": "named"},
        as_sql=True,
        literal_binds=True,
        target_metadata=db.metadata,
        version_table_schema=schema,
        starting_rev=starting_rev,
        transaction_per_migration=True,
        on_version_apply=note_revision(schema) if is_real_tenant else None,
    )
    with context.begin_transaction():
        context.run_migrations()


def current_revision(connection: sa.Connection, schema: str) -> str | None:
    """The revision that a schema's own version table holds."""
    opts = {"version_table_schema": schema}
    revision = MigrationContext.configure(connection, opts=opts).get_current_revision()
    connection.rollback()
    return revision


if context.is_offline_mode():
    run_offline(CONTROL_SCHEMA if history == CONTROL else SCHEMA_PLACEHOLDER)
else:
    with connect() as connection:
        run_online(connection)
