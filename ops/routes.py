"""`/cc`, command and control: tenants and upgrades, for operators."""

from __future__ import annotations

from typing import Any

from celeryconfig import UPGRADES
from ops import dispatch, schemas
from ops.guard import OperatorGuard
from ops.operators.job import TENANTS_READ, TENANTS_WRITE, UPGRADES_RUN
from ops.upgrades import job as upgrades
from ops.upgrades import tasks
from todo_app.blueprint import Blueprint, expected_versions
from todo_app.database import transaction
from todo_app.errors import UnavailableError
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
    """List tenants"""
    return service.page(query)


@cc.route("/create", methods=["POST"], guard=OperatorGuard(TENANTS_WRITE))
@cc.arguments(schemas.TenantCreateSchema)
@cc.response(201, schemas.TenantSchema)
def create_tenant(data: dict[str, Any]) -> Tenant:
    """Create a tenant without users"""
    with transaction():
        return service.create(**data)


@cc.route("/", methods=["POST"], guard=OperatorGuard(UPGRADES_RUN))
@cc.arguments(schemas.UpgradeQuerySchema, location="query")
@cc.response(202, schemas.RunSchema)
def upgrade_all(query: dict[str, str]) -> dispatch.Run:
    """Upgrade all tenants that are behind"""
    return _upgrade(query["to"], [])


@cc.route("/runs/<uuid:run_id>", guard=OperatorGuard(TENANTS_READ))
@cc.response(200, schemas.RunSchema)
def get_run(run_id: Any) -> dispatch.Run:
    """See how far an upgrade is"""
    return dispatch.look(str(run_id))


@cc.route("/<string:slug>", guard=OperatorGuard(TENANTS_READ))
@cc.response(200, schemas.TenantSchema)
def get_tenant(slug: str) -> Tenant:
    """Get one tenant"""
    return service.get(slug)


@cc.route("/<string:slug>", methods=["POST"], guard=OperatorGuard(UPGRADES_RUN))
@cc.arguments(schemas.UpgradeQuerySchema, location="query")
@cc.response(202, schemas.RunSchema)
def upgrade_tenant(query: dict[str, str], slug: str) -> dispatch.Run:
    """Upgrade one tenant"""
    return _upgrade(query["to"], [service.get(slug).slug])


@cc.route("/<string:slug>", methods=["PATCH"], guard=OperatorGuard(TENANTS_WRITE))
@cc.arguments(schemas.TenantChangeSchema)
@cc.response(200, schemas.TenantSchema)
def change_tenant(data: dict[str, Any], slug: str) -> Tenant:
    """Rename, suspend, activate or describe a tenant"""
    with transaction():
        return service.change(slug, data, expected_versions())


@cc.route("/<string:slug>", methods=["DELETE"], guard=OperatorGuard(TENANTS_WRITE))
@cc.arguments(schemas.ConfirmQuerySchema, location="query")
@cc.response(202, schemas.TenantSchema)
def delete_tenant(query: dict[str, str], slug: str) -> Tenant:
    """Delete a tenant and all its data, for good

    It is closed at once; its schema is dropped by the next run of the job that does this.
    """
    with transaction():
        return service.mark_deleting(slug, query["confirm"], expected_versions())


def _upgrade(to: str, slugs: list[str]) -> dispatch.Run:
    target = upgrades.check_revision(to)
    planned = upgrades.plan(target, slugs)
    if not planned:
        return dispatch.Run(None, dispatch.SUCCEEDED, 0, 0, [], [])
    if not dispatch.has_worker(UPGRADES):
        raise UnavailableError("No worker takes upgrades at the moment.")
    run_id = dispatch.start(
        tasks.move.s(tenants=batch, target=target) for batch in upgrades.batches(planned)
    )
    return dispatch.look(run_id)
