"""Serve an exported page on this machine, with the headers that let it use several cores."""

from __future__ import annotations

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from huggingtweets.errors import InputError
from huggingtweets.publish.web_page import ISOLATION

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

HOST = "127.0.0.1"


class PageServer(ThreadingHTTPServer):
    """A server of one folder, for this machine only.

    Args:
        folder: an export of :mod:`huggingtweets.publish.web_page`.
        port: 0 takes any free one.

    Attributes:
        page: the folder.
        address: of the page.

    Raises:
        InputError: the port is in use.
    """

    daemon_threads = True
    allow_reuse_port = False

    def __init__(self, folder: Path, port: int = 0) -> None:
        handler = partial(_Handler, directory=str(folder))
        try:
            super().__init__((HOST, port), handler)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise InputError(
                f"Port {port} can't be used: {reason}. Choose another --port, or 0 for any."
            ) from error
        self.page = folder
        self.address = f"http://{HOST}:{self.server_port}/"


class _Handler(SimpleHTTPRequestHandler):
    """Serves files, and no lists of them."""

    extensions_map = {  # noqa: RUF012 - as in the base class; a registry may know them wrongly
        "": "application/octet-stream",
        ".css": "text/css; charset=utf-8",
        ".html": "text/html; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".json": "application/json",
        ".md": "text/plain; charset=utf-8",
        ".svg": "image/svg+xml",
        ".txt": "text/plain; charset=utf-8",
        ".wasm": "application/wasm",
    }

    def end_headers(self) -> None:
        """Add the headers of every answer."""
        for name, value in ISOLATION.items():
            self.send_header(name, value)
        self.send_header("Cache-Control", "no-cache")  # the browser asks whether it changed
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def list_directory(self, path: Any) -> None:  # noqa: ANN401 - as in the base class
        """Refuse to list a folder."""
        del path
        self.send_error(404)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 - as in the base
        """Print nothing."""
