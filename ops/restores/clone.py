"""A new tenant that is as another one is now."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ops.archives.codec import Counting, encoding
from ops.archives.keys import new_identity
from ops.archives.reader import Expected
from ops.archives.writer import write_archive
from ops.restores.restore import put_in_place
from ops.restores.source import Source
from ops.runs.claims import Item
from ops.upgrades.locks import lock_tenant
from todo_app.config import Settings
from todo_app.database import own_connection
from todo_app.storage import Storage

ARCHIVE = "clone.tar.zst.age"


def clone(item: Item, settings: Settings) -> dict[str, Any]:
    """Fill a new tenant with what another one holds.

    The archive between them lies in a temporary directory, for a key that is never written down:
    where this is killed, nothing that can be read is left.

    Args:
        item: the new tenant; its result names the schema of the `source`.
        settings: of this installation.

    Raises:
        AppError, sqlalchemy.exc.DBAPIError, OSError: both tenants are as they were.
    """
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="todo-clone-")))
        connection = stack.enter_context(own_connection())
        storage = Storage(directory.as_uri())
        recipient, identity = new_identity()
        schema_name = item.result["source"]
        with lock_tenant(connection, schema_name), storage.writing(ARCHIVE) as file:
            counted = Counting(file)
            with encoding(counted, recipient) as plain:
                header, manifest = write_archive(connection, schema_name, plain)
        expected = Expected(ARCHIVE, header.tenant["uuid"], counted.bytes, counted.sha256)
        source = Source(storage, expected, identity, manifest.rows)
        return put_in_place(connection, item, source, settings)
