"""The secret in a calendar's address: `<schema name>.cal_<secret>`.

As with tokens, the first part chooses the tenant, and of the second only a digest is stored.
"""

from __future__ import annotations

import re

from todo_app.auth import digest, new_secret
from todo_app.tenancy import Token

MARK = "cal_"
"""Tells these secrets from tokens, for people and for scanners of leaked secrets."""

EXAMPLE = "t_acme_1a2b3c4d." + MARK + "V1StGXR8Z5jdHi6BmyT0xq3w9LrKpN2cUeA7sFgQoYb"
MAX_LENGTH = 120

_SECRET = re.compile(rf"(t_[a-z0-9_]{{1,61}})\.({MARK}[A-Za-z0-9_-]{{43}})", re.ASCII)


def new(schema_name: str) -> tuple[str, bytes]:
    """A fresh secret of a tenant, and the digest that is stored of it."""
    secret = MARK + new_secret()
    return f"{schema_name}.{secret}", digest(secret)


def parse(text: str) -> Token | None:
    """Where a secret's tenant is, and its digest; None if it cannot be one."""
    match = _SECRET.fullmatch(text)
    return Token(match[1], digest(match[2])) if match else None


def url(public_url: str, secret: str) -> str:
    """Where a calendar program finds the feed."""
    return f"{public_url.rstrip('/')}/feeds/{secret}.ics"
