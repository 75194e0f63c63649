"""Making and unmaking tenants' schemas: the prepared script, spare schemas, dropping."""

from __future__ import annotations

import io
import secrets

import sqlalchemy as sa
from alembic import command
from alembic.script import ScriptDirectory

from ops.control.job import api_role, group_role
from todo_app.config import Settings
from todo_app.database import OPS_BIND, db, quote_identifier
from todo_app.extensions import migrate
from todo_app.histories import SCHEMA_PLACEHOLDER
from todo_app.tenancy import SCHEMA_PREFIX
from todo_app.tenants.models import SchemaScript, SpareSchema

DROP_BATCH = 20
"""Tables dropped in one transaction; each takes about ten locks with its indexes."""

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
    return "\n".join(
        (
            f"CREATE SCHEMA {SCHEMA_PLACEHOLDER};",
            *_role_statements(settings),
            f"SET LOCAL search_path TO {SCHEMA_PLACEHOLDER};",
            buffer.getvalue(),
            *_revokes(settings),
        )
    )


def _grantee(settings: Settings) -> str | None:
    if settings.tenant_roles:
        return SCHEMA_PLACEHOLDER
    role = api_role(settings)
    return quote_identifier(role) if role != _owner() else None


def _owner() -> str:
    return db.session.execute(sa.text("SELECT current_user")).scalar_one()


def _role_statements(settings: Settings) -> list[str]:
    """Who may use the schema: default privileges reach every table that any revision makes."""
    grantee = _grantee(settings)
    statements = []
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
    return statements


def _revokes(settings: Settings) -> list[str]:
    grantee = _grantee(settings)
    version_table = f"{SCHEMA_PLACEHOLDER}.alembic_version"
    return [f"REVOKE ALL ON {version_table} FROM {grantee};"] if grantee else []


def prepare_script(settings: Settings) -> str:
    """Render the script for head and keep it where `build_schema` finds it.

    Returns:
        The revision.
    """
    head = tenant_head()
    db.session.execute(sa.delete(SchemaScript))
    db.session.add(SchemaScript(revision=head, script=render_script(settings)))
    db.session.flush()
    return head


def fill_spares(wanted: int) -> int:
    """Build one spare schema where fewer than `wanted` stand ready at the script's revision.

    Each is a transaction of its own, so that no lock is held for long: call it until it is 0.

    Returns:
        1 if one was built, else 0.
    """
    head = sa.select(sa.func.max(SchemaScript.revision)).scalar_subquery()
    ready = db.session.scalar(
        sa.select(sa.func.count()).select_from(SpareSchema).where(SpareSchema.revision == head)
    )
    if (ready or 0) >= wanted:
        return 0
    name = f"{SCHEMA_PREFIX}spare_{secrets.token_hex(6)}"
    build = sa.func.public.build_schema(name)
    db.session.execute(sa.insert(SpareSchema).values(schema_name=name, revision=build))
    return 1


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
