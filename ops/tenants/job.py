"""Making and unmaking tenants' schemas: the prepared script, spare schemas, dropping."""

from __future__ import annotations

import io
import os
import secrets
import subprocess
from collections.abc import Iterator, Sequence

import sqlalchemy as sa
from alembic import command
from alembic.script import ScriptDirectory

from ops.control.job import api_role, group_role
from ops.upgrades.job import lock_tenant
from todo_app.config import Settings
from todo_app.database import OPS_BIND, db, quote_identifier, transaction
from todo_app.errors import InvalidInputError
from todo_app.extensions import migrate
from todo_app.histories import SCHEMA_PLACEHOLDER
from todo_app.tenancy import SCHEMA_PREFIX, operations
from todo_app.tenants.models import ACTIVE, DELETING, SchemaScript, SpareSchema, Tenant

DROP_BATCH = 20
"""Tables dropped in one transaction; each takes about ten locks with its indexes."""

SPARE_LOCK = 7_301_003
"""Key of the advisory lock for the script and the spare schemas."""

_SOME_TABLES = sa.text(
    "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(quote_ident(:schema))"
    " AND relkind IN ('r', 'p') ORDER BY oid DESC LIMIT :some"
)

_TABLES = "SELECT, INSERT, UPDATE, DELETE"


def tenant_head() -> str:
    """The newest revision of the tenant history."""
    script = ScriptDirectory.from_config(migrate.get_config(x_arg="history=tenant"))
    return script.get_current_head() or ""


def render_script(settings: Settings) -> str:
    """The SQL that makes a tenant's schema at head, as the migrations would.

    The schema's name is written as a placeholder. All revisions run inside the schema alone, so
    the script never names another one.
    """
    buffer = io.StringIO()
    config = migrate.get_config(x_arg="history=tenant")
    config.output_buffer = buffer
    command.upgrade(config, "head", sql=True)
    path = f"SET LOCAL search_path TO {SCHEMA_PLACEHOLDER};"
    return "\n".join((prelude(settings), path, buffer.getvalue(), epilogue(settings)))


def _grantee(settings: Settings) -> str | None:
    if settings.tenant_roles:
        return SCHEMA_PLACEHOLDER
    role = api_role(settings)
    return quote_identifier(role) if role != _owner() else None


def _owner() -> str:
    return str(db.session.execute(sa.text("SELECT current_user")).scalar_one())


def prelude(settings: Settings) -> str:
    """SQL for an empty schema and those who may use it.

    Default privileges reach every table that any revision makes, now or later.
    """
    grantee = _grantee(settings)
    statements = [f"CREATE SCHEMA {SCHEMA_PLACEHOLDER};"]
    if settings.tenant_roles:
        statements += [
            f"CREATE ROLE {SCHEMA_PLACEHOLDER} NOLOGIN;",
            f"GRANT {quote_identifier(group_role(settings))} TO {SCHEMA_PLACEHOLDER};",
            f"GRANT {SCHEMA_PLACEHOLDER} TO {quote_identifier(api_role(settings))};",
        ]
    if grantee:
        defaults = f"ALTER DEFAULT PRIVILEGES IN SCHEMA {SCHEMA_PLACEHOLDER} GRANT"
        statements += [
            f"GRANT USAGE ON SCHEMA {SCHEMA_PLACEHOLDER} TO {grantee};",
            f"{defaults} {_TABLES} ON TABLES TO {grantee};",
            f"{defaults} USAGE ON SEQUENCES TO {grantee};",
        ]
    return "\n".join(statements)


def epilogue(settings: Settings) -> str:
    """SQL that follows the revisions: only operations may write the version table."""
    grantee = _grantee(settings)
    version_table = f"{SCHEMA_PLACEHOLDER}.alembic_version"
    return f"REVOKE ALL ON {version_table} FROM {grantee};" if grantee else "SELECT;"


def prepare_script(settings: Settings) -> str:
    """Render the script for head and keep it where `build_schema` finds it.

    Returns:
        The revision.
    """
    head = tenant_head()
    # Several instances that start at once prepare the same script, one after the other.
    db.session.execute(sa.select(sa.func.pg_advisory_xact_lock(SPARE_LOCK)))
    db.session.execute(sa.delete(SchemaScript))
    db.session.add(SchemaScript(revision=head, script=render_script(settings)))
    db.session.flush()
    return head


