"""What people say about tasks, and whom they mention.

A comment that is deleted keeps its place and loses its text, so that answers to it still have
something to stand below.
"""

from __future__ import annotations

import re
import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import aggregate_order_by, insert

from todo_app.accounts.models import User
from todo_app.activity.changes import changed
from todo_app.activity.models import Activity
from todo_app.activity.service import record
from todo_app.comments.models import Comment, Mention
from todo_app.database import Versions, db
from todo_app.errors import (
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    PreconditionFailedError,
)
from todo_app.pagination import Page, PageQuery, PageRequest, contains
from todo_app.tenancy import CurrentUser
from todo_app.todos import markdown
from todo_app.todos.access import check, visible_lists
from todo_app.todos.details import may_see
from todo_app.todos.locks import lock_task
from todo_app.todos.models import ADMIN, Task
from todo_app.todos.shown import NO_SUCH_TASK, Shown, person, person_shape

NO_SUCH_COMMENT = "There is no such comment."
NOT_YOURS = "Only its author changes a comment."
IS_DELETED = "This comment has been deleted."
MAX_MENTIONS = 20
TOO_MANY = f"A comment mentions at most {MAX_MENTIONS} people."

MENTION = re.compile(r"(?<![\w@.+-])@([\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+)")
"""`@` and the address of somebody; one that nobody has stays mere text."""

ORDER_BY = {"created_at": Comment.created_at, "updated_at": Comment.updated_at}

_MENTIONS = (
    sa.select(
        sa.func.coalesce(
            sa.func.jsonb_agg(aggregate_order_by(person_shape(User), User.id)),
            sa.literal_column("'[]'::jsonb"),
        )
    )
    .select_from(Mention)
    .join(User, User.id == Mention.user_id)
    .where(Mention.comment_id == Comment.id)
    .correlate(Comment)
    .scalar_subquery()
)
_ROWS = sa.select(
    Comment.uuid,
    sa.case((Comment.deleted_at.is_(None), Comment.text)).label("text"),
    Comment.deleted_at,
    Comment.version,
    Comment.created_at,
    Comment.updated_at,
    Task.uuid.label("task_uuid"),
    person(Comment.author_id).label("author"),
    _MENTIONS.label("mentions"),
).join(Task, Task.id == Comment.task_id)


def rows(actor: CurrentUser) -> sa.Select[*tuple[Any, ...]]:
    """The comments of all tasks that `actor` may see, those that were deleted among them."""
    return _ROWS.where(Task.deleted_at.is_(None), Task.list_id.in_(visible_lists(actor)))


def page_of_comments(actor: CurrentUser, request: PageRequest, filters: dict[str, Any]) -> Page:
    """A page of comments; `search` looks into the text.

    Args:
        actor: who asks.
        request: which page.
        filters: any of `task_uuid`, `author_uuid`, and `mentions_me` (true); a comment must meet
            all.
    """
    shown = rows(actor)
    if request.search:
        shown = shown.where(
            Comment.deleted_at.is_(None), Comment.text.ilike(contains(request.search))
        )
    if "task_uuid" in filters:
        shown = shown.where(Task.uuid == filters["task_uuid"])
    if "author_uuid" in filters:
        author = sa.select(User.id).where(User.uuid == filters["author_uuid"])
        shown = shown.where(Comment.author_id == author.scalar_subquery())
    if filters.get("mentions_me"):
        is_named = (Mention.comment_id == Comment.id) & (Mention.user_id == actor.id)
        shown = shown.where(sa.exists().where(is_named))
    page = PageQuery(shown, ORDER_BY, Comment.id).fetch(request)
    return page._replace(items=[with_html(row) for row in page.items])


def get_comment(actor: CurrentUser, comment_uuid: uuid.UUID) -> Shown:
    """One comment as it is shown.

    Raises:
        NotFoundError: there is no such comment, or it is not for the actor to see.
    """
    row = db.session.execute(rows(actor).where(Comment.uuid == comment_uuid)).one_or_none()
    if row is None:
        raise NotFoundError(NO_SUCH_COMMENT)
    return with_html(row)


def add_comment(actor: CurrentUser, task_uuid: uuid.UUID, text: str) -> Shown:
    """Say something about a task.

    Raises:
        InvalidInputError: there is no such task for the actor to see, the text cannot be shown, or
            mentions too many people.
        ForbiddenError, FolderError, ListArchivedError: nothing may be written in its list.
    """
    _check(text)
    try:
        task = lock_task(actor, task_uuid)
    except NotFoundError:
        raise InvalidInputError(errors={"json": {"task_uuid": [NO_SUCH_TASK]}}) from None
    comment = Comment(task_id=task.id, author_id=actor.id, text=text)
    db.session.add(comment)
    db.session.flush()
    mentioned = _write_mentions(comment, task.list_id)
    told: dict[str, tuple[Any, Any]] = {
        "comment_uuid": (None, comment.uuid),
        "text": (None, text),
        "mentions": ([], mentioned),
    }
    _tell(actor, "comment.added", comment, task, told)
    return get_comment(actor, comment.uuid)


