"""All mails that the API sends, and what puts them into the outbox.

Texts are in English here; `languages` has the others. Words in braces are filled in afterwards, so
that no name can become a part of a text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from todo_app import outbox
from todo_app.languages import format_time, translate


class Mail(NamedTuple):
    """What a mail says."""

    subject: str
    text: str


MAILS = {
    "activation": Mail(
        "Confirm your address for {company}",
        "Hello {name},\n\n"
        "{company} is ready. Confirm that this address is yours with this code and the password"
        " that you have chosen:\n\n{token}\n\n"
        "It is good until {until}, once. The service is at {url}, and your tenant is {tenant}.\n\n"
        "If you did not ask for this, do nothing.\n",
    ),
    "address": Mail(
        "Confirm your new address",
        "Hello {name},\n\n"
        "This is now the address of your account at {company}. Confirm it with this code and your"
        " password:\n\n{token}\n\n"
        "It is good until {until}, once.\n",
    ),
    "address_changed": Mail(
        "Your address has changed",
        "Hello {name},\n\n"
        "Your account at {company} has a new email address. If you did not do this, tell an"
        " administrator of {company} at once.\n",
    ),
    "invitation": Mail(
        "{inviter} invites you to {company}",
        "Hello,\n\n"
        "{inviter} invites you to work with {company} at {url}. Accept with this code:\n\n"
        "{token}\n\n"
        "It is good until {until}, once. If you do not know {company}, do nothing.\n",
    ),
    "password_reset": Mail(
        "Set a new password for {company}",
        "Hello {name},\n\n"
        "Somebody, probably you, wants to set a new password for your account at {company}. Do it"
        " with this code:\n\n{token}\n\n"
        "It is good until {until}, once. If that was not you, do nothing: your password stays.\n",
    ),
    "password_changed": Mail(
        "Your password has changed",
        "Hello {name},\n\n"
        "The password of your account at {company} has been changed, and your other sessions have"
        " ended. If you did not do this, set a new password and tell an administrator.\n",
    ),
    "two_factor_on": Mail(
        "Your second factor is set up",
        "Hello {name},\n\n"
        "From now on, signing in at {company} asks for a code of your device, too. If you did not"
        " do this, tell an administrator at once.\n",
    ),
    "two_factor_off": Mail(
        "Your second factor is switched off",
        "Hello {name},\n\n"
        "Signing in at {company} no longer asks for a code of your device. If you did not do this,"
        " tell an administrator at once.\n",
    ),
    "api_token_made": Mail(
        "A new API token",
        "Hello {name},\n\n"
        'The API token "{token_name}" was made for your account at {company}. If you did not do'
        " this, revoke it and change your password.\n",
    ),
    "account_made": Mail(
        "Your account at {company}",
        "Hello {name},\n\n"
        "{company} has made an account for you at {url}. Ask there for a mail to set your password,"
        " with this address and the tenant {tenant}.\n",
    ),
    "changes": Mail(
        "News from {company}",
        "Hello {name},\n\n"
        "{lines}\n\n"
        "What you are told of, and when, you set yourself, at {company}: your notification level"
        " and quiet hours.\n",
    ),
    "reminder": Mail(
        "Reminder: {task}",
        "Hello {name},\n\nyou wanted to be reminded of this task of {company}:\n\n{lines}\n",
    ),
    "webhook_failing": Mail(
        "A webhook of {company} was switched off",
        "Hello {name},\n\n"
        "For three days nothing could be delivered to the webhook {url} of {company}, so it was"
        " switched off. Its log says why. When its receiver works again, switch it on, and replay"
        " what it has missed.\n",
    ),
    "webhook_gone": Mail(
        "A webhook of {company} has unsubscribed",
        "Hello {name},\n\n"
        "The receiver of the webhook {url} of {company} has answered that it wants no more (410),"
        " so it was switched off.\n",
    ),
}
"""By name. What mailed secrets are good for, they are once, and not for long."""


def send(
    name: str, to: str, language: str, timezone: str = "UTC", /, **values: str | datetime
) -> None:
    """Have a mail sent once the current transaction has been committed.

    Args:
        name: one of MAILS.
        to: the address.
        language: of the person who gets it.
        timezone: in which that person is told times.
        values: what its text names in braces.
    """
    outbox.send_mail(**_written(Recipient(name, to, language, timezone, values)))


class Recipient(NamedTuple):
    """A mail to one person; the arguments of `send`."""

    mail: str
    to: str
    language: str
    timezone: str
    values: Mapping[str, str | datetime | Sequence[str]]


def send_all(recipients: Iterable[Recipient]) -> None:
    """Have many mails sent, as `send` does it with one."""
    outbox.send_mails([_written(recipient) for recipient in recipients])


def _written(recipient: Recipient) -> dict[str, str]:
    mail, language = MAILS[recipient.mail], recipient.language
    values = {
        name: _filled_in(value, language, recipient.timezone)
        for name, value in recipient.values.items()
    }
    return {
        "to": recipient.to,
        "subject": translate(mail.subject, language).format_map(values),
        "text": translate(mail.text, language).format_map(values),
    }


def _filled_in(value: str | datetime | Sequence[str], language: str, timezone: str) -> str:
    if isinstance(value, datetime):
        return format_time(value, language, timezone)
    # A name of many lines would be a text of its own.
    lines = [value] if isinstance(value, str) else value
    return "\n".join(" ".join(line.split()) for line in lines)
