"""Says in words how one description of a schema differs from another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ops.monitor.catalogue import ATTRIBUTES, Object

LONGEST = 200
"""Characters of a definition that is quoted; of a longer one it is only said that it differs."""

PRIVILEGES_ONLY = "future"
"""Kind of what does not exist by itself: the privileges that objects made later will have."""


class Fact(NamedTuple):
    """One thing that can be missing, extra or changed."""

    part_of: str
    """The fact without which this one cannot be; may be empty."""
    value: str


def compare(expected: Iterable[Object], actual: Iterable[Object]) -> list[str]:
    """What is missing in `actual`, what it has besides, and what is not as in `expected`.

    Of a table (or anything else) that is missing or extra only itself is named, not its parts.

    Returns:
        One phrase for each difference, sorted; none where there are none.
    """
    wanted, found = _facts(expected), _facts(actual)
    phrases = []
    for label in wanted.keys() | found.keys():
        want, have = wanted.get(label), found.get(label)
        if want == have or _has_no_place(label, wanted, found):
            continue
        if have is None:
            phrases.append(f"missing {label}")
        elif want is None:
            phrases.append(f"extra {label}")
        elif want.value != have.value:
            phrases.append(f"changed {label}{_instead(have.value, want.value)}")
    return sorted(phrases)


def _facts(objects: Iterable[Object]) -> dict[str, Fact]:
    facts = {}
    for kind, name, part_of, details in objects:
        label = f"{kind} {name}".strip()
        definition = ""
        for attribute, value in zip(ATTRIBUTES.get(kind, ()), details, strict=True):
            if attribute == "definition":
                definition = value
            elif attribute == "privileges":
                for grantee, privileges in _by_grantee(value).items():
                    facts[f"privileges on {label} for {grantee}"] = Fact(
                        label, ", ".join(privileges)
                    )
            else:
                facts[f"{attribute} of {label}"] = Fact(label, value)
        if kind != PRIVILEGES_ONLY:
            facts[label] = Fact(part_of, definition)
    return facts


def _by_grantee(lines: str) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for line in lines.splitlines():
        privilege, _, grantee = line.partition(" for ")
        grouped.setdefault(grantee, []).append(privilege)
    return grouped


def _has_no_place(label: str, wanted: dict[str, Fact], found: dict[str, Fact]) -> bool:
    """Whether something that this is a part of is itself missing or extra."""
    fact = wanted.get(label) or found.get(label)
    if fact is None:
        return False
    is_one_sided = (fact.part_of in wanted) != (fact.part_of in found)
    return is_one_sided or _has_no_place(fact.part_of, wanted, found)


def _instead(have: str, want: str) -> str:
    have, want = (" ".join(text.split()) for text in (have, want))
    if max(len(have), len(want)) > LONGEST or have == want:
        return ""
    return f": {have} instead of {want}"
