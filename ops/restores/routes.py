"""`/cc/restores` and `/cc/drills`: give tenants their data back."""

from __future__ import annotations

from typing import Any

from flask import current_app, g

from ops.guard import OperatorGuard
from ops.operators.job import BACKUPS_READ, RESTORES_RUN
from ops.restores import job, schemas
from ops.restores.find import parse_until
from ops.runs import queue
from ops.runs.job import Snapshot
from ops.runs.schemas import RunSchema
from todo_app.blueprint import Blueprint
from todo_app.database import transaction
from todo_app.errors import PROBLEM_TYPE
from todo_app.schemas import ProblemSchema

restores = Blueprint("restores", __name__, url_prefix="/cc", description="Restores, for operators")


@restores.route("/restores/<string:slug>", methods=["POST"], guard=OperatorGuard(RESTORES_RUN))
@restores.arguments(schemas.RestoreSchema)
@restores.response(202, RunSchema)
def restore(data: dict[str, Any], slug: str) -> Snapshot:
    """Give a tenant the data of an archive back

    The archive is proven row for row before anything is replaced; what it replaces is kept for a
    while. Passwords and sessions stay as they are.
    """
    order = job.Order(
        slug,
        until=parse_until(data["until"]) if data["until"] else None,
        as_slug=data["as_tenant"],
        with_deleted_users=data["with_deleted_users"],
    )
    with transaction():
        run_id = job.start(order, actor=g.caller, settings=current_app.config["SETTINGS"])
    return queue.wake_soon(run_id)


@restores.route("/restores/", guard=OperatorGuard(BACKUPS_READ))
@restores.response(200, schemas.KeptListSchema)
def list_kept() -> dict[str, Any]:
    """List what restores have put aside, and until when it is kept"""
    return {"items": job.replaced()}


@restores.route("/restores/<string:slug>/undo", methods=["POST"], guard=OperatorGuard(RESTORES_RUN))
@restores.response(202, RunSchema)
def undo(slug: str) -> Snapshot:
    """Bring back what the last restore of a tenant has replaced"""
    with transaction():
        run_id = job.start_undo(slug, actor=g.caller)
    return queue.wake_soon(run_id)


@restores.route("/drills", methods=["POST"], guard=OperatorGuard(RESTORES_RUN))
@restores.arguments(schemas.DrillSchema)
@restores.response(202, RunSchema)
@restores.alt_response(
    404,
    schema=ProblemSchema,
    content_type=PROBLEM_TYPE,
    description="There is no archive of one of them.",
)
def drill(data: dict[str, list[str]]) -> Snapshot:
    """Try restores without touching a tenant"""
    settings = current_app.config["SETTINGS"]
    with transaction():
        run_id = job.start_drill(
            data["tenants"], settings.backup_drills, actor=g.caller, settings=settings
        )
    return queue.wake_soon(run_id)
