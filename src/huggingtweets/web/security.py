"""Security checks on every request: host, origin, login, size, and what a page may load.

- **Host**: a server without a password answers only to names of this machine. Otherwise another
  site could point its own name here and read the responses (DNS rebinding).
- **Origin**: a request that changes something must come from our own pages (CSRF). Browsers always
  send the origin of a ``POST``. Programs such as ``gradio_client`` send none, but they hold no
  cookies of other people either.
- **Gradio's own file routes** are closed, because they don't check who owns a file. Our routes do
  (``routes.py``).
- **Content security policy**: nothing from other hosts, and no scripts but our files and the inline
  scripts of Gradio's page, which get a nonce. Gradio compiles templates in the browser, which needs
  ``unsafe-eval``. Event handler attributes (``onerror=``) stay forbidden.
"""

from __future__ import annotations

import logging
import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from huggingtweets.web.clients import TrustedProxies

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from huggingtweets.web.sessions import SessionAuth, Visitor

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Message, Receive, Send], Awaitable[None]]

_log = logging.getLogger("uvicorn.error")
OWN_NAMES = ("127.0.0.1", "localhost", "[::1]")
_READ_METHODS = ("GET", "HEAD", "OPTIONS")
_CLOSED = re.compile(
    r"/+(gradio_api/+)?"
    r"(file|proxy|stream|monitoring|runs|component_server|custom_component|deep_link|reload"
    r"|dev|vibe|process_recording|app_id|logout|docs|redoc|openapi\.json|upload(_progress)?)"
    r"(?![^=/?-])",
    re.IGNORECASE,
)
_PUBLIC = re.compile(r"/(login|ui/[\w.-]+|favicon\.ico)")
UPLOAD = "/gradio_api/upload"
"""The route of ours that receives files, see ``uploads.py``; Gradio's is closed."""
_MAX_BYTES = 4_000_000  # of a request that is not an upload
_SCRIPT = re.compile(rb"<script(?=[\s>])")


@dataclass(frozen=True, slots=True)
class SecurityPolicy:
    """What requests and pages may do.

    Attributes:
        hosts: host names the server answers to; None for all. ``*.example.org`` matches every name
            below it.
        origins: hosts of pages that may send requests, in addition to the server's own.
        frames: sites that may show the pages in a frame, as a CSP source such as
            ``https://huggingface.co``.
        max_upload_bytes: limit of an upload.
        proxies: that may name the client of a request.
    """

    hosts: tuple[str, ...] | None
    origins: tuple[str, ...] = ()
    frames: str = "'none'"
    max_upload_bytes: int = 500_000_000
    proxies: TrustedProxies = field(default_factory=TrustedProxies)

    def refusal(
        self, scope: Message, headers: dict[str, str], max_bytes: int
    ) -> tuple[int, str] | None:
        """Status and message if a request must be refused for its host, origin or size.

        Args:
            scope: of the request.
            headers: of the request, with lower-case names.
            max_bytes: limit of its body.
        """
        host = headers.get("host", "").lower()
        if self.hosts is not None and not _matches(_host_name(host), self.hosts):
            return 421, "This server doesn't answer to that host name."
        if scope["method"] not in _READ_METHODS and not self._is_same_site(host, headers):
            return 403, "This request came from another site."
        if "transfer-encoding" in headers:
            return 411, "The request needs a Content-Length header."
        size = headers.get("content-length", "0")
        if not size.isdecimal() or int(size) > max_bytes:
            return 413, f"The request is too large; the limit is {max_bytes / 1e6:,.0f} MB."
        return None

    def _is_same_site(self, host: str, headers: dict[str, str]) -> bool:
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return self._is_trusted(headers.get("origin", ""))
        origin = headers.get("origin")
        if origin is None:
            return True
        return urlsplit(origin).netloc.lower() == host or self._is_trusted(origin)

    def _is_trusted(self, origin: str) -> bool:
        return _matches(_host_name(urlsplit(origin).netloc.lower()), self.origins)


