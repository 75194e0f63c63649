"""Finds tenants whose schema is not what their revision makes it.

A glance at many tenants at once compares one digest for each. Only who differs there is looked at
alone, while nobody else works on it, so that an upgrade that is under way is never taken for drift.
"""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import NamedTuple

import sqlalchemy as sa

from ops.monitor import catalogue
from ops.monitor.compare import compare
from ops.monitor.expected import Expectations
from ops.monitor.models import TenantCheck
from ops.upgrades.locks import BusyError
from ops.upgrades.versions import read_versions
from todo_app.config import Settings
from todo_app.database import OPS_BIND, db
from todo_app.errors import AppError, InvalidInputError, first_line
from todo_app.tenants.models import ACTIVE, SUSPENDED, Tenant

BATCH = 50
"""Tenants of one statement and one transaction."""

TRIES = 3
"""How often a tenant is looked at that somebody works on."""

PAUSE_SECONDS = 1.0

CHECKED_STATES = (ACTIVE, SUSPENDED)

_IS_HELD = sa.text(
    "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND classid = 7301002 AND objid::bigint = hashtext(:schema)::bigint & 4294967295)"
)
"""Whether somebody has taken LOCK_SCHEMA; asked only, as whoever wants it would not wait for us."""

_STORE = sa.text(
    "INSERT INTO public.tenant_checks (tenant_id, revision, differences, checked_at)"
    " SELECT t.id, f.revision, f.differences, now()"
    " FROM jsonb_to_recordset(CAST(:found AS jsonb))"
    " AS f (tenant_id bigint, revision text, differences text[])"
    # Left out are tenants that are gone, and those that somebody holds: the others must not wait.
    " JOIN public.tenants AS t ON t.id = f.tenant_id ORDER BY t.id FOR KEY SHARE OF t SKIP LOCKED"
    " ON CONFLICT (tenant_id) DO UPDATE SET revision = excluded.revision,"
    " differences = excluded.differences, checked_at = excluded.checked_at"
)


class Subject(NamedTuple):
    """A tenant to be checked, as the catalogue has it."""

    id: int
    slug: str
    schema_name: str
    revision: str


class Standing(NamedTuple):
    """Where a tenant stands at one moment."""

    slug: str
    catalogue: str
    """Revision by the catalogue."""
    own: str | None
    """Revision by the schema's own version table; None where it has none."""


class Finding(NamedTuple):
    """A tenant that was checked."""

    tenant_id: int
    tenant: str
    revision: str
    differences: list[str]


class Unchecked(NamedTuple):
    """A tenant that could not be checked."""

    tenant_id: int
    tenant: str
    reason: str
    passes: bool
    """Whether the reason is gone in a while: somebody works on the tenant."""


@dataclass
class Report:
    """What a check has found."""

    checked: int = 0
    differing: list[Finding] = field(default_factory=list)
    unchecked: list[Unchecked] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """It in one line."""
        text = f"{len(self.differing)} of {self.checked} tenants differ from their revision."
        return text + (f" {len(self.unchecked)} could not be checked." if self.unchecked else "")


def check_all(settings: Settings, slugs: Sequence[str] = ()) -> Report:
    """Check all active and suspended tenants, and keep what is found in `public.tenant_checks`.

    Args:
        settings: which roles there are, and how many schemas a connection may see.
        slugs: only these tenants; empty means all.

    Raises:
        InvalidInputError: there is no tenant with one of the slugs, or it is in another state.
        sqlalchemy.exc.DBAPIError: the database is away.
    """
    report = Report()
    expectations = Expectations(settings)
    condition = _chosen(slugs)
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE_SECONDS)
        with closing(_batches(condition, settings.pool_max_schemas)) as batches:
            for connection, subjects in batches:
                _check(connection, subjects, expectations, report)
        passing = [tenant.tenant_id for tenant in report.unchecked if tenant.passes]
        if not passing or attempt == TRIES - 1:
            break
        report.unchecked = [tenant for tenant in report.unchecked if not tenant.passes]
        condition = Tenant.id.in_(passing)
    return report


def last_checks(tenant_ids: Sequence[int]) -> dict[int, TenantCheck]:
    """What was found last in some tenants, by their ids; in those that were ever checked."""
    statement = sa.select(TenantCheck).where(TenantCheck.tenant_id.in_(tenant_ids))
    return {check.tenant_id: check for check in db.session.scalars(statement)}


def _chosen(slugs: Sequence[str]) -> sa.ColumnElement[bool]:
    if not slugs:
        return sa.true()
    with db.engines[OPS_BIND].connect() as connection:
        statement = sa.select(Tenant.slug, Tenant.state).where(Tenant.slug.in_(slugs))
        states = {row.slug: row.state for row in connection.execute(statement)}
    for slug in slugs:
        if slug not in states:
            raise InvalidInputError(f"There is no tenant {slug}.")
        if states[slug] not in CHECKED_STATES:
            raise InvalidInputError(f"The tenant {slug} is {states[slug]}.")
    return Tenant.slug.in_(slugs)


