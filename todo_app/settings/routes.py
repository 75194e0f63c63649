"""`/settings`."""

from __future__ import annotations

from typing import Any

from todo_app.auth import SignedIn, current_user
from todo_app.blueprint import Blueprint, expected_versions
from todo_app.database import transaction
from todo_app.errors import PROBLEM_TYPE
from todo_app.schemas import ProblemSchema
from todo_app.settings import schemas, service

settings = Blueprint(
    "settings", __name__, url_prefix="/settings", description="What a company and its people set"
)


@settings.route("/", guard=SignedIn("users:read"))
@settings.response(200, schemas.CompanySettingsSchema)
def get_settings() -> Any:
    """Get the company's settings"""
    return service.get_company()


@settings.route("/", methods=["PATCH"], guard=SignedIn(service.WRITE, fresh=True))
@settings.arguments(schemas.CompanySettingsChangeSchema)
@settings.response(200, schemas.CompanySettingsSchema)
@settings.alt_response(
    401,
    schema=ProblemSchema,
    content_type=PROBLEM_TYPE,
    description="There is no valid token, or the password was shown too long ago for this.",
)
def change_settings(data: dict[str, Any]) -> Any:
    """Change the company's settings

    Only what is sent changes. Nobody can ask all others for a second factor who has none: 409.
    """
    with transaction():
        return service.change_company(current_user(), data, expected_versions())


@settings.route("/me", guard=SignedIn())
@settings.response(200, schemas.OwnSettingsSchema)
def get_own_settings() -> Any:
    """Get your own settings"""
    return service.get_own(current_user())


@settings.route("/me", methods=["PATCH"], guard=SignedIn())
@settings.arguments(schemas.OwnSettingsChangeSchema)
@settings.response(200, schemas.OwnSettingsSchema)
def change_own_settings(data: dict[str, Any]) -> Any:
    """Change your own settings

    Only what is sent changes. The ETag is that of your user: it changes with every change of you.
    """
    with transaction():
        return service.change_own(current_user(), data, expected_versions())
