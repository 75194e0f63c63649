"""Texts in all languages: complete, with the same words to be filled in, and chosen well."""

from __future__ import annotations

import string
from datetime import UTC, datetime
from http import HTTPStatus

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from flask import Flask
from flask.testing import FlaskClient

from tests.factories import Company, mails_to
from tests.todo_app.helpers import assert_problem, inside
from todo_app import mails
from todo_app.accounts.models import LANGUAGES
from todo_app.languages import (
    DEFAULT_LANGUAGE,
    DIRECTORY,
    catalogue,
    format_time,
    negotiate,
    translate,
)
from todo_app.mails import MAILS
from todo_app.notifications.service import LINES, MORE

TRANSLATED = [language for language in LANGUAGES if language != DEFAULT_LANGUAGE]

TITLES = [status.phrase for status in HTTPStatus if status >= 400]
TEXTS = [*TITLES, *(text for mail in MAILS.values() for text in mail), *LINES.values(), MORE]

# Other versions of Python word some statuses as RFC 9110 does, or as those before it did.
OTHER_TITLES = {
    "Content Too Large",
    "Request Entity Too Large",
    "Range Not Satisfiable",
    "Requested Range Not Satisfiable",
    "Request-URI Too Long",
    "URI Too Long",
    "Unprocessable Content",
    "Unprocessable Entity",
}


def source(language: str) -> Catalog:
    with (DIRECTORY / language / "LC_MESSAGES/messages.po").open("rb") as file:
        return read_po(file, locale=language, abort_invalid=True)


def blanks(text: str) -> list[str]:
    """The names in braces, in a form that tells `{a}` from `{a!r}`."""
    return sorted(
        f"{name}!{conversion}:{form}"
        for _, name, form, conversion in string.Formatter().parse(text)
        if name is not None
    )


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_text_is_translated_and_nothing_else(language: str) -> None:
    texts = catalogue(language)
    assert set(TEXTS) <= set(texts)
    assert set(texts) - set(TEXTS) <= OTHER_TITLES
    for text, translation in texts.items():
        assert translation.strip()
        assert translation != text
        assert blanks(translation) == blanks(text), text
        assert text.count("\n") == translation.count("\n"), text


@pytest.mark.parametrize("language", TRANSLATED)
def test_the_sources_are_clean(language: str) -> None:
    messages = source(language)
    assert not messages.fuzzy
    assert not messages.obsolete
    assert str(messages.locale) == language
    for message in messages:
        assert not list(message.check(messages)), message.id
        assert message.id == "" or not message.fuzzy, message.id


def test_every_language_has_a_source() -> None:
    assert sorted(path.name for path in DIRECTORY.iterdir()) == sorted(TRANSLATED)


def test_what_has_no_translation_stays_english() -> None:
    assert translate("Nobody has translated this", "de") == "Nobody has translated this"
    for language in ("en-US", "xx", "", "../de"):
        assert translate("Not Found", language) == "Not Found"


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "en-US"),
        ("", "en-US"),
        ("*", "en-US"),
        ("de", "de"),
        ("DE-at", "de"),
        ("de-CH, fr;q=0.9", "de"),
        ("fr;q=0.4, pl;q=0.8", "pl"),
        ("ja, fr;q=0.1", "fr"),
        ("de;q=0, fr", "fr"),
        ("en-GB, pl;q=0.9", "en-US"),
        ("ja", "en-US"),
        ("de;q=x", "en-US"),
        (";;,=,\xff", "en-US"),
        ("x" * 8000, "en-US"),
        ("de-" * 2000, "de"),
    ],
)
def test_the_language_that_a_client_prefers(header: str | None, language: str) -> None:
    assert negotiate(header) == language


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("de", "04.05.2026, 01:05 (Europe/Warsaw)"),
        ("en-US", "May 4, 2026, 1:05 AM (Europe/Warsaw)"),
        ("fr", "4 mai 2026, 01:05 (Europe/Warsaw)"),
        ("pl", "4 maj 2026, 01:05 (Europe/Warsaw)"),
        ("xx", "May 4, 2026, 1:05 AM (Europe/Warsaw)"),
    ],
)
def test_times_as_people_write_them(language: str, told: str) -> None:
    moment = datetime(2026, 5, 3, 23, 5, 7, tzinfo=UTC)
    assert format_time(moment, language, "Europe/Warsaw") == told


@pytest.mark.parametrize("timezone", ["Mars/Olympus", "../etc/passwd", "", "/etc/localtime"])
def test_a_zone_that_is_none_is_utc(timezone: str) -> None:
    moment = datetime(2026, 5, 3, 23, 5, tzinfo=UTC)
    assert format_time(moment, "de", timezone) == "03.05.2026, 23:05 (UTC)"


def test_titles_of_errors_follow_the_request(client: FlaskClient) -> None:
    answer = client.get("/nothing", headers={"Accept-Language": "pl-PL, en;q=0.5"})
    problem = assert_problem(answer, 404)
    assert problem["title"] == "Nie znaleziono"
    assert problem["detail"] == "There is nothing at this address."
    assert answer.headers["Content-Language"] == "pl"
    for headers in ({}, {"Accept-Language": "en"}):
        answer = client.get("/nothing", headers=headers)
        assert assert_problem(answer, 404)["title"] == "Not Found"
        assert "Content-Language" not in answer.headers


def test_titles_of_errors_follow_the_user(acme: Company) -> None:
    assert acme.patch("/settings/me", {"language": "fr"}).status_code == 200
    answer = acme.post("/lists/", {}, headers={"Accept-Language": "de"})
    assert assert_problem(answer, 422)["title"] == "Données non valides"
    assert answer.headers["Content-Language"] == "fr"
    # Who sends no good token is nobody.
    answer = acme.get("/users/", headers={"Authorization": "Bearer x", "Accept-Language": "de"})
    assert assert_problem(answer, 401)["title"] == "Nicht angemeldet"


def test_no_name_becomes_a_part_of_a_text(app: Flask) -> None:
    for language in LANGUAGES:
        text = translate(MAILS["invitation"].subject, language)
        assert "{token}" in text.format_map({"inviter": "{token}", "company": "{0.__class__}"})


def test_a_name_of_many_lines_is_no_text_of_its_own(app: Flask, acme: Company) -> None:
    with inside(app, acme.slug):
        mails.send(
            "two_factor_on", acme.email, "en-US", name="A\n\nPay\u2028here", company="B\r\nC"
        )
    assert "Hello A Pay here,\n" in mails_to(app, acme.email)[-1]
    assert "signing in at B C asks" in mails_to(app, acme.email)[-1]
