"""What stands before every request: the right host and origin, a visitor, and what pages may load.

- **Host**: alone, only names of this machine are answered, so that no site can point its own name
  here and read the answers (DNS rebinding). A shared server is protected by its password.
- **Origin**: whatever changes something must come from a page of ours (CSRF). Browsers always say
  where a ``POST`` comes from; programs such as ``gradio_client`` say nothing, and have no cookies
  of others to misuse.
- **Gradio's own file routes** are closed: they don't know whose a file is. Ours do (``routes.py``).
- **Content security policy**: nothing from another host, no script but files of ours and the
  inline ones of Gradio's page, which get a nonce. ``unsafe-eval`` is there because Gradio compiles
  its components' templates in the browser; handlers in attributes (``onerror=``) stay forbidden.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from huggingtweets.web.sessions import SessionAuth, Visitor

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Message, Receive, Send], Awaitable[None]]

OWN_NAMES = ("127.0.0.1", "localhost", "[::1]")
_SAFE = ("GET", "HEAD", "OPTIONS")
_CLOSED = re.compile(
    r"/+(gradio_api/+)?"
    r"(file|proxy|stream|monitoring|runs|component_server|custom_component|deep_link|reload"
    r"|dev|vibe|process_recording|app_id|logout|docs|redoc|openapi\.json)(?![^=/?-])",
    re.IGNORECASE,
)
_OPEN = re.compile(r"/(login|ui/[\w.-]+|favicon\.ico)")
UPLOADS = re.compile(r"/+gradio_api/+upload/*")
_SMALL = 4_000_000  # bytes of any request but an upload
_SCRIPT = re.compile(rb"<script(?=[\s>])")


@dataclass(frozen=True, slots=True)
class SecurityPolicy:
    """What is allowed.

    Attributes:
        hosts: names that are answered; None for all. ``*.example.org`` means any name below it.
        origins: hosts of pages that may send requests, beside those that come from the same host.
        frames: what may show the pages in a frame, as a CSP source, such as
            ``https://huggingface.co``.
        most_bytes: of an upload.
    """

    hosts: tuple[str, ...] | None
    origins: tuple[str, ...] = ()
    frames: str = "'none'"
    most_bytes: int = 500_000_000


class SecurityMiddleware:
    """ASGI middleware around everything.

    Args:
        app: what is guarded.
        door: knows visitors.
        rules: what is allowed.
    """

    def __init__(self, app: App, door: SessionAuth, rules: SecurityPolicy) -> None:
        self._app, self._door, self._rules = app, door, rules

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request, or let it through."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # Gradio 6 needs no web sockets
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = {key.decode("latin1"): value.decode("latin1") for key, value in scope["headers"]}
        visitor = self._door.visitor(
            _cookies(headers.get("cookie", "")).get(self._door.cookie_name)
        )
        scope.setdefault("state", {})["visitor"] = visitor
        answer = _ResponseWriter(send, self._rules.frames)
        if visitor.is_new:
            answer.cookie = self._door.header(visitor.id, entered=False)
        fault = self._fault(scope, headers) or _not_entered(scope, headers, visitor)
        if fault is not None:
            await answer.refuse(*fault)
            return
        if _is_page(headers):  # compressed, its scripts couldn't be given their nonce
            scope["headers"] = [h for h in scope["headers"] if h[0] != b"accept-encoding"]
        await self._app(scope, receive, answer.send)

    def _fault(self, scope: Message, headers: dict[str, str]) -> tuple[int, str] | None:
        host, path = headers.get("host", "").lower(), scope["path"]
        if self._rules.hosts is not None and not _matches(_name(host), self._rules.hosts):
            return 421, "This server doesn't answer to that name."
        if scope["method"] not in _SAFE and not self._may_change(host, headers):
            return 403, "This request came from another site."
        if _CLOSED.match(path):
            return 404, "There is nothing here."
        limit = self._rules.most_bytes if UPLOADS.fullmatch(path) else _SMALL
        if "transfer-encoding" in headers:
            return 411, "Say how long the request is."
        size = headers.get("content-length", "0")
        if not size.isdecimal() or int(size) > limit:
            return 413, f"That is too large; at most {limit / 1e6:,.0f} MB can be sent."
        return None

    def _may_change(self, host: str, headers: dict[str, str]) -> bool:
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return self._is_trusted(headers.get("origin", ""))
        origin = headers.get("origin")
        if origin is None:
            return True
        return urlsplit(origin).netloc.lower() == host or self._is_trusted(origin)

    def _is_trusted(self, origin: str) -> bool:
        return _matches(_name(urlsplit(origin).netloc.lower()), self._rules.origins)


def _not_entered(
    scope: Message, headers: dict[str, str], visitor: Visitor
) -> tuple[int, str] | None:
    """Ask for the password; a page is asked for by leading to the form."""
    if visitor.may_enter or _OPEN.fullmatch(scope["path"]):
        return None
    if scope["method"] == "GET" and _is_page(headers):
        query = scope["query_string"].decode("latin1")
        wanted = scope["path"] + (f"?{query}" if query else "")
        return 303, f"/login?next={quote(wanted, safe='')}"
    return 401, "Log in first: this server asks for a password."


class _ResponseWriter:
    """Puts the headers on an answer, and the nonce into a page."""

    def __init__(self, send: Send, frames: str) -> None:
        self._send, self._frames = send, frames
        self.cookie: str | None = None
        self._nonce = secrets.token_urlsafe(16)
        self._start: Message | None = None  # of a page that is held back until it is whole
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = self._with_headers(message["headers"])
            message = {**message, "headers": headers}
            if any(
                key == b"content-type" and value.startswith(b"text/html") for key, value in headers
            ):
                self._start = message
                return
        elif self._start is not None and message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._send_page(self._start)
            return
        await self._send(message)

    async def refuse(self, status: int, text: str) -> None:
        """Answer with one sentence, or lead to another page."""
        headers = [(b"content-type", b"text/plain; charset=utf-8")]
        if status == 303:
            headers.append((b"location", text.encode("latin1", "ignore")))
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": text.encode()})

    async def _send_page(self, start: Message) -> None:
        body = _SCRIPT.sub(f'<script nonce="{self._nonce}"'.encode(), self._body)
        headers = [h for h in start["headers"] if h[0] != b"content-length"]
        headers.append((b"content-length", str(len(body)).encode()))
        await self._send({**start, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    def _with_headers(self, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        mine = {
            b"x-content-type-options": b"nosniff",
            b"referrer-policy": b"same-origin",
            b"cross-origin-opener-policy": b"same-origin",
            b"cross-origin-resource-policy": b"same-origin",
            b"permissions-policy": b"camera=(), microphone=(), geolocation=(), payment=()",
        }
        if self._frames == "'none'":
            mine[b"x-frame-options"] = b"DENY"
        there = {key.lower() for key, _ in headers}
        if b"content-security-policy" not in there:
            mine[b"content-security-policy"] = self._policy().encode()
        kept = [h for h in headers if h[0].lower() not in mine and not h[0].startswith(b"access-")]
        kept += mine.items()
        if self.cookie is not None and b"set-cookie" not in there:
            kept.append((b"set-cookie", self.cookie.encode()))
        return kept

    def _policy(self) -> str:
        return "; ".join(
            (
                "default-src 'self'",
                f"script-src 'self' 'nonce-{self._nonce}' 'unsafe-eval'",
                "style-src 'self' 'unsafe-inline'",
                "img-src 'self' data: blob:",
                "font-src 'self' data:",
                "connect-src 'self'",
                "worker-src 'self' blob:",
                "object-src 'none'",
                "base-uri 'self'",
                "form-action 'self'",
                f"frame-ancestors {self._frames}",
            )
        )


def _is_page(headers: dict[str, str]) -> bool:
    return "text/html" in headers.get("accept", "")


def _cookies(header: str) -> dict[str, str]:
    pairs = (part.strip().partition("=") for part in header.split(";"))
    return {name: value for name, _, value in pairs}


def _name(host: str) -> str:
    """A host without its port."""
    return re.sub(r":\d+$", "", host)


def _matches(name: str, allowed: tuple[str, ...]) -> bool:
    return any(name.endswith(one[1:]) if one.startswith("*.") else name == one for one in allowed)
