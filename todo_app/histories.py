"""The two migration histories, and how a command of Flask-Migrate chooses one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.util import CommandError

from todo_app.extensions import migrate

CONTROL = "control"
TENANT = "tenant"
CONTROL_SCHEMA = "public"

SCHEMA_PLACEHOLDER = "tenant_schema_placeholder"
"""Stands for the schema in SQL that is rendered for any tenant."""

LOCK_SCHEMA = sa.text("SELECT pg_try_advisory_lock(7301002, hashtext(:schema))")
"""Takes the lock of one tenant for the rest of the connection; false where somebody holds it."""

UNLOCK_SCHEMA = sa.text("SELECT pg_advisory_unlock(7301002, hashtext(:schema))")

BOUND_WAITING = sa.text(
    "SELECT set_config('lock_timeout', '2s', false),"
    " set_config('statement_timeout', '15min', false)"
)
"""How long DDL waits for a table that is in use, since requests queue up behind it meanwhile, and
how long one statement may take."""

_TENANTS = sa.table(
    "tenants", *(sa.column(name, sa.Text) for name in ("revision", "schema_name")), schema="public"
)

X_ARGUMENTS = {"tenant", "history", "dry_run"}
TRUE = ("1", "true", "yes", "on")
FALSE = ("", "0", "false", "no", "off")

DIRECTORY = Path(__file__).parent.parent / "migrations"


@migrate.configure
def choose_history(config: Any) -> Any:
    """Point Alembic at the tenant history where `-x tenant=NAME` or `-x history=tenant` is given.

    `-x tenant=public` means the control plane.

    Raises:
        CommandError: an argument is not known. A slip must not run on the wrong history, or for
            real instead of dry.
    """
    given = dict(argument.partition("=")[::2] for argument in config.cmd_opts.x)
    unknown = sorted(set(given) - X_ARGUMENTS)
    if unknown:
        raise CommandError(f"-x {unknown[0]} is not known; there are {sorted(X_ARGUMENTS)}")
    dry_run = given.get("dry_run", "").lower()
    if dry_run not in TRUE + FALSE:
        raise CommandError("-x dry_run is true or false")
    config.attributes["dry_run"] = dry_run in TRUE
    is_tenant = given.get("tenant", CONTROL_SCHEMA) != CONTROL_SCHEMA
    history = TENANT if is_tenant or given.get("history") == TENANT else CONTROL
    config.attributes["history"] = history
    config.set_main_option("version_locations", str(DIRECTORY / history / "versions"))
    return config


def set_revision(schema: Any, revision: str) -> sa.Update:
    """The statement that keeps the catalogue's copy of a tenant's revision true.

    It belongs into the transaction of each revision.

    Args:
        schema: name of the tenant's schema, or an SQL expression for it.
        revision: what the schema has then; empty for none.
    """
    statement = sa.update(_TENANTS).where(_TENANTS.c.schema_name == schema)
    return statement.values(revision=revision)
