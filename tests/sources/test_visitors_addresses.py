"""What the visitors of a server may name: nothing on this machine or in its networks."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING

import pytest
from tests.servers.bluesky import DID, HANDLE, BlueskyServer, item
from tests.servers.local import Reply, Server, as_json
from tests.servers.mastodon import USER, MastodonServer, status

from huggingtweets.errors import SourceError
from huggingtweets.sources import ReadOptions, http, read_posts
from huggingtweets.sources._guard import Guard
from huggingtweets.sources.http import Client
from huggingtweets.sources.reading import DownloadLimits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VISITOR = DownloadLimits(public_only=True)

INNER = (
    *("127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.0.1"),  # noqa: S104
    *("100.64.0.1", "169.254.169.254", "192.0.0.9", "192.88.99.1", "198.18.0.1"),
    *("224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "::127.0.0.1", "::8.8.8.8"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:127.0.0.1"),
    *("64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::7f00:1", "2002:7f00:1::"),
    *("2002:808:808::", "2001:10::1"),
    *("2001:0:1::1", "2001:db8::1", "fe80::1", "fe80::1%eth0", "fec0::1", "fd00::1", "ff02::1"),
    *("5f00::1", "3fff::1", "4000::1"),
)  # fmt: skip
PUBLIC = ("8.8.8.8", "::ffff:8.8.8.8", "2606:4700::1", "2a00:1450:4001::1")


@pytest.fixture(autouse=True)
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUGGINGTWEETS_DOWNLOADS", str(tmp_path / "downloads"))
    monkeypatch.setattr(http, "sleep", lambda _seconds: None)


@pytest.mark.parametrize("address", INNER)
def test_inner_addresses_are_refused(address: str) -> None:
    with pytest.raises(SourceError, match="not on the public internet"):
        Guard(strict=True).check("x.example", address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    Guard(strict=True).check("x.example", address)


def test_the_owner_may_use_nat64_to_a_public_address_only() -> None:
    Guard().check("x.example", "64:ff9b::808:808")
    for address in ("64:ff9b::7f00:1", "64:ff9b::a01:203"):
        with pytest.raises(SourceError):
            Guard().check("x.example", address)


def test_a_refusal_tells_a_visitor_no_address() -> None:
    with pytest.raises(SourceError) as caught:
        Guard(strict=True).check("intranet.example", "10.1.2.3")
    assert "10.1.2.3" not in str(caught.value)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "127.1", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"],  # noqa: S104
)
def test_local_accounts_are_refused_by_every_name(host: str) -> None:
    with MastodonServer([status(n) for n in range(50, 0, -1)]) as server:
        port = server.host.rsplit(":", 1)[1]
        with pytest.raises(SourceError):
            read_posts([f"mastodon:@{USER}@{host}:{port}"], ReadOptions(limits=VISITOR))
        assert server.asked == []
        assert len(read_posts([f"mastodon:@{USER}@127.0.0.1:{port}"])) == 50  # the owner may


def test_a_name_that_resolves_inside_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server() as server:
        real = socket.getaddrinfo
        monkeypatch.setattr(
            socket, "getaddrinfo", lambda _host, *args, **more: real("127.0.0.1", *args, **more)
        )
        port = server.host.rsplit(":", 1)[1]
        with pytest.raises(SourceError, match="not on the public internet"):
            read_posts([f"mastodon:@a@social.example:{port}"], ReadOptions(limits=VISITOR))
        assert server.asked == []


def test_a_name_that_changes_its_address_after_the_check_reaches_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The connection is made to the address that was checked, so no port inside is even tried."""
    from urllib3.util import connection

    real, lookups, tried = socket.getaddrinfo, [], []

    def rebinding(host: str, *args: object, **more: object) -> object:
        if host != "social.example":
            return real(host, *args, **more)  # type: ignore[arg-type]
        lookups.append(host)
        return real("8.8.8.8" if len(lookups) == 1 else "127.0.0.1", *args, **more)  # type: ignore[arg-type]

    def connect(address: tuple[str, int], *_args: object, **_more: object) -> socket.socket:
        tried.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    monkeypatch.setattr(connection, "create_connection", connect)
    client = Client("https://social.example", limits=VISITOR)
    with client, pytest.raises(SourceError):
        client.get("/")
    assert tried == ["8.8.8.8"]
    assert lookups == ["social.example"] * 2  # the second one was refused before it connected


