"""Each way in goes through a real mailbox: what opens the door is read from the mail alone."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from tests.factories import PASSWORD, TOKEN, Company, registration, sign_in
from tests.ops.delivery.conftest import Mailbox
from todo_app.database import db, transaction
from todo_app.invitations.models import Invitation
from todo_app.outbox import OutboxMessage
from todo_app.tenancy import operations, tenant_scope

NEW = "a new and better one"
PERSON = {"first_name": "Grace", "last_name": "Hopper", "password": PASSWORD}


def token_in(text: str) -> str:
    (token,) = TOKEN.findall(text)
    return str(token)


def assert_no_secrets_are_left(app: Flask) -> None:
    with app.app_context(), operations():
        payloads = list(db.session.scalars(sa.select(OutboxMessage.payload)))
    assert payloads
    assert all(payload == {} for payload in payloads)


def test_activation(client: FlaskClient, mailbox: Mailbox) -> None:
    email = "zoe@zazolc.example.com"
    answer = client.post("/auth/register", json=registration("Zażółć", email))
    slug = answer.json["tenant"]["slug"]
    subject, text = mailbox.receive(email)
    assert "Zażółć" in text
    assert subject
    body = {"token": token_in(text), "password": PASSWORD}
    assert client.post("/auth/first_run", json=body).status_code == 200
    sign_in(client, slug, email)
    assert_no_secrets_are_left(mailbox.app)


def test_the_first_person_of_a_tenant_that_an_operator_makes(
    client: FlaskClient, mailbox: Mailbox
) -> None:
    slug, email = "by-an-operator", "ada@by-an-operator.example.com"
    command = ["tenants", "create", "By hand", "--slug", slug, "--admin", email.upper()]
    result = mailbox.app.test_cli_runner().invoke(args=command)
    assert result.exit_code == 0, result.output
    assert slug in mailbox.receive(email)[1]
    path, headers = "/auth/reset-password", {"tenant": slug}
    assert client.post(f"{path}/{email}", headers=headers).status_code == 202
    token = token_in(mailbox.receive(email)[1])
    assert client.post(f"{path}/{token}", json={"password": PASSWORD}).status_code == 204
    boss = sign_in(client, slug, email)
    assert boss.get("/users/me").json["role"]["name"] == "master_admin"


def test_invitation_and_resending(client: FlaskClient, acme: Company, mailbox: Mailbox) -> None:
    email = "grace@hopper.example.com"
    body = {"email": email, "role_uuid": acme.role_uuid("user")}
    invitation = acme.post("/users/invitations", body).json["uuid"]
    subject, text = mailbox.receive(email)
    assert "Ada Lovelace" in subject
    first = token_in(text)
    with mailbox.app.app_context(), tenant_scope(acme.slug), transaction():
        earlier = Invitation.sent_at - timedelta(minutes=1)
        db.session.execute(sa.update(Invitation).values(sent_at=earlier))
    assert acme.post(f"/users/invitations/{invitation}/resend").status_code == 200
    second = token_in(mailbox.receive(email)[1])
    path = "/users/invitations/accept"
    assert client.post(path, json={**PERSON, "token": first}).status_code == 404
    assert client.post(path, json={**PERSON, "token": second}).status_code == 201
    sign_in(client, acme.slug, email)
    assert_no_secrets_are_left(mailbox.app)


def test_a_lost_password(client: FlaskClient, acme: Company, mailbox: Mailbox) -> None:
    assert client.post(f"/auth/reset-password/{acme.email}").status_code == 202
    _, text = mailbox.receive(acme.email)
    path = f"/auth/reset-password/{token_in(text)}"
    assert client.post(path, json={"password": NEW}).status_code == 204
    _, text = mailbox.receive(acme.email)
    assert not TOKEN.findall(text)
    assert "has been changed" in text
    sign_in(client, acme.slug, acme.email, NEW)
    assert_no_secrets_are_left(mailbox.app)


def test_a_registrant_who_lost_the_mail(client: FlaskClient, mailbox: Mailbox) -> None:
    email = "lost@mail.example.com"
    answer = client.post("/auth/register", json=registration("Lost", email))
    slug = answer.json["tenant"]["slug"]
    mailbox.receive(email)
    asked = client.post(f"/auth/reset-password/{email}", headers={"tenant": slug})
    assert asked.status_code == 202
    token = token_in(mailbox.receive(email)[1])
    answer = client.post(f"/auth/reset-password/{token}", json={"password": NEW})
    assert answer.status_code == 204
    sign_in(client, slug, email, NEW)


def test_a_changed_password_is_told(acme: Company, mailbox: Mailbox) -> None:
    body = {"current_password": PASSWORD, "password": NEW}
    assert acme.post("/auth/password", body).status_code == 204
    _, text = mailbox.receive(acme.email)
    assert "has been changed" in text


def test_a_new_address_is_confirmed_and_the_old_one_told(
    client: FlaskClient, acme: Company, mailbox: Mailbox
) -> None:
    email = f"new-{acme.email}"
    assert acme.patch("/users/me", {"email": email}).status_code == 200
    _, text = mailbox.receive(email)
    body = {"token": token_in(text), "password": PASSWORD}
    assert client.post("/auth/first_run", json=body).json["user"]["is_verified"] is True
    told = [mail for mail in mailbox.mails if mail["To"] == acme.email]
    assert len(told) == 1


def test_nobody_is_mailed_who_is_not_there(client: FlaskClient, mailbox: Mailbox) -> None:
    assert client.post("/auth/reset-password/nobody@nowhere.example.com").status_code == 202
    assert mailbox.deliver() == 1
    assert mailbox.mails == []
    assert_no_secrets_are_left(mailbox.app)
