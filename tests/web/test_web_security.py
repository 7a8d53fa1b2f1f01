from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from huggingtweets.web.security import OWN_NAMES, SecurityMiddleware, SecurityPolicy
from huggingtweets.web.sessions import SessionAuth

if TYPE_CHECKING:
    from huggingtweets.web.security import Message, Receive, Send

PAGE = b"<script>1</script><script src='a.js'></script><p>&lt;script&gt;</p>"


async def app(scope: Message, receive: Receive, send: Send) -> None:
    del receive
    headers = [(b"content-type", b"text/html; charset=utf-8"), (b"content-length", b"1")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": PAGE[:20], "more_body": True})
    await send({"type": "http.response.body", "body": PAGE[20:]})
    assert scope["state"]["visitor"].may_enter or scope["path"] == "/login"


class Response:
    """A collected response."""

    def __init__(self, messages: list[Any]) -> None:
        self.status: int = messages[0]["status"]
        self.headers = {key.decode(): value.decode() for key, value in messages[0]["headers"]}
        self.body = b"".join(one.get("body", b"") for one in messages[1:])


def request(
    path: str = "/",
    method: str = "GET",
    policy: SecurityPolicy | None = None,
    password: str | None = None,
    **headers: str,
) -> Response:
    given = {"host": "127.0.0.1:7860"} | {k.replace("_", "-"): v for k, v in headers.items()}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(key.encode(), value.encode()) for key, value in given.items()],
    }
    sent: list[Any] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    guard = SecurityMiddleware(
        app, SessionAuth(b"s" * 32, password), policy or SecurityPolicy(hosts=OWN_NAMES)
    )
    asyncio.run(guard(scope, receive, send))
    return Response(sent)


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost:1", "[::1]:7860", "LOCALHOST"])
def test_local_host_names_are_accepted(host: str) -> None:
    assert request(host=host).status == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "0.0.0.0:7860"])
def test_foreign_host_names_are_rejected(host: str) -> None:
    assert request(host=host).status == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},  # another program on this machine
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site", "origin": "http://127.0.0.1:9999"},
    ],
)
def test_cross_site_requests_are_rejected(headers: dict[str, str]) -> None:
    assert request("/gradio_api/queue/join", "POST", None, None, **headers).status == 403


def test_own_pages_and_programs_may_send_requests() -> None:
    assert request("/do/x", "POST", origin="http://127.0.0.1:7860").status == 200
    assert request("/do/x", "POST").status == 200
    framed = SecurityPolicy(hosts=None, origins=("*.colab.dev",))
    for origin, status in (("https://a.colab.dev", 200), ("https://colab.dev.evil.example", 403)):
        response = request("/do/x", "POST", framed, origin=origin, sec_fetch_site="cross-site")
        assert response.status == status


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file/etc/passwd",
        "//gradio_api//file=/etc/passwd",
        "/file=/etc/passwd",
        "/gradio_api/proxy=https://evil.example",
        "/gradio_api/stream/1/2/3/x",
        "/monitoring",
        "/gradio_api/runs",
        "/docs",
    ],
)
def test_gradio_file_routes_are_closed(path: str) -> None:
    assert request(path).status == 404


def test_request_size_is_limited() -> None:
    policy = SecurityPolicy(hosts=None, max_upload_bytes=10_000_000)
    for path, size, status in (
        ("/gradio_api/upload", 9_000_000, 200),
        ("/gradio_api/upload", 11_000_000, 413),
        ("/gradio_api/queue/join", 9_000_000, 413),
    ):
        assert request(path, "POST", policy, content_length=str(size)).status == status
    assert request("/gradio_api/upload", "POST", policy, transfer_encoding="chunked").status == 411
    assert request("/gradio_api/upload", "POST", policy, content_length="-1").status == 413


def test_content_security_policy_allows_only_own_scripts() -> None:
    response = request()
    directives = dict(
        part.split(" ", 1) for part in response.headers["content-security-policy"].split("; ")
    )
    assert directives["default-src"] == "'self'"
    assert directives["frame-ancestors"] == "'none'"
    assert "unsafe-inline" not in directives["script-src"]
    nonce = directives["script-src"].split("'nonce-")[1].split("'")[0]
    assert response.body.count(f'<script nonce="{nonce}"'.encode()) == 2
    assert b"&lt;script&gt;" in response.body
    assert int(response.headers["content-length"]) == len(response.body)
    assert response.headers["x-content-type-options"] == "nosniff"
    assert (
        request().headers["content-security-policy"] != response.headers["content-security-policy"]
    )


def test_everything_but_the_login_needs_the_password() -> None:
    secret = "a good password"  # noqa: S105
    led = request("/bot", accept="text/html", password=secret)
    assert (led.status, led.headers["location"]) == (303, "/login?next=%2Fbot")
    assert "set-cookie" in led.headers
    for path in ("/gradio_api/queue/join", "/config", "/download/me", "/ui/../bot", "/picture/me"):
        assert request(path, password=secret).status == 401
    assert request("/login", password=secret).status == 200