def test_this_machines_public_address_is_refused() -> None:
    class Wire:
        def getpeername(self) -> tuple[str, int]:
            return "8.8.8.8", 443

        getsockname = getpeername

    with pytest.raises(SourceError, match="not on the public internet"):
        Guard(strict=True).check_connection("here.example", Wire())  # type: ignore[arg-type]
    Guard().check_connection("here.example", Wire())  # type: ignore[arg-type]


def test_no_proxy_connects_for_a_visitor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would resolve the name itself, out of sight."""
    with Server() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setattr(Guard, "look_up", lambda *_args: ["240.0.0.1"])
        client = Client("https://inside.example", limits=VISITOR)
        with client, pytest.raises(SourceError):
            client.get("/", seconds=1)
        assert proxy.asked == []


def test_hosts_that_an_answer_names_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner named the AppView and the directory; the document names the repository's host."""
    with BlueskyServer([item(n) for n in range(3)]) as bluesky, Server() as inside:
        monkeypatch.setenv("HUGGINGTWEETS_BSKY_APPVIEW", bluesky.url)
        monkeypatch.setenv("HUGGINGTWEETS_PLC", bluesky.url)
        assert len(read_posts([f"bsky:{HANDLE}"], ReadOptions(limits=VISITOR))) == 3
        bluesky.pds = inside.url
        for spec in (f"bsky:{HANDLE}", f"did:web:{inside.host.replace(':', '%3A')}"):
            with pytest.raises(SourceError, match="public internet"):
                read_posts([spec], ReadOptions(limits=VISITOR, full=True))
        assert inside.asked == []
        assert (f"/{DID}", {}) in bluesky.asked


def _endless(page: Callable[[int], Reply]) -> Server:
    """A Mastodon server whose pages never end."""
    made: list[int] = []

    def answer(path: str, _query: dict[str, str]) -> Reply:
        if path.endswith("/lookup"):
            return as_json({"id": "109", "username": USER, "acct": USER})
        made.append(len(made))
        return page(made[-1])

    return Server(answer)


def _page(number: int, text: str = "x") -> Reply:
    link = f'<https://x.example/?max_id={10**18 - number}>; rel="next"'
    return as_json([status(-number, text)], Link=link)


def test_pages_without_end_stop_at_a_limit() -> None:
    reading = ReadOptions(limits=DownloadLimits(pages=7))
    with _endless(_page) as server:
        with pytest.raises(SourceError, match="sent over 7 pages of gardener"):
            read_posts([f"mastodon:@{USER}@{server.host}"], reading)
        assert len(server.asked) == 1 + 8


def test_empty_pages_without_end_stop_at_a_limit() -> None:
    reading = ReadOptions(limits=DownloadLimits(pages=7))
    link = 'rel="next"'
    with (
        _endless(
            lambda n: as_json(
                [{"visibility": "direct"}], Link=f"<https://x/?max_id={n + 1}>; {link}"
            )
        ) as server,
        pytest.raises(SourceError, match="over 7 pages"),
    ):
        read_posts([f"mastodon:@{USER}@{server.host}"], reading)


def test_bytes_without_end_stop_at_a_limit() -> None:
    reading = ReadOptions(limits=DownloadLimits(megabytes=2.0))
    with _endless(lambda n: _page(n, "x" * 90_000)) as server:
        with pytest.raises(SourceError, match="sent over 2 MB for one account"):
            read_posts([f"mastodon:@{USER}@{server.host}"], reading)
        assert len(server.asked) < 30


def test_time_without_end_stops_at_a_limit() -> None:
    reading = ReadOptions(limits=DownloadLimits(seconds=0.5))
    with (
        _endless(_page) as server,
        pytest.raises(SourceError, match=r"took over 0\.00833 minutes for one account"),
    ):
        read_posts([f"mastodon:@{USER}@{server.host}"], reading)


def test_only_the_newest_posts_of_a_large_account_are_read() -> None:
    reading = ReadOptions(limits=DownloadLimits(posts=60))
    with MastodonServer([status(n) for n in range(200, 0, -1)]) as server:
        found = read_posts([f"mastodon:@{USER}@{server.host}"], reading)
        assert len(found) == 60
        assert len(server.asked) == 1 + 2


def test_whoever_listens_can_end_a_download() -> None:
    def leave(_event: object) -> None:
        raise SourceError("The visitor has left.")

    with (
        _endless(_page) as server,
        pytest.raises(SourceError, match="has left"),
    ):
        read_posts([f"mastodon:@{USER}@{server.host}"], ReadOptions(listen=leave))


def test_the_lists_hold_addresses() -> None:
    assert len({ipaddress.ip_address(one) for one in INNER + PUBLIC}) == len(INNER + PUBLIC)
