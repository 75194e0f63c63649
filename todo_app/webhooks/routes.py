"""`/webhooks`."""

from __future__ import annotations

import uuid
from typing import Any

from todo_app.auth import SignedIn, current_user
from todo_app.blueprint import Blueprint, expected_versions
from todo_app.database import transaction
from todo_app.errors import PROBLEM_TYPE
from todo_app.pagination import Page, PageRequest, page_query, page_schema
from todo_app.schemas import ProblemSchema
from todo_app.webhooks import deliveries, schemas, service

webhooks = Blueprint(
    "webhooks", __name__, url_prefix="/webhooks", description="Programs that are told of changes"
)

CAN_MANAGE = SignedIn(service.WRITE)
CAN_DIRECT = SignedIn(service.WRITE, fresh=True)
"""Whoever says where a company's data goes has shown the password lately."""

TOO_LONG_AGO: dict[str, Any] = {
    "schema": ProblemSchema,
    "content_type": PROBLEM_TYPE,
    "description": "There is no valid token, or the password was shown too long ago for this.",
}

WebhookPage = page_schema(schemas.WebhookSchema)
WebhookQuery = page_query(tuple(service.ORDER_BY), "created_at")
DeliveryPage = page_schema(schemas.DeliverySchema)


@webhooks.route("/", guard=CAN_MANAGE)
@webhooks.arguments(WebhookQuery, location="query")
@webhooks.response(200, WebhookPage)
def list_webhooks(query: PageRequest) -> Page:
    """List webhooks

    Those of the company, whoever has made them. `search` looks into the URL.
    """
    return service.page_of_webhooks(query)


@webhooks.route("/", methods=["POST"], guard=CAN_DIRECT, keeps_answer=False)
@webhooks.arguments(schemas.WebhookCreateSchema)
@webhooks.response(201, schemas.WebhookWithSecretSchema)
@webhooks.alt_response(401, **TOO_LONG_AGO)
def create_webhook(data: dict[str, Any]) -> Any:
    """Add a webhook

    Its URL gets a signed POST for each event that was chosen, of all lists but private ones. The
    secret that signs is in this answer, and never again. A company may have 20 webhooks.
    """
    with transaction():
        return service.add_webhook(current_user(), **data)


@webhooks.route("/<uuid:webhook_uuid>", guard=CAN_MANAGE)
@webhooks.response(200, schemas.WebhookSchema)
def get_webhook(webhook_uuid: uuid.UUID) -> Any:
    """Get one webhook"""
    return service.get_webhook(webhook_uuid)


@webhooks.route("/<uuid:webhook_uuid>", methods=["PATCH"], guard=CAN_DIRECT)
@webhooks.arguments(schemas.WebhookChangeSchema)
@webhooks.response(200, schemas.WebhookSchema)
@webhooks.alt_response(401, **TOO_LONG_AGO)
def change_webhook(data: dict[str, Any], webhook_uuid: uuid.UUID) -> Any:
    """Change a webhook

    Only what is sent changes. What still waits to be sent goes to the new URL; when a webhook is
    switched off, it fails, and can be replayed.
    """
    with transaction():
        return service.change_webhook(current_user(), webhook_uuid, data, expected_versions())


@webhooks.route("/<uuid:webhook_uuid>", methods=["DELETE"], guard=CAN_MANAGE)
@webhooks.response(204)
def delete_webhook(webhook_uuid: uuid.UUID) -> None:
    """Delete a webhook

    With its log, and with what still waits to be sent.
    """
    with transaction():
        service.delete_webhook(current_user(), webhook_uuid, expected_versions())


@webhooks.route(
    "/<uuid:webhook_uuid>/rotate",
    methods=["POST"],
    guard=CAN_DIRECT,
    keeps_answer=False,
    versioned=True,
)
@webhooks.response(201, schemas.WebhookWithSecretSchema)
@webhooks.alt_response(401, **TOO_LONG_AGO)
def rotate_webhook_secret(webhook_uuid: uuid.UUID) -> Any:
    """Make a new secret

    For 24 hours each message is signed with the former one, too, so nothing is lost meanwhile.
    """
    with transaction():
        return service.rotate_secret(current_user(), webhook_uuid, expected_versions())


@webhooks.route("/<uuid:webhook_uuid>/test", methods=["POST"], guard=CAN_MANAGE)
@webhooks.response(201, schemas.DeliveryDetailSchema)
def test_webhook(webhook_uuid: uuid.UUID) -> Any:
    """Send a test

    A message `webhook.test`, whatever events were chosen. The log tells how it went.
    """
    with transaction():
        return deliveries.send_test(current_user(), webhook_uuid)


@webhooks.route("/<uuid:webhook_uuid>/deliveries", guard=CAN_MANAGE)
@webhooks.arguments(schemas.DeliveryQuerySchema, location="query")
@webhooks.response(200, DeliveryPage)
def list_deliveries(query: schemas.DeliveryQuery, webhook_uuid: uuid.UUID) -> Page:
    """See what a webhook was sent

    The newest first, with what still waits to be sent.
    """
    return deliveries.page_of_deliveries(webhook_uuid, query.page, **query.filters)


@webhooks.route("/<uuid:webhook_uuid>/deliveries/<uuid:delivery_uuid>", guard=CAN_MANAGE)
@webhooks.response(200, schemas.DeliveryDetailSchema)
def get_delivery(webhook_uuid: uuid.UUID, delivery_uuid: uuid.UUID) -> Any:
    """Get one message

    With what it says.
    """
    return deliveries.get_delivery(webhook_uuid, delivery_uuid)


@webhooks.route(
    "/<uuid:webhook_uuid>/deliveries/<uuid:delivery_uuid>/replay",
    methods=["POST"],
    guard=CAN_MANAGE,
)
@webhooks.response(200, schemas.DeliveryDetailSchema)
def replay_delivery(webhook_uuid: uuid.UUID, delivery_uuid: uuid.UUID) -> Any:
    """Send one message again

    With the id that it had, and with ten attempts of its own. One that waits is sent now.
    """
    with transaction():
        return deliveries.replay(current_user(), webhook_uuid, delivery_uuid)


@webhooks.route("/<uuid:webhook_uuid>/replay", methods=["POST"], guard=CAN_MANAGE)
@webhooks.arguments(schemas.ReplaySchema)
@webhooks.response(200, schemas.ReplayedSchema)
def replay_deliveries(data: dict[str, Any], webhook_uuid: uuid.UUID) -> Any:
    """Send messages of a time again

    Those that failed, or all that were delivered, each with the id that it had. At most 10,000, the
    oldest first: where so many are replayed, ask again for the rest.
    """
    with transaction():
        return {"replayed": deliveries.replay_since(current_user(), webhook_uuid, **data)}
