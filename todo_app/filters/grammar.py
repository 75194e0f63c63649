"""The grammar of filters.

The lexer knows what may come next: `in` is an operator behind a field and nothing behind an
operator. Whatever starts like a value and goes on differently is a word, so that `2026-11-22`, `3`
and `2h` are a day, a number and a duration, while `2026-plan`, `3rd` and an id in hexadecimal
digits are words.
"""

from __future__ import annotations

from todo_app.filters.nodes import ANCHORS, RESERVED_WORDS

_RULES = r"""
?filter: disjunction
?disjunction: conjunction (_OR conjunction)*
?conjunction: negation (_AND negation)*
?negation: primary
         | _NOT negation -> negation
?primary: "(" disjunction ")"
        | condition
        | search

condition: name COMPARE value
         | name IN "(" value ("," value)* ")"
         | name EMPTY
search: SEARCH "(" STRING ")"

?name: field
     | custom_field
field: FIELD
custom_field: CUSTOM (STRING | CUSTOM_NAME)

?value: word | quoted | number | day | instant | duration | relative
word: WORD
quoted: STRING
number: NUMBER
day: DAY
instant: INSTANT
duration: DURATION
relative: ANCHOR OFFSET* | OFFSET+

_AND: /(?ai:and)<END>/
_OR: /(?ai:or)<END>/
_NOT: /(?ai:not)<END>/
COMPARE: /[<>!]=|[=<>~]/
IN: /((?ai:not)\s+)?(?ai:in)<END>/
EMPTY: /(?ai:is)\s+((?ai:not)\s+)?(?ai:empty)<END>/
SEARCH.2: /(?ai:search)(?=\s*\()/
FIELD: /(?!<RESERVED>)[A-Za-z_][A-Za-z0-9_]*<END>/
CUSTOM.2: /field\s*\./
CUSTOM_NAME: /[A-Za-z_][A-Za-z0-9_]*<END>/

STRING: /"([^"\\]|\\.)*"|'([^'\\]|\\.)*'/s
INSTANT.2: /<DATE>[Tt]<TIME>([Zz]|[+-][0-9]{2}:[0-9]{2})<END>/
DAY.2: /<DATE><END>/
NUMBER.2: /-?[0-9]+(\.[0-9]+)?<END>/
DURATION.2: /(<STEP>)+<END>/
ANCHOR.2: /<ANCHOR><END_OR_OFFSET>/
OFFSET.2: /[+-]\s*(<STEP>)+<END_OR_OFFSET>/
WORD: /(?!<RESERVED>)<LETTER>+/

%ignore /\s+/
"""

_LETTER = r"""[^\s()"',=<>!~\\;|&{}\[\]^`%$*?“”„\x00-\x1f\x7f]"""
"""Whatever may stand in a word."""
_END = f"(?!{_LETTER})"

_PARTS = {
    "<LETTER>": _LETTER,
    "<END>": _END,
    "<END_OR_OFFSET>": rf"(?=\s*[+-]\s*[0-9]|{_END})",
    "<RESERVED>": f"(?ai:{'|'.join(RESERVED_WORDS)}){_END}",
    "<ANCHOR>": f"(?ai:{'|'.join(ANCHORS)})",
    "<STEP>": "[0-9]+(?ai:mo|[smhdwy])",
    "<DATE>": "[0-9]{4}-[0-9]{2}-[0-9]{2}",
    "<TIME>": r"[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?",
}


def grammar() -> str:
    """The grammar, as the parser generator reads it."""
    text = _RULES
    for name, part in _PARTS.items():
        text = text.replace(name, part)
    return text
