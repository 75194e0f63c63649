"""`/cc`: the catalogue and upgrades, for operators."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from ops.local.valkey import ValkeyServer
from ops.tenants import job as tenants_job
from tests.factories import Company, Operator, wait_until
from tests.ops.fleet import HEAD, REVISIONS
from tests.ops.moving import move_to
from todo_app.database import OPS_BIND, db
from todo_app.tenancy import operations

BEHIND = len(REVISIONS) - 1
"""How far behind a tenant is at the first revision."""


def schemas(app: Flask) -> set[str]:
    with app.app_context(), operations():
        return set(db.session.scalars(sa.text("SELECT nspname FROM pg_namespace")))


def test_the_catalogue_has_pages_and_search(cc: Operator, acme: Company) -> None:
    answer = cc.get(f"/cc/?search={acme.slug}&size=1&field=name&order=desc")
    assert answer.status_code == 200
    assert answer.json["items"][0]["slug"] == acme.slug
    assert answer.json["items"][0]["revision"] == HEAD
    assert cc.get("/cc/?field=id;drop").status_code == 422


@pytest.mark.parametrize(
    "name",
    [
        "A" * 300,
        "„Süß & Söhne“ 'x' \"y\"",
        "🍞🍞🍞",
        "!!! ...",
        "株式会社",
        "create",
        "-",
        "a\u202eb",
    ],
)
def test_any_name_makes_a_tenant(app: Flask, cc: Operator, name: str) -> None:
    first, second = (cc.post("/cc/create", {"name": name}) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json["slug"] != second.json["slug"]
    assert {first.json["schema_name"], second.json["schema_name"]} <= schemas(app)
    assert len(first.json["schema_name"].encode()) <= 63


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": 5},
        {"name": "x" * 301},
        {"name": "x\u0000"},
        {"name": "x", "slug": "Upper"},
        {"name": "x", "slug": "create"},
        {"name": "x", "slug": "a_b"},
        {"name": "x", "slug": "-a"},
        {"name": "x", "host": "not a host"},
        {"name": "x", "state": "suspended"},
        {"name": "x", "schema_name": "public"},
    ],
)
def test_bad_input_creates_nothing(app: Flask, cc: Operator, body: dict[str, Any]) -> None:
    before = schemas(app)
    assert cc.post("/cc/create", body).status_code == 422
    assert schemas(app) == before


def test_a_taken_slug_or_host_is_409(cc: Operator, acme: Company, globex: Company) -> None:
    host = f"{acme.slug}.example.net"
    assert cc.post("/cc/create", {"name": "x", "slug": acme.slug}).status_code == 409
    assert cc.patch(f"/cc/{acme.slug}", {"host": host}).status_code == 200
    assert cc.patch(f"/cc/{globex.slug}", {"host": host}).status_code == 409
    assert cc.patch(f"/cc/{globex.slug}", {"slug": acme.slug}).status_code == 409
    assert cc.post("/cc/create", {"name": "x", "host": host}).status_code == 409


def test_a_change_touches_only_what_is_sent(cc: Operator, acme: Company) -> None:
    assert cc.patch(f"/cc/{acme.slug}", {"city": "Warsaw"}).json["city"] == "Warsaw"
    changed = cc.patch(f"/cc/{acme.slug}", {"country": "Poland"}).json
    assert (changed["city"], changed["country"]) == ("Warsaw", "Poland")
    assert cc.patch(f"/cc/{acme.slug}", {"state": "deleting"}).status_code == 422


def test_an_unknown_tenant_is_404(cc: Operator) -> None:
    for answer in (
        cc.get("/cc/nobody"),
        cc.patch("/cc/nobody", {"city": "x"}),
        cc.delete("/cc/nobody?confirm=nobody"),
        cc.post("/cc/nobody"),
        cc.get("/cc/runs/999999999"),
        cc.get("/cc/runs/999999999/tenants"),
        cc.post("/cc/runs/999999999/cancel"),
        cc.post("/cc/runs/999999999/resume"),
    ):
        assert answer.status_code == 404


def test_deleting_asks_for_the_slug_then_closes_at_once(
    app: Flask, cc: Operator, acme: Company, globex: Company
) -> None:
    assert cc.delete(f"/cc/{acme.slug}").status_code == 422
    assert cc.delete(f"/cc/{acme.slug}?confirm=other").status_code == 422
    assert acme.get("/users/").status_code == 200
    assert cc.delete(f"/cc/{acme.slug}?confirm={acme.slug}").status_code == 202
    assert acme.get("/users/").status_code == 403
    with app.app_context():
        tenants_job.drop(acme.schema_name)
    assert acme.schema_name not in schemas(app)
    assert acme.get("/users/").status_code == 401
    assert globex.get("/users/").status_code == 200


def test_an_idempotency_key_creates_one_tenant(cc: Operator) -> None:
    headers = {"Idempotency-Key": "create-once"}
    first, second = (cc.post("/cc/create", {"name": "Once"}, headers=headers) for _ in range(2))
    assert first.json == second.json
    assert cc.post("/cc/create", {"name": "Twice"}, headers=headers).status_code == 409


ASK = """
import sys
from wsgi import app
headers = {"Authorization": f"Bearer {sys.stdin.read()}"}
answer = app.test_client().post(sys.argv[1], headers=headers)
print(answer.status_code, answer.content_type)
"""


@pytest.mark.parametrize("redis_url", ["redis://127.0.0.1:1/0", "{valkey}/5"])
def test_an_upgrade_without_a_broker_or_worker_is_503(
    app: Flask,
    environment: dict[str, str],
    operator: str,
    valkey: ValkeyServer,
    acme: Company,
    redis_url: str,
) -> None:
    move_to(app, acme, "0001")
    redis_url = redis_url.format(valkey=valkey.url.rpartition("/")[0])
    answer = subprocess.run(
        [sys.executable, "-c", ASK, f"/cc/{acme.slug}"],
        env={**environment, "REDIS_URL": redis_url},
        input=operator,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert answer.stdout.split() == ["503", "application/problem+json"]
    move_to(app, acme, HEAD)


def test_upgrades_run_on_a_worker(
    app: Flask, cc: Operator, acme: Company, worker: subprocess.Popen[bytes]
) -> None:
    move_to(app, acme, "0001")
    assert (cc.get(f"/cc/{acme.slug}").json["revision"], lag(cc, acme)) == ("0001", BEHIND)
    assert acme.get("/users/").status_code == 503
    answer = cc.post(f"/cc/{acme.slug}")
    assert answer.status_code == 202
    path = f"/cc/runs/{answer.json['id']}"
    wait_until(lambda: cc.get(path).json["state"] != "running", 30)
    run = cc.get(path).json
    assert (run["state"], run["title"]) == ("succeeded", f"upgrade to {HEAD}")
    assert run["actor"] == "operator:tests"
    assert run["counts"] == {"pending": 0, "running": 0, "done": 1, "skipped": 0, "failed": 0}
    (item,) = cc.get(f"{path}/tenants").json["items"]
    assert (item["tenant"], item["state"]) == (acme.slug, "done")
    assert item["result"] == {"from_revision": "0001", "to_revision": HEAD}
    assert (acme.get("/users/").status_code, lag(cc, acme)) == (200, 0)
    again = cc.post(f"/cc/{acme.slug}").json
    assert (again["total"], again["state"]) == (0, "succeeded")


def lag(cc: Operator, company: Company) -> int:
    return int(cc.get(f"/cc/{company.slug}").json["lag"])


def test_a_dry_run_shows_the_plan_and_changes_nothing(
    app: Flask, cc: Operator, acme: Company
) -> None:
    move_to(app, acme, "0001")
    answer = cc.post(f"/cc/{acme.slug}?dry_run=true")
    assert answer.status_code == 200
    assert answer.json["title"] == f"upgrade to {HEAD}"
    assert answer.json["tenants"] == [
        {"tenant": acme.slug, "wave": 1, "from_revision": "0001", "to_revision": HEAD}
    ]
    assert "CREATE TABLE lists" in answer.json["sql"]["0001"]
    assert lag(cc, acme) == BEHIND
    move_to(app, acme, HEAD)


@pytest.mark.parametrize(
    "query",
    ["canary=0", "wave_size=x", "max_failures=-1", "concurrency=0", "dry_run=perhaps", "x=1"],
)
def test_bad_limits_of_an_upgrade_are_422(cc: Operator, query: str) -> None:
    assert cc.post(f"/cc/?{query}").status_code == 422


def test_a_tenant_is_marked_as_a_canary(app: Flask, cc: Operator, acme: Company) -> None:
    path = f"/cc/{acme.slug}"
    assert cc.get(path).json["is_canary"] is False
    assert cc.patch(path, {"is_canary": True}).json["is_canary"] is True
    assert cc.patch(path, {"is_canary": "yes"}).status_code == 422
    result = app.test_cli_runner().invoke(args=["tenants", "canary", acme.slug, "--off"])
    assert result.output == f"{acme.slug} is no longer a canary.\n"
    assert cc.get(path).json["is_canary"] is False


def test_an_unknown_revision_is_422(cc: Operator) -> None:
    assert cc.post("/cc/?to=9999").status_code == 422
    assert cc.post("/cc/?to=';--").status_code == 422


def test_a_stale_change_of_a_tenant_is_412(cc: Operator, acme: Company) -> None:
    path = f"/cc/{acme.slug}"
    old = cc.get(path).headers["ETag"]
    assert cc.patch(path, {"city": "Lyon"}, headers={"If-Match": old}).status_code == 200
    assert cc.patch(path, {"city": "Paris"}, headers={"If-Match": old}).status_code == 412
    both = f"{old}, {cc.get(path).headers['ETag']}"
    assert cc.patch(path, {"city": "Paris"}, headers={"If-Match": both}).status_code == 200


def test_what_the_drift_check_found_is_shown(app: Flask, cc: Operator, acme: Company) -> None:
    path = f"/cc/{acme.slug}"
    assert cc.get(path).json["check"] is None
    with app.app_context(), db.engines[OPS_BIND].begin() as connection:
        connection.exec_driver_sql(f"ALTER TABLE {acme.schema_name}.users DROP COLUMN phone")
    assert app.test_cli_runner().invoke(args=["tenants", "check", acme.slug]).exit_code == 1
    found = cc.get(path).json["check"]
    assert (found["revision"], found["differences"]) == (HEAD, ["missing column users.phone"])
    (listed,) = cc.get(f"/cc/?search={acme.slug}").json["items"]
    assert listed["check"] == found