def _batches(
    condition: sa.ColumnElement[bool], max_schemas: int
) -> Generator[tuple[sa.Connection, list[Subject]]]:
    """The tenants in the order of their ids, each batch with a connection to check it on."""
    size = min(BATCH, max_schemas)
    statement = (
        sa.select(Tenant.id, Tenant.slug, Tenant.schema_name, Tenant.revision)
        .where(Tenant.state.in_(CHECKED_STATES), condition)
        .order_by(Tenant.id)
        .limit(size)
    )
    after = 0
    while True:
        with db.engines[OPS_BIND].connect() as connection:
            # It ends here and is not pooled: its server keeps what it has seen of each schema.
            connection.detach()
            for _ in range(max_schemas // size):
                rows = connection.execute(statement.where(Tenant.id > after)).all()
                connection.rollback()
                if not rows:
                    return
                yield connection, [Subject._make(row) for row in rows]
                after = rows[-1].id


def _check(
    connection: sa.Connection,
    subjects: Sequence[Subject],
    expectations: Expectations,
    report: Report,
) -> None:
    """Check some tenants, keep what is found and add it to the report."""
    clean = _glance(connection, subjects, expectations)
    findings = [Finding(s.id, s.slug, s.revision, []) for s in subjects if s.id in clean]
    for subject in subjects:
        if subject.id not in clean:
            result = _look(connection, subject, expectations)
            if isinstance(result, Finding):
                findings.append(result)
            elif result is not None:
                report.unchecked.append(result)
    found = json.dumps([finding._asdict() for finding in findings])
    connection.execute(_STORE, {"found": found})
    connection.commit()
    report.checked += len(findings)
    report.differing += [finding for finding in findings if finding.differences]


def _glance(
    connection: sa.Connection, subjects: Sequence[Subject], expectations: Expectations
) -> set[int]:
    """Ids of the tenants that are what they should be; the others have to be looked at."""
    schemas = [subject.schema_name for subject in subjects]
    try:
        catalogue.prepare(connection)
        digests = catalogue.digests(connection, schemas)
        versions = read_versions(connection, schemas)
    except sa.exc.DBAPIError as error:
        # Which of them it is, and what is the matter with it, shows when each is looked at.
        if error.connection_invalidated:
            raise
        return set()
    finally:
        connection.rollback()
    return {
        subject.id
        for subject in subjects
        if subject.schema_name in digests
        and digests[subject.schema_name] == expectations.digest(subject.revision)
        and versions.get(subject.schema_name) == subject.revision
    }


def _look(
    connection: sa.Connection, subject: Subject, expectations: Expectations
) -> Finding | Unchecked | None:
    """Check one tenant alone; None where it is gone or closed meanwhile."""
    try:
        catalogue.prepare(connection)
        before = _standing(connection, subject)
        if before is None:
            return None
        revision, found = differences(
            connection, subject.schema_name, before.catalogue, before.own, expectations
        )
        if _standing(connection, subject) != before:
            raise BusyError
        return Finding(subject.id, before.slug, revision, found)
    except (AppError, sa.exc.DBAPIError) as error:
        if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
            raise
        passes = not isinstance(error, AppError) or isinstance(error, BusyError)
        return Unchecked(subject.id, subject.slug, first_line(error), passes)
    finally:
        connection.rollback()


def _standing(connection: sa.Connection, subject: Subject) -> Standing | None:
    """Where a tenant stands; None where it is gone or closed.

    Whoever moves a tenant holds its lock meanwhile and leaves another revision behind: where this
    is the same before and after a look, nobody has changed the schema in between.

    Raises:
        BusyError: somebody works on it.
    """
    if connection.execute(_IS_HELD, {"schema": subject.schema_name}).scalar_one():
        raise BusyError
    statement = sa.select(Tenant.slug, Tenant.revision).where(
        Tenant.id == subject.id, Tenant.state.in_(CHECKED_STATES)
    )
    row = connection.execute(statement).one_or_none()
    if row is None:
        return None
    own = read_versions(connection, [subject.schema_name]).get(subject.schema_name)
    return Standing(row.slug, row.revision, own)


def differences(
    connection: sa.Connection,
    schema_name: str,
    revision: str,
    own: str | None,
    expectations: Expectations,
) -> tuple[str, list[str]]:
    """How one schema differs from its revision.

    Args:
        connection: of operations, prepared by `catalogue.prepare`.
        schema_name: of the tenant.
        revision: what the catalogue of tenants says.
        own: what its own version table says; None where it has none.
        expectations: what it is compared with.

    Returns:
        The revision that it was compared with, its own where it has one, and the differences in
        words.

    Raises:
        InvalidInputError: this code does not have the revision.
    """
    objects = catalogue.describe(connection, schema_name)
    if not objects:
        return revision, [f"missing schema {schema_name}"]
    found = []
    if own is not None and own != revision:
        found = [f"the schema is at {own or 'base'}, the catalogue says {revision or 'base'}"]
    compared = own or revision
    try:
        found += compare(expectations.at(compared).objects, objects)
    except InvalidInputError:
        if not found:
            raise
    return compared, found
