"""Use cases of webhooks: made, changed, given a new secret, and taken away.

All is for administrators, who share the company's webhooks. A secret is shown once, when it is
made; it is kept encrypted, because each message is signed with it.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from todo_app.audit.service import record
from todo_app.database import Versions, db
from todo_app.errors import ConflictError, NotFoundError, PreconditionFailedError
from todo_app.lists.shown import person
from todo_app.pagination import Page, PageQuery, PageRequest, matches
from todo_app.secrets_box import NoKeyError, seal
from todo_app.settings.models import CompanySettings
from todo_app.tenancy import CurrentUser
from todo_app.webhooks.addresses import parse_target
from todo_app.webhooks.models import Webhook
from todo_app.webhooks.signing import new_secret
from todo_app.webhooks.switching import fail_pending

WRITE = "settings:write"
"""The permission that all of this needs."""
MOST_WEBHOOKS = 20
"""That a company may have at a time."""
FORMER_SECRET_KEPT = timedelta(hours=24)
"""For so long messages are signed with the former secret, too."""

ORDER_BY = {"created_at": Webhook.created_at, "url": Webhook.url}

_FORMER_UNTIL = sa.case((Webhook.former_until > sa.func.now(), Webhook.former_until))
_WEBHOOKS = sa.select(
    Webhook.uuid,
    Webhook.url,
    Webhook.events,
    Webhook.is_active,
    Webhook.off_reason,
    Webhook.failures,
    Webhook.failing_since,
    _FORMER_UNTIL.label("former_secret_until"),
    person(Webhook.created_by_id).label("created_by"),
    Webhook.version,
    Webhook.created_at,
    Webhook.updated_at,
)
_PAGES = PageQuery(_WEBHOOKS, ORDER_BY, Webhook.id)
_SEARCH = PageQuery(_WEBHOOKS.where(matches(Webhook.url)), ORDER_BY, Webhook.id)


class NoSuchWebhookError(NotFoundError):
    """The tenant has no such webhook."""

    detail = "There is no such webhook."


class TooManyWebhooksError(ConflictError):
    """The company has as many webhooks as there may be."""

    code = "too-many-webhooks"
    detail = f"There are {MOST_WEBHOOKS} webhooks; delete one first."


class WebhooksUnavailableError(ConflictError):
    """There is no key to encrypt secrets with."""

    code = "webhooks-unavailable"
    detail = "Webhooks are not available here: the operator has to set SECRETS_KEYS."


def page_of_webhooks(request: PageRequest) -> Page:
    """A page of the tenant's webhooks; `search` looks into the URL."""
    if request.search:
        return _SEARCH.fetch(request, search=request.search)
    return _PAGES.fetch(request)


def get_webhook(webhook_uuid: uuid.UUID) -> sa.Row[*tuple[Any, ...]]:
    """One webhook as it is shown.

    Raises:
        NoSuchWebhookError
    """
    row = db.session.execute(_WEBHOOKS.where(Webhook.uuid == webhook_uuid)).one_or_none()
    if row is None:
        raise NoSuchWebhookError
    return row


def add_webhook(actor: CurrentUser, url: str, events: list[str]) -> dict[str, Any]:
    """Add a webhook, which is on.

    Args:
        actor: who does it.
        url: where it is sent to.
        events: some of CHOICES.

    Returns:
        The webhook as it is shown, with its `secret`.

    Raises:
        UnsafeUrlError: nothing is sent to such a URL.
        TooManyWebhooksError, WebhooksUnavailableError
    """
    parse_target(url)
    # Held, so that those who add webhooks are counted one after the other.
    db.session.execute(sa.select(CompanySettings.id).with_for_update(key_share=True))
    if (db.session.scalar(sa.select(sa.func.count()).select_from(Webhook)) or 0) >= MOST_WEBHOOKS:
        raise TooManyWebhooksError
    secret = new_secret()
    webhook = Webhook(
        created_by_id=actor.id, url=url, events=_unique(events), secret=_sealed(secret)
    )
    db.session.add(webhook)
    db.session.flush()
    record(actor, "webhook.added", ("webhook", webhook.uuid), url=_shown(url))
    return {**get_webhook(webhook.uuid)._mapping, "secret": secret}


