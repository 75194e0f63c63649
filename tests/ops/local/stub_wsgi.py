"""A stand-in for wsgi.py: as little as `flask up` needs, on the real servers."""

import json
import os
import time
from typing import Any
from urllib.parse import urlsplit

import click
import psycopg2
from celery import Celery
from flask import Flask, request
from flask.cli import AppGroup

app = Flask(__name__)
celery_app = Celery("stub", broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])
control = AppGroup("control")
tenants = AppGroup("tenants")


@control.command("upgrade")
def upgrade() -> None:
    api = urlsplit(os.environ["DATABASE_URL"])
    connection = psycopg2.connect(os.environ["OPS_DATABASE_URL"])
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (api.username,))
        if cursor.fetchone() is None:
            cursor.execute(f"CREATE ROLE {api.username} LOGIN PASSWORD '{api.password}'")
            cursor.execute("CREATE TABLE starts (at timestamptz DEFAULT now())")
            cursor.execute(f"GRANT SELECT ON starts TO {api.username}")
        cursor.execute("INSERT INTO starts DEFAULT VALUES")
    connection.close()
    click.echo("upgraded", err=True)
    time.sleep(float(os.environ.get("SLOW_UPGRADE", "0")))


@tenants.command("demo")
@click.option("--json", "as_json", is_flag=True, required=True)
def demo(as_json: bool) -> None:
    user = {"email": "ada@acme.example", "password": os.environ["DEMO_PASSWORD"]}
    click.echo(json.dumps({"tenants": [{"slug": "acme", "name": "Łódź [red] & Co", **user}]}))


app.cli.add_command(control)
app.cli.add_command(tenants)


@app.get("/health/ready")
def ready() -> dict[str, Any]:
    connection = psycopg2.connect(os.environ["DATABASE_URL"])
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM starts")
        (starts,) = cursor.fetchone() or (0,)
    connection.close()
    return {"starts": starts}


@app.post("/auth/login")
def login() -> tuple[dict[str, Any], int]:
    if os.environ.get("REFUSE_LOGIN"):
        return {"title": "no"}, 401
    return {"token": f"tenant_acme.{request.get_json()['email']}"}, 200


@app.get("/users/")
def users() -> dict[str, Any]:
    return {"tenant": request.headers["tenant"], "token": request.headers["Authorization"]}
