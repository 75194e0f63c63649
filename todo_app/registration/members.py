"""In which tenants an address may have an account: what log-in by address alone follows.

Only addresses that are proven stand here: else whoever administers one company could find out
whether others know an address, and take its owner's log-in by address alone away. Only digests are
kept, apart from the tenants' own data. A tenant's role sees and changes its own rows alone.
"""

from __future__ import annotations

import hashlib
from typing import cast

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from todo_app.database import db
from todo_app.registration.models import Member
from todo_app.tenancy import current_tenant
from todo_app.tenants.models import ACTIVE, Tenant

MOST_TENANTS = 2
"""One is where to go on, two are one too many: more need not be read."""


_NOTE = insert(cast(sa.Table, Member.__table__)).on_conflict_do_nothing().inline()


def note(email: str) -> None:
    """Note that an address has an account in the current tenant."""
    row = {"email_digest": _digest(email), "schema_name": current_tenant().schema_name}
    db.session.connection().execute(_NOTE, row)


def forget(email: str) -> None:
    """Note that an address has no account in the current tenant any more."""
    schema_name = current_tenant().schema_name
    db.session.execute(
        sa.delete(Member).where(
            Member.email_digest == _digest(email), Member.schema_name == schema_name
        )
    )


def schemas_of(email: str, most: int | None = MOST_TENANTS) -> list[str]:
    """Schema names of active tenants in which an address may have an account.

    Runs in the control plane.

    Args:
        email: the address.
        most: how many are looked for; None for all.
    """
    return list(
        db.session.scalars(
            sa.select(Member.schema_name)
            .join(Tenant, Tenant.schema_name == Member.schema_name)
            .where(Member.email_digest == _digest(email), Tenant.state == ACTIVE)
            .limit(most)
        )
    )


def _digest(email: str) -> bytes:
    return hashlib.sha256(email.lower().encode()).digest()
