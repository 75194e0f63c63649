"""The two migration histories, and how a command of Flask-Migrate chooses one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from todo_app.extensions import migrate

CONTROL = "control"
TENANT = "tenant"
CONTROL_SCHEMA = "public"

SCHEMA_PLACEHOLDER = "tenant_schema_placeholder"
"""Stands for the schema in SQL that is rendered for any tenant."""

DIRECTORY = Path(__file__).parent.parent / "migrations"


@migrate.configure
def choose_history(config: Any) -> Any:
    """Point Alembic at the tenant history where `-x tenant=NAME` or `-x history=tenant` is given.

    `-x tenant=public` means the control plane.
    """
    given = dict(argument.partition("=")[::2] for argument in config.cmd_opts.x)
    is_tenant = given.get("tenant", CONTROL_SCHEMA) != CONTROL_SCHEMA
    history = TENANT if is_tenant or given.get("history") == TENANT else CONTROL
    config.attributes["history"] = history
    config.set_main_option("version_locations", str(DIRECTORY / history / "versions"))
    return config