def keep_spares(wanted: int) -> int:
    """Drop the spare schemas of older revisions and build new ones until `wanted` stand ready.

    Each is a transaction of its own, so that no lock is held for long.

    Returns:
        How many were built.
    """
    with operations(), transaction():
        stale = stale_spares()
    for schema_name in stale:
        drop_schema(schema_name)
    built = 0
    while True:
        with operations(), transaction():
            if not build_spare(wanted):
                return built
        built += 1


def build_spare(wanted: int) -> bool:
    """Build one spare schema, unless `wanted` stand ready."""
    # Two fillers at once would build twice as many.
    db.session.execute(sa.select(sa.func.pg_advisory_xact_lock(SPARE_LOCK)))
    head = sa.select(sa.func.max(SchemaScript.revision)).scalar_subquery()
    ready = db.session.scalar(
        sa.select(sa.func.count()).select_from(SpareSchema).where(SpareSchema.revision == head)
    )
    if (ready or 0) >= wanted:
        return False
    name = f"{SCHEMA_PREFIX}spare_{secrets.token_hex(6)}"
    build = sa.func.public.build_schema(name)
    db.session.execute(sa.insert(SpareSchema).values(schema_name=name, revision=build))
    return True


def stale_spares() -> list[str]:
    """Take the spare schemas that are not at the script's revision off the shelf.

    Returns:
        Their names, for `drop_schema`.
    """
    head = sa.select(sa.func.max(SchemaScript.revision)).scalar_subquery()
    statement = (
        sa.delete(SpareSchema)
        .where(SpareSchema.revision != head)
        .returning(SpareSchema.schema_name)
    )
    return list(db.session.scalars(statement))


def drop_schema(schema_name: str) -> None:
    """Drop a schema, its role and all its tables, in bounded batches.

    One DROP SCHEMA would lock every table and index at once and needs more locks than a server
    with default settings has. Each batch is a transaction of its own; a drop that was stopped
    halfway goes on when it is called again.
    """
    schema = quote_identifier(schema_name)
    with db.engines[OPS_BIND].connect() as connection:
        while True:
            tables = connection.execute(_SOME_TABLES, {"schema": schema_name, "some": DROP_BATCH})
            names = [f"{schema}.{quote_identifier(name)}" for name in tables.scalars()]
            if not names:
                break
            connection.exec_driver_sql(f"DROP TABLE {', '.join(names)} CASCADE")
            connection.commit()
        connection.exec_driver_sql(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        connection.exec_driver_sql(f"DROP ROLE IF EXISTS {schema}")
        connection.commit()


def deleting() -> list[str]:
    """Slugs of the tenants that wait for their schema to be dropped."""
    statement = sa.select(Tenant.slug).where(Tenant.state == DELETING).order_by(Tenant.id)
    return list(db.session.scalars(statement))


def drop(slug: str) -> None:
    """Drop the schema of a tenant that is marked as deleting, then forget the tenant.

    Killed in the middle, it goes on when it is called again.

    Raises:
        BusyError: another operation works on the tenant.
        InvalidInputError: there is no such tenant, or it is not marked.
    """
    with db.engines[OPS_BIND].connect() as connection, lock_tenant(connection, slug) as schema:
        is_marked = sa.select(Tenant.id).where(Tenant.slug == slug, Tenant.state == DELETING)
        if connection.execute(is_marked).first() is None:
            raise InvalidInputError("The tenant is not marked as deleting.")
        drop_schema(schema)
        connection.execute(sa.delete(Tenant).where(Tenant.slug == slug))
        connection.commit()


def run_in_each(command: Sequence[str], slugs: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Run a program once for each active tenant.

    It finds TENANT, TENANT_SCHEMA and TENANT_ID in its environment, and PGOPTIONS makes the schema
    the search_path of every libpq program, `psql` for one.

    Args:
        command: program and arguments.
        slugs: only these tenants; empty means all that are active.

    Yields:
        Slug and exit code of each.
    """
    statement = sa.select(Tenant.slug, Tenant.schema_name, Tenant.id).where(Tenant.state == ACTIVE)
    if slugs:
        statement = statement.where(Tenant.slug.in_(slugs))
    for slug, schema_name, tenant_id in db.session.execute(statement.order_by(Tenant.slug)).all():
        environment = {
            **os.environ,
            "TENANT": slug,
            "TENANT_SCHEMA": schema_name,
            "TENANT_ID": str(tenant_id),
            "PGOPTIONS": f"-c search_path={schema_name}",
        }
        # The operator's own command, run as the operator.
        yield slug, subprocess.run(command, env=environment, check=False).returncode  # noqa: S603
