"""`/users/invitations`: how people join a company that exists."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from tests.factories import PASSWORD, Company, Operator, Person, mailed_token, mails_to, sign_in
from tests.todo_app.helpers import (
    BAD_QUERIES,
    BAD_TEXTS,
    LONE_SURROGATE,
    RAW_BODIES,
    assert_problem,
    assert_unreadable,
    at_once,
    inside,
    send_raw,
    statuses,
)
from tests.todo_app.registration.kit import (
    NO_TOKENS,
    actions,
    address,
    anonymous,
    assert_invalid_token,
    elsewhere,
)
from todo_app.database import db
from todo_app.invitations.models import Invitation
from todo_app.registration import members
from todo_app.tenancy import control_plane

PATH = "/users/invitations/"
PERSON = {"first_name": "Grace", "last_name": "Hopper", "password": PASSWORD}


def invite(inviter: Person, email: str, role_uuid: str, **more: Any) -> Any:
    return inviter.post(PATH, {"email": email, "role_uuid": role_uuid, **more})


def invited(company: Company, role: str = "user", inviter: Person | None = None) -> tuple[str, str]:
    """Id and address of a fresh invitation."""
    email = address()
    answer = invite(inviter or company, email, company.role_uuid(role))
    assert answer.status_code == 201, answer.json
    return answer.json["uuid"], email


def accept(client: FlaskClient, token: str, **more: Any) -> Any:
    return client.post(f"{PATH}accept", json={"token": token, **PERSON, **more})


def move_clock(app: Flask, slug: str, by: timedelta) -> None:
    with inside(app, slug):
        db.session.execute(
            sa.update(Invitation).values(
                sent_at=Invitation.sent_at - by, expires_at=Invitation.expires_at - by
            )
        )


def state(company: Company, invitation_uuid: str) -> str:
    return str(company.get(PATH + invitation_uuid).json["state"])


def test_an_invitation_becomes_a_user(app: Flask, client: FlaskClient, acme: Company) -> None:
    email = address()
    answer = invite(acme, email.upper(), acme.role_uuid("user"), language="en-US")
    assert answer.status_code == 201
    made = answer.json
    assert (made["email"], made["state"], made["role"]["name"]) == (email, "pending", "user")
    assert made["invited_by"] == {"uuid": acme.uuid, "first_name": "Ada", "last_name": "Lovelace"}
    token = mailed_token(app, email)
    assert token.partition(".")[2] not in answer.text
    more = {"phone": "+1 555", "language": "de", "timezone": "Europe/Berlin"}
    joined = accept(client, token, **more)
    assert joined.status_code == 201
    user = joined.json
    assert (user["email"], user["role"]["name"]) == (email, "user")
    assert (user["is_active"], user["is_verified"]) == (True, True)
    assert {name: user[name] for name in more} == more
    assert PASSWORD not in joined.text
    sign_in(client, acme.slug, email)
    assert state(acme, made["uuid"]) == "accepted"
    with app.app_context(), control_plane():
        assert members.schemas_of(email) == [acme.schema_name]
    assert {"invitation.made", "invitation.accepted"} <= set(actions(app, acme.slug))


def test_a_mail_is_in_the_companys_language_unless_told_otherwise(
    app: Flask, acme: Company
) -> None:
    with inside(app, acme.slug):
        db.session.execute(sa.text("UPDATE company_settings SET language = 'pl', timezone = 'CET'"))
    invitation_uuid, email = invited(acme)
    assert acme.get(PATH + invitation_uuid).json["language"] == "pl"
    user = accept(acme.client, mailed_token(app, email)).json
    assert (user["language"], user["timezone"]) == ("pl", "CET")


def test_an_address_with_an_account_elsewhere_joins_with_a_new_one(
    app: Flask, client: FlaskClient, acme: Company, globex: Company
) -> None:
    assert invite(acme, globex.email, acme.role_uuid("user")).status_code == 201
    assert (
        accept(client, mailed_token(app, globex.email), password="quite another one").status_code
        == 201
    )
    sign_in(client, acme.slug, globex.email, "quite another one")
    sign_in(client, globex.slug, globex.email)


def test_it_works_once(app: Flask, client: FlaskClient, acme: Company) -> None:
    _, email = invited(acme)
    token = mailed_token(app, email)
    assert accept(client, token).status_code == 201
    assert_invalid_token(accept(client, token))


def test_at_the_same_instant_it_works_once(app: Flask, client: FlaskClient, acme: Company) -> None:
    _, email = invited(acme)
    token = mailed_token(app, email)
    calls = [(anonymous(client), lambda own: accept(own.client, token))] * 2
    assert statuses(at_once(app, *calls)) == [201, 404]


def test_it_is_good_for_seven_days(app: Flask, client: FlaskClient, acme: Company) -> None:
    invitation_uuid, email = invited(acme)
    token = mailed_token(app, email)
    move_clock(app, acme.slug, timedelta(days=7) - timedelta(hours=1))
    assert state(acme, invitation_uuid) == "pending"
    move_clock(app, acme.slug, timedelta(hours=1))
    assert state(acme, invitation_uuid) == "expired"
    assert_invalid_token(accept(client, token))
    assert invite(acme, email, acme.role_uuid("user")).status_code == 201
    assert state(acme, invitation_uuid) == "revoked"
    assert accept(client, mailed_token(app, email)).status_code == 201


def test_resending_replaces_the_token(app: Flask, client: FlaskClient, acme: Company) -> None:
    invitation_uuid, email = invited(acme)
    path = f"{PATH}{invitation_uuid}/resend"
    answer = acme.post(path)
    problem = assert_problem(answer, 429)
    assert problem["type"] == "urn:todo:problem:too-soon"
    assert answer.headers["Retry-After"] == "60"
    first = mailed_token(app, email)
    move_clock(app, acme.slug, timedelta(days=8))
    assert state(acme, invitation_uuid) == "expired"
    assert acme.post(path).json["state"] == "pending"
    assert len(mails_to(app, email)) == 2
    assert_invalid_token(accept(client, first))
    assert accept(client, mailed_token(app, email)).status_code == 201
    assert_problem(acme.post(path), 409)


def test_resending_at_the_same_instant_mails_once(app: Flask, acme: Company) -> None:
    invitation_uuid, email = invited(acme)
    move_clock(app, acme.slug, timedelta(minutes=1))
    calls = [(acme, lambda own: own.post(f"{PATH}{invitation_uuid}/resend"))] * 2
    assert statuses(at_once(app, *calls)) == [200, 429]
    assert len(mails_to(app, email)) == 2


def test_a_revoked_one_is_worth_nothing_and_stays_in_the_list(
    app: Flask, client: FlaskClient, acme: Company
) -> None:
    invitation_uuid, email = invited(acme)
    assert acme.delete(PATH + invitation_uuid).status_code == 204
    assert_invalid_token(accept(client, mailed_token(app, email)))
    assert state(acme, invitation_uuid) == "revoked"
    assert_problem(acme.delete(PATH + invitation_uuid), 409)
    assert_problem(acme.post(f"{PATH}{invitation_uuid}/resend"), 409)
    assert invite(acme, email, acme.role_uuid("user")).status_code == 201


def test_the_list_has_filters(acme: Company) -> None:
    pending, _ = invited(acme)
    revoked, email = invited(acme)
    acme.delete(PATH + revoked)
    for query, expected in {
        "": {pending, revoked},
        "?state=pending": {pending},
        "?state=revoked": {revoked},
        "?state=accepted": set(),
        f"?search={email[:8].upper()}": {revoked},
        f"?search={email[:8]}&state=pending": set(),
        "?search=%25": set(),
    }.items():
        answer = acme.get(f"/users/invitations{query}")
        assert {item["uuid"] for item in answer.json["items"]} == expected, query
        assert answer.json["total"] == len(expected)


@pytest.mark.parametrize("query", [*BAD_QUERIES, "state=", "state=open"])
def test_bad_queries(company: Company, query: str) -> None:
    assert_problem(company.get(f"{PATH}?{query}"), 422)


def test_who_is_a_user_is_not_invited(acme: Company) -> None:
    person = acme.add_person()
    problem = assert_problem(invite(acme, person.email, acme.role_uuid("user")), 409)
    assert problem["type"] == "urn:todo:problem:email-taken"


def test_an_address_is_invited_once(app: Flask, acme: Company) -> None:
    _, email = invited(acme)
    problem = assert_problem(invite(acme, email, acme.role_uuid("user")), 409)
    assert problem["type"] == "urn:todo:problem:invitation-pending"
    other, role_uuid = address(), acme.role_uuid("user")
    calls = [(acme, lambda own: invite(own, other, role_uuid))] * 2
    assert statuses(at_once(app, *calls)) == [201, 409]
    assert len(mails_to(app, other)) == 1


def test_who_became_a_user_meanwhile_cannot_accept(
    app: Flask, client: FlaskClient, acme: Company
) -> None:
    _, email = invited(acme)
    role_uuid = acme.role_uuid("user")
    added = acme.post("/users/", {**PERSON, "email": email, "role_uuid": role_uuid})
    assert added.status_code == 201
    problem = assert_problem(accept(client, mailed_token(app, email)), 409)
    assert problem["type"] == "urn:todo:problem:email-taken"


def test_nobody_invites_above_themselves(acme: Company) -> None:
    admin = acme.add_person("admin")
    for role in ("master_admin", "admin"):
        assert_problem(invite(admin, address(), acme.role_uuid(role)), 403)
    assert invite(admin, address(), acme.role_uuid("user")).status_code == 201
    above, _ = invited(acme, "master_admin")
    assert_problem(admin.delete(PATH + above), 403)
    assert_problem(admin.post(f"{PATH}{above}/resend"), 403)
    user = acme.add_person()
    assert_problem(invite(user, address(), acme.role_uuid("read_only")), 403)


@pytest.mark.parametrize("loss", ["role", "is_active", "deletion"])
def test_an_inviter_who_lost_the_power_invites_nobody(
    app: Flask, client: FlaskClient, acme: Company, loss: str
) -> None:
    admin = acme.add_person("admin")
    _, email = invited(acme, inviter=admin)
    path = f"/users/{admin.uuid}"
    if loss == "role":
        answer = acme.patch(path, {"role_uuid": acme.role_uuid("user")})
    elif loss == "is_active":
        answer = acme.patch(path, {"is_active": False})
    else:
        answer = acme.delete(path)
    assert answer.status_code in (200, 204), answer.json
    assert_invalid_token(accept(client, mailed_token(app, email)))


def test_the_power_is_looked_at_when_accepting(
    app: Flask, client: FlaskClient, acme: Company
) -> None:
    """Past the API, which revokes such invitations: the second of two nets holds alone."""
    admin = acme.add_person("admin")
    _, email = invited(acme, inviter=admin)
    with inside(app, acme.slug):
        statement = sa.text(
            "UPDATE users SET role_id = (SELECT id FROM roles WHERE name = 'user') WHERE email = :e"
        )
        db.session.execute(statement, {"e": admin.email})
    assert_invalid_token(accept(client, mailed_token(app, email)))


def test_another_company_sees_nothing(
    app: Flask, client: FlaskClient, acme: Company, globex: Company
) -> None:
    invitation_uuid, email = invited(acme)
    assert globex.get(PATH).json["total"] == 0
    assert_problem(globex.get(PATH + invitation_uuid), 404)
    assert_problem(globex.delete(PATH + invitation_uuid), 404)
    assert_problem(globex.post(f"{PATH}{invitation_uuid}/resend"), 404)
    assert_problem(invite(globex, address(), acme.role_uuid("user")), 422)
    token = mailed_token(app, email)
    assert_invalid_token(accept(client, elsewhere(token, globex.schema_name)))
    assert_invalid_token(accept(client, acme.token))
    assert accept(client, token).status_code == 201


def test_without_a_token_or_permission(
    client: FlaskClient, company: Company, people: dict[str, Person]
) -> None:
    some = uuid.uuid4()
    for method, path in (
        ("GET", PATH),
        ("POST", PATH),
        ("GET", f"{PATH}{some}"),
        ("DELETE", f"{PATH}{some}"),
        ("POST", f"{PATH}{some}/resend"),
    ):
        answer = client.open(path, method=method, headers={"tenant": company.slug})
        assert_problem(answer, 401)
        if method != "GET":
            assert_problem(people["user"].call(method, path, json={}), 403)
    assert people["read_only"].get(PATH).status_code == 200


@pytest.mark.parametrize("token", NO_TOKENS)
def test_what_is_no_token(client: FlaskClient, token: str) -> None:
    answer = accept(client, token)
    if answer.status_code != 422:
        assert_invalid_token(answer)
    else:
        assert set(assert_problem(answer, 422)["errors"]["json"]) == {"token"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"email": "a@mailinator.com"}, "email"),
        ({"email": None}, "email"),
        ({"role_uuid": "user"}, "role_uuid"),
        ({"role_uuid": str(uuid.uuid4())}, "role_uuid"),
        ({"language": "xx"}, "language"),
        ({"password": PASSWORD}, "password"),
    ],
)
def test_bad_invitations_are_named(company: Company, changes: dict[str, Any], field: str) -> None:
    body = {"email": address(), "role_uuid": company.role_uuid("user"), **changes}
    problem = assert_problem(company.post(PATH, body), 422)
    assert set(problem["errors"]["json"]) == {field}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"password": "short"}, "password"),
        ({"password": "password123"}, "password"),
        ({"password": "grace hopper"}, "password"),
        ({"language": "xx"}, "language"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"phone": "1" * 31}, "phone"),
        ({"email": "other@example.com"}, "email"),
        ({"role_uuid": str(uuid.uuid4())}, "role_uuid"),
    ],
)
def test_bad_acceptances_are_named_and_the_token_stays(
    app: Flask, client: FlaskClient, acme: Company, changes: dict[str, Any], field: str
) -> None:
    _, email = invited(acme)
    token = mailed_token(app, email)
    problem = assert_problem(accept(client, token, **changes), 422)
    assert set(problem["errors"]["json"]) == {field}
    assert accept(client, token).status_code == 201


@pytest.mark.parametrize("text", BAD_TEXTS)
def test_texts_that_cannot_be_a_name(client: FlaskClient, text: Any) -> None:
    problem = assert_problem(accept(client, "t_x.y", first_name=text), 422)
    assert set(problem["errors"]["json"]) == {"first_name"}


@pytest.mark.parametrize(("body", "content_type", "status"), RAW_BODIES)
def test_bodies_that_cannot_be_read(
    company: Company, body: bytes, content_type: str, status: int
) -> None:
    assert_problem(send_raw(company, "POST", PATH, body, content_type), status)
    assert_problem(send_raw(company, "POST", f"{PATH}accept", body, content_type), status)


def test_lone_surrogates_are_refused(company: Company) -> None:
    body = {"token": "t_x.y", **PERSON, "last_name": LONE_SURROGATE}
    assert_unreadable(send_raw(company, "POST", f"{PATH}accept", body))


def test_a_lost_update_is_refused(acme: Company) -> None:
    invitation_uuid, _ = invited(acme)
    path = PATH + invitation_uuid
    assert "ETag" in acme.get(path).headers
    assert_problem(acme.delete(path, headers={"If-Match": '"7-0"'}), 412)
    etag = acme.get(path).headers["ETag"]
    assert acme.delete(path, headers={"If-Match": etag}).status_code == 204


def test_the_same_invitation_sent_again_is_one(app: Flask, acme: Company) -> None:
    email = address()
    body = {"email": email, "role_uuid": acme.role_uuid("user")}
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    first, again = (acme.post(PATH, body, headers=headers) for _ in range(2))
    assert (first.status_code, first.json) == (201, again.json)
    assert len(mails_to(app, email)) == 1


def test_a_full_company(app: Flask, client: FlaskClient, acme: Company, cc: Operator) -> None:
    one, other = (invited(acme)[1] for _ in range(2))
    tokens = [mailed_token(app, email) for email in (one, other)]
    assert acme.get("/auth/account_limit").json == {"accounts": 1, "limit": None}
    assert cc.patch(f"/cc/{acme.slug}", {"account_limit": 2}).json["account_limit"] == 2
    assert acme.get("/auth/account_limit").json == {"accounts": 1, "limit": 2}
    answers = at_once(
        app,
        *[(anonymous(client), lambda own, t=token: accept(own.client, t)) for token in tokens],
    )
    assert statuses(answers) == [201, 409]
    refused = max(answers, key=lambda answer: answer.status_code)
    assert refused.get_json()["type"] == "urn:todo:problem:account-limit"
    assert acme.get("/auth/account_limit").json == {"accounts": 2, "limit": 2}
    assert_problem(invite(acme, address(), acme.role_uuid("user")), 409)
    assert cc.patch(f"/cc/{acme.slug}", {"account_limit": None}).status_code == 200
    assert statuses([accept(client, token) for token in tokens]) == [201, 404]
