"""The ops plane: everything that is done to all tenants, on Celery and on the command line."""

from __future__ import annotations

from celery import Celery
from flask import Flask

from ops.archives.keys import check_identity, check_recipients
from ops.backups.account import account
from ops.backups.cli import backups
from ops.backups.routes import backups as backups_routes
from ops.base import make_celery
from ops.control.cli import control
from ops.local.cli import up
from ops.monitor.routes import metrics
from ops.operators.cli import operators
from ops.restores import cli as restores_cli
from ops.restores.routes import restores as restores_routes
from ops.routes import cc
from ops.runs.cli import runs
from ops.runs.routes import runs as runs_routes
from ops.tenants.cli import tenants
from ops.upkeep.cli import upkeep
from todo_app.config import Settings
from todo_app.openapi import Api


def init_app(app: Flask) -> Celery:
    """Add commands, the `/cc` routes and the Celery application to `app`.

    Returns:
        The Celery application, which is also `app.extensions["celery"]`.

    Raises:
        ConfigError: a key of the archives is none.
    """
    settings: Settings = app.config["SETTINGS"]
    check_recipients(settings.backup_recipients)
    if settings.backup_identity:
        check_identity(settings.backup_identity)
    celery = make_celery(app)
    app.extensions["celery"] = celery
    for command in (up, control, operators, runs, backups, tenants):
        app.cli.add_command(command)
    for command in (restores_cli.restore, restores_cli.undo, restores_cli.drill, restores_cli.kept):
        backups.add_command(command)
    for command in (restores_cli.clone, restores_cli.archive, upkeep):
        tenants.add_command(command)
    api: Api = app.extensions["api"]
    api.add_token_kind("operator", "An operator's token.")
    for blueprint in (runs_routes, backups_routes, restores_routes, account, cc):
        api.register_blueprint(blueprint)
    app.register_blueprint(metrics)
    return celery
