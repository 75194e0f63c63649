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

BOUND_WAITING = sa.text("SET lock_timeout TO '5s'")
"""How long DDL waits for a table that is in use: requests queue up behind it meanwhile."""

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
