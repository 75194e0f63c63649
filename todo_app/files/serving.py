"""The headers with which an attachment is sent, so that a browser never runs it as part of us."""

from __future__ import annotations

from todo_app.files.names import content_disposition

SHOWN = ("image/png", "image/jpeg", "image/gif", "image/webp")
"""What a browser may show by itself: pictures that cannot hold a script. HTML, SVG, XML and PDF are
saved instead."""

CACHING = {"Cache-Control": "private, no-cache"}
"""A browser may keep it, and asks each time whether it is still for this person to see."""


def headers(name: str, media_type: str) -> dict[str, str]:
    """The headers of an answer that holds a file.

    Args:
        name: of the file, from `names.clean_name`.
        media_type: of the file, from `types.check_type`.
    """
    return {
        "Content-Type": media_type,
        "Content-Disposition": content_disposition(name, inline=media_type in SHOWN),
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cross-Origin-Resource-Policy": "same-site",
        "Accept-Ranges": "bytes",
        **CACHING,
    }
