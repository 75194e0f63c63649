"""Names of attachments: what is kept of what a client sends, and how it is told to a browser."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

MAX_NAME_BYTES = 255
MAX_SUFFIX_BYTES = 20
NAMELESS = "file"

NOT_IN_NAMES = re.compile(r'[<>:"|?*]')
"""What some systems do not allow in the name of a file."""
JOINERS = "\u200c\u200d"
"""Characters without a shape of their own that some languages need."""
ALSO_IN_A_PARAMETER = "!#$&+-.^_`|~"
"""What RFC 8187 leaves as it is, besides letters and digits."""


def clean_name(name: str) -> str:
    """The name under which a file is kept: one part of a path, for reading, never a place.

    Directories, control characters, and those that turn the direction of writing (by which
    `gpj.exe` reads `exe.jpg`) are left out. At most 255 bytes of UTF-8; the ending is kept.

    Args:
        name: as the client sent it.
    """
    last = re.split(r"[/\\]", name)[-1]
    shown = "".join(each for each in last if _is_shown(each))
    plain = NOT_IN_NAMES.sub("_", unicodedata.normalize("NFC", shown))
    return _cut(" ".join(plain.split()).strip(f". {JOINERS}")) or NAMELESS


def content_disposition(name: str, *, inline: bool = False) -> str:
    """The header Content-Disposition (RFC 6266) for a file.

    Args:
        name: from `clean_name`.
        inline: whether a browser may show it; it is saved otherwise.
    """
    kind = "inline" if inline else "attachment"
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    # A percent sign is taken for an escape by some browsers.
    fallback = re.sub(r'[^ -~]|[<>:"/\\|?*%]', "_", letters).strip(". ") or NAMELESS
    if fallback == name:
        return f'{kind}; filename="{name}"'
    encoded = quote(name, safe=ALSO_IN_A_PARAMETER)
    return f"{kind}; filename=\"{fallback}\"; filename*=UTF-8''{encoded}"


def _is_shown(character: str) -> bool:
    return character in JOINERS or unicodedata.category(character)[0] != "C"


def _cut(name: str) -> str:
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    stem, dot, suffix = name.rpartition(".")
    if not stem or len(suffix.encode()) > MAX_SUFFIX_BYTES:
        stem, dot, suffix = name, "", ""
    room = MAX_NAME_BYTES - len((dot + suffix).encode())
    return stem.encode()[:room].decode(errors="ignore").rstrip(". ") + dot + suffix
