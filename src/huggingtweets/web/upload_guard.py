"""A check that requests name no files but uploads.

Gradio copies any file that a request names into its own folder and treats the copy as an upload. In
a mounted app like ours it doesn't check the path (``_check_allowed`` in gradio 6.31 returns at once
unless ``launch()`` was called). So this middleware checks every request before Gradio sees it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingtweets.web.security import UPLOADS

if TYPE_CHECKING:
    from huggingtweets.web.security import App, Message, Receive, Send

_REJECTION = {"error": "The file was not uploaded; add it again.", "detail": "no such upload"}


class UploadPathMiddleware:
    """ASGI middleware inside :class:`SecurityMiddleware`, which limits the size of a body.

    Args:
        app: the protected app.
        folder: Gradio's upload folder.
    """

    def __init__(self, app: App, folder: Path) -> None:
        self._app, self._folder = app, folder.resolve()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Reject a request that names a file outside the upload folder, or a URL."""
        if scope["type"] != "http" or scope["method"] != "POST" or _is_form(scope):
            await self._app(scope, receive, send)
            return
        body = b""
        message: Message = {"more_body": True}
        while message.get("more_body", False):
            message = await receive()
            body += message.get("body", b"")
        if not self._is_allowed(body):
            headers = [(b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": 400, "headers": headers})
            await send({"type": "http.response.body", "body": json.dumps(_REJECTION).encode()})
            return
        await self._app(scope, _replay(body, receive), send)

    def _is_allowed(self, body: bytes) -> bool:
        try:
            return all(map(self._is_upload, _paths(json.loads(body))))
        except (ValueError, RecursionError):  # Gradio couldn't parse it either
            return not body

    def _is_upload(self, path: object) -> bool:
        if not isinstance(path, str) or "\0" in path:
            return False
        return Path(path).resolve().is_relative_to(self._folder)


def _is_form(scope: Message) -> bool:
    """Whether the body is a form. Decided by path: a request may lie about its content type."""
    return scope["path"] in ("/login", "/leave") or bool(UPLOADS.fullmatch(scope["path"]))


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
