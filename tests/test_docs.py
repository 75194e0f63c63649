"""What the documentation says of tests is so."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
REQUIREMENT = re.compile(r"^\| v5\.0\.0-(\d+)\.(\d+)\.(\d+) \|.* \| ([a-z ]+) \|.*\|.*\|$", re.M)
STATUSES = {"met", "not applicable", "left to the operator", "not met"}


def test_every_test_that_is_named_exists() -> None:
    named = NAMED.findall((ROOT / "docs/security.md").read_text())
    assert len(named) > 100
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (ROOT / path).is_file() or f"def {name}(" not in (ROOT / path).read_text()
    ]
    assert missing == []


def test_every_requirement_has_a_status() -> None:
    """Level 1 has 70 requirements, level 2 another 183."""
    rows = REQUIREMENT.findall((ROOT / "docs/security.md").read_text())
    numbers = [(int(chapter), int(section), int(number)) for chapter, section, number, _ in rows]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 70 + 183
    assert {status for *_, status in rows} == STATUSES
