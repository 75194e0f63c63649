"""Operators and their tokens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from ops.operators.models import AuditEntry, Operator
from todo_app.auth import digest, new_secret
from todo_app.database import db
from todo_app.errors import ConflictError, InvalidInputError, NotFoundError

TENANTS_READ = "tenants:read"
TENANTS_WRITE = "tenants:write"
UPGRADES_RUN = "upgrades:run"
BACKUPS_READ = "backups:read"
BACKUPS_RUN = "backups:run"
RESTORES_RUN = "restores:run"
SCOPES = (TENANTS_READ, TENANTS_WRITE, UPGRADES_RUN, BACKUPS_READ, BACKUPS_RUN, RESTORES_RUN)

TOKEN_PREFIX = "op."  # noqa: S105 (marks a token, is none)


def create(name: str, scopes: list[str], lasts: timedelta | None) -> str:
    """Add an operator.

    Args:
        name: unique name.
        scopes: what the token may do, of SCOPES.
        lasts: how long the token is good for; None for ever.

    Returns:
        The token. It is stored as a digest only and cannot be shown again.

    Raises:
        ConflictError: the name is taken.
        InvalidInputError: there is no such scope, or none is given.
    """
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise InvalidInputError(
            f"Scopes are {', '.join(SCOPES)}; not {', '.join(unknown) or 'none'}."
        )
    secret = new_secret()
    operator = Operator(
        name=name,
        scopes=sorted(set(scopes)),
        token_digest=digest(secret),
        expires_at=datetime.now(UTC) + lasts if lasts else None,
    )
    db.session.add(operator)
    try:
        db.session.flush()
    except sa.exc.IntegrityError:
        raise ConflictError(f"There is an operator {name!r} already.") from None
    return TOKEN_PREFIX + secret


def every() -> list[Operator]:
    """All operators, revoked ones too, by name."""
    return list(db.session.scalars(sa.select(Operator).order_by(Operator.name)))


def revoke(name: str) -> None:
    """End an operator's token for good.

    Raises:
        NotFoundError: there is no such operator, or it is revoked already.
    """
    statement = (
        sa.update(Operator)
        .where(Operator.name == name, Operator.revoked_at.is_(None))
        .values(revoked_at=sa.func.now())
        .returning(Operator.id)
    )
    if db.session.scalar(statement) is None:
        raise NotFoundError(f"There is no operator {name!r} with a valid token.")


def find(token: str) -> Operator | None:
    """The operator whose token this is or was; see `is_valid`."""
    if not token.startswith(TOKEN_PREFIX):
        return None
    token_digest = digest(token.removeprefix(TOKEN_PREFIX))
    statement = sa.select(Operator).where(Operator.token_digest == token_digest)
    return db.session.scalars(statement).one_or_none()


def is_valid(operator: Operator) -> bool:
    """Whether the operator's token is neither revoked nor expired."""
    is_expired = operator.expires_at is not None and operator.expires_at <= datetime.now(UTC)
    return operator.revoked_at is None and not is_expired


def record(
    operator: str, action: str, target: str, *, allowed: bool, address: str, request_id: str
) -> None:
    """Write one use of a token to the audit table."""
    entry = {
        "operator": operator,
        "action": action,
        "target": target,
        "allowed": allowed,
        "address": address,
        "request_id": request_id,
    }
    db.session.execute(sa.insert(AuditEntry).values(entry).inline())
