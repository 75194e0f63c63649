"""Upkeep: each night every tenant forgets what it need not keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from ops.runs import job as runs
from ops.runs.job import Limits, Member
from ops.runs.kinds import performs
from ops.runs.work import Performing
from ops.upkeep.tidy import tidying
from todo_app.config import Settings
from todo_app.database import db
from todo_app.errors import InvalidInputError
from todo_app.tenants.models import ACTIVE, Tenant

KIND = "upkeep"
TITLE = "upkeep"


def start(slugs: Sequence[str], *, actor: str) -> int:
    """Begin the upkeep of tenants.

    Args:
        slugs: whose; of all active ones where there are none.
        actor: who asks for it.

    Returns:
        The number of the run.

    Raises:
        InvalidInputError: there is no such active tenant.
        RunUnderwayError: another run of this kind works on one of them.
    """
    statement = sa.select(Tenant.id, Tenant.schema_name, Tenant.slug).where(Tenant.state == ACTIVE)
    if slugs:
        statement = statement.where(Tenant.slug.in_(slugs))
    members = [
        Member(row.id, row.schema_name, row.slug, {})
        for row in db.session.execute(statement.order_by(Tenant.id))
    ]
    unknown = sorted(set(slugs) - {member.slug for member in members})
    if unknown:
        raise InvalidInputError(f"There is no active tenant named {', '.join(unknown)}.")
    # One tenant that cannot be tidied says nothing about the others.
    return runs.start(KIND, TITLE, {}, [members], Limits(max_failures=len(members)), actor=actor)


@performs(KIND)
def perform(params: Mapping[str, Any], settings: Settings) -> Performing:
    """What does the work of a run."""
    return tidying(settings)
