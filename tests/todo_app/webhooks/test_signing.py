"""Signatures of webhooks are those of Standard Webhooks."""

from __future__ import annotations

import base64
import shutil
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from todo_app.webhooks.signing import SignatureError, new_secret, sign, verify

# The example that the libraries of Standard Webhooks are tested with.
KNOWN_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KNOWN_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
KNOWN_BODY = b'{"test": 2432232314}'
KNOWN_TIME = datetime.fromtimestamp(1614265330, UTC)
KNOWN_SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

BODY = b'{"type":"task.created"}'
NOW = datetime(2026, 2, 3, 12, 0, tzinfo=UTC)


def test_the_known_example() -> None:
    headers = sign([KNOWN_SECRET], KNOWN_ID, KNOWN_BODY, KNOWN_TIME)
    assert headers == {
        "webhook-id": KNOWN_ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": KNOWN_SIGNATURE,
    }
    verify([KNOWN_SECRET], headers, KNOWN_BODY, KNOWN_TIME)


def test_a_secret_is_of_32_bytes_and_new_each_time() -> None:
    secret = new_secret()
    assert secret != new_secret()
    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32


def test_now_is_when_it_is_signed() -> None:
    secret = new_secret()
    verify([secret], sign([secret], "m1", BODY), BODY)


def test_two_secrets_during_a_rotation() -> None:
    old, new = new_secret(), new_secret()
    headers = sign([new, old], "m1", BODY, NOW)
    assert len(headers["webhook-signature"].split(" ")) == 2
    verify([old], headers, BODY, NOW)
    verify([new], headers, BODY, NOW)
    verify([new_secret(), old], headers, BODY, NOW)
    with pytest.raises(SignatureError):
        verify([new_secret()], headers, BODY, NOW)


def test_what_is_changed_does_not_verify() -> None:
    secret = new_secret()
    headers = sign([secret], "m1", BODY, NOW)
    later = str(int(NOW.timestamp()) + 1)
    for changed, body in (
        (headers, BODY + b" "),
        (headers, b""),
        ({**headers, "webhook-id": "m2"}, BODY),
        ({**headers, "webhook-timestamp": later}, BODY),
    ):
        with pytest.raises(SignatureError):
            verify([secret], changed, body, NOW)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_header_that_is_missing(name: str) -> None:
    secret = new_secret()
    headers = sign([secret], "m1", BODY, NOW)
    del headers[name]
    with pytest.raises(SignatureError):
        verify([secret], headers, BODY, NOW)


@pytest.mark.parametrize("timestamp", ["", "soon", "-1", "1e9", "1770120000.5", "9" * 5000, "٤"])
def test_a_timestamp_that_is_none(timestamp: str) -> None:
    secret = new_secret()
    headers = sign([secret], "m1", BODY, NOW) | {"webhook-timestamp": timestamp}
    with pytest.raises(SignatureError):
        verify([secret], headers, BODY, NOW)


@pytest.mark.parametrize("away", [timedelta(minutes=5), timedelta(minutes=-5)])
def test_five_minutes_are_tolerated_and_no_more(away: timedelta) -> None:
    secret = new_secret()
    headers = sign([secret], "m1", BODY, NOW)
    verify([secret], headers, BODY, NOW + away)
    more = timedelta(seconds=1) if away > timedelta(0) else timedelta(seconds=-1)
    with pytest.raises(SignatureError, match="five minutes"):
        verify([secret], headers, BODY, NOW + away + more)


def test_other_versions_and_rubbish_are_passed_over() -> None:
    secret = new_secret()
    headers = sign([secret], "m1", BODY, NOW)
    good = headers["webhook-signature"]
    rubbish = f"v1a,AAAA v2,{good[3:]} v1 v1, v1,* v1,ä v1,AA== , "
    verify([secret], headers | {"webhook-signature": f"{rubbish} {good}"}, BODY, NOW)
    with pytest.raises(SignatureError, match="No signature"):
        verify([secret], headers | {"webhook-signature": rubbish}, BODY, NOW)


def test_the_case_of_headers_does_not_matter() -> None:
    secret = new_secret()
    headers = {name.title(): value for name, value in sign([secret], "m1", BODY, NOW).items()}
    verify([secret], headers, BODY, NOW)


@pytest.mark.parametrize("message_id", ["", "a.b", "a b", "a\n", "ä", "a" * 101])
def test_an_id_that_could_be_taken_for_something_else(message_id: str) -> None:
    with pytest.raises(ValueError, match="id of a message"):
        sign([new_secret()], message_id, BODY)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_*", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
def test_a_secret_that_is_none(secret: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (base64 words one of them)
        sign([secret], "m1", BODY)


@given(st.binary(max_size=200), st.from_regex(r"[A-Za-z0-9_-]{1,100}", fullmatch=True))
def test_whatever_is_signed_verifies(body: bytes, message_id: str) -> None:
    secret = new_secret()
    verify([secret], sign([secret], message_id, body, NOW), body, NOW)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_openssl_agrees() -> None:
    secret = new_secret()
    headers = sign([secret], "m1", BODY, NOW)
    key = base64.b64decode(secret.removeprefix("whsec_")).hex()
    signed = f"m1.{headers['webhook-timestamp']}.".encode() + BODY
    mac = subprocess.run(
        ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{key}", "-binary"],
        input=signed,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(mac).decode()}"
