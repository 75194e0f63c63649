"""Lists and their tasks."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from todo_app.database import Base, IdMixin, TimestampMixin, VersionMixin
from todo_app.filters.search import vector
from todo_app.todos.positions import FIRST
from todo_app.todos.workflow import NEW

LIST = "list"
FOLDER = "folder"
KINDS = (LIST, FOLDER)
"""A folder holds lists and folders, and no tasks."""

COMPANY = "company"
PRIVATE = "private"
VISIBILITIES = (COMPANY, PRIVATE)
"""Whether all people of the company see a list, or those alone with whom it is shared."""

READ, WRITE, ADMIN = ACCESSES = ("read", "write", "admin")

TEXT, NUMBER, DATE, BOOLEAN, CHOICE = FIELD_KINDS = (
    "text",
    "number",
    "date",
    "boolean",
    "choice",
)
"""What the values of a field of a list are."""

BLOCKS, DUPLICATES, RELATES = RELATIONS = ("blocks", "duplicates", "relates")

LOWEST_PRIORITY = 0
HIGHEST_PRIORITY = 5


def _ref(target: str, **kwargs: Any) -> Any:
    return mapped_column(sa.ForeignKey(f"{target}.id", ondelete="CASCADE"), **kwargs)


class PositionMixin:
    """Where a row stands among its neighbours: text that compares byte by byte."""

    position: Mapped[str] = mapped_column(sa.Text(collation="C"), server_default=FIRST)


class TodoList(IdMixin, PositionMixin, TimestampMixin, VersionMixin, Base):
    """A named list of tasks, or a folder of lists."""

    __tablename__ = "lists"
    __table_args__ = (
        sa.Index(
            "uq_lists_symbol",
            sa.text("lower(symbol)"),
            unique=True,
            postgresql_where=sa.text("symbol IS NOT NULL"),
        ),
    )

    title: Mapped[str]
    description: Mapped[str | None]
    color: Mapped[str | None]
    created_by_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id"), index=True)
    parent_id: Mapped[int | None] = _ref("lists", index=True)
    kind: Mapped[str] = mapped_column(server_default=LIST)
    visibility: Mapped[str] = mapped_column(server_default=COMPANY)
    icon: Mapped[str | None]
    symbol: Mapped[str | None]
    """`OPS` makes the tasks of the list OPS-1, OPS-2, and so on."""
    last_number: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")
    archived_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]


class Section(IdMixin, PositionMixin, TimestampMixin, VersionMixin, Base):
    """A part of a list."""

    __tablename__ = "sections"

    list_id: Mapped[int] = _ref("lists", index=True)
    title: Mapped[str]


class ListMember(Base):
    """That a list is shared with a user or a group, and what they may do."""

    __tablename__ = "list_members"
    __table_args__ = (
        sa.UniqueConstraint("list_id", "user_id"),
        sa.UniqueConstraint("list_id", "group_id"),
        sa.CheckConstraint("(user_id IS NULL) <> (group_id IS NULL)", name="one"),
        sa.CheckConstraint("access IN ('read', 'write', 'admin')", name="access"),
    )

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(always=True), primary_key=True)
    list_id: Mapped[int] = _ref("lists")
    user_id: Mapped[int | None] = _ref("users", index=True)
    group_id: Mapped[int | None] = _ref("groups", index=True)
    access: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())


class Favourite(PositionMixin, Base):
    """That somebody keeps a list at hand."""

    __tablename__ = "favourites"

    user_id: Mapped[int] = _ref("users", primary_key=True)
    list_id: Mapped[int] = _ref("lists", primary_key=True, index=True)
    created_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())


class Task(IdMixin, PositionMixin, TimestampMixin, VersionMixin, Base):
    """Something to do, in one list."""

    __tablename__ = "tasks"
    __table_args__ = (
        sa.CheckConstraint("priority BETWEEN 0 AND 5", name="priority"),
        sa.CheckConstraint("(status = 'done') = (completed_at IS NOT NULL)", name="completed"),
        sa.Index("ix_tasks_created_at_id", "created_at", "id"),
        sa.Index("ix_tasks_list_id_position_id", "list_id", "position", "id"),
        sa.Index(
            "ix_tasks_words",
            vector(sa.column("title"), sa.column("description")),
            postgresql_using="gin",
        ),
    )

    list_id: Mapped[int] = _ref("lists", index=True)
    title: Mapped[str]
    description: Mapped[str | None]
    status: Mapped[str] = mapped_column(server_default=NEW)
    priority: Mapped[int] = mapped_column(sa.SmallInteger, server_default="0")
    due_at: Mapped[datetime | None] = mapped_column(index=True)
    completed_at: Mapped[datetime | None]
    created_by_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id"), index=True)
    assignee_id: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id"), index=True)
    """Of programs that knew one assignee only; nothing reads it any more."""
    parent_id: Mapped[int | None] = _ref("tasks", index=True)
    section_id: Mapped[int | None] = mapped_column(
        sa.ForeignKey("sections.id", ondelete="SET NULL"), index=True
    )
    number: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")
    start_at: Mapped[datetime | None]
    is_all_day: Mapped[bool] = mapped_column(server_default=sa.false())
    """Start and due are days of `timezone` then, kept as their first moments."""
    timezone: Mapped[str | None]
    estimate_seconds: Mapped[int | None] = mapped_column(sa.BigInteger)
    recurrence: Mapped[str | None]
    recurs_from: Mapped[str | None]
    recurs_since: Mapped[datetime | None]
    """What the series began with."""
    recurs_at: Mapped[datetime | None]
    """Which date of the series this task stands for, whatever it was put off to. It stays when the
    task is completed, and its rule goes on to the next one."""
    deleted_at: Mapped[datetime | None]


class TaskAssignee(Base):
    """That somebody is to do a task."""

    __tablename__ = "task_assignees"

    task_id: Mapped[int] = _ref("tasks", primary_key=True)
    user_id: Mapped[int] = _ref("users", primary_key=True, index=True)
    created_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())


class Tag(IdMixin, TimestampMixin, VersionMixin, Base):
    """A word that tasks of all lists can have."""

    __tablename__ = "tags"
    __table_args__ = (sa.Index("uq_tags_name", sa.text("lower(name)"), unique=True),)

    name: Mapped[str]
    color: Mapped[str | None]


class TaskTag(Base):
    """That a task has a tag."""

    __tablename__ = "task_tags"

    task_id: Mapped[int] = _ref("tasks", primary_key=True)
    tag_id: Mapped[int] = _ref("tags", primary_key=True, index=True)


class TaskRelation(IdMixin, Base):
    """That one task blocks another, is the same, or has to do with it."""

    __tablename__ = "task_relations"
    __table_args__ = (
        sa.UniqueConstraint("task_id", "other_id", "kind"),
        sa.CheckConstraint("task_id <> other_id", name="another"),
        sa.CheckConstraint("kind IN ('blocks', 'duplicates', 'relates')", name="kind"),
    )

    task_id: Mapped[int] = _ref("tasks")
    other_id: Mapped[int] = _ref("tasks", index=True)
    kind: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())


class ListField(IdMixin, PositionMixin, TimestampMixin, VersionMixin, Base):
    """A field of its own that the tasks of a list have."""

    __tablename__ = "list_fields"
    __table_args__ = (sa.UniqueConstraint("list_id", "name"),)

    list_id: Mapped[int] = _ref("lists")
    name: Mapped[str]
    kind: Mapped[str]
    options: Mapped[list[str]] = mapped_column(server_default="{}")


class FieldValue(Base):
    """What a task has in such a field."""

    __tablename__ = "field_values"

    task_id: Mapped[int] = _ref("tasks", primary_key=True)
    field_id: Mapped[int] = _ref("list_fields", primary_key=True, index=True)
    value: Mapped[Any] = mapped_column(JSONB)


class TimeEntry(IdMixin, TimestampMixin, VersionMixin, Base):
    """Time that somebody has spent on a task; it runs while it has no end."""

    __tablename__ = "time_entries"
    __table_args__ = (sa.CheckConstraint("ended_at >= started_at", name="order"),)

    task_id: Mapped[int] = _ref("tasks", index=True)
    user_id: Mapped[int] = _ref("users", index=True)
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    note: Mapped[str | None]
