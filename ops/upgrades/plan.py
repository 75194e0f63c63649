"""Who has to move, and in which waves: decided from the catalogue alone, in one query."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa

from ops.runs.job import Member
from ops.upgrades.versions import read_versions
from todo_app.database import db, own_connection
from todo_app.errors import InvalidInputError
from todo_app.tenants.models import ACTIVE, STATES, SUSPENDED, Tenant

FIRST_WAVE_PART = 10
"""The first wave after the canaries is a tenth of the tenants."""

READ_BATCH = 200
"""Version tables read by one statement, which locks all of them until it ends."""


@dataclass(frozen=True)
class Choice:
    """Which tenants are meant, and how they are divided."""

    only: Sequence[str] = ()
    """Slugs; empty means all."""
    where: Mapping[str, str] | None = None
    """Values that columns of the catalogue must have: state, revision."""
    canaries: int | None = None
    """How many tenants go first, spread over the fleet; None for those that are marked."""
    wave_size: int | None = None
    """Tenants of a wave; None for a tenth, then the rest."""


class Correction(NamedTuple):
    """A tenant whose revision in the catalogue was wrong."""

    slug: str
    catalogue: str
    schema: str | None
    """What its own version table says; None where there is none."""

    @property
    def text(self) -> str:
        """What was found, in words."""
        if self.schema is None:
            return f"{self.slug} has no version table"
        if "," in self.schema:
            return f"{self.slug} has several revisions: {self.schema}"
        return f"{self.slug} is at {self.schema or 'base'}, not {self.catalogue or 'base'}"


WHERE = {"state": Tenant.state, "revision": Tenant.revision}


class Waves(NamedTuple):
    """Tenants that have to move, in their order."""

    has_canaries: bool
    waves: list[list[Member]]


def plan(target: str, choice: Choice, *, downgrade: bool = False) -> Waves:
    """The tenants that have to move, in waves.

    Args:
        target: revision name.
        choice: which tenants.
        downgrade: look for tenants above the target instead of below.

    Returns:
        The waves, the canaries first where there are any; none where nobody has to move.

    Raises:
        InvalidInputError: there is no such tenant, or no such column or state to choose by.
    """
    statement = sa.select(
        Tenant.id, Tenant.schema_name, Tenant.slug, Tenant.revision, Tenant.is_canary
    ).where(
        Tenant.revision > target if downgrade else Tenant.revision < target,
        Tenant.state.in_((ACTIVE, SUSPENDED)),
        *_conditions(choice.where or {}),
    )
    if choice.only:
        _check_slugs(choice.only)
        statement = statement.where(Tenant.slug.in_(choice.only))
    rows = db.session.execute(statement.order_by(Tenant.id)).all()
    return _waves(rows, choice)


def _conditions(where: Mapping[str, str]) -> list[sa.ColumnElement[bool]]:
    unknown = sorted(set(where) - set(WHERE))
    if unknown:
        raise InvalidInputError(f"Tenants are chosen by {' or '.join(WHERE)}, not {unknown[0]!r}.")
    if where.get("state", ACTIVE) not in STATES:
        raise InvalidInputError(f"There is no state {where['state']!r}: {', '.join(STATES)}.")
    return [WHERE[column] == value for column, value in where.items()]


def _check_slugs(slugs: Sequence[str]) -> None:
    known = set(db.session.scalars(sa.select(Tenant.slug).where(Tenant.slug.in_(slugs))))
    unknown = sorted(set(slugs) - known)
    if unknown:
        raise InvalidInputError(f"There is no tenant {', '.join(unknown)}.")


def _waves(rows: Sequence[Any], choice: Choice) -> Waves:
    canaries = _canaries(rows, choice.canaries)
    chosen = {row.id for row in canaries}
    rest = [row for row in rows if row.id not in chosen]
    first = choice.wave_size or math.ceil(len(rest) / FIRST_WAVE_PART)
    size = choice.wave_size or len(rest) - first
    waves = [canaries, rest[:first]]
    waves += [rest[start : start + size] for start in range(first, len(rest), size or 1)]
    members = [
        [Member(row.id, row.schema_name, row.slug, {"from_revision": row.revision}) for row in wave]
        for wave in waves
        if wave
    ]
    return Waves(bool(canaries), members)


def _canaries(rows: Sequence[Any], number: int | None) -> list[Any]:
    if number is None:
        return [row for row in rows if row.is_canary]
    number = min(number, len(rows))
    # Old and new ones, large and small ones: from all over the fleet.
    return [rows[index * len(rows) // number] for index in range(number)]


def reconcile() -> list[Correction]:
    """Put the catalogue's copy of every revision right by the tenants' own version tables.

    Returns:
        What was wrong. A tenant without a version table, or with several revisions in it, is named
        and left as it is.
    """
    corrections: list[Correction] = []
    after = 0
    while True:
        # A connection keeps what it knows of each schema until it ends.
        with own_connection() as connection:
            rows = connection.execute(_SOME_TENANTS, {"after": after, "some": READ_BATCH}).all()
            if not rows:
                return corrections
            after = rows[-1].id
            corrections += _reconcile(connection, rows)


_SOME_TENANTS = (
    sa.select(Tenant.id, Tenant.slug, Tenant.schema_name, Tenant.revision)
    .where(Tenant.state.in_((ACTIVE, SUSPENDED)), Tenant.id > sa.bindparam("after"))
    .order_by(Tenant.id)
    .limit(sa.bindparam("some"))
)


def _reconcile(connection: sa.Connection, rows: Sequence[Any]) -> list[Correction]:
    versions = read_versions(connection, [row.schema_name for row in rows])
    corrections = []
    for row in rows:
        revision = versions.get(row.schema_name)
        if revision == row.revision:
            continue
        if revision is None or "," in revision:
            corrections.append(Correction(row.slug, row.revision, revision))
            continue
        # An upgrade may have moved it since: then its own transaction has told the catalogue.
        changed = connection.execute(
            sa.update(Tenant)
            .where(Tenant.id == row.id, Tenant.revision == row.revision)
            .values(revision=revision)
        )
        if changed.rowcount:
            corrections.append(Correction(row.slug, row.revision, revision))
    return corrections
