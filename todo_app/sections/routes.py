"""`/lists/{list_uuid}/sections`."""

from __future__ import annotations

import uuid
from typing import Any

from todo_app.auth import SignedIn, current_user
from todo_app.blueprint import Blueprint, expected_versions
from todo_app.database import transaction
from todo_app.lists.schemas import PlaceSchema
from todo_app.pagination import Page, PageRequest, page_query, page_schema
from todo_app.sections import schemas, service
from todo_app.todos.placing import Place

sections = Blueprint(
    "sections",
    __name__,
    url_prefix="/lists/<uuid:list_uuid>/sections",
    description="Parts of a list",
)

CAN_READ = SignedIn("tasks:read")
CAN_WRITE = SignedIn("tasks:write")

SectionPage = page_schema(schemas.SectionSchema)
SectionQuery = page_query(tuple(service.ORDER_BY), "position")


@sections.route("", guard=CAN_READ)
@sections.arguments(SectionQuery, location="query")
@sections.response(200, SectionPage)
def list_sections(query: PageRequest, list_uuid: uuid.UUID) -> Page:
    """List the sections of a list

    `search` looks into the title.
    """
    return service.page_of_sections(current_user(), list_uuid, query)


@sections.route("", methods=["POST"], guard=CAN_WRITE)
@sections.arguments(schemas.SectionCreateSchema)
@sections.response(201, schemas.SectionSchema)
def create_section(data: dict[str, Any], list_uuid: uuid.UUID) -> Any:
    """Add a section

    At the end of the list. A folder has none.
    """
    with transaction():
        return service.add_section(current_user(), list_uuid, data)


@sections.route("/<uuid:section_uuid>", guard=CAN_READ)
@sections.response(200, schemas.SectionSchema)
def get_section(list_uuid: uuid.UUID, section_uuid: uuid.UUID) -> Any:
    """Get one section"""
    return service.get_section(current_user(), list_uuid, section_uuid)


@sections.route("/<uuid:section_uuid>", methods=["PATCH"], guard=CAN_WRITE)
@sections.arguments(schemas.SectionChangeSchema)
@sections.response(200, schemas.SectionSchema)
def change_section(data: dict[str, Any], list_uuid: uuid.UUID, section_uuid: uuid.UUID) -> Any:
    """Change a section

    Only what is sent changes.
    """
    with transaction():
        return service.change_section(
            current_user(), list_uuid, section_uuid, data, expected_versions()
        )


@sections.route("/<uuid:section_uuid>", methods=["DELETE"], guard=CAN_WRITE)
@sections.response(204)
def delete_section(list_uuid: uuid.UUID, section_uuid: uuid.UUID) -> None:
    """Delete a section

    Its tasks stay in the list, in no section.
    """
    with transaction():
        service.delete_section(current_user(), list_uuid, section_uuid, expected_versions())


@sections.route("/<uuid:section_uuid>/move", methods=["POST"], guard=CAN_WRITE, versioned=True)
@sections.arguments(PlaceSchema)
@sections.response(200, schemas.SectionSchema)
def move_section(place: Place, list_uuid: uuid.UUID, section_uuid: uuid.UUID) -> Any:
    """Move a section

    After or before another section of the list, or to the end.
    """
    with transaction():
        return service.move_section(
            current_user(), list_uuid, section_uuid, place, expected_versions()
        )
