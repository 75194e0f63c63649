"""Users' pictures: whatever is sent is decoded and made anew, small and without metadata."""

from __future__ import annotations

import hashlib
import io
import threading
import uuid

import sqlalchemy as sa
from PIL import Image, ImageOps
from sqlalchemy.dialects.postgresql import insert

from todo_app.accounts.models import Avatar, User
from todo_app.accounts.service import WRITE, get_managed_user, get_user
from todo_app.audit.service import record
from todo_app.database import current_session, db
from todo_app.errors import ForbiddenError, InvalidInputError, NotFoundError
from todo_app.line import aside
from todo_app.permissions.service import change_powers
from todo_app.tenancy import CurrentUser

MAX_BODY_BYTES = 2 * 1024 * 1024
MAX_PIXELS = 16 * 1024 * 1024
"""Decoded, so many take 64 MB for a moment, and as much again while they are turned."""
MAX_SCANS = 50
"""Of a progressive JPEG, which has about ten. A scan of 33 bytes can take 10 ms to decode."""
MOST_AT_ONCE = 2
"""Pictures that a process decodes at a time; further ones wait."""

SIZE = (256, 256)
MEDIA_TYPE = "image/webp"
JPEG = "image/jpeg"
FORMATS = {"image/png": "PNG", JPEG: "JPEG", "image/webp": "WEBP"}
"""What may be sent, by media type."""


_decoding = threading.BoundedSemaphore(MOST_AT_ONCE)
_START_OF_SCAN = b"\xff\xda"


class BadImageError(InvalidInputError):
    """The body is not a picture that can be used."""

    code = "bad-image"
    detail = f"This is no picture of the type it is said to be, or has over {MAX_PIXELS} pixels."


def get_avatar(user_uuid: uuid.UUID) -> tuple[bytes, str]:
    """A user's picture, and its media type.

    Raises:
        NotFoundError: there is no such user, or the user has no picture.
    """
    row = db.session.execute(
        sa.select(Avatar.content, Avatar.media_type)
        .join(User, User.id == Avatar.user_id)
        .where(User.uuid == user_uuid, User.deleted_at.is_(None))
    ).one_or_none()
    if row is None:
        raise NotFoundError("There is no such picture.")
    return row.content, row.media_type


def etag_of(content: bytes) -> str:
    """What tells one picture from another."""
    return hashlib.sha256(content).hexdigest()[:32]


def check_may_picture(actor: CurrentUser, user_uuid: uuid.UUID) -> None:
    """Check, before a body is read, that the actor may change somebody's picture.

    Raises:
        ForbiddenError: it is not their own, and they may not change users.
        NotFoundError: there is no such user.
    """
    if user_uuid != actor.uuid and WRITE not in actor.permissions:
        raise ForbiddenError(f"Your role lacks the permission {WRITE}.")
    get_user(user_uuid)
    # A connection does not wait for a client that sends slowly.
    if not current_session().depth:
        db.session.rollback()


def render(body: bytes, media_type: str) -> bytes:
    """A picture as it is kept: 256 by 256 pixels, upright, without metadata.

    Called before the transaction of the change, for decoding takes long.

    Args:
        body: the picture as it was sent.
        media_type: what it is said to be; one of FORMATS.

    Raises:
        BadImageError: it cannot be decoded, or is too large.
    """
    if not current_session().depth:
        db.session.rollback()
    try:
        if body.count(_START_OF_SCAN) > MAX_SCANS and media_type == JPEG:
            raise BadImageError
        form = [FORMATS[media_type]]
        with aside(), _decoding, Image.open(io.BytesIO(body), formats=form) as image:
            return _small(image)
    except Exception:
        # Pillow's decoders raise whatever they stumble over.
        raise BadImageError from None


def put_avatar(actor: CurrentUser, user_uuid: uuid.UUID, content: bytes) -> None:
    """Give a user a picture.

    Args:
        actor: who does it: the user, or somebody who may change them.
        user_uuid: whose picture.
        content: as `render` has made it.

    Raises:
        NotFoundError, ForbiddenError
    """
    user = _get_own_or_managed(actor, user_uuid)
    values = {"content": content, "media_type": MEDIA_TYPE, "updated_at": sa.func.now()}
    db.session.execute(
        insert(Avatar)
        .values(user_id=user.id, **values)
        .on_conflict_do_update(index_elements=[Avatar.user_id], set_=values)
    )
    record(actor, "avatar.changed", ("user", user.uuid))


def delete_avatar(actor: CurrentUser, user_uuid: uuid.UUID) -> None:
    """Take a user's picture away; nothing happens where there is none.

    Raises:
        NotFoundError, ForbiddenError
    """
    user = _get_own_or_managed(actor, user_uuid)
    found = db.session.execute(
        sa.delete(Avatar).where(Avatar.user_id == user.id).returning(Avatar.user_id)
    )
    if found.first() is not None:
        record(actor, "avatar.deleted", ("user", user.uuid))


def _get_own_or_managed(actor: CurrentUser, user_uuid: uuid.UUID) -> User:
    if user_uuid == actor.uuid:
        return get_user(user_uuid, for_update=True)
    return get_managed_user(change_powers(actor, WRITE), user_uuid)


def _small(image: Image.Image) -> bytes:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise BadImageError
    # A JPEG can be decoded at a fraction of its size.
    image.draft("RGB", (2 * SIZE[0], 2 * SIZE[1]))
    upright = ImageOps.exif_transpose(image).convert("RGBA")
    small = ImageOps.fit(upright, SIZE, Image.Resampling.LANCZOS)
    out = io.BytesIO()
    small.save(out, "WEBP", quality=85, exif=b"", icc_profile=b"", xmp=b"")
    return out.getvalue()
