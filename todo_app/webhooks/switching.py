"""A webhook that nothing reaches is switched off, and people are told."""

from __future__ import annotations

import sqlalchemy as sa

from todo_app import mails
from todo_app.accounts.models import User
from todo_app.audit.service import record
from todo_app.database import db
from todo_app.permissions.models import Role
from todo_app.tenancy import current_tenant
from todo_app.webhooks.models import FAILED, GONE, PENDING, Webhook, WebhookDelivery

ADMINISTRATORS = "settings:write"
"""The permission of those who look after webhooks."""
WAS_OFF = "The webhook was switched off."


def fail_pending(webhook_id: int) -> None:
    """End what waits to be sent to a webhook; it can be replayed later."""
    db.session.execute(
        sa.update(WebhookDelivery)
        .where(WebhookDelivery.webhook_id == webhook_id, WebhookDelivery.state == PENDING)
        .values(state=FAILED, next_at=None, ended_at=sa.func.now(), error=WAS_OFF)
        .execution_options(synchronize_session=False)
    )


def switch_off(webhook: Webhook, reason: str) -> None:
    """Switch a webhook off, and mail whoever has made it, and the administrators.

    Args:
        webhook: which the current transaction has locked.
        reason: one of OFF_REASONS.
    """
    webhook.is_active = False
    webhook.off_reason = reason
    webhook.held_until = None
    db.session.flush()
    fail_pending(webhook.id)
    record(None, "webhook.switched_off", ("webhook", webhook.uuid), reason=reason)
    mail = "webhook_gone" if reason == GONE else "webhook_failing"
    company = current_tenant().name
    # What comes after a question mark may be a secret.
    url = webhook.url.partition("?")[0]
    mails.send_all(
        mails.Recipient(
            mail,
            user.email,
            user.language,
            user.timezone,
            {"name": f"{user.first_name} {user.last_name}", "company": company, "url": url},
        )
        for user in _people(webhook)
    )


def _people(webhook: Webhook) -> list[User]:
    """Who is told: those who may do something about it, and who has made it."""
    is_concerned = sa.or_(
        User.id == webhook.created_by_id, Role.permissions.contains([ADMINISTRATORS])
    )
    found = (
        sa.select(User)
        .join(Role, Role.id == User.role_id)
        .where(User.is_active, User.deleted_at.is_(None), is_concerned)
        .order_by(User.id)
    )
    return list(db.session.scalars(found))
