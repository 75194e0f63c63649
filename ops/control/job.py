"""Brings the control plane to head, and with it all that the API's role needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2.extensions
import sqlalchemy as sa
from alembic import command
from alembic.runtime.migration import MigrationContext
from sqlalchemy.engine import URL

from ops.control.privileges import API_PRIVILEGES, TENANT_PRIVILEGES
from todo_app.config import ConfigError, Settings
from todo_app.database import OPS_BIND, db, driver_url, quote_identifier
from todo_app.extensions import migrate
from todo_app.health import control_head
from todo_app.histories import BOUND_WAITING

MIGRATION_LOCK = 7_301_001
"""Key of the advisory lock that lets one instance at a time migrate the control plane."""


def upgrade(settings: Settings) -> str:
    """Migrate the control plane to head and give the API's role its privileges.

    May run in several instances at once: they wait for each other.

    Returns:
        The revision that the control plane has then.

    Raises:
        ConfigError: a role is missing and cannot be made, or has attributes that are not safe.
        sqlalchemy.exc.SQLAlchemyError: the database is away, or refuses.
    """
    api_url = driver_url(settings.need("database_url"))
    with db.engines[OPS_BIND].connect() as connection, _migration_lock(connection):
        connection.detach()
        connection.execute(BOUND_WAITING)
        connection.commit()
        config = migrate.get_config()
        config.attributes["connection"] = connection
        if _revision(connection) <= control_head():
            # A newer one is left alone: this is older code that was deployed again.
            command.upgrade(config, "head")
        _grant(connection, settings, api_url)
        connection.commit()
        return _revision(connection)


def _revision(connection: sa.Connection) -> str:
    context = MigrationContext.configure(connection, opts={"version_table_schema": "public"})
    revision = context.get_current_revision()
    connection.rollback()
    return revision or ""


@contextmanager
def _migration_lock(connection: sa.Connection) -> Iterator[None]:
    """Hold the lock; closing the connection lets it go."""
    connection.execute(sa.text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
    connection.commit()
    yield


def api_role(settings: Settings) -> str:
    """The database role that the API connects as."""
    return driver_url(settings.need("database_url")).username or ""


def group_role(settings: Settings) -> str:
    """The role whose privileges in the control plane all tenant roles share."""
    return f"{api_role(settings)}_tenant"


def _grant(connection: sa.Connection, settings: Settings, api_url: URL) -> None:
    role = api_role(settings)
    owner = connection.execute(sa.text("SELECT current_user")).scalar_one()
    grants = []
    if role != owner:
        _ensure_api_role(connection, api_url)
        grants += [(quote_identifier(role), privilege) for privilege in API_PRIVILEGES]
    if settings.tenant_roles:
        group = group_role(settings)
        _check_tenants_have_roles(connection)
        if not _role(connection, group):
            connection.exec_driver_sql(f"CREATE ROLE {quote_identifier(group)} NOLOGIN")
        grants += [(quote_identifier(group), privilege) for privilege in TENANT_PRIVILEGES]
    for grantee, privilege in grants:
        connection.exec_driver_sql(f"GRANT {privilege} TO {grantee}")


def _check_tenants_have_roles(connection: sa.Connection) -> None:
    statement = sa.text(
        "SELECT slug FROM public.tenants AS t WHERE t.state IN ('active', 'suspended')"
        " AND NOT EXISTS (SELECT FROM pg_roles WHERE rolname = t.schema_name) LIMIT 1"
    )
    slug = connection.execute(statement).scalar()
    if slug is not None:
        raise ConfigError(
            f"TENANT_ROLES cannot be switched on: the tenant {slug} was made without a role."
        )


def _role(connection: sa.Connection, name: str) -> sa.Row[tuple[bool, bool]] | None:
    statement = sa.text("SELECT rolinherit, rolsuper FROM pg_roles WHERE rolname = :name")
    return connection.execute(statement, {"name": name}).first()


def _ensure_api_role(connection: sa.Connection, url: URL) -> None:
    """Make the API's role where it is missing; where it stands, see that it is a safe one."""
    name = url.username or ""
    existing = _role(connection, name)
    if existing is None:
        # The server gets a verifier, so the password cannot end in its log.
        driver_connection: Any = connection.connection.dbapi_connection
        verifier = psycopg2.extensions.encrypt_password(
            str(url.password or ""), name, driver_connection, "scram-sha-256"
        )
        connection.exec_driver_sql(
            f"CREATE ROLE {quote_identifier(name)} LOGIN NOINHERIT PASSWORD %(verifier)s",
            {"verifier": verifier},
        )
    elif existing.rolinherit and not existing.rolsuper:
        raise ConfigError(
            f"The role {name} of DATABASE_URL inherits: it would hold the rights of all tenants "
            f"at once. Run: ALTER ROLE {name} NOINHERIT"
        )
    elif existing.rolsuper:
        raise ConfigError(f"The role {name} of DATABASE_URL is a superuser; give the API its own.")
