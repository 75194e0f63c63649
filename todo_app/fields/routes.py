"""`/lists/{list_uuid}/fields`."""

from __future__ import annotations

import uuid
from typing import Any

from todo_app.auth import SignedIn, current_user
from todo_app.blueprint import Blueprint, expected_versions
from todo_app.database import transaction
from todo_app.fields import schemas, service
from todo_app.lists.schemas import PlaceSchema
from todo_app.pagination import Page, PageRequest, page_query, page_schema
from todo_app.todos.placing import Place

fields = Blueprint(
    "fields",
    __name__,
    url_prefix="/lists/<uuid:list_uuid>/fields",
    description="Fields that the tasks of a list have",
)

CAN_READ = SignedIn("tasks:read")
CAN_WRITE = SignedIn("tasks:write")

FieldPage = page_schema(schemas.ListFieldSchema)
FieldQuery = page_query(tuple(service.ORDER_BY), "position")


@fields.route("", guard=CAN_READ)
@fields.arguments(FieldQuery, location="query")
@fields.response(200, FieldPage)
def list_fields(query: PageRequest, list_uuid: uuid.UUID) -> Page:
    """List the fields of a list

    `search` looks into the name.
    """
    return service.page_of_fields(current_user(), list_uuid, query)


@fields.route("", methods=["POST"], guard=CAN_WRITE)
@fields.arguments(schemas.ListFieldCreateSchema)
@fields.response(201, schemas.ListFieldSchema)
def create_field(data: dict[str, Any], list_uuid: uuid.UUID) -> Any:
    """Add a field

    Behind the others of the list. No two of them have one name, in whatever case. A `choice` needs
    `options`. A folder has no fields.
    """
    with transaction():
        return service.add_field(current_user(), list_uuid, data)


@fields.route("/<uuid:field_uuid>", guard=CAN_READ)
@fields.response(200, schemas.ListFieldSchema)
def get_field(list_uuid: uuid.UUID, field_uuid: uuid.UUID) -> Any:
    """Get one field"""
    return service.get_field(current_user(), list_uuid, field_uuid)


@fields.route("/<uuid:field_uuid>", methods=["PATCH"], guard=CAN_WRITE)
@fields.arguments(schemas.ListFieldChangeSchema)
@fields.response(200, schemas.ListFieldSchema)
def change_field(data: dict[str, Any], list_uuid: uuid.UUID, field_uuid: uuid.UUID) -> Any:
    """Change a field

    Only what is sent changes. An option that tasks have cannot be taken away.
    """
    with transaction():
        return service.change_field(
            current_user(), list_uuid, field_uuid, data, expected_versions()
        )


@fields.route("/<uuid:field_uuid>", methods=["DELETE"], guard=CAN_WRITE)
@fields.response(204)
def delete_field(list_uuid: uuid.UUID, field_uuid: uuid.UUID) -> None:
    """Delete a field

    With what the tasks have in it.
    """
    with transaction():
        service.delete_field(current_user(), list_uuid, field_uuid, expected_versions())


@fields.route("/<uuid:field_uuid>/move", methods=["POST"], guard=CAN_WRITE, versioned=True)
@fields.arguments(PlaceSchema)
@fields.response(200, schemas.ListFieldSchema)
def move_field(place: Place, list_uuid: uuid.UUID, field_uuid: uuid.UUID) -> Any:
    """Move a field

    After or before another field of the list, or to the end.
    """
    with transaction():
        return service.move_field(current_user(), list_uuid, field_uuid, place, expected_versions())
