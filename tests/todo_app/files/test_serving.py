"""No attachment runs in a browser."""

from __future__ import annotations

import pytest

from todo_app.files.serving import headers
from todo_app.files.types import KIND_OF, UNKNOWN


@pytest.mark.parametrize("media_type", ["image/png", "image/jpeg", "image/gif", "image/webp"])
def test_pictures_may_be_shown(media_type: str) -> None:
    assert headers("a", media_type)["Content-Disposition"] == 'inline; filename="a"'


@pytest.mark.parametrize("media_type", [UNKNOWN, *KIND_OF])
def test_all_else_is_saved_and_nothing_runs(media_type: str) -> None:
    sent = headers("a.html", media_type)
    is_picture = media_type.startswith("image/") and "svg" not in media_type
    assert is_picture or sent["Content-Disposition"].startswith("attachment;")
    assert sent["Content-Type"] == media_type
    assert sent["X-Content-Type-Options"] == "nosniff"
    assert sent["Content-Security-Policy"] == "default-src 'none'; sandbox"
