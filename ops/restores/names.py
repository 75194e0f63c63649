"""Names of the schemas that restores make; no tenant's own schema can have such a name.

A tenant's generated name ends with an underscore and 8 hexadecimal digits, these with 12.
"""

from __future__ import annotations

import secrets

import sqlalchemy as sa

from todo_app.tenancy import SCHEMA_PREFIX
from todo_app.tenants.service import MAX_SLUG_LENGTH

_DIGITS = 12

_BEGIN = SCHEMA_PREFIX.replace("_", r"\_")

_OF_RESTORES = (
    "SELECT n.nspname::text FROM pg_namespace AS n"  # noqa: S608 (made of constants)
    # The index is used for the beginnings.
    " WHERE (n.nspname LIKE :scratch OR n.nspname LIKE :kept OR n.nspname LIKE :side)"
    f" AND n.nspname ~ '_[0-9a-f]{{{_DIGITS}}}$'"
    " AND NOT EXISTS (SELECT FROM public.tenants AS t WHERE t.schema_name = n.nspname)"
    " AND NOT EXISTS (SELECT FROM public.replaced_schemas AS r WHERE r.schema_name = n.nspname)"
)

LEFT_BEHIND = sa.text(_OF_RESTORES).bindparams(
    scratch=rf"{_BEGIN}restoring\_%",
    kept=rf"{_BEGIN}replaced\_%",
    side=rf"{_BEGIN}side\_%",
)
"""Schemas of restores that nothing in the catalogue stands for: still being worked on, or lost."""


def scratch_name() -> str:
    """A new name for a schema that is being filled."""
    return _name("restoring")


def replaced_name() -> str:
    """A new name for what a restore puts aside."""
    return _name("replaced")


def side_name(slug: str) -> str:
    """A new name for some tables of a tenant."""
    return _name(f"side_{slug.replace('-', '_')[:MAX_SLUG_LENGTH]}")


def is_replaced(schema_name: str) -> bool:
    """Whether a schema was put aside whole, and can be brought back."""
    return schema_name.startswith(f"{SCHEMA_PREFIX}replaced_")


def _name(kind: str) -> str:
    return f"{SCHEMA_PREFIX}{kind}_{secrets.token_hex(_DIGITS // 2)}"
