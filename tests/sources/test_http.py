"""The HTTP client with faulty servers; no test waits for more than a second."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from tests.servers.local import Reply, Server, as_json

from huggingtweets.errors import SourceError
from huggingtweets.sources import http
from huggingtweets.sources._guard import Guard
from huggingtweets.sources.http import Client, retry_after_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from huggingtweets.events import Event

SECRET = "s3cret-t0ken"  # noqa: S105 - so that it can be looked for


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the client would have slept."""
    seconds: list[float] = []
    monkeypatch.setattr(http, "sleep", seconds.append)
    return seconds


def _error(client: Client, path: str = "/x", **options: float) -> str:
    with client, pytest.raises(SourceError) as caught:
        client.get(path, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)
    return str(caught.value)


def test_json_and_headers(server: Server) -> None:
    server.instead = {0: as_json({"a": [1, "é"]}, Link="<x>")}
    with Client(server.url + "/") as client:
        value, headers = client.json("/x", {"q": "a b&c"})
    assert value == {"a": [1, "é"]}
    assert headers["link"] == "<x>"
    assert server.asked == [("/x", {"q": "a b&c"})]


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "3"},
        {"ratelimit-reset": "1700000003"},
        {"x-ratelimit-reset": "2023-11-14T22:13:23.000Z"},
        {"Retry-After": "Tue, 14 Nov 2023 22:13:23 GMT"},
    ],
)
def test_a_rate_limit_is_waited_out_and_reported(
    server: Server, slept: list[float], monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    monkeypatch.setattr(http, "now", lambda: 1_700_000_000.0)
    server.instead = {0: Reply(b"slow down", 429, headers)}
    events: list[Event] = []
    with Client(server.url, listen=events.append) as client:
        assert client.get("/x").status == 200
    assert slept == [1.0, 1.0, 1.0]
    assert [event.seconds_left for event in events] == [3, 2, 1]
    assert events[0].message == "127.0.0.1: waiting (rate limit)"


def test_a_rate_limit_of_an_hour_is_not_waited_out(server: Server, slept: list[float]) -> None:
    server.instead = {0: Reply(b"", 429, {"Retry-After": "3600"})}
    assert "no more requests for 60 minutes" in _error(Client(server.url))
    assert slept == []


def test_rate_limits_without_end(server: Server, slept: list[float]) -> None:
    server.instead = dict.fromkeys(range(100), Reply(b"", 429, {"Retry-After": "300"}))
    assert "rate limit" in _error(Client(server.url))
    assert sum(slept) == http.MAX_WAIT_SECONDS


def test_pauses() -> None:
    assert retry_after_seconds({}, 0) == 60
    for nonsense in ("", "soon", "-5", "nan", "Mon, 99 Foo"):
        assert retry_after_seconds({"retry-after": nonsense}, 0) == 60
    assert retry_after_seconds({"retry-after": "0"}, 0) == 1
    assert retry_after_seconds({"ratelimit-reset": "1700000000"}, 1_700_000_100) == 1


@pytest.mark.parametrize(
    "fault", [Reply(b"", 500), Reply(b"", 503), Reply(b"x" * 1000, fault="cut")]
)
def test_temporary_failures_are_retried(server: Server, slept: list[float], fault: Reply) -> None:
    server.instead = dict.fromkeys(range(4), fault)
    with Client(server.url) as client:
        assert client.get("/x").body == b"{}"
    assert slept == [1, 2, 4, 8]
    server.instead = dict.fromkeys(range(100), fault)
    assert "it may be down, try again later" in _error(Client(server.url))
    assert len(server.asked) == 5 + 5


def test_an_unreachable_server(slept: list[float]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    assert "failed 5 times in a row (the connection failed)" in _error(Client(url))
    assert len(slept) == 4


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 418])
def test_refusals_are_explained(server: Server, slept: list[float], status: int) -> None:
    server.instead = {0: as_json({"error": "No"}, status), 1: Reply(b"<html>", status)}
    client = Client(server.url, token=SECRET)
    with client, pytest.raises(SourceError, match=f"{status} {{'error': 'No'}}"):
        client.get("/x", explain=lambda code, answer: f"{code} {answer}")
    assert f"answered {status} to /x" in _error(Client(server.url, token=SECRET))
    assert slept == []


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"", b'{"a": ', b"\xff", b"[" * 200_000])
def test_no_json(server: Server, body: bytes) -> None:
    server.instead = {0: Reply(body, headers={"Content-Type": "text/html; charset=utf-8"})}
    expected = r"127.0.0.1 sent text/html instead of JSON. Is it a server\?"
    with Client(server.url) as client, pytest.raises(SourceError, match=expected):
        client.json("/x", not_json_hint="Is it a server?")


@pytest.mark.parametrize("fault", ["slow", "mute"])
def test_slow_answers_end_in_time(server: Server, fault: str, slept: list[float]) -> None:
    server.instead = {0: Reply(b"x" * 1000, fault=fault)}  # type: ignore[arg-type]
    started = time.monotonic()
    assert "took over 0.3 seconds" in _error(Client(server.url), seconds=0.3)
    assert time.monotonic() - started < 2
    assert slept == []


