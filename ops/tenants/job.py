"""Making and unmaking tenants' schemas: the prepared script, spare schemas, dropping."""

from __future__ import annotations

import hashlib
import os
import secrets
import subprocess
from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from ops.control.job import api_role, group_role
from ops.restores.models import ReplacedSchema
from ops.upgrades.locks import lock_tenant
from ops.upgrades.script import head, plain_script
from todo_app.config import Settings
from todo_app.database import (
    OPS_BIND,
    db,
    driver_url,
    own_connection,
    quote_identifier,
    transaction,
)
from todo_app.errors import InvalidInputError
from todo_app.histories import SCHEMA_PLACEHOLDER
from todo_app.registration.models import Member
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


def render_script(settings: Settings) -> str:
    """The SQL that makes a tenant's schema at head, as the migrations would.

    The schema's name is written as a placeholder. All revisions run inside the schema alone, so
    the script never names another one.
    """
    path = f"SET LOCAL search_path TO {SCHEMA_PLACEHOLDER};"
    return "\n".join((prelude(settings), path, plain_script(head()), epilogue(settings)))


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
    revision = head()
    # Several instances that start at once prepare the same script, one after the other.
    db.session.execute(sa.select(sa.func.pg_advisory_xact_lock(SPARE_LOCK)))
    db.session.execute(sa.delete(SchemaScript))
    script = render_script(settings)
    digest = hashlib.sha256(script.encode()).hexdigest()
    db.session.add(SchemaScript(revision=revision, script=script, digest=digest))
    db.session.flush()
    return revision


def keep_spares(wanted: int) -> int:
    """Drop the spare schemas that another script made and build new ones until `wanted` are ready.

    Each is a transaction of its own, so that no lock is held for long.

    Returns:
        How many were built.
    """
    with operations():
        stale = list(
            db.session.scalars(
                sa.select(SpareSchema.schema_name).where(SpareSchema.digest != _digest())
            )
        )
    for schema_name in stale:
        # The row goes last: a drop that is stopped halfway is found again by it.
        drop_schema(schema_name)
        with operations(), transaction():
            db.session.execute(sa.delete(SpareSchema).where(SpareSchema.schema_name == schema_name))
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
    ready = db.session.scalar(
        sa.select(sa.func.count()).select_from(SpareSchema).where(SpareSchema.digest == _digest())
    )
    if (ready or 0) >= wanted:
        return False
    name = f"{SCHEMA_PREFIX}spare_{secrets.token_hex(6)}"
    db.session.execute(sa.select(sa.func.public.build_schema(name)))
    db.session.execute(sa.insert(SpareSchema).values(schema_name=name, digest=_digest()))
    return True


def _digest() -> sa.ScalarSelect[str]:
    return sa.select(SchemaScript.digest).scalar_subquery()


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
    """Schema names of the tenants that wait for their schema to be dropped."""
    statement = sa.select(Tenant.schema_name).where(Tenant.state == DELETING).order_by(Tenant.id)
    return list(db.session.scalars(statement))


def drop(schema_name: str) -> None:
    """Drop the schema of a tenant that is marked as deleting, then forget the tenant.

    Killed in the middle, it goes on when it is called again.

    Raises:
        BusyError: another operation works on the tenant.
        InvalidInputError: there is no such tenant, or it is not marked.
    """
    with own_connection() as connection, lock_tenant(connection, schema_name):
        this = (Tenant.schema_name == schema_name) & (Tenant.state == DELETING)
        if connection.execute(sa.select(Tenant.id).where(this)).first() is None:
            raise InvalidInputError("The tenant is not marked as deleting.")
        kept = (
            sa.select(ReplacedSchema.schema_name)
            .join(Tenant, Tenant.id == ReplacedSchema.tenant_id)
            .where(this)
        )
        # What restores have put aside of it; their rows go with the tenant's.
        for name in [*connection.scalars(kept), schema_name]:
            drop_schema(name)
        connection.execute(sa.delete(Member).where(Member.schema_name == schema_name))
        connection.execute(sa.delete(Tenant).where(this))


def active(slugs: Sequence[str]) -> list[tuple[str, str, int]]:
    """Slug, schema name and id of the active tenants, or of those among `slugs`."""
    statement = sa.select(Tenant.slug, Tenant.schema_name, Tenant.id).where(Tenant.state == ACTIVE)
    if slugs:
        statement = statement.where(Tenant.slug.in_(slugs))
    rows = db.session.execute(statement.order_by(Tenant.slug))
    return [(row.slug, row.schema_name, row.id) for row in rows]


def run_in_each(
    command: Sequence[str], tenants: Sequence[tuple[str, str, int]], settings: Settings
) -> Iterator[tuple[str, int]]:
    """Run a program once for each of some tenants.

    It finds TENANT, TENANT_SCHEMA and TENANT_ID in its environment, and PGHOST and its like for the
    connection of operations, with the schema as search_path: `psql` needs no further argument.

    Args:
        command: program and arguments.
        tenants: as `active` gives them.
        settings: where the database is.

    Yields:
        Slug and exit code of each.

    Raises:
        OSError: the program cannot be started.
    """
    url = driver_url(settings.need("ops_database_url"))
    connection = {
        "PGHOST": url.host,
        "PGPORT": str(url.port or ""),
        "PGUSER": url.username,
        "PGPASSWORD": url.password,
        "PGDATABASE": url.database,
    }
    for slug, schema_name, tenant_id in tenants:
        environment = {
            **os.environ,
            **{name: str(value) for name, value in connection.items() if value},
            "TENANT": slug,
            "TENANT_SCHEMA": schema_name,
            "TENANT_ID": str(tenant_id),
            "PGOPTIONS": f"-c search_path={schema_name}",
        }
        # The operator's own command, run as the operator.
        yield slug, subprocess.run(command, env=environment, check=False).returncode  # noqa: S603
