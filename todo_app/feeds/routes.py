"""`/feeds`."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Response, current_app, request

from todo_app.auth import SignedIn, current_user
from todo_app.blueprint import Blueprint
from todo_app.database import db, transaction
from todo_app.feeds import address, schemas, service
from todo_app.feeds.guard import FeedAddress, current_feed
from todo_app.todos.ical import EVENTS, MEDIA_TYPE, render

feeds = Blueprint(
    "feeds", __name__, url_prefix="/feeds", description="Tasks in programs for calendars"
)

CALENDAR = {
    MEDIA_TYPE.partition(";")[0]: {
        "schema": {"type": "string"},
        "example": render("Groceries", []).decode(),
    }
}
SECRET_PARAMETER = {
    "name": "secret",
    "in": "path",
    "required": True,
    "description": "From the address that was given when the calendar was made.",
    "schema": {"type": "string", "maxLength": address.MAX_LENGTH},
    "example": address.EXAMPLE,
}


@feeds.route("/", guard=SignedIn())
@feeds.response(200, schemas.FeedsSchema)
def list_feeds() -> dict[str, Any]:
    """List the own calendars

    The newest first. Their addresses are not shown again.
    """
    return {"items": service.feeds_of(current_user())}


@feeds.route("/", methods=["POST"], guard=SignedIn(), keeps_answer=False)
@feeds.arguments(schemas.FeedCreateSchema)
@feeds.response(201, schemas.NewFeedSchema)
def create_feed(data: dict[str, Any]) -> dict[str, Any]:
    """Make a calendar

    Of a list, or of your own tasks: those of all lists that are assigned to you, and those that you
    have made and nobody is to do. Whoever knows its address can read it, without signing in, as
    long as you can: the addresses are shown this once.
    """
    with transaction():
        made = service.add_feed(current_user(), **data)
    assert made.secret is not None  # noqa: S101 (it has just been made)
    url = address.url(current_app.config["SETTINGS"].public_url, made.secret)
    return {**made._asdict(), "url": url, "events_url": f"{url}?kind={EVENTS}"}


@feeds.route("/<uuid:feed_uuid>", methods=["DELETE"], guard=SignedIn(), versioned=False)
@feeds.response(204)
def delete_feed(feed_uuid: uuid.UUID) -> None:
    """Revoke a calendar

    Its address is worth nothing from now on.
    """
    with transaction():
        service.delete_feed(current_user(), feed_uuid)


@feeds.route("/<string:secret>.ics", guard=FeedAddress(), parameters=[SECRET_PARAMETER])
@feeds.arguments(schemas.CalendarQuerySchema, location="query")
@feeds.doc(responses={"200": {"description": "The calendar.", "content": CALENDAR}})
@feeds.alt_response(304, description="It is as it was when it was read with this ETag.")
def read_calendar(query: dict[str, Any], secret: str) -> Response:
    """Read a calendar

    For programs that subscribe to it: no token is needed, the address is the secret. At most 1,000
    tasks, those that are open first; what was done or rejected stays for 30 days. `If-None-Match`
    saves the transfer.
    """
    feed = current_feed()
    with transaction():
        calendar = service.read_feed(current_user(), feed, query["kind"])
        service.note_use(feed)
    # Writing takes a while, and needs no connection.
    db.session.remove()
    answer = Response(mimetype=MEDIA_TYPE.partition(";")[0])
    answer.set_etag(calendar.etag)
    answer.headers["Cache-Control"] = "private, no-cache"
    if request.if_none_match.contains(calendar.etag):
        answer.status_code = 304
        return answer
    answer.set_data(calendar.render())
    answer.headers.set("Content-Disposition", "inline", filename="tasks.ics")
    return answer
