"""Texts and times in the languages that users read.

Programs hold their texts in English; `translations/<language>/LC_MESSAGES/messages.po` has the
others, and is read when the first text of a language is asked for.
"""

from __future__ import annotations

import functools
import zoneinfo
from datetime import datetime
from pathlib import Path

from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from todo_app.accounts.models import LANGUAGES

DEFAULT_LANGUAGE = "en-US"
DIRECTORY = Path(__file__).with_name("translations")

_BY_TAG = {language.partition("-")[0]: language for language in LANGUAGES}
"""Our languages by their tags without a region."""


def translate(message: str, language: str) -> str:
    """A text in a language; in English where it is not one of ours, or has no translation.

    Args:
        message: the text in English.
        language: one of LANGUAGES.
    """
    return catalogue(language).get(message, message)


@functools.cache
def catalogue(language: str) -> dict[str, str]:
    """The translations into a language, by the text in English; of English there are none.

    Those that a tool has only guessed (`fuzzy`) are left out.
    """
    if language == DEFAULT_LANGUAGE or language not in LANGUAGES:
        return {}
    # Babel takes longer to import than most commands to run.
    from babel.messages.pofile import read_po

    with (DIRECTORY / language / "LC_MESSAGES" / "messages.po").open("rb") as file:
        messages = read_po(file, locale=language, abort_invalid=True)
    return {
        str(message.id): str(message.string)
        for message in messages
        if message.id and message.string and not message.fuzzy
    }


def negotiate(accept_language: str | None) -> str:
    """The language that suits a client best.

    Args:
        accept_language: value of the header, as RFC 9110 has it: `de-AT, fr;q=0.5`.

    Returns:
        One of LANGUAGES; DEFAULT_LANGUAGE where none is wanted.
    """
    # The best first. A region makes no difference: whoever reads Swiss German reads German.
    for name, quality in parse_accept_header(accept_language, LanguageAccept):
        language = _BY_TAG.get(name.partition("-")[0].lower())
        if quality > 0 and language is not None:
            return language
    return DEFAULT_LANGUAGE


def format_time(moment: datetime, language: str, timezone: str = "UTC") -> str:
    """A moment, as people write it: `May 3, 2026, 2:05 PM (UTC)`.

    Args:
        moment: with a time zone.
        language: one of LANGUAGES; another one stands for English.
        timezone: name in the IANA database, in which it is told; one that is not there is UTC.
    """
    from babel import dates

    try:
        zone = zoneinfo.ZoneInfo(timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        timezone, zone = "UTC", zoneinfo.ZoneInfo("UTC")
    known = language if language in LANGUAGES else DEFAULT_LANGUAGE
    locale = known.replace("-", "_")
    day = dates.format_date(moment.astimezone(zone), locale=locale)
    time = dates.format_time(moment, "short", tzinfo=zone, locale=locale)
    # Some languages have a space here that plain mails had better not.
    return f"{day}, {time} ({timezone})".replace("\u202f", " ").replace("\xa0", " ")
