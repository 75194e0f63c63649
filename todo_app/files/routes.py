"""`/tasks/{task_uuid}/attachments`, and `/files/usage`."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Response, current_app, request

from todo_app.auth import SignedIn, current_user
from todo_app.blueprint import Blueprint
from todo_app.config import Settings
from todo_app.database import transaction
from todo_app.errors import PROBLEM_TYPE
from todo_app.files import schemas, service, serving
from todo_app.files.names import clean_name
from todo_app.files.ranges import part_of
from todo_app.files.service import Stored
from todo_app.files.store import Store
from todo_app.files.upload import received
from todo_app.pagination import Page, PageRequest, page_query, page_schema
from todo_app.schemas import ProblemSchema
from todo_app.tenancy import current_tenant

attachments = Blueprint(
    "attachments",
    __name__,
    url_prefix="/tasks/<uuid:task_uuid>/attachments",
    description="Files of a task",
)
files = Blueprint("files", __name__, url_prefix="/files", description="Files of the company")

CAN_READ = SignedIn("tasks:read")
CAN_WRITE = SignedIn("tasks:write")

AttachmentPage = page_schema(schemas.AttachmentSchema)
AttachmentQuery = page_query(tuple(service.ORDER_BY), "created_at")

BYTES = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
PROBLEM = {"schema": ProblemSchema, "content_type": PROBLEM_TYPE}
RANGE_PARAMETER = {
    "name": "Range",
    "in": "header",
    "required": False,
    "description": "One part of the file, in bytes.",
    "schema": {"type": "string"},
    "example": "bytes=0-1023",
}


@files.route("/usage", guard=CAN_READ)
@files.response(200, schemas.UsageSchema)
def get_usage() -> dict[str, int | None]:
    """Get what files take up

    Of the whole company. Equal contents count once, and what was deleted does not count.
    """
    return service.usage(_settings().attachments_quota)


@attachments.route("", guard=CAN_READ)
@attachments.arguments(AttachmentQuery, location="query")
@attachments.response(200, AttachmentPage)
def list_attachments(query: PageRequest, task_uuid: uuid.UUID) -> Page:
    """List the files of a task

    `search` looks into the name.
    """
    return service.page_of_files(current_user(), task_uuid, query)


@attachments.route("", methods=["POST"], guard=CAN_WRITE, receive=received)
@attachments.arguments(schemas.UploadQuerySchema, location="query")
@attachments.doc(requestBody={"required": True, "content": BYTES})
@attachments.response(201, schemas.AttachmentSchema)
@attachments.alt_response(409, **PROBLEM, description="The company has no room for it.")
@attachments.alt_response(413, **PROBLEM, description="The file is too large.")
@attachments.alt_response(415, **PROBLEM, description="Files of this type are not taken.")
@attachments.alt_response(501, **PROBLEM, description="Files are not kept here.")
def create_attachment(query: dict[str, Any], task_uuid: uuid.UUID, body: Stored) -> Any:
    """Add a file

    The body is the file and nothing else. `Content-Type` may say what it is; its content has to
    agree. With `application/octet-stream` the content alone decides. Programs are not taken.
    """
    name, quota = clean_name(query["name"]), _settings().attachments_quota
    with transaction():
        return service.add_file(current_user(), task_uuid, name, body, quota)


@attachments.route("/<uuid:attachment_uuid>", guard=CAN_READ)
@attachments.response(200, schemas.AttachmentSchema)
def get_attachment(task_uuid: uuid.UUID, attachment_uuid: uuid.UUID) -> Any:
    """Get one file's name, type and size"""
    return service.get_file(current_user(), task_uuid, attachment_uuid)


@attachments.route("/<uuid:attachment_uuid>/content", guard=CAN_READ, parameters=[RANGE_PARAMETER])
@attachments.doc(
    responses={
        "200": {"description": "The file, with its hash as ETag.", "content": BYTES},
        "206": {"description": "The part that was asked for.", "content": BYTES},
    }
)
@attachments.alt_response(304, description="It is as it was when it was read with this ETag.")
@attachments.alt_response(410, **PROBLEM, description="The content is no longer there.")
@attachments.alt_response(416, **PROBLEM, description="The file has no such part.")
@attachments.alt_response(501, **PROBLEM, description="Files are not kept here.")
def get_content(task_uuid: uuid.UUID, attachment_uuid: uuid.UUID) -> Response:
    """Download a file

    `Range` gives a part of it, `If-Range` only where the file is still the same, and
    `If-None-Match` saves the transfer. Browsers show pictures, and save everything else.
    """
    file = service.get_content(current_user(), task_uuid, attachment_uuid)
    etag = f'"{file.sha256}"'
    headers = {**serving.headers(file.name, file.media_type), "ETag": etag}
    if request.if_none_match.contains_weak(file.sha256):
        return Response(status=304, headers={"ETag": etag, **serving.CACHING})
    store = Store(_settings(), current_tenant().uuid)
    if_range = request.headers.get("If-Range")
    part = part_of(request.headers.get("Range"), file.size, etag=etag, if_range=if_range)
    if part is None:
        headers["Content-Length"] = str(file.size)
        return Response(store.pieces(file.key, 0, file.size), headers=headers)
    headers |= {"Content-Length": str(part.length), "Content-Range": part.content_range}
    return Response(store.pieces(file.key, part.start, part.length), status=206, headers=headers)


@attachments.route("/<uuid:attachment_uuid>", methods=["DELETE"], guard=CAN_WRITE, versioned=False)
@attachments.response(204)
def delete_attachment(task_uuid: uuid.UUID, attachment_uuid: uuid.UUID) -> None:
    """Delete a file

    Whoever may write in the list may. It cannot be brought back.
    """
    with transaction():
        service.delete_file(current_user(), task_uuid, attachment_uuid)


def _settings() -> Settings:
    settings: Settings = current_app.config["SETTINGS"]
    return settings
