"""Descriptions and comments: Markdown comes in, HTML that is safe in any page goes out.

CommonMark with tables, strikethrough and task lists. HTML in the text is shown as text; what is
rendered goes through a sanitiser all the same, so that a fault of one of the two is not enough.
"""

from __future__ import annotations

import re

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token

from todo_app.errors import InvalidInputError

MAX_TEXT_LENGTH = 50_000
MAX_ATTRIBUTES_LENGTH = 500_000
"""Of all links together. A text of some kilobytes can name one long address thousands of times."""

_LINK = re.compile(r"(https?://|mailto:)[^\s]", re.ASCII | re.IGNORECASE)
_LANGUAGE = re.compile(r"language-[A-Za-z0-9_+#.-]{1,40}", re.ASCII)
_ALIGNMENT = re.compile(r"text-align:(left|center|right)", re.ASCII)

_TAGS = {
    *("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre", "code"),
    *("em", "strong", "s", "a", "img", "ul", "ol", "li", "input"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}


class MarkdownError(InvalidInputError):
    """A text that is too long, or becomes so when it is rendered."""

    code = "bad-markdown"


def render(text: str) -> str:
    """The HTML of a text in Markdown.

    The same text always has the same answer, so what was rendered when it was written can be
    rendered whenever it is read.

    Raises:
        MarkdownError: it has more than MAX_TEXT_LENGTH characters, or is built to become large.
    """
    if len(text) > MAX_TEXT_LENGTH:
        raise MarkdownError(f"A text has at most {MAX_TEXT_LENGTH} characters.")
    tokens = _PARSER.parse(text)
    if sum(map(_attributes_length, tokens)) > MAX_ATTRIBUTES_LENGTH:
        raise MarkdownError("The links of a text are too long.")
    for token in tokens:
        _align(token)
    return _CLEANER.clean(_PARSER.renderer.render(tokens, _PARSER.options, {}))


def _attributes_length(token: Token) -> int:
    own = sum(len(str(value)) for value in token.attrs.values())
    return own + sum(map(_attributes_length, token.children or ()))


def _align(token: Token) -> None:
    """Say how a table's cell is aligned without a style, which the sanitiser takes away."""
    alignment = _ALIGNMENT.fullmatch(str(token.attrs.get("style", "")))
    if alignment:
        token.attrs = {"align": alignment[1]}


def _parser() -> MarkdownIt:
    options = {
        "html": False,
        "linkify": False,
        "alerts": False,
        "strikethrough_single_tilde": False,
    }
    parser = MarkdownIt("gfm-like2", options)
    parser.disable("linkify")
    # Links to pages of the client itself would lead users to where another user wants them.
    parser.validateLink = lambda url: bool(_LINK.match(url))  # type: ignore[method-assign]
    return parser


def _filter_attribute(tag: str, name: str, value: str) -> str | None:
    if tag == "code" and not _LANGUAGE.fullmatch(value):
        return None
    if tag == "img" and name == "src" and value.lower().startswith("mailto:"):
        return None
    return value


_PARSER = _parser()
_CLEANER = nh3.Cleaner(
    tags=_TAGS,
    attributes={
        "a": {"href", "title"},
        "img": {"src", "alt", "title"},
        "ol": {"start"},
        "code": {"class"},
        "input": {"checked"},
    },
    tag_attribute_values={
        "th": {"align": {"left", "center", "right"}},
        "td": {"align": {"left", "center", "right"}},
    },
    set_tag_attribute_values={
        "input": {"type": "checkbox", "disabled": ""},
        "img": {"loading": "lazy", "referrerpolicy": "no-referrer"},
    },
    allowed_classes={
        "ul": {"contains-task-list"},
        "ol": {"contains-task-list"},
        "li": {"task-list-item"},
        "input": {"task-list-item-checkbox"},
    },
    attribute_filter=_filter_attribute,
    link_rel="noopener nofollow ugc",
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",
)
