"""URLs of webhooks lead to public addresses only, whatever their spelling."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from todo_app.webhooks.addresses import (
    MAX_URL_LENGTH,
    NAT64,
    NOT_PUBLIC_IPV4,
    NOT_PUBLIC_IPV6,
    PUBLIC_IPV6,
    Target,
    UnsafeUrlError,
    is_public,
    parse_target,
)


def public(text: str) -> bool:
    return is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.169.0.0",
        "223.255.255.255",
        "2606:4700:4700::1111",
        "2a00:1450:4001::1",
        "64:ff9b::8.8.8.8",
    ],
)
def test_public_addresses(address: str) -> None:
    assert public(address)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.0",
        "10.255.255.255",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.255.255",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.168.1.1",
        "198.19.0.1",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::ffff:0:127.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:0:7f00:1::",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::",
        "2002:808:808::",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "2606:4700::1%eth0",
        "fec0::1",
        "ff02::1",
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not public(address)


def is_special(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """What the standard library says; to it the names of IPv4 addresses are reserved."""
    if address in NAT64:
        address = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return (
        address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_reserved
        or address.is_unspecified
    )


@given(st.ip_addresses())
def test_what_is_special_anywhere_is_not_public(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    assert not (is_public(address) and is_special(address))


@given(
    st.one_of(
        *(st.ip_addresses(network=network) for network in (*NOT_PUBLIC_IPV4, *NOT_PUBLIC_IPV6))
    )
)
def test_no_address_of_the_networks_is_public(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    assert not is_public(address)


@given(st.ip_addresses(v=6))
def test_all_public_addresses_of_ipv6_are_of_one_network(address: ipaddress.IPv6Address) -> None:
    assert not is_public(address) or address in PUBLIC_IPV6 or address in NAT64


@pytest.mark.parametrize(
    ("url", "target", "authority"),
    [
        (
            "https://hooks.example.com/a/b?c=d%20e",
            Target("https", "hooks.example.com", 443, "/a/b?c=d%20e"),
            "hooks.example.com",
        ),
        (
            "HTTPS://Hooks.Example.COM",
            Target("https", "hooks.example.com", 443, "/"),
            "hooks.example.com",
        ),
        (
            "http://example.com:8080?x=1",
            Target("http", "example.com", 8080, "/?x=1"),
            "example.com:8080",
        ),
        ("http://example.com:80/", Target("http", "example.com", 80, "/"), "example.com"),
        (
            "https://example.com:80/",
            Target("https", "example.com", 80, "/"),
            "example.com:80",
        ),
        (
            "https://xn--strae-oqa.example/",
            Target("https", "xn--strae-oqa.example", 443, "/"),
            "xn--strae-oqa.example",
        ),
        (
            "https://_a.b-c.example.com:65535/",
            Target("https", "_a.b-c.example.com", 65535, "/"),
            "_a.b-c.example.com:65535",
        ),
        (
            "https://8.8.8.8/",
            Target("https", "8.8.8.8", 443, "/", ipaddress.IPv4Address("8.8.8.8")),
            "8.8.8.8",
        ),
        (
            "https://[2606:4700:0::1111]:8443/",
            Target("https", "2606:4700::1111", 8443, "/", ipaddress.IPv6Address("2606:4700::1111")),
            "[2606:4700::1111]:8443",
        ),
    ],
)
def test_urls_that_are_taken(url: str, target: Target, authority: str) -> None:
    assert parse_target(url) == target
    assert parse_target(url).authority == authority


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example.com",
        "//hooks.example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "javascript:alert(1)",
        "https:/example.com/",
        "https:///example.com/",
        "https://",
        " https://example.com/",
        "https://example.com/ ",
        "https://example.com/a b",
        "https://example.com/\r\nX: y",
        "https://exa\tmple.com/",
        "https://example.com\n",
        "https://example.com\x00.evil.com/",
        "https://example.com\\@evil.com/",
        "https://example.com#@evil.com/",
        "https://example.com/#part",
        "https://user@example.com/",
        "https://user:password@example.com/",
        "https://8.8.8.8@10.0.0.1/",
        "https://[::1]@example.com/",
        "https://[2606:4700::1]evil.com/",
        "https://[2606:4700::1%25eth0]/",
        "https://[2606:4700::1%eth0]/",
        "https://[v1.a]/",
        "https://[8.8.8.8]/",
        "https://2606:4700::1/",
        "https://%31%32%37.0.0.1/",
        "https://example%2ecom/",
        "https://example.com./",
        "https://8.8.8.8./",
        "https://example..com/",
        "https://.example.com/",
        "https://-example.com/",
        "https://example-.com/",
        f"https://{'a' * 64}.example.com/",
        f"https://{'a.' * 127}example.com/",
        "https://example.com:/x:",
        "https://example.com:0/",
        "https://example.com:22/",
        "https://example.com:25/",
        "https://example.com:1023/",
        "https://example.com:65536/",
        "https://example.com:80a/",
        "https://example.com:-80/",
        "https://example.com:٤٤٣/",
        "https://exämple.com/",
        "https://example.com/ä",
        "https://\uff11\uff12\uff17.\uff10.\uff10.\uff11/",
        "https://ⓔxample.com/",
        "https://example。com/",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://127.0.1/",
        "https://0/",
        "https://0.0.0.0/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.1/",
        "https://0X7F.0x0.0x0.0x1/",
        "https://127.0.0.0x1/",
        "https://0177.0.0.1/",
        "https://08.8.8.8/",
        "https://8.8.8.08/",
        "https://8.8.8.8.8/",
        "https://256.8.8.8/",
        "https://example.0x/",
        "https://example.1/",
        "https://[::]/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[fd00::1]/",
        "https://169.254.169.254/latest/meta-data/",
        "https://localhost/",
        "https://LOCALHOST:8000/",
        "https://postgres:5432/",
        "https://a.localhost/",
        "https://metadata.google.internal/",
        "https://printer.local/",
        "https://router.home.arpa/",
        "https://example.com/" + "a" * MAX_URL_LENGTH,
    ],
)
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(UnsafeUrlError) as caught:
        parse_target(url)
    assert caught.value.status == 422
    assert caught.value.errors == {"json": {"url": [caught.value.detail]}}


def test_another_judge_of_addresses_may_be_given() -> None:
    target = parse_target("http://127.0.0.1:8000/", lambda address: address.is_loopback)
    assert target.address == ipaddress.IPv4Address("127.0.0.1")
    with pytest.raises(UnsafeUrlError):
        parse_target("http://8.8.8.8/", lambda address: address.is_loopback)


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_text_breaks_it(host: str, path: str) -> None:
    try:
        target = parse_target(f"https://{host}/{path}")
    except UnsafeUrlError:
        return
    assert target.address is None or is_public(target.address)
    assert target.path.startswith("/")
    assert target.path.isprintable()
    assert " " not in target.path
