"""Tokens of clients that sync: up to where they have read."""

from __future__ import annotations

import base64
import binascii
import uuid
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Self

from todo_app.errors import AppError, InvalidInputError

KEPT_FOR = timedelta(days=90)
"""For so long it is known what was deleted; older tokens are refused."""

_NO_UUID = uuid.UUID(int=0)


class ExpiredTokenError(AppError):
    """What has changed since then is not known: the token is too old, or of other data."""

    status = 410
    code = "sync-token-expired"
    detail = "This token is not good any more: forget what you have, and sync without one."


class Token(NamedTuple):
    """A place in the order of changes.

    It is no secret and gives nobody anything: what is shown is always what its bearer may see.
    """

    epoch: str
    """Of the data: restored data are others, and what was read before says nothing of them."""
    made_at: int
    """Seconds since 1970."""
    begun: int
    """Transaction from which on this client is told of what is gone; before, it knew nothing."""
    transaction: int
    kind: str = ""
    uuid: uuid.UUID = _NO_UUID
    list_id: int = 0

    def __str__(self) -> str:
        text = "|".join(str(part) for part in self)
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> Self:
        """The token that a client has sent.

        Raises:
            InvalidInputError: it is none.
        """
        try:
            padded = text + "=" * (-len(text) % 4)
            parts = base64.b64decode(padded.encode(), altchars=b"-_", validate=True).decode()
            epoch, made_at, begun, transaction, kind, key, list_id = parts.split("|")
            if "\x00" in parts:
                raise ValueError
            numbers = (_number(made_at), _number(begun), _number(transaction))
            return cls(epoch, *numbers, kind, uuid.UUID(key), _number(list_id))
        except (ValueError, binascii.Error):
            raise InvalidInputError(errors={"query": {"since": ["This is no token."]}}) from None

    def check(self, epoch: str) -> None:
        """Check that it is good for the data of `epoch`.

        Raises:
            ExpiredTokenError
        """
        oldest = datetime.now(UTC) - KEPT_FOR
        if self.epoch != epoch or self.made_at < oldest.timestamp():
            raise ExpiredTokenError


def _number(text: str) -> int:
    """A number that PostgreSQL's bigint can hold."""
    number = int(text)
    if not 0 <= number < 2**63:
        raise ValueError
    return number
