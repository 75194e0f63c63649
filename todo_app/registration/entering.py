"""From a mailed token to its tenant."""

from __future__ import annotations

from todo_app.auth import parse_token
from todo_app.database import set_scope
from todo_app.registration.one_time import InvalidTokenError
from todo_app.tenancy import TenantNotFoundError, TenantScope, current_tenant


def enter_by_token(text: str) -> bytes:
    """Enter the tenant that a mailed token names.

    Args:
        text: as it was mailed.

    Returns:
        The digest by which the tenant knows the token.

    Raises:
        InvalidTokenError: it cannot be a token, or its tenant is gone.
        TenantInactiveError, TenantBehindError
    """
    token = parse_token(text)
    if token is None:
        raise InvalidTokenError
    set_scope(TenantScope(token.schema_name, "schema_name"))
    try:
        current_tenant()
    except TenantNotFoundError:
        raise InvalidTokenError from None
    return token.digest
