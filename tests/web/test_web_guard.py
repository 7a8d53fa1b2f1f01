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


class Answer:
    """What came back."""

    def __init__(self, messages: list[Any]) -> None:
        self.status: int = messages[0]["status"]
        self.headers = {key.decode(): value.decode() for key, value in messages[0]["headers"]}
        self.body = b"".join(one.get("body", b"") for one in messages[1:])


def ask(
    path: str = "/",
    method: str = "GET",
    rules: SecurityPolicy | None = None,
    password: str | None = None,
    **headers: str,
) -> Answer:
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
        app, SessionAuth(b"s" * 32, password), rules or SecurityPolicy(hosts=OWN_NAMES)
    )
    asyncio.run(guard(scope, receive, send))
    return Answer(sent)


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost:1", "[::1]:7860", "LOCALHOST"])
def test_names_of_this_machine_are_answered(host: str) -> None:
    assert ask(host=host).status == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "0.0.0.0:7860"])
def test_a_name_that_somebody_pointed_here_is_not(host: str) -> None:
    assert ask(host=host).status == 421


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
def test_another_site_can_t_change_anything(headers: dict[str, str]) -> None:
    assert ask("/gradio_api/queue/join", "POST", None, None, **headers).status == 403


def test_our_own_pages_and_programs_can() -> None:
    assert ask("/do/x", "POST", origin="http://127.0.0.1:7860").status == 200
    assert ask("/do/x", "POST").status == 200
    framed = SecurityPolicy(hosts=None, origins=("*.colab.dev",))
    for origin, status in (("https://a.colab.dev", 200), ("https://colab.dev.evil.example", 403)):
        answer = ask("/do/x", "POST", framed, origin=origin, sec_fetch_site="cross-site")
        assert answer.status == status


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
def test_gradio_s_own_files_and_doors_are_closed(path: str) -> None:
    assert ask(path).status == 404


def test_uploads_may_be_larger_than_other_requests_but_not_without_end() -> None:
    rules = SecurityPolicy(hosts=None, most_bytes=10_000_000)
    for path, size, status in (
        ("/gradio_api/upload", 9_000_000, 200),
        ("/gradio_api/upload", 11_000_000, 413),
        ("/gradio_api/queue/join", 9_000_000, 413),
    ):
        assert ask(path, "POST", rules, content_length=str(size)).status == status
    assert ask("/gradio_api/upload", "POST", rules, transfer_encoding="chunked").status == 411
    assert ask("/gradio_api/upload", "POST", rules, content_length="-1").status == 413


def test_pages_load_nothing_from_elsewhere_and_run_only_their_own_scripts() -> None:
    answer = ask()
    policy = dict(
        part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; ")
    )
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe-inline" not in policy["script-src"]
    nonce = policy["script-src"].split("'nonce-")[1].split("'")[0]
    assert answer.body.count(f'<script nonce="{nonce}"'.encode()) == 2
    assert b"&lt;script&gt;" in answer.body
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert ask().headers["content-security-policy"] != answer.headers["content-security-policy"]


def test_without_the_password_there_is_only_the_form() -> None:
    secret = "a good password"  # noqa: S105
    led = ask("/bot", accept="text/html", password=secret)
    assert (led.status, led.headers["location"]) == (303, "/login?next=%2Fbot")
    assert "set-cookie" in led.headers
    for path in ("/gradio_api/queue/join", "/config", "/download/me", "/ui/../bot", "/picture/me"):
        assert ask(path, password=secret).status == 401
    assert ask("/login", password=secret).status == 200
