"""Signatures by which a receiver knows that a webhook is ours, and is not an old one sent again.

The scheme is that of Standard Webhooks 1.0 (standardwebhooks.com), whose libraries verify it.
What is signed is `id.timestamp.body`, by HMAC-SHA256. The header holds a signature for each secret,
so that a receiver can go from one secret to the next without losing a message.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"
VERSION = "v1"

SECRET_PREFIX = "whsec_"  # noqa: S105 (what a secret begins with)
SECRET_BYTES = 32
TOLERANCE = timedelta(minutes=5)

# A full stop would let part of one field be taken for part of the next.
MESSAGE_ID = re.compile(r"[A-Za-z0-9_-]{1,100}", re.ASCII)
TIMESTAMP = re.compile(r"[0-9]{1,12}", re.ASCII)


class SignatureError(Exception):
    """A message is not from whom it says, or is too old; the text says which."""


def new_secret() -> str:
    """A secret for one webhook, as its receiver is shown it: `whsec_` and base64."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def sign(
    keys: Sequence[str], message_id: str, body: bytes, at: datetime | None = None
) -> dict[str, str]:
    """The headers that go with a message.

    Args:
        keys: the secret, or during a rotation the new one and the old one.
        message_id: of the event: the same however often it is sent.
        body: exactly the bytes that are sent.
        at: when this attempt is made; now when left out.

    Raises:
        ValueError: the id has other characters than letters, digits, `_` and `-`, or a secret is
            none that `new_secret` made.
    """
    if not MESSAGE_ID.fullmatch(message_id):
        raise ValueError("the id of a message has letters, digits, _ and - only")
    timestamp = str(int((at or datetime.now(UTC)).timestamp()))
    signatures = [
        f"{VERSION},{base64.b64encode(_mac(key, message_id, timestamp, body)).decode()}"
        for key in keys
    ]
    return {
        ID_HEADER: message_id,
        TIMESTAMP_HEADER: timestamp,
        SIGNATURE_HEADER: " ".join(signatures),
    }


def verify(
    keys: Sequence[str], headers: Mapping[str, str], body: bytes, now: datetime | None = None
) -> None:
    """Check that a message was signed with one of the secrets, at most five minutes ago.

    What a receiver does. It should besides remember the ids it has seen, for a message may come
    more than once.

    Args:
        keys: the secrets that are believed.
        headers: of the request; the case of their names does not matter.
        body: exactly the bytes that came.
        now: the time; that of the clock when left out.

    Raises:
        SignatureError: the message must not be believed.
        ValueError: a secret is none that `new_secret` made.
    """
    given = {name.lower(): value for name, value in headers.items()}
    message_id = given.get(ID_HEADER, "")
    timestamp = given.get(TIMESTAMP_HEADER, "")
    if not MESSAGE_ID.fullmatch(message_id) or not TIMESTAMP.fullmatch(timestamp):
        raise SignatureError("The id or the timestamp is missing, or is none.")
    age = abs((now or datetime.now(UTC)).timestamp() - int(timestamp))
    if age > TOLERANCE.total_seconds():
        raise SignatureError("The timestamp is more than five minutes away.")
    signatures = list(_signatures(given.get(SIGNATURE_HEADER, "")))
    expected = [_mac(key, message_id, timestamp, body) for key in keys]
    # All are compared, so that the time taken tells nothing of which one agreed.
    if not sum(hmac.compare_digest(mac, each) for mac in expected for each in signatures):
        raise SignatureError("No signature agrees.")


def _signatures(header: str) -> list[bytes]:
    """The signatures of our version; what cannot be read is left out."""
    found = []
    for part in header.split(" "):
        version, _, encoded = part.partition(",")
        if version == VERSION:
            try:
                found.append(base64.b64decode(encoded, validate=True))
            except ValueError:
                continue
    return found


def _mac(key: str, message_id: str, timestamp: str, body: bytes) -> bytes:
    if not key.startswith(SECRET_PREFIX):
        raise ValueError(f"a secret begins with {SECRET_PREFIX}")
    secret = base64.b64decode(key.removeprefix(SECRET_PREFIX), validate=True)
    if not secret:
        raise ValueError("a secret is empty")
    return hmac.digest(secret, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