class SecurityMiddleware:
    """Outermost ASGI middleware.

    Args:
        app: the protected app.
        auth: identifies visitors.
        policy: what is allowed.
    """

    def __init__(self, app: App, auth: SessionAuth, policy: SecurityPolicy) -> None:
        self._app, self._auth, self._policy = app, auth, policy
        self._reported_proxy = False

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Reject a request, or pass it on and add security headers to the response."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # Gradio 6 uses no web sockets
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = {key.decode("latin1"): value.decode("latin1") for key, value in scope["headers"]}
        visitor = self._auth.visitor(
            _cookies(headers.get("cookie", "")).get(self._auth.cookie_name)
        )
        peer = (scope.get("client") or ("",))[0]
        client = self._policy.proxies.client(peer, scope.get("scheme", "http"), scope["headers"])
        self._report_proxy(client.proxy)
        scope.setdefault("state", {}).update(visitor=visitor, client=client)
        response = _ResponseWriter(send, self._policy.frames)
        if visitor.is_new:
            response.cookie = self._auth.header(
                visitor.id, logged_in=False, encrypted=client.is_encrypted
            )
        rejection = self._check(scope, headers) or _check_login(scope, headers, visitor)
        if rejection is not None:
            await response.reject(*rejection)
            return
        if _wants_page(headers):  # a nonce can't be added to a compressed page
            scope["headers"] = [h for h in scope["headers"] if h[0] != b"accept-encoding"]
        await self._app(scope, receive, response.send)

    def _report_proxy(self, address: str) -> None:
        """Warn once of a proxy that isn't declared: all who come through it share their limits."""
        if address and self._auth.is_shared and not self._reported_proxy:
            self._reported_proxy = True
            _log.warning(
                "Requests are forwarded by %s; if that is your proxy, declare it: "
                "--trusted-proxy %s. Until then all visitors behind it share one client's limits.",
                address,
                address,
            )

    def _check(self, scope: Message, headers: dict[str, str]) -> tuple[int, str] | None:
        """Status and message if the request must be rejected."""
        path = scope["path"]
        limit = self._policy.max_upload_bytes if path == UPLOAD else _MAX_BYTES
        refusal = self._policy.refusal(scope, headers, limit)
        if refusal is None and _CLOSED.match(path) and path not in (UPLOAD, f"{UPLOAD}_progress"):
            return 404, "Not found."
        return refusal


def _check_login(
    scope: Message, headers: dict[str, str], visitor: Visitor
) -> tuple[int, str] | None:
    """Redirect a page request without login to the login form; reject any other with 401."""
    if visitor.may_enter or _PUBLIC.fullmatch(scope["path"]):
        return None
    if scope["method"] == "GET" and _wants_page(headers):
        query = scope["query_string"].decode("latin1")
        target = scope["path"] + (f"?{query}" if query else "")
        return 303, f"/login?next={quote(target, safe='')}"
    return 401, "Log in first: this server needs a password."


class _ResponseWriter:
    """Adds security headers to a response, and a nonce to the scripts of a page."""

    def __init__(self, send: Send, frames: str) -> None:
        self._send, self._frames = send, frames
        self.cookie: str | None = None
        self._nonce = secrets.token_urlsafe(16)
        self._start: Message | None = None  # of a page, held back until its body is complete
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

    async def reject(self, status: int, text: str) -> None:
        """Send a one-sentence response, or a redirect to ``text``."""
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
        own = {
            b"x-content-type-options": b"nosniff",
            b"referrer-policy": b"same-origin",
            b"cross-origin-opener-policy": b"same-origin",
            b"cross-origin-resource-policy": b"same-origin",
            b"permissions-policy": b"camera=(), microphone=(), geolocation=(), payment=()",
        }
        if self._frames == "'none'":
            own[b"x-frame-options"] = b"DENY"
        present = {key.lower() for key, _ in headers}
        if b"content-security-policy" not in present:
            own[b"content-security-policy"] = self._content_policy().encode()
        result = [h for h in headers if h[0].lower() not in own and not h[0].startswith(b"access-")]
        result += own.items()
        if self.cookie is not None and b"set-cookie" not in present:
            result.append((b"set-cookie", self.cookie.encode()))
        return result

    def _content_policy(self) -> str:
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


def _wants_page(headers: dict[str, str]) -> bool:
    return "text/html" in headers.get("accept", "")


def _cookies(header: str) -> dict[str, str]:
    pairs = (part.strip().partition("=") for part in header.split(";"))
    return {name: value for name, _, value in pairs}


def _host_name(host: str) -> str:
    """A ``Host`` header without the port."""
    return re.sub(r":\d+$", "", host)


def _matches(name: str, allowed: tuple[str, ...]) -> bool:
    return any(name.endswith(a[1:]) if a.startswith("*.") else name == a for a in allowed)
