"""Names of attachments are for reading, and nothing else."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.http import parse_options_header

from todo_app.files.names import JOINERS, MAX_NAME_BYTES, clean_name, content_disposition

NAMES = st.text(st.characters(), max_size=400)
TRICKY = st.text(st.sampled_from('ab.\u0301e\u200d\u202e /\\":%\n\0\u2100\ufb01 '), max_size=40)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("/etc/passwd", "passwd"),
        ("C:\\Users\\Ada\\a.txt", "a.txt"),
        ("a/../b.txt", "b.txt"),
        ("..", "file"),
        ("a/", "file"),
        ("", "file"),
        (" . . ", "file"),
        ("\u200d", "file"),
        (".htaccess", "htaccess"),
        ("a.txt. . ", "a.txt"),
        ("a\r\nSet-Cookie: b=c.txt", "aSet-Cookie_ b=c.txt"),
        ("a\0.txt", "a.txt"),
        ("exe.\u202egpj.scr", "exe.gpj.scr"),
        ("a\ud800b.txt", "ab.txt"),
        ('a"b<c>d|e?f*g:h.txt', "a_b_c_d_e_f_g_h.txt"),
        ("  a \u00a0 \u2028 b.txt", "a b.txt"),
        ("e\u0301te\u0301.txt", "\u00e9t\u00e9.txt"),
        ("Zażółć gęślą.png", "Zażółć gęślą.png"),
        ("日本語.txt", "日本語.txt"),
        ("a%2f..%2fb", "a%2f..%2fb"),
    ],
)
def test_what_is_kept_of_a_name(sent: str, kept: str) -> None:
    assert clean_name(sent) == kept


def test_a_long_name_keeps_its_ending() -> None:
    assert clean_name("é" * 300 + ".tar.gz") == "é" * 126 + ".gz"
    assert clean_name("a" * 300) == "a" * 255
    assert clean_name("a." + "b" * 300) == "a." + "b" * 253
    assert clean_name("日" * 85 + "a") == "日" * 85


@given(st.one_of(NAMES, TRICKY))
def test_a_cleaned_name_stays_as_it_is(name: str) -> None:
    kept = clean_name(name)
    assert clean_name(kept) == kept
    assert 0 < len(kept.encode()) <= MAX_NAME_BYTES
    assert not re.search(r'[/\\<>:"|?*]', kept)
    assert all(each in JOINERS or unicodedata.category(each)[0] != "C" for each in kept)
    assert not kept.startswith(".")
    assert not kept.endswith((".", " "))
    assert unicodedata.is_normalized("NFC", kept)


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("report 1.pdf", 'attachment; filename="report 1.pdf"'),
        ("été.txt", "attachment; filename=\"ete.txt\"; filename*=UTF-8''%C3%A9t%C3%A9.txt"),
        ("100%.txt", "attachment; filename=\"100_.txt\"; filename*=UTF-8''100%25.txt"),
        ("日本", "attachment; filename=\"file\"; filename*=UTF-8''%E6%97%A5%E6%9C%AC"),
        ("a'b (c).txt", 'attachment; filename="a\'b (c).txt"'),
        ("\u2100.txt", "attachment; filename=\"a_c.txt\"; filename*=UTF-8''%E2%84%80.txt"),
    ],
)
def test_the_header(name: str, header: str) -> None:
    assert content_disposition(name) == header


def test_what_may_be_shown() -> None:
    assert content_disposition("a.png", inline=True) == 'inline; filename="a.png"'


@given(st.one_of(NAMES, TRICKY))
def test_the_header_gives_the_name_back(sent: str) -> None:
    name = clean_name(sent)
    header = content_disposition(name)
    assert re.fullmatch(r'attachment; filename="[^"\\%/\x00-\x1f\x7f-\uffff]+".*', header)
    assert header.isascii()
    assert header.isprintable()
    _, _, encoded = header.partition("; filename*=UTF-8''")
    assert not encoded or unquote(encoded) == name
    assert parse_options_header(header)[1]["filename"] == name
