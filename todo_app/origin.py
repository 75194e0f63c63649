"""Where the current request comes from, for records and rate limits."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

from flask import g, has_request_context, request

MAX_USER_AGENT_LENGTH = 300


class Origin(NamedTuple):
    """What is known of whoever sent a request."""

    address: str | None
    user_agent: str | None
    request_id: str | None


def current_origin() -> Origin:
    """The origin of the current request; outside of one, nothing is known."""
    if not has_request_context():
        return Origin(None, None, None)
    user_agent = (request.user_agent.string or "")[:MAX_USER_AGENT_LENGTH]
    # What a header holds may have bytes that no text has.
    printable = user_agent.encode(errors="replace").decode().replace("\x00", "")
    return Origin(request.remote_addr, printable or None, g.get("request_id"))


def caller_network() -> str:
    """What stands for a caller's address in rate limits.

    Of IPv6 the first half: the rest is up to whoever has the connection.
    """
    address = request.remote_addr or "unknown"
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), 64), strict=False))
