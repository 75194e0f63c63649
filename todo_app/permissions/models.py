"""Roles, and the permissions that a role can have."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from todo_app.database import Base, IdMixin, TimestampMixin, VersionMixin

MASTER_ADMIN = "master_admin"
ADMIN = "admin"
USER = "user"
READ_ONLY = "read_only"

PERMISSIONS: dict[str, dict[str, str]] = {
    "tasks": {
        "tasks:read": "See lists and tasks.",
        "tasks:write": "Make, change and delete lists and tasks.",
    },
    "users": {
        "users:read": "See users, groups and roles.",
        "users:write": "Add, invite, change and delete users.",
        "groups:write": "Make, change and delete groups, and say who is in them.",
        "admins:write": "Do this to administrators, too, and read the company's backup.",
    },
    "company": {
        "audit:read": "Read who did what.",
        "roles:write": "Make, change and delete roles.",
        "settings:write": "Change the company's settings.",
    },
}
"""All permissions by group, each with what it allows."""

ALL_PERMISSIONS = frozenset(name for group in PERMISSIONS.values() for name in group)

ADMINISTRATIVE = frozenset(
    {"users:write", "admins:write", "roles:write", "settings:write", "groups:write"}
)
"""A role with one of these is an administrator's: only who has `admins:write` hands it out."""


class Role(IdMixin, TimestampMixin, VersionMixin, Base):
    """A named set of permissions. The built-in ones come with the schema and never change."""

    __tablename__ = "roles"

    name: Mapped[str] = mapped_column(unique=True)
    title: Mapped[str]
    description: Mapped[str | None]
    permissions: Mapped[list[str]]
    is_builtin: Mapped[bool] = mapped_column(server_default=sa.false())
