"""`/cc`, command and control: tenants and upgrades, for operators."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from flask import Response, current_app, g, jsonify

from ops import schemas
from ops.guard import OperatorGuard
from ops.monitor import drift
from ops.operators.job import TENANTS_READ, TENANTS_WRITE, UPGRADES_RUN
from ops.runs import queue
from ops.runs.job import Snapshot
from ops.runs.schemas import RunSchema
from ops.upgrades import job as upgrades
from ops.upgrades.plan import Choice
from todo_app.blueprint import Blueprint, expected_versions
from todo_app.config import Settings
from todo_app.database import transaction
from todo_app.pagination import Page, PageRequest, page_query, page_schema
from todo_app.tenants import service
from todo_app.tenants.models import Tenant

cc = Blueprint("cc", __name__, url_prefix="/cc", description="Tenants, for operators")

TenantPage = page_schema(schemas.TenantSchema)
TenantQuery = page_query(tuple(service.ORDER_BY), "slug")


@cc.route("/", guard=OperatorGuard(TENANTS_READ))
@cc.arguments(TenantQuery, location="query")
@cc.response(200, TenantPage)
def list_tenants(query: PageRequest) -> Page:
    """List tenants

    Each with what the drift check found last, where it has been checked.
    """
    page = service.page(query)
    return page._replace(items=_with_checks(page.items))


@cc.route("/create", methods=["POST"], guard=OperatorGuard(TENANTS_WRITE))
@cc.arguments(schemas.TenantCreateSchema)
@cc.response(201, schemas.TenantSchema)
def create_tenant(data: dict[str, Any]) -> SimpleNamespace:
    """Create a tenant without users"""
    with transaction():
        return _with_checks([service.create(**data)])[0]


@cc.route("/", methods=["POST"], guard=OperatorGuard(UPGRADES_RUN))
@cc.arguments(schemas.UpgradeQuerySchema, location="query")
@cc.response(202, RunSchema)
@cc.alt_response(200, schema=schemas.PlanSchema, description="The plan, for a dry run.")
def upgrade_all(query: dict[str, Any]) -> Snapshot | Response:
    """Upgrade all tenants that are behind

    Where nobody is, the run has no tenants and has succeeded.
    """
    return _upgrade(query, [])


@cc.route("/<string:slug>", guard=OperatorGuard(TENANTS_READ))
@cc.response(200, schemas.TenantSchema)
def get_tenant(slug: str) -> SimpleNamespace:
    """Get one tenant"""
    return _with_checks([service.get(slug)])[0]


@cc.route("/<string:slug>", methods=["POST"], guard=OperatorGuard(UPGRADES_RUN))
@cc.arguments(schemas.UpgradeQuerySchema, location="query")
@cc.response(202, RunSchema)
@cc.alt_response(200, schema=schemas.PlanSchema, description="The plan, for a dry run.")
def upgrade_tenant(query: dict[str, Any], slug: str) -> Snapshot | Response:
    """Upgrade one tenant"""
    return _upgrade(query, [service.get(slug).slug])


@cc.route("/<string:slug>", methods=["PATCH"], guard=OperatorGuard(TENANTS_WRITE))
@cc.arguments(schemas.TenantChangeSchema)
@cc.response(200, schemas.TenantSchema)
def change_tenant(data: dict[str, Any], slug: str) -> SimpleNamespace:
    """Rename, suspend, activate or describe a tenant"""
    with transaction():
        return _with_checks([service.change(slug, data, expected_versions())])[0]


@cc.route("/<string:slug>", methods=["DELETE"], guard=OperatorGuard(TENANTS_WRITE))
@cc.arguments(schemas.ConfirmQuerySchema, location="query")
@cc.response(202, schemas.TenantSchema)
def delete_tenant(query: dict[str, str], slug: str) -> SimpleNamespace:
    """Delete a tenant and all its data, for good

    It is closed at once; its schema is dropped by the next run of the job that does this.
    """
    with transaction():
        tenant = service.mark_deleting(slug, query["confirm"], expected_versions())
        return _with_checks([tenant])[0]


def _with_checks(tenants: Sequence[Any]) -> list[SimpleNamespace]:
    checks = drift.last_checks([tenant.id for tenant in tenants])
    columns = Tenant.__table__.columns.keys()
    return [
        SimpleNamespace(
            **{column: getattr(tenant, column) for column in columns}, check=checks.get(tenant.id)
        )
        for tenant in tenants
    ]


def _upgrade(query: dict[str, Any], slugs: list[str]) -> Snapshot | Response:
    order = upgrades.Order(
        query["to"],
        choice=Choice(slugs, canaries=query["canary"], wave_size=query["wave_size"]),
        max_failures=query["max_failures"],
        concurrency=query["concurrency"],
    )
    settings: Settings = current_app.config["SETTINGS"]
    plan = upgrades.make_plan(order, settings)
    if query["dry_run"]:
        shown = {"title": plan.title, "tenants": plan.rows, "sql": upgrades.preview(plan)}
        return jsonify(schemas.PlanSchema().dump(shown))
    if plan.waves:
        queue.need_worker(upgrades.KIND)
    with transaction():
        run_id = upgrades.start(plan, settings, actor=g.caller)
    return queue.wake_soon(run_id)