def change_comment(
    actor: CurrentUser, comment_uuid: uuid.UUID, changes: dict[str, Any], versions: Versions
) -> Shown:
    """Change the text of a comment of one's own.

    Raises:
        NotFoundError: there is no such comment, or it is not for the actor to see.
        ForbiddenError: it is somebody else's, or nothing may be written in its list.
        InvalidInputError: the text cannot be shown, or mentions too many people.
        PreconditionFailedError: `versions` are given and the current one is not among them.
        FolderError, ListArchivedError
    """
    if "text" in changes:
        _check(changes["text"])
    comment, task = _lock(actor, comment_uuid, versions)
    if comment.author_id != actor.id:
        raise ForbiddenError(NOT_YOURS)
    old, new = comment.text, changes.get("text", comment.text)
    if new != old:
        had = _mentioned(comment)
        comment.text = new
        db.session.flush()
        told: dict[str, tuple[Any, Any]] = {"text": (old, new)}
        have = _write_mentions(comment, task.list_id)
        if had != have:
            told["mentions"] = (had, have)
        told["comment_uuid"] = (comment.uuid, comment.uuid)
        _tell(actor, "comment.changed", comment, task, told)
    return get_comment(actor, comment_uuid)


def delete_comment(actor: CurrentUser, comment_uuid: uuid.UUID, versions: Versions) -> None:
    """Take the text of a comment away; its author does so, or an admin of the list.

    Raises:
        NotFoundError, ForbiddenError, PreconditionFailedError, FolderError, ListArchivedError: as
            of `change_comment`.
    """
    comment, task = _lock(actor, comment_uuid, versions)
    if comment.author_id != actor.id:
        check(actor, task.list_id, ADMIN)
    comment.text, comment.deleted_at = "", sa.func.now()
    db.session.flush()
    db.session.execute(sa.delete(Mention).where(Mention.comment_id == comment.id))
    _forget_text(comment)
    gone = {"comment_uuid": (comment.uuid, None)}
    record(actor, "comment.deleted", list_id=task.list_id, task_id=task.id, changes=gone)
    changed("comment", comment.uuid, list_id=task.list_id, deleted=True)


def _forget_text(comment: Comment) -> None:
    """Take what a comment said out of the timeline."""
    is_of_it = Activity.changes["comment_uuid"].contains([str(comment.uuid)])
    changes = sa.func.jsonb_set(
        Activity.changes, sa.text("'{text}'"), sa.text("'[null, null]'::jsonb")
    )
    db.session.execute(
        sa.update(Activity)
        .where(Activity.task_id == comment.task_id, is_of_it)
        .values(changes=changes)
        .execution_options(synchronize_session=False)
    )


def _lock(actor: CurrentUser, comment_uuid: uuid.UUID, versions: Versions) -> tuple[Comment, Task]:
    of_comment = sa.select(Task.uuid).join(Comment, Comment.task_id == Task.id)
    task_uuid = db.session.scalar(of_comment.where(Comment.uuid == comment_uuid))
    if task_uuid is None:
        raise NotFoundError(NO_SUCH_COMMENT)
    try:
        task = lock_task(actor, task_uuid)
    except NotFoundError:
        raise NotFoundError(NO_SUCH_COMMENT) from None
    found = sa.select(Comment).where(Comment.uuid == comment_uuid, Comment.deleted_at.is_(None))
    locked = found.with_for_update().execution_options(populate_existing=True)
    comment = db.session.scalars(locked).one_or_none()
    if comment is None:
        raise NotFoundError(IS_DELETED)
    if versions is not None and comment.version not in versions:
        raise PreconditionFailedError
    return comment, task


def _check(text: str) -> None:
    problem = TOO_MANY if len(_addresses(text)) > MAX_MENTIONS else None
    try:
        markdown.render(text)
    except markdown.MarkdownError as error:
        problem = error.detail
    if problem:
        raise InvalidInputError(errors={"json": {"text": [problem]}})


def _addresses(text: str) -> set[str]:
    return {match.lower().rstrip(".") for match in MENTION.findall(text)}


def _write_mentions(comment: Comment, list_id: int) -> list[str]:
    """Note whom the text names, of those who can see the list; their ids."""
    db.session.execute(sa.delete(Mention).where(Mention.comment_id == comment.id))
    people = sa.select(sa.literal(comment.id), User.id).where(
        sa.func.lower(User.email).in_(_addresses(comment.text)),
        User.deleted_at.is_(None),
        User.is_active,
        may_see(list_id),
    )
    named = insert(Mention).from_select(["comment_id", "user_id"], people)
    db.session.execute(named)
    return _mentioned(comment)


def _mentioned(comment: Comment) -> list[str]:
    found = sa.select(User.uuid).join(Mention, Mention.user_id == User.id)
    of_comment = found.where(Mention.comment_id == comment.id).order_by(User.id)
    return [str(user_uuid) for user_uuid in db.session.scalars(of_comment)]


def _tell(
    actor: CurrentUser, action: str, comment: Comment, task: Task, told: dict[str, tuple[Any, Any]]
) -> None:
    record(actor, action, list_id=task.list_id, task_id=task.id, changes=told)
    changed("comment", comment.uuid, list_id=task.list_id)


def with_html(row: Any) -> Shown:
    """A comment with its text as HTML."""
    html = None if row.text is None else markdown.render(row.text)
    return Shown(**row._asdict(), text_html=html)
