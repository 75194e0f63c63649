"""`/account/backup`: a company's own archive."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from flask import Response, current_app, g
from flask_limiter.util import get_remote_address

from ops.backups.download import choose, download
from todo_app.audit import service as audit
from todo_app.auth import SignedIn, current_user
from todo_app.blueprint import Blueprint
from todo_app.database import db, transaction
from todo_app.extensions import limiter
from todo_app.schemas import Schema, String
from todo_app.tenancy import control_plane, current_tenant

PASSPHRASE_LENGTH = 12
MEDIA_TYPE = "application/octet-stream"

account = Blueprint(
    "account", __name__, url_prefix="/account", description="The company's own data"
)


class PassphraseSchema(Schema):
    """The header that names it."""

    class Meta(Schema.Meta):
        """A request has other headers, too."""

        unknown = ma.EXCLUDE

    passphrase = String(
        required=True,
        data_key="Backup-Passphrase",
        min_length=PASSPHRASE_LENGTH,
        max_length=1000,
        metadata={"description": "Opens the file: nothing else does.", "example": "twelve or more"},
    )


def _key() -> str:
    tenant = g.get("caller") or get_remote_address()
    return f"backup:{tenant}"


def _as_typed(header: str) -> str:
    """Text of a header: WSGI reads its bytes as Latin-1, and clients send UTF-8."""
    try:
        return header.encode("latin-1").decode()
    except UnicodeError:
        return header


@account.route("/backup", guard=SignedIn("admins:write", fresh=True))
@account.arguments(PassphraseSchema, location="headers")
@account.response(200)
@account.alt_response(
    200,
    schema={"type": "string", "format": "binary"},
    content_type=MEDIA_TYPE,
    description="The newest backup, as a file.",
)
@limiter.limit("6 per hour", key_func=_key)
def get_backup(headers: dict[str, Any]) -> Response:
    """Download the company's newest backup

    A tar, compressed with zstd and encrypted by age with the passphrase of the header:
    `age --decrypt backup.tar.zst.age | zstd --decompress | tar --extract` opens it. It takes some
    seconds, and a session that has shown its password lately.
    """
    settings = current_app.config["SETTINGS"]
    tenant_uuid = current_tenant().uuid
    # The tenant's transaction would stand in the way of a restore all the time.
    db.session.rollback()
    with control_plane():
        choice = choose(settings, tenant_uuid)
    name, data = download(settings, choice, _as_typed(headers["passphrase"]))
    with transaction():
        audit.record(current_user(), "backup.downloaded", name=name)
    answer = Response(data, mimetype=MEDIA_TYPE)
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer
