"""What an attachment is, by its content, and whether it is what its sender says.

A few signatures of our own: they tell kinds apart, such as a ZIP, and leave open which of the types
of a kind it is, such as a text document or a spreadsheet. Nothing is decoded and no archive is
opened, so there is nothing in a file that could explode here. What may run as a program of a
machine is refused; what may run in a browser is only ever served as `serving.headers` says.
"""

from __future__ import annotations

from todo_app.errors import AppError

HEAD_BYTES = 4096
"""How much of a file is looked at."""

UNKNOWN = "application/octet-stream"
TEXT = "text"

KINDS: dict[str, tuple[str, ...]] = {
    "png": ("image/png",),
    "jpeg": ("image/jpeg", "image/jpg"),
    "gif": ("image/gif",),
    "webp": ("image/webp",),
    "bmp": ("image/bmp",),
    "tiff": ("image/tiff",),
    "heif": ("image/heic", "image/heif", "image/avif"),
    "pdf": ("application/pdf",),
    "mp3": ("audio/mpeg", "audio/mp3"),
    "wav": ("audio/wav", "audio/x-wav"),
    "flac": ("audio/flac",),
    "ogg": ("audio/ogg", "video/ogg", "application/ogg"),
    "mp4": ("video/mp4", "video/quicktime", "audio/mp4", "audio/x-m4a", "video/3gpp"),
    "webm": ("video/webm", "audio/webm", "video/x-matroska"),
    "zip": (
        "application/zip",
        "application/x-zip-compressed",
        "application/epub+zip",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "application/vnd.oasis.opendocument.text",
        "application/vnd.oasis.opendocument.spreadsheet",
        "application/vnd.oasis.opendocument.presentation",
        "application/vnd.oasis.opendocument.graphics",
    ),
    "ole": (
        "application/msword",
        "application/vnd.ms-excel",
        "application/vnd.ms-powerpoint",
        "application/vnd.ms-outlook",
    ),
    "gzip": ("application/gzip", "application/x-gzip"),
    "bzip2": ("application/x-bzip2",),
    "xz": ("application/x-xz",),
    "zstd": ("application/zstd",),
    "7z": ("application/x-7z-compressed",),
    "rar": ("application/vnd.rar", "application/x-rar-compressed"),
    "tar": ("application/x-tar",),
    "rtf": ("application/rtf", "text/rtf"),
    TEXT: (
        "text/plain",
        "text/csv",
        "text/markdown",
        "text/html",
        "text/calendar",
        "text/vcard",
        "text/xml",
        "text/css",
        "text/javascript",
        "application/json",
        "application/xml",
        "application/yaml",
        "application/sql",
        "image/svg+xml",
        "message/rfc822",
    ),
}
"""The types that may be declared, by kind. The first is that of a file of which none is."""

KIND_OF = {media_type: kind for kind, types in KINDS.items() for media_type in types}

SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"\xff\xd8\xff", "jpeg"),
    (0, b"GIF87a", "gif"),
    (0, b"GIF89a", "gif"),
    (8, b"WEBP", "webp"),
    (8, b"WAVE", "wav"),
    (0, b"II*\x00", "tiff"),
    (0, b"MM\x00*", "tiff"),
    (0, b"%PDF-", "pdf"),
    (0, b"ID3", "mp3"),
    (0, b"\xff\xfb", "mp3"),
    (0, b"\xff\xf3", "mp3"),
    (0, b"\xff\xf2", "mp3"),
    (0, b"fLaC", "flac"),
    (0, b"OggS", "ogg"),
    (0, b"\x1aE\xdf\xa3", "webm"),
    (0, b"PK\x03\x04", "zip"),
    (0, b"PK\x05\x06", "zip"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole"),
    (0, b"\x1f\x8b\x08", "gzip"),
    (0, b"BZh", "bzip2"),
    (0, b"\xfd7zXZ\x00", "xz"),
    (0, b"\x28\xb5\x2f\xfd", "zstd"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (0, b"Rar!\x1a\x07", "rar"),
    (257, b"ustar", "tar"),
    (0, b"{\\rtf", "rtf"),
)
"""Offset, bytes, kind."""

PLAIN = ("pdf", "rtf")
"""Kinds that may consist of letters only."""
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis")

PROGRAMS = (
    b"MZ",  # Windows
    b"\x7fELF",  # Linux
    b"\xfe\xed\xfa\xce",  # macOS, and so on
    b"\xfe\xed\xfa\xcf",
    b"\xce\xfa\xed\xfe",
    b"\xcf\xfa\xed\xfe",
    b"\xca\xfe\xba\xbe",  # also Java
    b"\x00asm",  # WebAssembly
    b"dex\n",  # Android
)

TEXT_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
"""Byte order marks of UTF-8 and UTF-16."""
NEVER_IN_TEXT = bytes({*range(0x20), 0x7F} - set(b"\b\t\n\f\r\x1b"))


class FileTypeError(AppError):
    """A file of a type that is not taken, or another than it is said to be."""

    status = 415
    code = "file-type"
    detail = "Files of this type are not taken."


def kind_of(head: bytes) -> str | None:
    """The kind of a file; None for one that is neither text nor known.

    Args:
        head: its first HEAD_BYTES, or all of it.
    """
    is_text = _is_text(head)
    for offset, signature, kind in SIGNATURES:
        if not head.startswith(signature, offset) or (offset == 8 and head[:4] != b"RIFF"):
            continue
        # A text may begin with letters that are a signature.
        if not (is_text and signature.isascii()) or kind in PLAIN:
            return kind
    if is_text:
        return TEXT
    if head.startswith(b"ftyp", 4):
        return "heif" if head[8:12] in HEIF_BRANDS else "mp4"
    return "bmp" if head.startswith(b"BM") else None


def check_type(declared: str | None, head: bytes) -> str:
    """The media type under which a file is kept.

    Args:
        declared: the type that its sender gives; parameters do not matter. None, or
            `application/octet-stream`, leaves it to the content. A type of text that is not known
            is taken for plain text.
        head: its first HEAD_BYTES, or all of it.

    Raises:
        FileTypeError: it is a program, its type is not taken, or its content is of another.
    """
    given = (declared or UNKNOWN).partition(";")[0].strip().lower()
    if head.startswith(PROGRAMS) and not _is_text(head):
        raise FileTypeError("The file is a program.")
    kind = kind_of(head)
    if given == UNKNOWN:
        return UNKNOWN if kind is None else KINDS[kind][0]
    if given.startswith("text/") and given not in KIND_OF:
        given = "text/plain"
    wanted = KIND_OF.get(given)
    if wanted is None:
        raise FileTypeError(
            f"Files of this type are not taken; {UNKNOWN} leaves it to their content."
        )
    if wanted != kind:
        raise FileTypeError("The content of the file is not of the type that it is said to be.")
    return given


def _is_text(head: bytes) -> bool:
    """Whether this may be text, of whatever encoding: none has these control characters."""
    return head.startswith(TEXT_MARKS) or len(head.translate(None, NEVER_IN_TEXT)) == len(head)
