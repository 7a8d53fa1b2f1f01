"""Whose request it is, behind proxies."""

from __future__ import annotations

import pytest

from huggingtweets.web.clients import TrustedProxies

PROXIES = ("127.0.0.1", "10.0.0.0/8", "fd00::/8")


def client(peer: str, **headers: str | list[str]) -> str:
    pairs = [
        (name.replace("_", "-").encode(), value.encode())
        for name, values in headers.items()
        for value in ([values] if isinstance(values, str) else values)
    ]
    return TrustedProxies(PROXIES).client(peer, "http", pairs).address


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("198.51.100.1, 203.0.113.7", "203.0.113.7"),  # what stands left may be made up
        ("203.0.113.7, 10.1.2.3", "203.0.113.7"),  # two proxies
        ("203.0.113.7:4711", "203.0.113.7"),
        ("[2001:db8:1:2:3::4]:4711", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::99", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("unknown", "127.0.0.1"),
        ("203.0.113.7, nonsense", "127.0.0.1"),
        ("203.0.113.7, nonsense, 10.1.2.3", "10.1.2.3"),
        ("10.1.2.3", "10.1.2.3"),
    ],
)
def test_the_client_is_the_rightmost_address_that_is_no_proxy(forwarded: str, address: str) -> None:
    assert client("127.0.0.1", x_forwarded_for=forwarded) == address


def test_repeated_headers_are_one_list() -> None:
    assert (
        client("127.0.0.1", x_forwarded_for=["1.2.3.4", "203.0.113.7, 10.0.0.1"]) == "203.0.113.7"
    )


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("for=203.0.113.7;proto=https", "203.0.113.7"),
        ('for=1.2.3.4, For="[2001:db8:1:2::9]:80";by=10.0.0.1', "2001:db8:1:2::/64"),
        ("for=_hidden", "127.0.0.1"),
        ("proto=https", "127.0.0.1"),
    ],
)
def test_the_standard_header_is_read_too(forwarded: str, address: str) -> None:
    assert client("127.0.0.1", forwarded=forwarded) == address


def test_two_headers_that_disagree_name_nobody() -> None:
    """A proxy that writes one of them passes on the other as the client made it up."""
    made_up = {"forwarded": "for=9.9.9.9", "x_forwarded_for": "203.0.113.7"}
    assert client("127.0.0.1", **made_up) == "127.0.0.1"
    assert client("127.0.0.1", **{**made_up, "forwarded": "for=203.0.113.7"}) == "203.0.113.7"


def test_others_than_declared_proxies_can_name_nobody() -> None:
    for peer in ("203.0.113.9", "127.0.0.2", ""):
        found = TrustedProxies(PROXIES).client(
            peer, "http", [(b"x-forwarded-for", b"1.2.3.4"), (b"x-forwarded-proto", b"https")]
        )
        assert (found.address, found.is_encrypted, found.proxy) == (peer, False, peer)
    undeclared = TrustedProxies().client("127.0.0.1", "http", [(b"x-forwarded-for", b"1.2.3.4")])
    assert (undeclared.address, undeclared.proxy) == ("127.0.0.1", "127.0.0.1")


def test_a_whole_64_of_ipv6_is_one_client() -> None:
    assert client("2001:db8:1:2:3:4:5:6") == client("2001:db8:1:2::1") == "2001:db8:1:2::/64"
    assert client("2001:db8:1:3::1") != client("2001:db8:1:2::1")


@pytest.mark.parametrize(
    ("headers", "encrypted"),
    [
        ([(b"x-forwarded-proto", b"https")], True),
        ([(b"x-forwarded-proto", b"https, http")], False),
        ([(b"forwarded", b"for=1.2.3.4;proto=https")], True),
        ([(b"forwarded", b'for=1.2.3.4;proto="http"')], False),
        ([], False),
    ],
)
def test_a_declared_proxy_says_whether_the_client_used_tls(
    headers: list[tuple[bytes, bytes]], encrypted: bool
) -> None:
    assert TrustedProxies(PROXIES).client("127.0.0.1", "http", headers).is_encrypted is encrypted
    assert TrustedProxies(PROXIES).client("127.0.0.1", "https", []).is_encrypted
