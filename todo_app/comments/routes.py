"""`/comments`."""

from __future__ import annotations

import uuid
from typing import Any

from todo_app.auth import SignedIn, current_user
from todo_app.blueprint import Blueprint, expected_versions
from todo_app.comments import schemas, service
from todo_app.database import transaction
from todo_app.pagination import Page, page_schema

comments = Blueprint(
    "comments", __name__, url_prefix="/comments", description="What people say about tasks"
)

CAN_READ = SignedIn("tasks:read")
CAN_WRITE = SignedIn("tasks:write")

CommentPage = page_schema(schemas.CommentSchema)
CommentQuery = schemas.comment_query(tuple(service.ORDER_BY), "created_at")


@comments.route("/", guard=CAN_READ)
@comments.arguments(CommentQuery, location="query")
@comments.response(200, CommentPage)
def list_comments(query: dict[str, Any]) -> Page:
    """List comments

    On all tasks that the caller may see, or on one. One that was deleted keeps its place, without
    its text. `search` looks into the text.
    """
    return service.page_of_comments(current_user(), query["page"], query["filters"])


@comments.route("/", methods=["POST"], guard=CAN_WRITE)
@comments.arguments(schemas.CommentCreateSchema)
@comments.response(201, schemas.CommentSchema)
def create_comment(data: dict[str, Any]) -> Any:
    """Comment on a task

    `@` and the address of somebody who can see the list mentions them; at most 20 people.
    """
    with transaction():
        return service.add_comment(current_user(), **data)


@comments.route("/<uuid:comment_uuid>", guard=CAN_READ)
@comments.response(200, schemas.CommentSchema)
def get_comment(comment_uuid: uuid.UUID) -> Any:
    """Get one comment"""
    return service.get_comment(current_user(), comment_uuid)


@comments.route("/<uuid:comment_uuid>", methods=["PATCH"], guard=CAN_WRITE)
@comments.arguments(schemas.CommentChangeSchema)
@comments.response(200, schemas.CommentSchema)
def change_comment(data: dict[str, Any], comment_uuid: uuid.UUID) -> Any:
    """Change a comment

    Its author alone may do so.
    """
    with transaction():
        return service.change_comment(current_user(), comment_uuid, data, expected_versions())


@comments.route("/<uuid:comment_uuid>", methods=["DELETE"], guard=CAN_WRITE)
@comments.response(204)
def delete_comment(comment_uuid: uuid.UUID) -> None:
    """Delete a comment

    Its text goes, its place stays. Its author may do so, and whoever is an admin of the list.
    """
    with transaction():
        service.delete_comment(current_user(), comment_uuid, expected_versions())