def test_endless_answers_end_at_a_size(server: Server) -> None:
    server.instead = {0: Reply(fault="endless")}
    assert "sent over 1 MB" in _error(Client(server.url), max_bytes=1024**2)


def test_a_packed_answer_that_grows(server: Server) -> None:
    import gzip

    bomb = gzip.compress(b"\0" * 50_000_000)
    server.instead = {0: Reply(bomb, headers={"Content-Encoding": "gzip"})}
    assert "sent over 1 MB" in _error(Client(server.url), max_bytes=1024**2)


def test_redirects(server: Server) -> None:
    server.instead = {
        0: Reply(b"", 302, {"Location": "/y?a=b"}),
        1: Reply(b"", 308, {"Location": f"{server.url}/z"}),
    }
    with Client(server.url) as client:
        assert client.get("/x", {"q": "1"}).status == 200
    assert server.asked == [("/x", {"q": "1"}), ("/y", {"a": "b"}), ("/z", {})]


def test_redirects_without_end(server: Server) -> None:
    server.instead = dict.fromkeys(range(100), Reply(b"", 301, {"Location": "/again"}))
    assert "redirects too many times" in _error(Client(server.url))
    assert len(server.asked) == 6


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("https://10.0.0.1/", "10.0.0.1, which is not on the public internet"),
        ("https://169.254.169.254/latest", "not on the public internet"),
        ("https://[fe80::1]/", "not on the public internet"),
        ("https://[::ffff:192.168.0.1]/", "not on the public internet"),
        ("http://192.168.0.1/", "not on the public internet"),
        ("http://example.org/", "isn't encrypted"),
        ("file:///etc/passwd", "is not http or https"),
        ("ftp://example.org/x", "is not http or https"),
        ("https://user:password@example.org/", "contains a login"),
        ("https://[x/", "redirects to an invalid URL"),
        ("https://example.org:port/", "is not a valid URL"),
    ],
)
def test_redirects_that_are_refused(server: Server, target: str, words: str) -> None:
    server.instead = {0: Reply(b"", 302, {"Location": target})}
    message = _error(Client(server.url))
    assert words in message
    assert "password@" not in message


def test_a_public_name_that_resolves_to_this_machine(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo

    def lying(_host: str, *args: object, **options: object) -> object:
        return real("127.0.0.1", *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", lying)
    port = server.host.rsplit(":", 1)[1]
    assert "example.org resolves to 127.0.0.1" in _error(Client(f"https://example.org:{port}"))
    # The name resolves to another address after the check.
    monkeypatch.setattr(Guard, "look_up", lambda *_args: None)
    assert "example.org resolves to 127.0.0.1" in _error(Client(f"https://example.org:{port}"))
    assert server.asked == []


@pytest.mark.parametrize(
    "url", ["http://example.org", "ftp://127.0.0.1", "https://10.1.2.3", "https://0x7f.1:99999"]
)
def test_bases_that_are_refused(url: str) -> None:
    with pytest.raises(SourceError):
        Client(url)


def test_loopback_addresses_must_be_named_by_the_user(server: Server) -> None:
    with pytest.raises(SourceError, match="not on the public internet"):
        Client(server.url, loopback=False)


def test_there_is_no_such_host(monkeypatch: pytest.MonkeyPatch, slept: list[float]) -> None:
    def unknown(*_args: object, **_options: object) -> object:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert "There is no host nowhere.example" in _error(Client("https://nowhere.example"))
    assert slept == []


def test_a_token_goes_to_its_host_only(server: Server) -> None:
    with Server() as other:
        server.instead = {0: Reply(b"", 302, {"Location": f"{other.url}/y"})}
        with Client(server.url, token=SECRET) as client:
            client.get("/x")
        assert server.headers[0]["authorization"] == f"Bearer {SECRET}"
        assert "authorization" not in other.headers[0]


def test_no_login_of_the_users_is_sent(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with Client(server.url) as client:
        client.get("/x")
    assert "authorization" not in server.headers[0]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl for a certificate")
def test_encrypted_servers(tmp_path: Path, slept: list[float]) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    request = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=here"
    names = [
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        str(key),
        "-out",
        str(certificate),
    ]
    subprocess.run([*request.split(), *names], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with Server(encrypted=context) as server:
        assert "has no valid certificate" in _error(Client(server.url))
        assert server.asked == []
        client = Client(server.url)
        client._session.verify = str(certificate)
        server.instead = {
            1: Reply(b"x" * 1000, fault="slow"),
            2: Reply(b"", 302, {"Location": server.url.replace("https", "http")}),
        }
        assert client.get("/x").body == b"{}"
        assert "took over 0.3 seconds" in _error(client, seconds=0.3)
        assert "redirects to http://127.0.0.1, which isn't encrypted" in _error(client)
    assert slept == []
