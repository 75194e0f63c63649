"""Markdown: what people write is shown, and nothing of it does anything."""

from __future__ import annotations

import time
from html.parser import HTMLParser

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from todo_app.todos import markdown
from todo_app.todos.markdown import MAX_ATTRIBUTES_LENGTH, MAX_TEXT_LENGTH, MarkdownError, render

SECONDS_FOR_A_BOMB = 10.0
"""Far more than it takes, for machines that do other things too."""

ATTRIBUTES = {
    "a": {"href", "title", "rel"},
    "img": {"src", "alt", "title", "loading", "referrerpolicy"},
    "ol": {"start", "class"},
    "ul": {"class"},
    "li": {"class"},
    "code": {"class"},
    "input": {"class", "type", "disabled", "checked"},
    "th": {"align"},
    "td": {"align"},
}
TAGS = {
    *ATTRIBUTES,
    *("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre", "em", "strong"),
    *("s", "table", "thead", "tbody", "tr"),
}


class Reader(HTMLParser):
    """Reads HTML as a browser would, and checks all that it finds."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS, tag
        values = dict(attrs)
        assert set(values) <= ATTRIBUTES.get(tag, set()), (tag, attrs)
        for name in {"href", "src"} & set(values):
            schemes = ("http://", "https://", "mailto:")[: 3 if tag == "a" else 2]
            assert (values[name] or "").lower().startswith(schemes), values[name]
        if tag == "a":
            assert values["rel"] == "noopener nofollow ugc"
        if tag == "input":
            assert values["type"] == "checkbox"
            assert "disabled" in values

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(decl)

    def handle_pi(self, data: str) -> None:
        raise AssertionError(data)


def assert_harmless(html: str) -> None:
    reader = Reader()
    reader.feed(html)
    reader.close()


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("", ""),
        ("Buy *milk* and **bread**", "<p>Buy <em>milk</em> and <strong>bread</strong></p>\n"),
        ("~~done~~", "<p><s>done</s></p>\n"),
        ("a & b < c", "<p>a &amp; b &lt; c</p>\n"),
        ("<b>bold</b>", "<p>&lt;b&gt;bold&lt;/b&gt;</p>\n"),
        ("3. c\n4. d", '<ol start="3">\n<li>c</li>\n<li>d</li>\n</ol>\n'),
        ("```python\nx < 1\n```", '<pre><code class="language-python">x &lt; 1\n</code></pre>\n'),
        (
            "[home](https://example.com 'Ours')",
            '<p><a href="https://example.com" title="Ours" '
            'rel="noopener nofollow ugc">home</a></p>\n',
        ),
        (
            "<ada@example.com>",
            '<p><a href="mailto:ada@example.com" rel="noopener nofollow ugc">'
            "ada@example.com</a></p>\n",
        ),
        (
            "![cat](https://example.com/cat.png)",
            '<p><img src="https://example.com/cat.png" alt="cat" loading="lazy" '
            'referrerpolicy="no-referrer"></p>\n',
        ),
        (
            "- [ ] milk\n- [x] bread",
            '<ul class="contains-task-list">\n'
            '<li class="task-list-item"><input class="task-list-item-checkbox" type="checkbox" '
            'disabled=""> milk</li>\n'
            '<li class="task-list-item"><input class="task-list-item-checkbox" checked="" '
            'type="checkbox" disabled=""> bread</li>\n'
            "</ul>\n",
        ),
        (
            "|a|b|\n|-|-:|\n|1|2|",
            '<table>\n<thead>\n<tr>\n<th>a</th>\n<th align="right">b</th>\n</tr>\n</thead>\n'
            '<tbody>\n<tr>\n<td>1</td>\n<td align="right">2</td>\n</tr>\n</tbody>\n</table>\n',
        ),
    ],
)
def test_markdown_is_rendered(text: str, html: str) -> None:
    # The order of attributes is the sanitiser's own.
    assert sorted(render(text)) == sorted(html)
    assert_harmless(render(text))


ATTACKS = [
    "<script>alert(1)</script>",
    "<SCRIPT SRC=//evil.example></SCRIPT>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<math><mtext><table><mglyph><style><img src onerror=alert(1)>",
    "<iframe src=javascript:alert(1)></iframe>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<a href='javascript:alert(1)'>x</a>",
    "<body onload=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<form action=https://evil.example><input name=password></form>",
    "<input autofocus onfocus=alert(1)>",
    "<style>@import 'https://evil.example'</style>",
    "<link rel=stylesheet href=https://evil.example>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<base href=https://evil.example>",
    "<object data=javascript:alert(1)>",
    "<!--><script>alert(1)</script>-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?php echo 1 ?>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<p style='background:url(javascript:alert(1))'>x</p>",
    "<p id=location name=cookie>x</p>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](javascript&colon;alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](\x01javascript:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](<java\nscript:alert(1)>)",
    "[x](vbscript:msgbox(1))",
    "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[x](file:///etc/passwd)",
    "[x](//evil.example)",
    "[x](/auth/logout)",
    "[x](#top)",
    "[x](http:javascript:alert(1))",
    '[x](https://example.com"onmouseover=alert(1))',
    "[x](https://example.com '\"onmouseover=alert(1)')",
    '[x](<https://example.com" onmouseover="alert(1)>)',
    "[x]: javascript:alert(1)\n\n[x]",
    "<javascript:alert(1)>",
    '<https://example.com/"onmouseover=alert(1)>',
    "![x](javascript:alert(1))",
    "![x](data:image/svg+xml;base64,PHN2Zy8+)",
    "![x](data:image/png;base64,AAAA)",
    "![x](mailto:a@example.com)",
    '!["onerror=alert(1)](https://example.com/x.png)',
    "![x](https://example.com/x.png '\"onerror=\"alert(1)')",
    '```"onmouseover=alert(1)\nx\n```',
    "```js onload=alert(1)\n</code></pre><script>alert(1)</script>\n```",
    "`</code><script>alert(1)</script>`",
    "|<script>|\n|-|\n|<img src=x onerror=alert(1)>|",
    "- [x] <script>alert(1)</script>",
    "- [ ]\n  <input type=password>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "\\<script>alert(1)\\</script>",
    "\x00<script>\x00alert(1)</script>",
    "<scr\x00ipt>alert(1)</script>",
    "\ufeff<script>alert(1)</script>",
    "\uff1cscript\uff1ealert(1)\uff1c/script\uff1e",
]


@pytest.mark.parametrize("text", ATTACKS)
def test_an_attack_is_text(text: str) -> None:
    for surroundings in ("{}", "> {}", "- a\n\n  {}", "*{}*", "[{}](https://example.com)"):
        assert_harmless(render(surroundings.format(text)))


@pytest.mark.parametrize("text", ATTACKS)
def test_the_sanitiser_alone_is_enough(text: str) -> None:
    assert_harmless(markdown._CLEANER.clean(text))


@settings(max_examples=200, deadline=None)
@given(
    parts=st.lists(
        st.sampled_from([*ATTACKS, *"*_~`[]()<>!|#&:\"'=\\\n\t- ", "](", "![", "https://a.b", "> "])
        | st.text(max_size=8),
        max_size=12,
    )
)
@example(["[", "x", "](", "https://a.b", '"', "onload=x"])
def test_any_mixture_is_harmless(parts: list[str]) -> None:
    assert_harmless(render("".join(parts)))


def filled(unit: str) -> str:
    return unit * (MAX_TEXT_LENGTH // len(unit))


@pytest.mark.parametrize(
    "unit",
    [
        *(">", "*", "*_", "**a ", "[", "![", "[[]", "[a](", "[a][", "[](<", '[]( "', "*[a](b)"),
        *("`", "~", "<", "<a ", "|", "- ", "1. ", "    a\n", "a\n", "&", "\\", "<!--", "[a]:\n"),
        *("\n", "\t", "\r", "a**b", "***a", "  - a\n"),
    ],
)
def test_a_bomb_is_rendered_quickly(unit: str) -> None:
    began = time.process_time()
    render(filled(unit))
    assert time.process_time() - began < SECONDS_FOR_A_BOMB


@pytest.mark.parametrize(
    "text",
    [
        ">" * 100 + "a\n" + "a\n" * 20_000,
        "\n".join("  " * depth + "- a" for depth in range(200)),
        "|" * 5000 + "\n" + "|-" * 5000 + "\n" + "|\n" * 15_000,
        "".join("a" + "`" * number for number in range(300)),
        "".join(f"[{number}]: https://b\n" for number in range(2400)),
    ],
)
def test_a_bomb_of_several_parts_is_rendered_quickly(text: str) -> None:
    began = time.process_time()
    assert len(render(text)) < 20 * MAX_TEXT_LENGTH
    assert time.process_time() - began < SECONDS_FOR_A_BOMB


@pytest.mark.parametrize(
    "definition", ["[x]: https://{}", "[x]: https://a '{}'"], ids=["address", "title"]
)
def test_a_text_that_would_become_large_is_refused(definition: str) -> None:
    text = definition.format("a" * 25_000) + "\n\n" + "[x] " * 6000
    with pytest.raises(MarkdownError, match="too long"):
        render(text)


def test_many_links_are_fine() -> None:
    html = render("[a](https://example.com/a/long/address) " * 1000)
    assert html.count("<a ") == 1000
    assert len(html) < MAX_ATTRIBUTES_LENGTH


def test_a_long_text_is_refused() -> None:
    assert render("a" * MAX_TEXT_LENGTH)
    with pytest.raises(MarkdownError, match="at most 50000"):
        render("a" * (MAX_TEXT_LENGTH + 1))
