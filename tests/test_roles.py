"""Installations with fewer database roles than the embedded one; the control plane goes back."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable, Iterator

import psycopg2
import pytest
import sqlalchemy as sa
from alembic import command
from flask import Flask

import ops
from ops.local.postgres import PostgresServer, ensure_owner
from tests.conftest import API_PASSWORD, OPS_PASSWORD
from tests.factories import register
from todo_app import create_app
from todo_app.config import Settings
from todo_app.database import OPS_BIND, db
from todo_app.extensions import migrate
from todo_app.tenancy import operations

Install = Callable[..., Flask]


@pytest.fixture
def install(app: Flask, settings: Settings, postgres: PostgresServer) -> Iterator[Install]:
    """Makes installations on databases of their own; the roles are named API and OPS."""
    made: list[tuple[Flask, str]] = []

    def make(api_role: str, **changes: object) -> Flask:
        name = f"other_{secrets.token_hex(4)}"
        ensure_owner(postgres, OPS_PASSWORD, database=name)
        password = OPS_PASSWORD if api_role == "todo_ops" else API_PASSWORD
        other = create_app(
            dataclasses.replace(
                settings,
                database_url=postgres.url(name, api_role, password),
                ops_database_url=postgres.url(name, "todo_ops", OPS_PASSWORD),
                **changes,
            )
        )
        ops.init_app(other)
        made.append((other, name))
        return other

    yield make
    app.extensions["celery"].set_default()
    app.extensions["celery"].set_current()
    connection = psycopg2.connect(postgres.url())
    connection.autocommit = True
    for other, name in made:
        with other.app_context():
            for engine in db.engines.values():
                engine.dispose()
        connection.cursor().execute(f"DROP DATABASE {name} WITH (FORCE)")
    connection.close()


@pytest.mark.parametrize(
    ("api_role", "tenant_roles"),
    [("todo_ops", False), ("todo_ops", True), ("todo_api", False), ("todo_api", True)],
)
def test_an_installation_works_with_any_choice_of_roles(
    install: Install, api_role: str, tenant_roles: bool
) -> None:
    other = install(api_role, tenant_roles=tenant_roles)
    result = other.test_cli_runner().invoke(args=["control", "upgrade"])
    assert result.exit_code == 0, result.output
    acme, globex = (register(other.test_client(), name) for name in ("Acme", "Globex"))
    assert acme.post("/lists/", {"title": "Ours"}).status_code == 201
    assert globex.get("/lists/").json["total"] == 0
    for company in (acme, globex):
        dropped = other.test_cli_runner().invoke(
            args=["tenants", "drop", company.slug, "--confirm", company.slug]
        )
        assert dropped.exit_code == 0, dropped.output


def test_an_api_role_that_inherits_is_refused(install: Install, postgres: PostgresServer) -> None:
    role = f"greedy_{secrets.token_hex(4)}"
    connection = psycopg2.connect(postgres.url())
    connection.autocommit = True
    connection.cursor().execute(f"CREATE ROLE {role} LOGIN INHERIT")
    try:
        result = install(role).test_cli_runner().invoke(args=["control", "upgrade"])
        assert result.exit_code == 2
        assert "NOINHERIT" in result.output
    finally:
        connection.cursor().execute(f"DROP ROLE {role}")
        connection.close()


def test_the_control_plane_can_be_taken_back(install: Install) -> None:
    other = install("todo_ops", tenant_roles=False, spare_schemas=0)
    with other.app_context():
        command.upgrade(migrate.get_config(), "head")
        command.downgrade(migrate.get_config(), "base")
        with operations():
            tables = db.session.scalars(
                sa.text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            )
            assert list(tables) == ["alembic_version"]
        db.engines[OPS_BIND].dispose()


def test_commands_say_that_the_control_plane_is_missing(install: Install) -> None:
    result = install("todo_ops").test_cli_runner().invoke(args=["tenants", "list"])
    assert result.exit_code == 1
    assert "flask control upgrade" in result.output


def test_tenant_roles_cannot_be_switched_on_over_tenants_without_one(install: Install) -> None:
    other = install("todo_api", tenant_roles=False)
    assert other.test_cli_runner().invoke(args=["control", "upgrade"]).exit_code == 0
    register(other.test_client())
    other.config["SETTINGS"] = dataclasses.replace(other.config["SETTINGS"], tenant_roles=True)
    result = other.test_cli_runner().invoke(args=["control", "upgrade"])
    assert result.exit_code == 2
    assert "cannot be switched on" in result.output


def test_spares_of_other_roles_are_replaced(install: Install) -> None:
    other = install("todo_api", tenant_roles=False)
    assert other.test_cli_runner().invoke(args=["control", "upgrade"]).exit_code == 0
    other.config["SETTINGS"] = dataclasses.replace(other.config["SETTINGS"], tenant_roles=True)
    assert other.test_cli_runner().invoke(args=["control", "upgrade"]).exit_code == 0
    assert register(other.test_client()).get("/users/").status_code == 200


def test_older_code_leaves_a_newer_control_plane_alone(install: Install) -> None:
    other = install("todo_ops", tenant_roles=False)
    assert other.test_cli_runner().invoke(args=["control", "upgrade"]).exit_code == 0
    with other.app_context(), db.engines[OPS_BIND].begin() as connection:
        connection.exec_driver_sql("UPDATE public.alembic_version SET version_num = '9999'")
    result = other.test_cli_runner().invoke(args=["control", "upgrade"])
    assert result.exit_code == 0, result.output
    assert "Control plane at 9999" in result.output
    assert other.test_client().get("/health/ready").status_code == 200
