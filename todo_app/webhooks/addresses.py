"""Where a webhook may be sent: to public addresses only, whatever the spelling of its URL.

A URL comes from a customer, and the request from inside our network. So the URL is matched as a
whole by one strict pattern: what two readers of URLs could take for different hosts is refused, not
interpreted. The addresses that a name stands for are judged by `is_public` each time a request is
sent, for they are the customer's to change.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network

from todo_app.errors import InvalidInputError

Address = IPv4Address | IPv6Address

MAX_URL_LENGTH = 2000
MAX_NAME_LENGTH = 253
DEFAULT_PORTS = {"http": 80, "https": 443}
FIRST_FREE_PORT = 1024
"""Below are services, such as mail, that may take a line of HTTP for a command of theirs."""

URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?:\[(?P<ipv6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<rest>[/?][a-z0-9._~:/?\[\]@!$&'()*+,;=%-]*)?",
    re.ASCII | re.IGNORECASE,
)
LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
"""A name whose last part looks like this is read as an IPv4 address by some programs."""

LOCAL_NAMES = ("localhost", "local", "localdomain", "internal", "intranet", "home.arpa")
"""Names that end so are never public."""

NOT_PUBLIC_IPV4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # behind the NAT of a provider
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's own service, reachable from its machines
        "169.254.0.0/16",  # link-local, and the metadata of most clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments, and the metadata of Oracle's cloud
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
PUBLIC_IPV6 = IPv6Network("2000::/3")
"""All that is given to networks of the Internet. Outside are loopback, mapped IPv4, unique local,
link-local and multicast addresses."""
NOT_PUBLIC_IPV6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments; Teredo, which has an IPv4 address inside
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which has an IPv4 address inside
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
NAT64 = IPv6Network("64:ff9b::/96")
"""How a network without IPv4 names an IPv4 address."""


class UnsafeUrlError(InvalidInputError):
    """A URL that webhooks are not sent to."""

    code = "unsafe-url"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, errors={"json": {"url": [detail]}})


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that has been checked.

    Args:
        scheme: `http` or `https`.
        host: a name or an address, in lower case, without brackets.
        port: a number, also where the URL has none.
        path: path and query, as they stand in the first line of a request.
        address: the host, where it is an address.
    """

    scheme: str
    host: str
    port: int
    path: str
    address: Address | None = None

    @property
    def authority(self) -> str:
        """What the header Host says."""
        host = f"[{self.host}]" if isinstance(self.address, IPv6Address) else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def is_public(address: Address) -> bool:
    """Whether an address is of the public Internet."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in NOT_PUBLIC_IPV4)
    if address.scope_id is not None:
        return False
    if address in NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    return address in PUBLIC_IPV6 and not any(address in network for network in NOT_PUBLIC_IPV6)


def parse_target(url: str, is_allowed: Callable[[Address], bool] = is_public) -> Target:
    """Read the URL of a webhook. No name is looked up.

    Args:
        url: as the customer wrote it. Ports are 80, 443, and 1024 and above.
        is_allowed: judges the host where it is an address.

    Raises:
        UnsafeUrlError: webhooks are not sent there; the text says why.
    """
    if len(url) > MAX_URL_LENGTH:
        raise UnsafeUrlError(f"The URL has more than {MAX_URL_LENGTH:,} characters.")
    if not url.isascii():
        raise UnsafeUrlError(
            "The URL has letters beyond ASCII: write the name in its xn-- form, and the path with"
            " percent signs."
        )
    match = URL.fullmatch(url)
    if match is None:
        raise UnsafeUrlError(
            "The URL must be http:// or https://, a host, a port if need be, and a path; it has no"
            " user, password, fragment or other characters."
        )
    scheme = match["scheme"].lower()
    port = int(match["port"]) if match["port"] else DEFAULT_PORTS[scheme]
    if port not in DEFAULT_PORTS.values() and not FIRST_FREE_PORT <= port <= 65535:
        raise UnsafeUrlError("The port must be 80, 443, or 1024 and above.")
    address = _address(match["ipv6"], match["name"])
    if address is not None and not is_allowed(address):
        raise UnsafeUrlError("The address is not public.")
    host = str(address) if address is not None else _checked_name(match["name"].lower())
    path = match["rest"] or "/"
    return Target(scheme, host, port, path if path[0] == "/" else f"/{path}", address)


def _address(ipv6: str | None, name: str) -> Address | None:
    try:
        if ipv6 is not None:
            return IPv6Address(ipv6)
        if NUMBER.fullmatch(name.lower().rpartition(".")[2]):
            return IPv4Address(name)
    except AddressValueError:
        raise UnsafeUrlError(
            "The host is no address in its usual form, such as 192.0.2.1."
        ) from None
    return None


def _checked_name(name: str) -> str:
    labels = name.split(".")
    if len(name) > MAX_NAME_LENGTH or not all(LABEL.fullmatch(label) for label in labels):
        raise UnsafeUrlError("The host is not a name such as hooks.example.com.")
    if len(labels) == 1 or name.endswith(tuple(f".{local}" for local in LOCAL_NAMES)):
        raise UnsafeUrlError("The host is not a public name.")
    return name
