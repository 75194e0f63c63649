"""`/tags`."""

from __future__ import annotations

import uuid
from typing import Any

from todo_app.auth import SignedIn
from todo_app.blueprint import Blueprint, expected_versions
from todo_app.database import transaction
from todo_app.pagination import Page, PageRequest, page_query, page_schema
from todo_app.tags import schemas, service

tags = Blueprint("tags", __name__, url_prefix="/tags", description="Words that tasks have")

CAN_READ = SignedIn("tasks:read")
CAN_WRITE = SignedIn("tasks:write")

TagPage = page_schema(schemas.TagSchema)
TagQuery = page_query(tuple(service.ORDER_BY), "name")


@tags.route("/", guard=CAN_READ)
@tags.arguments(TagQuery, location="query")
@tags.response(200, TagPage)
def list_tags(query: PageRequest) -> Page:
    """List tags

    `search` looks into the name.
    """
    return service.page_of_tags(query)


@tags.route("/", methods=["POST"], guard=CAN_WRITE)
@tags.arguments(schemas.TagCreateSchema)
@tags.response(201, schemas.TagSchema)
def create_tag(data: dict[str, Any]) -> Any:
    """Add a tag

    No two tags have one name, in whatever case.
    """
    with transaction():
        return service.add_tag(data)


@tags.route("/<uuid:tag_uuid>", guard=CAN_READ)
@tags.response(200, schemas.TagSchema)
def get_tag(tag_uuid: uuid.UUID) -> Any:
    """Get one tag"""
    return service.get_tag(tag_uuid)


@tags.route("/<uuid:tag_uuid>", methods=["PATCH"], guard=CAN_WRITE)
@tags.arguments(schemas.TagChangeSchema)
@tags.response(200, schemas.TagSchema)
def change_tag(data: dict[str, Any], tag_uuid: uuid.UUID) -> Any:
    """Change a tag

    Only what is sent changes.
    """
    with transaction():
        return service.change_tag(tag_uuid, data, expected_versions())


@tags.route("/<uuid:tag_uuid>", methods=["DELETE"], guard=CAN_WRITE)
@tags.response(204)
def delete_tag(tag_uuid: uuid.UUID) -> None:
    """Delete a tag

    The tasks that have it lose it.
    """
    with transaction():
        service.delete_tag(tag_uuid, expected_versions())


@tags.route("/<uuid:tag_uuid>/merge", methods=["POST"], guard=CAN_WRITE, versioned=True)
@tags.arguments(schemas.TagMergeSchema)
@tags.response(200, schemas.TagSchema)
def merge_tag(data: dict[str, Any], tag_uuid: uuid.UUID) -> Any:
    """Merge a tag into another

    The tasks that have it get the other one in its place; it is deleted.
    """
    with transaction():
        return service.merge_tag(tag_uuid, data["into_uuid"], expected_versions())
