"""How many people a company may have."""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa
from flask import current_app

from todo_app.accounts.models import User
from todo_app.config import Settings
from todo_app.database import db
from todo_app.errors import ConflictError
from todo_app.settings.models import CompanySettings
from todo_app.tenancy import current_tenant


class AccountLimitError(ConflictError):
    """The company has as many people as it may have."""

    code = "account-limit"
    detail = "Your company has as many users as it may have."


class AccountLimit(NamedTuple):
    """How many people the current company has, and may have."""

    accounts: int
    limit: int | None
    """None where there is no limit."""


def account_limit() -> AccountLimit:
    """How many users the current tenant has (those who are not deleted), and may have."""
    statement = sa.select(sa.func.count()).select_from(User).where(User.deleted_at.is_(None))
    return AccountLimit(db.session.scalar(statement) or 0, _limit())


def check_room(adding: int = 1) -> None:
    """Check that the current tenant may have more users, before they are added.

    Whoever else adds users waits until the current transaction has ended.

    Args:
        adding: how many.

    Raises:
        AccountLimitError: they would be too many.
    """
    limit = _limit()
    if limit is None:
        return
    db.session.execute(sa.select(CompanySettings.id).with_for_update())
    accounts = account_limit().accounts
    if accounts + adding > limit:
        raise AccountLimitError(f"Your company has {accounts} of the {limit} users it may have.")


def _limit() -> int | None:
    settings: Settings = current_app.config["SETTINGS"]
    own = current_tenant().account_limit
    return (settings.account_limit if own is None else own) or None
