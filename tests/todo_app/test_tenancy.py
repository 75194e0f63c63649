"""Which tenant a request means, and that nothing of it reaches another."""

from __future__ import annotations

import dataclasses
import uuid

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from tests.factories import PASSWORD, Company
from todo_app import database
from todo_app.config import Settings
from todo_app.database import OPS_BIND, ScopeMissingError, db, in_scope, set_scope, transaction
from todo_app.tenancy import (
    ControlPlane,
    TenantNotFoundError,
    TenantNotGivenError,
    control_plane,
    current_tenant,
    operations,
    tenant_scope,
)
from todo_app.tenants import service


def test_the_header_may_be_the_slug_or_the_schema_name(acme: Company) -> None:
    for name in (acme.slug, acme.schema_name):
        assert acme.get("/users/", headers={"tenant": name}).status_code == 200


def test_the_token_alone_names_the_tenant(client: FlaskClient, acme: Company) -> None:
    headers = {"Authorization": f"Bearer {acme.token}"}
    assert client.get("/users/", headers=headers).json["items"][0]["email"] == acme.email


@pytest.mark.parametrize("name", ["nobody", "t_nobody_00000000", "ünïcode", "a" * 300, "'; --"])
def test_an_unknown_tenant_is_404(client: FlaskClient, name: str) -> None:
    credentials = {"email": "a@example.com", "password": PASSWORD}
    answer = client.post("/auth/login", json=credentials, headers={"tenant": name})
    assert (answer.status_code, answer.json["type"]) == (404, "urn:todo:problem:unknown-tenant")


def test_a_host_name_that_is_no_tenants_is_400(client: FlaskClient) -> None:
    credentials = {"email": "a@example.com", "password": PASSWORD}
    answer = client.post("/auth/login", json=credentials, headers={"Host": "api.example.org"})
    assert (answer.status_code, answer.json["type"]) == (400, "urn:todo:problem:tenant-missing")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_without_a_tenant_the_address_must_lead_to_one(client: FlaskClient, host: str) -> None:
    credentials = {"email": "a@example.com", "password": PASSWORD}
    answer = client.post("/auth/login", json=credentials, headers={"Host": host})
    assert (answer.status_code, answer.json["type"]) == (401, "urn:todo:problem:wrong-credentials")


def test_token_and_header_of_different_tenants_are_403(acme: Company, globex: Company) -> None:
    answer = acme.get("/users/", headers={"tenant": globex.slug})
    assert (answer.status_code, answer.json["type"]) == (403, "urn:todo:problem:tenant-mismatch")


def test_a_host_name_of_its_own_chooses_the_tenant(
    app: Flask, client: FlaskClient, acme: Company, globex: Company
) -> None:
    host = f"todo-{uuid.uuid4().hex[:8]}.acme.com"
    with app.app_context(), operations(), transaction():
        service.change(acme.slug, {"host": host})
    credentials = {"email": acme.email, "password": PASSWORD}
    headers = {"Host": f"{host.upper()}:8443"}
    assert client.post("/auth/login", json=credentials, headers=headers).status_code == 200
    assert globex.get("/users/", headers={"Host": host}).status_code == 403
    assert acme.get("/users/", headers={"Host": host}).status_code == 200


def test_a_subdomain_chooses_the_tenant(
    app: Flask, client: FlaskClient, acme: Company, globex: Company, settings: Settings
) -> None:
    before = app.config["SETTINGS"]
    app.config["SETTINGS"] = dataclasses.replace(before, host_domain="todo.test")
    try:
        headers = {"Host": f"{acme.slug}.todo.test"}
        credentials = {"email": acme.email, "password": PASSWORD}
        assert client.post("/auth/login", json=credentials, headers=headers).status_code == 200
        assert globex.get("/users/", headers=headers).status_code == 403
        headers = {"Host": "nobody.todo.test"}
        assert client.post("/auth/login", json=credentials, headers=headers).status_code == 404
    finally:
        app.config["SETTINGS"] = before


def test_a_suspended_tenant_is_403_until_it_is_active_again(app: Flask, acme: Company) -> None:
    for state, status in (("suspended", 403), ("active", 200)):
        with app.app_context(), operations(), transaction():
            service.change(acme.slug, {"state": state})
        assert acme.get("/users/").status_code == status


def test_a_tenant_that_is_behind_is_503_with_retry_after(app: Flask, acme: Company) -> None:
    before = app.config["SETTINGS"]
    app.config["SETTINGS"] = dataclasses.replace(before, required_revision="9999")
    try:
        answer = acme.get("/users/")
    finally:
        app.config["SETTINGS"] = before
    assert (answer.status_code, answer.json["type"]) == (503, "urn:todo:problem:tenant-behind")
    assert int(answer.headers["Retry-After"]) > 0


def test_a_renamed_tenant_keeps_its_tokens(app: Flask, acme: Company) -> None:
    new_slug = f"{acme.slug}-new"
    with app.app_context(), operations(), transaction():
        service.change(acme.slug, {"slug": new_slug})
    assert acme.get("/users/").status_code == 403
    assert acme.get("/users/", headers={"tenant": new_slug}).status_code == 200


def test_no_transaction_begins_without_a_scope(app: Flask) -> None:
    with app.app_context(), pytest.raises(ScopeMissingError):
        db.session.execute(sa.text("SELECT 1"))


def test_the_scope_cannot_change_inside_a_transaction(app: Flask, acme: Company) -> None:
    with app.app_context(), tenant_scope(acme.slug):
        db.session.execute(sa.text("SELECT 1"))
        with pytest.raises(ScopeMissingError):
            set_scope(ControlPlane())


