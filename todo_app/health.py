"""`/health` says that the process lives, `/health/ready` that it can do its work."""

from __future__ import annotations

import functools
from typing import Any

import redis
import sqlalchemy as sa
from alembic.script import ScriptDirectory
from flask import Blueprint, Response, current_app, jsonify

from todo_app.config import ConfigError, Settings
from todo_app.database import db
from todo_app.extensions import migrate
from todo_app.tenancy import control_plane

health = Blueprint("health", __name__)

BROKER_TIMEOUT_SECONDS = 2.0


@health.get("/health")
def live() -> Response:
    """The process answers."""
    return jsonify(status="ok")


@health.get("/health/ready")
def ready() -> tuple[Response, int]:
    """Database, broker and the control plane's revision are as this code needs them."""
    checks = {"database": _database(), "broker": _broker()}
    is_ready = all(check == "ok" for check in checks.values())
    answer = jsonify(status="ok" if is_ready else "unavailable", checks=checks)
    return answer, 200 if is_ready else 503


def _database() -> str:
    try:
        with control_plane():
            statement = sa.text("SELECT version_num FROM public.alembic_version")
            revision = db.session.execute(statement).scalar() or ""
    except sa.exc.ProgrammingError:
        return "the control plane has not been migrated"
    except sa.exc.SQLAlchemyError:
        return "unreachable"
    head = control_head()
    # A newer one is what a deploy looks like from the side of the old code.
    return "ok" if revision >= head else f"at revision {revision}, needs {head}"


def _broker() -> str:
    settings: Settings = current_app.config["SETTINGS"]
    try:
        client: Any = redis.Redis.from_url(
            settings.need("redis_url"),
            socket_timeout=BROKER_TIMEOUT_SECONDS,
            socket_connect_timeout=BROKER_TIMEOUT_SECONDS,
        )
        with client:
            client.ping()
    except ConfigError:
        return "REDIS_URL is not set"
    except (redis.RedisError, ValueError):
        return "unreachable"
    return "ok"


@functools.cache
def control_head() -> str:
    """The newest revision of the control plane that this code brings along."""
    script = ScriptDirectory.from_config(migrate.get_config())
    return script.get_current_head() or ""
