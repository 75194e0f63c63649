"""Delivers what the outbox holds. Each message is sent at least once, and retried with backoff.

Mails hold secrets, so what a message says is wiped once it has been delivered, or given up: what
kind it was, when, and what went wrong stay for operators.
"""

from __future__ import annotations

import re
import smtplib
import ssl
import time
import uuid
from datetime import timedelta
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from urllib.parse import unquote, urlsplit

import sqlalchemy as sa
import structlog

from todo_app.config import Settings
from todo_app.database import db, transaction
from todo_app.outbox import MAIL, NOTICES, PASSWORD_RESET, WEBHOOKS, OutboxMessage
from todo_app.registration import members, resets
from todo_app.tenancy import (
    TenantBehindError,
    TenantInactiveError,
    TenantNotFoundError,
    operations,
    tenant_scope,
)

MAX_ATTEMPTS = 14
FIRST_RETRY_AFTER = timedelta(seconds=30)
LONGEST_RETRY_AFTER = timedelta(hours=6)
SMTP_TIMEOUT_SECONDS = 20
LOOPBACK = ("localhost", "127.0.0.1", "::1")
KEPT_AFTER_DELIVERY = timedelta(days=7)

# The library decodes these in the middle of a header, line ends and all; clients do the same.
_ENCODED_WORD = "=?"
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")

log = structlog.get_logger(__name__)


def deliver(settings: Settings, for_seconds: float) -> int:
    """Deliver what is due until nothing is left, or the time is over.

    May run in several workers at once: a message that one works on is skipped by the others.

    Returns:
        How many messages were delivered.
    """
    ends = time.monotonic() + for_seconds
    delivered = 0
    while time.monotonic() < ends:
        with operations(), transaction():
            result = _deliver_next(settings)
        if result is None:
            break
        delivered += result
    return delivered


def _deliver_next(settings: Settings) -> bool | None:
    message = db.session.scalars(
        sa.select(OutboxMessage)
        .where(
            OutboxMessage.available_at <= sa.func.now(),
            OutboxMessage.delivered_at.is_(None),
            OutboxMessage.failed_at.is_(None),
            OutboxMessage.kind.not_in((NOTICES, WEBHOOKS)),
        )
        .order_by(OutboxMessage.available_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).one_or_none()
    if message is None:
        return None
    message.attempts += 1
    try:
        _perform(settings, message)
    except Exception as error:
        # Whatever it is: one message that cannot be delivered must not hold up all others.
        _note_failure(message, error)
        return False
    message.delivered_at = sa.func.now()
    message.payload = {}
    return True


def _perform(settings: Settings, message: OutboxMessage) -> None:
    if message.kind == MAIL:
        send_mail(settings, message.payload)
    elif message.kind == PASSWORD_RESET:
        mail_reset_tokens(message.payload["email"], message.payload["schema_name"])
    else:
        raise ValueError(f"no such kind of message: {message.kind}")


def _note_failure(message: OutboxMessage, error: Exception) -> None:
    message.error = f"{type(error).__name__}: {error}"[:500]
    log.warning("not delivered", message=message.id, attempts=message.attempts, error=message.error)
    if message.attempts >= MAX_ATTEMPTS:
        message.failed_at = sa.func.now()
        message.payload = {}
        return
    delay = min(FIRST_RETRY_AFTER * 2 ** (message.attempts - 1), LONGEST_RETRY_AFTER)
    message.available_at = sa.func.now() + delay


def mail_reset_tokens(email: str, schema_name: str | None) -> None:
    """Mail a token for a new password to whoever has an address, in each tenant where they may.

    Safe to repeat: nobody gets a second mail within minutes.

    Args:
        email: the address; where there is no such user, nothing happens.
        schema_name: of the only tenant that is meant; None for all.

    Raises:
        TenantBehindError: a tenant is being upgraded; the others were served.
    """
    with operations():
        schema_names = [schema_name] if schema_name else members.schemas_of(email, most=None)
    behind: TenantBehindError | None = None
    for name in schema_names:
        try:
            with tenant_scope(name, "schema_name"), transaction():
                resets.mail_token(email)
        except (TenantNotFoundError, TenantInactiveError):
            continue
        except TenantBehindError as error:
            behind = error
    if behind is not None:
        raise behind


def send_mail(settings: Settings, payload: dict[str, str]) -> None:
    """Send one mail by SMTP; without a server, write it to a file and say where.

    Args:
        settings: `mail_url`, `mail_dir` and `mail_from`.
        payload: `to`, `subject` and `text`.

    Raises:
        OSError, smtplib.SMTPException: the server is away or refuses.
        ValueError, KeyError: the payload is not a mail.
    """
    if _ENCODED_WORD in payload["to"]:
        raise ValueError("the address would be read as another one")
    mail = EmailMessage()
    mail["From"] = settings.mail_from
    mail["To"] = payload["to"]
    mail["Subject"] = _plain(payload["subject"])
    mail["Date"] = formatdate()
    mail["Message-ID"] = make_msgid(domain=settings.mail_from.rpartition("@")[2])
    mail.set_content(payload["text"])
    if settings.mail_url:
        _send_by_smtp(settings.mail_url, mail)
    else:
        _write_file(settings, mail)


def _plain(subject: str) -> str:
    """A subject that says what it shows: nothing in it is a code for something else."""
    return _CONTROLS.sub(" ", subject).replace(_ENCODED_WORD, "= ?")


def _send_by_smtp(mail_url: str, mail: EmailMessage) -> None:
    url = urlsplit(mail_url)
    host = url.hostname or "localhost"
    context = ssl.create_default_context()
    server: smtplib.SMTP
    if url.scheme == "smtps":
        server = smtplib.SMTP_SSL(
            host, url.port or 465, timeout=SMTP_TIMEOUT_SECONDS, context=context
        )
    else:
        server = smtplib.SMTP(host, url.port or 25, timeout=SMTP_TIMEOUT_SECONDS)
    with server:
        server.ehlo()
        is_private = url.scheme == "smtps" or host in LOOPBACK
        if url.scheme == "smtp" and server.has_extn("starttls"):
            server.starttls(context=context)
            is_private = True
        if url.username and not is_private:
            raise smtplib.SMTPException("the server offers no TLS; the password is not sent")
        if url.username:
            server.login(unquote(url.username), unquote(url.password or ""))
        server.send_message(mail)


def _write_file(settings: Settings, mail: EmailMessage) -> None:
    settings.mail_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = f"{time.strftime('%Y%m%dT%H%M%S')}-{uuid.uuid4().hex[:8]}.eml"
    partial = settings.mail_dir / f".{name}"
    partial.write_bytes(mail.as_bytes())
    path = partial.rename(settings.mail_dir / name)
    log.info("mail written to a file", path=str(path), to=mail["To"])


def sweep() -> int:
    """Delete messages that were delivered long ago.

    Returns:
        How many.
    """
    old = OutboxMessage.delivered_at < sa.func.now() - KEPT_AFTER_DELIVERY
    return len(
        db.session.scalars(sa.delete(OutboxMessage).where(old).returning(OutboxMessage.id)).all()
    )