def test_scopes_nest_and_each_has_its_own_transaction(
    app: Flask, acme: Company, globex: Company
) -> None:
    with app.app_context(), tenant_scope(acme.slug):
        assert _path() == acme.schema_name
        with tenant_scope(globex.slug):
            assert _path() == globex.schema_name
        assert _path() == acme.schema_name
        assert current_tenant().slug == acme.slug


def test_the_control_plane_has_no_tenant(app: Flask) -> None:
    with app.app_context(), control_plane(), pytest.raises(TenantNotGivenError):
        current_tenant()


def test_an_unknown_tenant_leaves_the_session_usable(app: Flask, acme: Company) -> None:
    with app.app_context():
        with pytest.raises(TenantNotFoundError), tenant_scope("nobody"):
            current_tenant()
        with tenant_scope(acme.slug):
            assert current_tenant().slug == acme.slug


def test_nothing_stays_on_a_pooled_connection(app: Flask, acme: Company) -> None:
    with app.app_context():
        with tenant_scope(acme.slug):
            assert _path() == acme.schema_name
        connection = db.engines[None].raw_connection()
        try:
            cursor = connection.cursor()
            cursor.execute("SELECT current_setting('search_path'), current_user")
            assert cursor.fetchone() == ('"$user", public', "todo_api")
        finally:
            connection.close()


def test_postgresql_refuses_another_tenants_table(
    app: Flask, acme: Company, globex: Company
) -> None:
    with app.app_context(), tenant_scope(acme.slug):
        assert db.session.execute(sa.text("SELECT count(*) FROM users")).scalar() == 1
        with pytest.raises(sa.exc.ProgrammingError, match="permission denied for schema"):
            db.session.execute(sa.text(f"SELECT * FROM {globex.schema_name}.users"))


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM public.tenants",
        "SELECT * FROM public.outbox",
        "UPDATE alembic_version SET version_num = '0001'",
        "CREATE TABLE mine (id int)",
        "DROP TABLE users",
        "CREATE SCHEMA mine",
        "SELECT public.claim_schema('t_mine_00000000')",
        "SET ROLE todo_ops",
    ],
)
def test_a_tenants_role_may_do_no_more_than_it_needs(
    app: Flask, acme: Company, statement: str
) -> None:
    with app.app_context(), tenant_scope(acme.slug), pytest.raises(sa.exc.ProgrammingError):
        db.session.execute(sa.text(statement))


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE SCHEMA mine",
        "CREATE TABLE public.mine (id int)",
        "DELETE FROM public.tenants",
        "SELECT public.build_schema('t_mine_00000000')",
        "SELECT script FROM public.schema_scripts",
        "SELECT * FROM public.outbox",
        "DELETE FROM public.operator_audit",
        "SELECT public.claim_schema('public')",
        "SELECT public.claim_schema('t_x; DROP SCHEMA public')",
    ],
)
def test_the_apis_role_may_do_no_more_than_it_needs(app: Flask, statement: str) -> None:
    with app.app_context(), control_plane(), pytest.raises(sa.exc.DBAPIError):
        db.session.execute(sa.text(statement))


def test_the_apis_role_reads_no_tenant_without_becoming_it(app: Flask, acme: Company) -> None:
    with (
        app.app_context(),
        control_plane(),
        pytest.raises(sa.exc.ProgrammingError, match="permission denied"),
    ):
        db.session.execute(sa.text(f"SELECT * FROM {acme.schema_name}.users"))


def test_a_connection_is_replaced_after_many_schemas(
    app: Flask, acme: Company, globex: Company, settings: Settings
) -> None:
    from todo_app import create_app

    small = create_app(dataclasses.replace(settings, pool_size=1, pool_max_schemas=2))
    with small.app_context():
        backends = [_backend(company) for company in (acme, acme, globex, acme)]
    assert backends[0] == backends[1] == backends[2] != backends[3]
    with small.app_context():
        db.engines[None].dispose()


def _backend(company: Company) -> int:
    with tenant_scope(company.slug):
        return db.session.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()


def _path() -> str:
    return str(db.session.execute(sa.text("SELECT current_setting('search_path')")).scalar())


def test_in_scope_restores_the_outer_session(app: Flask, acme: Company) -> None:
    with app.app_context(), tenant_scope(acme.slug):
        outer = db.session()
        with in_scope(ControlPlane()):
            assert db.session() is not outer
        assert db.session() is outer


def test_an_idle_connection_is_tried_before_use(
    app: Flask, acme: Company, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from todo_app import create_app

    url = f"{settings.database_url}?application_name=idle"
    small = create_app(dataclasses.replace(settings, database_url=url, pool_size=1))
    client = small.test_client()
    assert client.get("/users/", headers=acme.headers).status_code == 200
    monkeypatch.setattr(database, "PING_AFTER_SECONDS", 0)
    assert client.get("/users/", headers=acme.headers).status_code == 200
    with app.app_context(), db.engines[OPS_BIND].connect() as connection:
        connection.exec_driver_sql("GRANT todo_api TO todo_ops")
        ended = connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE application_name = 'idle'"
        ).scalar()
        connection.rollback()
    assert ended is True
    assert client.get("/users/", headers=acme.headers).status_code == 200
    with small.app_context():
        db.engines[None].dispose()


def test_the_services_own_name_stands_for_no_tenant(
    app: Flask, acme: Company, settings: Settings
) -> None:
    before = app.config["SETTINGS"]
    app.config["SETTINGS"] = dataclasses.replace(
        before, host_domain="todo.test", public_url="https://api.todo.test"
    )
    try:
        assert acme.get("/users/", headers={"Host": "api.todo.test"}).status_code == 200
        assert acme.get("/users/", headers={"Host": "other.todo.test"}).status_code == 403
    finally:
        app.config["SETTINGS"] = before
