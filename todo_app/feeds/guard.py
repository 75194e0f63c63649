"""Who may read a calendar: whoever knows its address, on behalf of the user who made it."""

from __future__ import annotations

from typing import Any

from flask import g, request

from todo_app.database import set_scope
from todo_app.feeds import address, service
from todo_app.tenancy import TenantNotFoundError, TenantScope, current_tenant


class FeedAddress:
    """The secret in the path; the answer is the same for all that are not, or no longer, good."""

    security: list[dict[str, list[str]]] = []  # noqa: RUF012 (never changed)
    needs_tenant = False

    def __call__(self) -> None:
        """Enter the tenant of the secret and find whose calendar it is.

        From here on the request counts as that user's, as for the tenant's rate limit.
        """
        view_args: dict[str, Any] = request.view_args or {}
        secret = address.parse(view_args["secret"])
        if secret is None:
            raise service.NoSuchFeedError
        set_scope(TenantScope(secret.schema_name, "schema_name"))
        try:
            current_tenant()
        except TenantNotFoundError:
            raise service.NoSuchFeedError from None
        g.feed, g.user = service.find_reader(secret.digest)
        g.caller = str(g.user.uuid)


def current_feed() -> service.OpenFeed:
    """The feed of the current request, which a `FeedAddress` guard has found."""
    feed: service.OpenFeed = g.feed
    return feed
