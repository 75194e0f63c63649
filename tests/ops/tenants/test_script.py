"""The prepared script makes exactly what the migrations make."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
from pathlib import Path

from alembic import command
from flask import Flask

from ops.local.postgres import PostgresServer
from ops.tenants import job
from tests.factories import Company
from todo_app.config import Settings
from todo_app.database import OPS_BIND, db, transaction
from todo_app.extensions import migrate
from todo_app.tenancy import operations


def dump(postgres: PostgresServer, schema: str) -> list[str]:
    """Everything of a schema, structure, rows and privileges, with its name left out."""
    program = Path(postgres.bin_dir) / "pg_dump"
    arguments = ["--inserts", "--schema", schema, postgres.url("todo")]
    text = subprocess.run(
        [program, *arguments], capture_output=True, text=True, check=True, env={**os.environ}
    ).stdout
    text = text.replace(schema, "SCHEMA")
    text = re.sub(r"'[0-9a-f-]{36}'", "'UUID'", text)
    text = re.sub(r"'[0-9]{4}-[0-9-]{5} [0-9:.]+\+00'", "'NOW'", text)
    text = re.sub(r"(?m)^\\(un)?restrict .*$", "", text)
    return text.splitlines()


def test_the_script_makes_what_the_migrations_make(
    app: Flask, postgres: PostgresServer, settings: Settings, acme: Company
) -> None:
    by_script = f"t_script_{secrets.token_hex(4)}"
    by_alembic = f"t_alembic_{secrets.token_hex(4)}"
    with app.app_context():
        with operations(), transaction():
            db.session.execute(db.select(db.func.public.build_schema(by_script)))
            owner_of_nothing = job.prelude(settings).replace(job.SCHEMA_PLACEHOLDER, by_alembic)
            db.session.connection().exec_driver_sql(owner_of_nothing)
        with db.engines[OPS_BIND].connect() as connection:
            config = migrate.get_config(x_arg="history=tenant")
            config.attributes.update(connection=connection, schema=by_alembic)
            command.upgrade(config, "head")
            epilogue = job.epilogue(settings).replace(job.SCHEMA_PLACEHOLDER, by_alembic)
            connection.exec_driver_sql(epilogue)
            connection.commit()
            # It has set what belongs to migrations.
            connection.invalidate()
        expected, made = dump(postgres, by_alembic), dump(postgres, by_script)
        assert len(made) > 300
        assert made == expected
        for schema in (by_script, by_alembic):
            job.drop_schema(schema)


def test_a_claimed_spare_is_what_the_script_makes(
    app: Flask, postgres: PostgresServer, settings: Settings
) -> None:
    names = [f"t_claimed_{secrets.token_hex(4)}" for _ in range(2)]
    with app.app_context():
        job.keep_spares(1)
        with operations(), transaction():
            db.session.execute(db.select(db.func.public.claim_schema(names[0])))
            db.session.execute(db.select(db.func.public.build_schema(names[1])))
        claimed, built = (dump(postgres, name) for name in names)
        for name in names:
            job.drop_schema(name)
    assert claimed == built
