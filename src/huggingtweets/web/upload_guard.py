"""A check of JSON bodies: they are valid JSON, and name no files but uploads.

Python reads ``NaN``, ``1e999`` and half of a surrogate pair, none of which can be written back as
JSON or UTF-8; Gradio and FastAPI fail on them in an error of their own.

Gradio copies any file that a request names into its own folder and treats the copy as an upload. In
a mounted app like ours it doesn't check the path (``_check_allowed`` in gradio 6.31 returns at once
unless ``launch()`` was called). So this middleware checks every request before Gradio sees it.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingtweets.web.security import UPLOADS

if TYPE_CHECKING:
    from huggingtweets.web.security import App, Message, Receive, Send

_NO_UPLOAD = "The file was not uploaded; add it again."
_NO_JSON = (
    "The request is not valid JSON: every number must be finite and every character a whole one."
)


class UploadPathMiddleware:
    """ASGI middleware inside :class:`SecurityMiddleware`, which limits the size of a body.

    Args:
        app: the protected app.
        folder: Gradio's upload folder.
    """

    def __init__(self, app: App, folder: Path) -> None:
        self._app, self._folder = app, folder.resolve()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Reject invalid JSON, and a request that names a file outside the upload folder."""
        if scope["type"] != "http" or scope["method"] != "POST" or _is_form(scope):
            await self._app(scope, receive, send)
            return
        body = b""
        message: Message = {"more_body": True}
        while message.get("more_body", False):
            message = await receive()
            body += message.get("body", b"")
        if error := self._error(body):
            headers = [(b"content-type", b"application/json")]
            rejection = json.dumps({"error": error, "detail": error}).encode()
            await send({"type": "http.response.start", "status": 400, "headers": headers})
            await send({"type": "http.response.body", "body": rejection})
            return
        await self._app(scope, _replay(body, receive), send)

    def _error(self, body: bytes) -> str:
        """Why a body is refused; empty if it isn't."""
        if not body:
            return ""
        try:
            value = json.loads(body, parse_constant=_finite, parse_float=_finite)
            json.dumps(value, ensure_ascii=False).encode()  # fails on half a surrogate pair
            return "" if all(map(self._is_upload, _paths(value))) else _NO_UPLOAD
        except (ValueError, RecursionError):
            return _NO_JSON

    def _is_upload(self, path: object) -> bool:
        if not isinstance(path, str) or "\0" in path:
            return False
        return Path(path).resolve().is_relative_to(self._folder)


def _is_form(scope: Message) -> bool:
    """Whether the body is a form. Decided by path: a request may lie about its content type."""
    return scope["path"] in ("/login", "/leave") or bool(UPLOADS.fullmatch(scope["path"]))


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text} is not finite")
    return value


def _paths(value: Any) -> list[object]:  # noqa: ANN401 - JSON
    """All values with the key ``path``, at any depth."""
    if isinstance(value, dict):
        own = [value["path"]] if "path" in value else []
        return own + [path for item in value.values() for path in _paths(item)]
    return [path for item in value for path in _paths(item)] if isinstance(value, list) else []


def _replay(body: bytes, receive: Receive) -> Receive:
    """Receive the body again, then the messages after it."""
    sent = False

    async def receive_body_first() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_body_first
