"""`/auth/two-factor`: the second factor of one's own, and `/users/<uuid>/two-factor`: of others."""

from __future__ import annotations

import uuid
from typing import Any

from todo_app.auth import SignedIn, current_user
from todo_app.blueprint import Blueprint
from todo_app.database import transaction
from todo_app.errors import PROBLEM_TYPE
from todo_app.limits import limit_by_address
from todo_app.schemas import ProblemSchema
from todo_app.two_factor import schemas, service

two_factor = Blueprint(
    "two_factor", __name__, url_prefix="/auth/two-factor", description="The own second factor"
)
limit_by_address(two_factor)
others = Blueprint(
    "two_factor_of_users", __name__, url_prefix="/users", description="Second factors of users"
)

OWN = SignedIn(without_second_factor=True)
OWN_FRESH = SignedIn(fresh=True, without_second_factor=True)


@two_factor.route("/", guard=OWN)
@two_factor.response(200, schemas.TwoFactorSchema)
def get_two_factor() -> service.State:
    """Tell whether a second factor is set up"""
    return service.state_of(current_user())


@two_factor.route("/", methods=["POST"], guard=OWN_FRESH, keeps_answer=False)
@two_factor.response(201, schemas.EnrolmentSchema)
def begin_two_factor() -> service.Enrolment:
    """Begin to set up a second factor

    The secret is shown this once: let an authenticator app have it (RFC 6238, six digits, 30
    seconds). It counts when a first code has confirmed it. Asking again makes another secret.
    """
    with transaction():
        return service.begin(current_user())


@two_factor.route("/confirm", methods=["POST"], guard=OWN, keeps_answer=False)
@two_factor.arguments(schemas.ConfirmSchema)
@two_factor.response(200, schemas.RecoveryCodesSchema)
@two_factor.alt_response(
    401,
    schema=ProblemSchema,
    content_type=PROBLEM_TYPE,
    description="The code is wrong, or there is no valid token.",
)
def confirm_two_factor(data: dict[str, Any]) -> dict[str, Any]:
    """Confirm the second factor

    From now on, signing in asks for a code. The recovery codes are shown this once; each works
    once in place of a code. All other sessions of the user end.
    """
    with transaction():
        return {"recovery_codes": service.confirm(current_user(), **data)}


@two_factor.route("/recovery-codes", methods=["POST"], guard=OWN_FRESH, keeps_answer=False)
@two_factor.response(200, schemas.RecoveryCodesSchema)
def renew_recovery_codes() -> dict[str, Any]:
    """Make new recovery codes

    The old ones are good for nothing any more.
    """
    with transaction():
        return {"recovery_codes": service.renew_recovery_codes(current_user())}


@two_factor.route("/", methods=["DELETE"], guard=OWN_FRESH, versioned=False)
@two_factor.response(204)
def switch_two_factor_off() -> None:
    """Switch the second factor off

    409 where the company asks for one.
    """
    with transaction():
        service.switch_off(current_user())


@others.route(
    "/<uuid:user_uuid>/two-factor",
    methods=["DELETE"],
    guard=SignedIn("users:write", fresh=True),
    versioned=False,
)
@others.response(204)
def reset_two_factor(user_uuid: uuid.UUID) -> None:
    """Take a user's second factor away

    For somebody who has lost the device. The user's sessions end.
    """
    with transaction():
        service.reset(current_user(), user_uuid)
