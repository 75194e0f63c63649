"""`/cc/backups`: archives of tenants, for operators."""

from __future__ import annotations

from typing import Any

from flask import current_app, g

from ops.backups import job, schemas
from ops.guard import OperatorGuard
from ops.operators.job import BACKUPS_READ, BACKUPS_RUN
from ops.runs import queue
from ops.runs.job import Snapshot
from ops.runs.schemas import RunSchema
from todo_app.blueprint import Blueprint
from todo_app.database import transaction
from todo_app.pagination import Page, PageRequest, page_query, page_schema

backups = Blueprint(
    "backups", __name__, url_prefix="/cc/backups", description="Archives, for operators"
)

SetQuery = page_query(tuple(job.SETS_ORDER_BY), "created_at")
SetPage = page_schema(schemas.SetSchema)
ArchiveQuery = page_query(tuple(job.ARCHIVES_ORDER_BY), "taken_at")
ArchivePage = page_schema(schemas.ArchiveSchema)


@backups.route("/", guard=OperatorGuard(BACKUPS_READ))
@backups.arguments(SetQuery, location="query")
@backups.response(200, SetPage)
def list_sets(query: PageRequest) -> Page:
    """List backup sets

    The newest first with `order=desc`.
    """
    return job.page(query)


@backups.route("/", methods=["POST"], guard=OperatorGuard(BACKUPS_RUN))
@backups.arguments(schemas.SetCreateSchema)
@backups.response(202, RunSchema)
def create_set(data: dict[str, Any]) -> Snapshot:
    """Take the archives of all tenants, or of some"""
    with transaction():
        _, run_id = job.create(
            data["tenants"],
            actor=g.caller,
            settings=current_app.config["SETTINGS"],
            is_consistent=data["is_consistent"],
        )
    return queue.wake_soon(run_id)


@backups.route("/archives", guard=OperatorGuard(BACKUPS_READ))
@backups.arguments(ArchiveQuery, location="query")
@backups.response(200, ArchivePage)
def list_archives(query: PageRequest) -> Page:
    """List archives

    `search` looks into the tenant's slug; the newest first with `order=desc`.
    """
    return job.page_archives(query)


@backups.route("/<string:name>/archives", guard=OperatorGuard(BACKUPS_READ))
@backups.arguments(ArchiveQuery, location="query")
@backups.response(200, ArchivePage)
def list_archives_of_set(query: PageRequest, name: str) -> Page:
    """List the archives of a set, or of the `latest`"""
    return job.page_archives(query, name)


@backups.route("/<string:name>/verify", methods=["POST"], guard=OperatorGuard(BACKUPS_RUN))
@backups.response(202, RunSchema)
def verify_set(name: str) -> Snapshot:
    """Read every byte of a set's archives"""
    with transaction():
        run_id = job.verify(name, actor=g.caller, settings=current_app.config["SETTINGS"])
    return queue.wake_soon(run_id)