def change_webhook(
    actor: CurrentUser, webhook_uuid: uuid.UUID, changes: dict[str, Any], versions: Versions
) -> sa.Row[*tuple[Any, ...]]:
    """Change only what `changes` names.

    What was waiting to be sent goes to the new URL, and nowhere once a webhook is off. One that is
    switched on, or gets another URL, begins without failures.

    Raises:
        NoSuchWebhookError, UnsafeUrlError
        PreconditionFailedError: `versions` are given and the current one is not among them.
    """
    webhook = lock_webhook(webhook_uuid, versions)
    if "url" in changes:
        parse_target(changes["url"])
    if "events" in changes:
        changes["events"] = _unique(changes["events"])
    before = {name: getattr(webhook, name) for name in changes}
    for name, value in changes.items():
        setattr(webhook, name, value)
    changed = [name for name, value in before.items() if value != getattr(webhook, name)]
    if not changed:
        return get_webhook(webhook_uuid)
    if "is_active" in changed and not webhook.is_active:
        fail_pending(webhook.id)
    elif webhook.is_active and {"is_active", "url"} & set(changed):
        webhook.failures = 0
        webhook.off_reason = webhook.failing_since = webhook.held_until = None
    db.session.flush()
    told = {name: getattr(webhook, name) for name in changed}
    if "url" in told:
        told["url"] = _shown(told["url"])
    record(actor, "webhook.changed", ("webhook", webhook_uuid), **told)
    return get_webhook(webhook_uuid)


def rotate_secret(
    actor: CurrentUser, webhook_uuid: uuid.UUID, versions: Versions
) -> dict[str, Any]:
    """Give a webhook another secret; for a time the former one signs along with it.

    Returns:
        The webhook as it is shown, with its new `secret`.

    Raises:
        NoSuchWebhookError, WebhooksUnavailableError
        PreconditionFailedError: `versions` are given and the current one is not among them.
    """
    webhook = lock_webhook(webhook_uuid, versions)
    secret = new_secret()
    webhook.former_secret, webhook.secret = webhook.secret, _sealed(secret)
    webhook.former_until = sa.func.now() + FORMER_SECRET_KEPT
    db.session.flush()
    record(actor, "webhook.secret_rotated", ("webhook", webhook_uuid))
    return {**get_webhook(webhook_uuid)._mapping, "secret": secret}


def delete_webhook(actor: CurrentUser, webhook_uuid: uuid.UUID, versions: Versions) -> None:
    """Delete a webhook, with all that it was sent.

    Raises:
        NoSuchWebhookError
        PreconditionFailedError: `versions` are given and the current one is not among them.
    """
    webhook = lock_webhook(webhook_uuid, versions)
    db.session.delete(webhook)
    db.session.flush()
    record(actor, "webhook.deleted", ("webhook", webhook_uuid), url=_shown(webhook.url))


def lock_webhook(webhook_uuid: uuid.UUID, versions: Versions = None) -> Webhook:
    """A webhook that nobody else changes until the transaction ends.

    Raises:
        NoSuchWebhookError
        PreconditionFailedError: `versions` are given and the current one is not among them.
    """
    found = sa.select(Webhook).where(Webhook.uuid == webhook_uuid)
    webhook = db.session.scalars(found.with_for_update(key_share=True)).one_or_none()
    if webhook is None:
        raise NoSuchWebhookError
    if versions is not None and webhook.version not in versions:
        raise PreconditionFailedError
    return webhook


def _unique(events: list[str]) -> list[str]:
    return sorted(set(events))


def _shown(url: str) -> str:
    """A URL for the record; what comes after a question mark may be a secret."""
    return url.partition("?")[0]


def _sealed(secret: str) -> bytes:
    try:
        return seal(secret)
    except NoKeyError:
        raise WebhooksUnavailableError from None
