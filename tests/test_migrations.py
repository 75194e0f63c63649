"""Both histories are one line each, reversible, and equal to the models."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask

import todo_app
from tests.factories import Company
from tests.ops.fleet import HEAD
from todo_app import histories
from todo_app.config import Settings
from todo_app.database import OPS_BIND, Base, db, driver_url
from todo_app.extensions import migrate

REWORDED = {"ix_tasks_words"}
"""Indexes on expressions that PostgreSQL writes down in other words, so texts cannot be compared.
`tests/todo_app/filters/test_index.py` shows that they are what the models say."""


@pytest.mark.parametrize("history", ["control", "tenant"])
def test_each_history_is_one_line_in_the_order_of_its_names(app: Flask, history: str) -> None:
    with app.app_context():
        script = ScriptDirectory.from_config(migrate.get_config(x_arg=f"history={history}"))
    revisions = [revision.revision for revision in script.walk_revisions()]
    assert len(script.get_heads()) == 1
    assert revisions == sorted(revisions, reverse=True)


@pytest.mark.parametrize("history", ["control", "tenant"])
def test_models_equal_migrations(
    app: Flask, settings: Settings, acme: Company, history: str
) -> None:
    schema = acme.schema_name if history == "tenant" else "public"
    for module in pkgutil.walk_packages(todo_app.__path__, "todo_app."):
        if module.name.endswith(".models"):
            importlib.import_module(module.name)
    models = sa.MetaData(naming_convention=Base.metadata.naming_convention)
    for table in Base.metadata.tables.values():
        if (table.schema == "public") == (history == "control"):
            table.to_metadata(models, schema=None, referred_schema_fn=lambda *_: sa.BLANK_SCHEMA)
    engine = sa.create_engine(
        driver_url(settings.ops_database_url),
        connect_args={"options": f"-c search_path={schema}"},
        poolclass=sa.NullPool,
    )
    with engine.connect() as connection:
        opts = {
            "compare_type": True,
            "compare_server_default": True,
            "include_object": lambda _, name, *about: name not in REWORDED,
        }
        context = MigrationContext.configure(connection, opts=opts)
        assert compare_metadata(context, models) == []


def test_every_tenant_revision_can_be_taken_back(
    app: Flask, settings: Settings, acme: Company
) -> None:
    # Of its own: the search_path that the revisions set must not go back to a pool.
    engine = sa.create_engine(driver_url(settings.ops_database_url), poolclass=sa.NullPool)
    with app.app_context(), engine.connect() as connection:
        config = migrate.get_config(x_arg="history=tenant")
        config.attributes.update(connection=connection, schema=acme.schema_name)
        command.downgrade(config, "base")
        assert _tables(connection, acme.schema_name) == {"alembic_version"}
        assert _revision(connection, acme.schema_name) == ""
        command.upgrade(config, "head")
        assert "tasks" in _tables(connection, acme.schema_name)
        assert _revision(connection, acme.schema_name) == HEAD


def _tables(connection: sa.Connection, schema: str) -> set[str]:
    statement = sa.text("SELECT tablename FROM pg_tables WHERE schemaname = :schema")
    return set(connection.execute(statement, {"schema": schema}).scalars())


def _revision(connection: sa.Connection, schema: str) -> str:
    statement = sa.text("SELECT revision FROM public.tenants WHERE schema_name = :schema")
    return str(connection.execute(statement, {"schema": schema}).scalar_one())


def test_tenant_schemas_can_be_moved_to_another_server(app: Flask, acme: Company) -> None:
    """What schema-based sharding asks for: nothing reaches out of a schema, and keys everywhere."""
    with app.app_context(), db.engines[OPS_BIND].connect() as connection:

        def names(statement: str) -> list[str]:
            return list(connection.execute(sa.text(statement), {"s": acme.schema_name}).scalars())

        tables = (
            "SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = :s\\:\\:regnamespace"
        )
        outside = "confrelid NOT IN (" + tables + ")"
        assert (
            names(
                f"SELECT conname FROM pg_constraint WHERE contype = 'f' AND conrelid IN ({tables})"
                f" AND {outside}"
            )
            == []
        )
        assert (
            names(f"SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgrelid IN ({tables})")
            == []
        )
        assert (
            names(
                f"SELECT relname FROM pg_class WHERE oid IN ({tables}) AND NOT EXISTS (SELECT FROM"
                " pg_constraint WHERE contype = 'p' AND conrelid = pg_class.oid)"
            )
            == []
        )


@pytest.mark.parametrize("history", ["control", "tenant"])
def test_a_new_revision_can_be_loaded_as_it_is_made(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, history: str
) -> None:
    (tmp_path / history / "versions").mkdir(parents=True)
    monkeypatch.setattr(histories, "DIRECTORY", tmp_path)
    with app.app_context():
        config = migrate.get_config(x_arg=f"history={history}")
        made = command.revision(config, "Add something", rev_id="9998")
    assert tmp_path in Path(made.path).parents
    compile(Path(made.path).read_text(), made.path, "exec")
