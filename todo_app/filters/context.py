"""What a filter depends on besides its text."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo


@dataclass(frozen=True)
class Context:
    """Who asks, and when.

    Args:
        user_id: the key of the user whom `me` means.
        now: the moment of the question, with its offset from UTC.
        zone: where the days of the user begin and end.
    """

    user_id: int
    now: datetime
    zone: ZoneInfo
