"""What can be wrong with an archive or its key."""

from __future__ import annotations

from todo_app.errors import AppError, ConflictError


class ArchiveDamagedError(AppError):
    """What was read is not what was written; nothing of it may be used."""

    status = 422
    code = "archive-damaged"
    detail = "The archive is damaged."


class FormatTooNewError(AppError):
    """A newer program has written the archive."""

    status = 422
    code = "archive-too-new"
    detail = "A newer version of this program has written the archive; read it with that one."


class WrongKeyError(ConflictError):
    """It is encrypted for somebody else."""

    code = "wrong-key"
    detail = "It is encrypted for another key."


class NoIdentityError(ConflictError):
    """It is encrypted, and no secret key is there to open it."""

    code = "no-identity"
    detail = "It is encrypted: set BACKUP_IDENTITY to the secret key of one of BACKUP_RECIPIENTS."


class KeyForgottenError(AppError):
    """The tenant's key was destroyed on purpose: nobody can open its archives."""

    status = 410
    code = "key-forgotten"
    detail = "The key of this tenant was destroyed: its archives cannot be opened any more."


class TooLargeError(AppError):
    """There is more of it than can be worked on in memory."""

    status = 422
    code = "too-large"
    detail = "It is too large."


class SchemaReplacedError(ConflictError):
    """The snapshot is older than the schema."""

    code = "schema-replaced"
    detail = "The schema was replaced or rewritten since the snapshot was taken."
