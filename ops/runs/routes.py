"""`/cc/runs`: the ledger, for operators."""

from __future__ import annotations

from flask import g

from ops.guard import OperatorGuard, need_scope
from ops.operators.job import BACKUPS_RUN, RESTORES_RUN, TENANTS_READ, UPGRADES_RUN
from ops.runs import job, queue, schemas
from ops.runs.job import Snapshot
from todo_app.blueprint import Blueprint
from todo_app.database import transaction
from todo_app.pagination import Page, PageRequest, page_query, page_schema

runs = Blueprint("runs", __name__, url_prefix="/cc/runs", description="Fan-outs, for operators")

SCOPES = {"backups": BACKUPS_RUN, "restores": RESTORES_RUN}
"""What an operator's token needs for runs of some kinds; for the others, `upgrades:run`."""

RunQuery = page_query(tuple(job.RUNS_ORDER_BY), "id")
RunPage = page_schema(schemas.RunListedSchema)
ItemQuery = page_query(tuple(job.ITEMS_ORDER_BY), "slug")
ItemPage = page_schema(schemas.RunItemSchema)


@runs.route("/", guard=OperatorGuard(TENANTS_READ))
@runs.arguments(RunQuery, location="query")
@runs.response(200, RunPage)
def list_runs(query: PageRequest) -> Page:
    """List runs

    The newest first with `order=desc`.
    """
    return job.page(query)


@runs.route("/<int:run_id>", guard=OperatorGuard(TENANTS_READ))
@runs.response(200, schemas.RunSchema)
def get_run(run_id: int) -> Snapshot:
    """See how far a run is"""
    return job.look(run_id)


@runs.route("/<int:run_id>/tenants", guard=OperatorGuard(TENANTS_READ))
@runs.arguments(ItemQuery, location="query")
@runs.response(200, ItemPage)
def list_run_tenants(query: PageRequest, run_id: int) -> Page:
    """See what came of each tenant of a run"""
    return job.page_items(run_id, query)


@runs.route("/<int:run_id>/cancel", methods=["POST"], guard=OperatorGuard(TENANTS_READ))
@runs.response(200, schemas.RunSchema)
def cancel_run(run_id: int) -> Snapshot:
    """Begin no further tenant of a run

    Tenants that are being worked on are finished. Takes the scope that runs of this kind need.
    """
    need_scope(SCOPES.get(job.get(run_id).kind, UPGRADES_RUN))
    with transaction():
        job.cancel(run_id, g.caller)
    return job.look(run_id)


@runs.route("/<int:run_id>/resume", methods=["POST"], guard=OperatorGuard(TENANTS_READ))
@runs.arguments(schemas.ResumeQuerySchema, location="query")
@runs.response(202, schemas.RunSchema)
def resume_run(query: dict[str, bool], run_id: int) -> Snapshot:
    """Go on with a run that stopped, was cancelled, or has failed tenants

    Takes the scope that runs of this kind need.
    """
    kind = job.get(run_id).kind
    need_scope(SCOPES.get(kind, UPGRADES_RUN))
    queue.need_worker(kind)
    with transaction():
        job.resume(run_id, failed_only=query["failed_only"])
    return queue.wake_soon(run_id)
