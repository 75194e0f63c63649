"""`/filters`."""

from __future__ import annotations

import uuid
from typing import Any

from todo_app.auth import SignedIn, current_user
from todo_app.blueprint import Blueprint, expected_versions
from todo_app.database import transaction
from todo_app.filters import saved, schemas
from todo_app.lists.schemas import PlaceSchema
from todo_app.pagination import Page, PageRequest, page_query, page_schema
from todo_app.todos.placing import Place

filters = Blueprint("filters", __name__, url_prefix="/filters", description="Smart lists")

CAN_READ = SignedIn("tasks:read")
CAN_WRITE = SignedIn("tasks:write")

SavedFilterPage = page_schema(schemas.SavedFilterSchema)
SavedFilterQuery = page_query(tuple(saved.ORDER_BY), "position")


@filters.route("/", guard=CAN_READ)
@filters.arguments(SavedFilterQuery, location="query")
@filters.response(200, SavedFilterPage)
def list_filters(query: PageRequest) -> Page:
    """List kept filters

    The caller's own, and those that others share. `GET /tasks/?filter_uuid=` gives what one finds.
    `search` looks into the title.
    """
    return saved.page_of_filters(current_user(), query)


@filters.route("/", methods=["POST"], guard=CAN_WRITE)
@filters.arguments(schemas.SavedFilterCreateSchema)
@filters.response(201, schemas.SavedFilterSchema)
def create_filter(data: dict[str, Any]) -> Any:
    """Keep a filter

    As the last of the caller's own. It has to be one that could be asked now.
    """
    with transaction():
        return saved.add_filter(current_user(), data)


@filters.route("/<uuid:filter_uuid>", guard=CAN_READ)
@filters.response(200, schemas.SavedFilterSchema)
def get_filter(filter_uuid: uuid.UUID) -> Any:
    """Get one kept filter"""
    return saved.get_filter(current_user(), filter_uuid)


@filters.route("/<uuid:filter_uuid>", methods=["PATCH"], guard=CAN_WRITE)
@filters.arguments(schemas.SavedFilterChangeSchema)
@filters.response(200, schemas.SavedFilterSchema)
def change_filter(data: dict[str, Any], filter_uuid: uuid.UUID) -> Any:
    """Change a kept filter

    Only what is sent changes; its owner alone may do so.
    """
    with transaction():
        return saved.change_filter(current_user(), filter_uuid, data, expected_versions())


@filters.route("/<uuid:filter_uuid>", methods=["DELETE"], guard=CAN_WRITE)
@filters.response(204)
def delete_filter(filter_uuid: uuid.UUID) -> None:
    """Delete a kept filter

    The tasks that it finds stay.
    """
    with transaction():
        saved.delete_filter(current_user(), filter_uuid, expected_versions())


@filters.route("/<uuid:filter_uuid>/move", methods=["POST"], guard=CAN_WRITE, versioned=True)
@filters.arguments(PlaceSchema)
@filters.response(200, schemas.SavedFilterSchema)
def move_filter(place: Place, filter_uuid: uuid.UUID) -> Any:
    """Move a kept filter

    After or before another of the caller's own, or to the end.
    """
    with transaction():
        return saved.move_filter(current_user(), filter_uuid, place, expected_versions())
