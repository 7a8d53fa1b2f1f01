"""A local HTTP server with configurable responses and network faults."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Literal, Self
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping


@dataclass(frozen=True)
class Reply:
    """A response.

    ``fault``: ``cut`` closes halfway (through an upload, if it is one), ``slow`` sends single bytes
    with pauses, ``endless`` never stops, ``mute`` sends nothing.
    """

    body: bytes = b"{}"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: Literal["", "cut", "slow", "endless", "mute"] = ""


@dataclass(frozen=True)
class Request:
    """A request; its body is read on access.

    ``path`` is still percent-encoded, so that ``%2F`` isn't taken for a slash.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    read: Callable[[], bytes]

    @cached_property
    def body(self) -> bytes:
        return self.read()


def as_json(value: object, status: int = 200, **headers: str) -> Reply:
    kind = {"Content-Type": "application/json; charset=utf-8"}
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Reply(json.dumps(value).encode(), status, kind | named)


class Server:
    """A server that runs within a ``with`` statement.

    Attributes:
        asked: path and query of every request, in order.
        methods: of these requests.
        instead: replacement responses by the index of the request, from 0.
    """

    def __init__(
        self,
        answer: Callable[[str, dict[str, str]], Reply] | None = None,
        encrypted: ssl.SSLContext | None = None,
    ) -> None:
        self._answer = answer or (lambda _path, _query: Reply())
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.methods: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.instead: dict[int, Reply] = {}
        self.before: Callable[[int], None] = lambda _number: None
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._http = _Http(("127.0.0.1", 0), _handler(self))
        self._scheme = "https" if encrypted else "http"
        if encrypted:
            self._http.socket = encrypted.wrap_socket(self._http.socket, server_side=True)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._closing.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._http.server_address[1]}"

    @property
    def url(self) -> str:
        return f"{self._scheme}://{self.host}"

    def answer(self, path: str, query: dict[str, str]) -> Reply:
        return self._answer(path, query)

    def handle(self, request: Request) -> Reply:
        """Handle any method, for servers that also accept writes."""
        return self.answer(request.path, request.query)

    def reply(self, request: Request) -> Reply:
        with self._lock:
            number = len(self.asked)
            self.asked.append((request.path, request.query))
            self.methods.append(request.method)
            self.headers.append(request.headers)
        self.before(number)
        return self.instead.get(number) or self.handle(request)

    @property
    def closing(self) -> bool:
        return self._closing.is_set()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Log nothing, because the tests cause disconnections on purpose."""


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        scripted = server

    return Handler


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    scripted: Server

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        request = Request(
            self.command,
            parts.path,
            dict(parse_qsl(parts.query)),
            {name.lower(): text for name, text in self.headers.items()},
            lambda: b"".join(self._uploaded()),
        )
        reply = self.scripted.reply(request)
        self.close_connection = bool(reply.fault)
        if reply.fault == "mute":
            _wait(self.scripted, 5.0)
            return
        if reply.fault == "cut" and self.command in ("POST", "PUT"):
            self.rfile.read(int(self.headers.get("Content-Length", 0)) // 2)
            return
        _ = request.body  # an unread rest would be taken for the next request
        self.send_response(reply.status)
        for name, text in reply.headers.items():
            self.send_header(name, text)
        if reply.fault != "endless":
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command != "HEAD":
            self._send(reply)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        self.do_GET()

    def _uploaded(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            yield self.rfile.read(int(self.headers.get("Content-Length", 0)))
            return
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _send(self, reply: Reply) -> None:
        if reply.fault == "cut":
            self.wfile.write(reply.body[: len(reply.body) // 2])
        elif reply.fault == "slow":
            for byte in reply.body:
                if self.scripted.closing:
                    return
                self.wfile.write(bytes([byte]))
                time.sleep(0.02)
        elif reply.fault == "endless":
            while not self.scripted.closing:
                self.wfile.write(b"x" * 65_536)
        else:
            self.wfile.write(reply.body)

    def log_message(self, *_args: object) -> None:
        """Log nothing."""


def _wait(server: Server, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not server.closing:
        time.sleep(0.01)
