"""Files that a request names must be ones that were sent.

Gradio copies whatever file a request names into its own folder, and from there it would be read as
an upload: in an app that is mounted, as ours is, it checks nothing first (``_check_allowed`` in
gradio 6.31 returns at once unless ``launch()`` was called). So each request is looked through
before Gradio sees it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingtweets.web.security import UPLOADS

if TYPE_CHECKING:
    from huggingtweets.web.security import App, Message, Receive, Send

_SENTENCE = {"error": "That file didn't arrive; send it again.", "detail": "no such upload"}


class UploadPathMiddleware:
    """ASGI middleware inside the guard, which limits how long a body may be.

    Args:
        app: what is guarded.
        folder: where uploads wait.
    """

    def __init__(self, app: App, folder: Path) -> None:
        self._app, self._folder = app, folder.resolve()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Refuse a request that names any other file, or an address to fetch one from."""
        if scope["type"] != "http" or scope["method"] != "POST" or _is_form(scope):
            await self._app(scope, receive, send)
            return
        body = b""
        message: Message = {"more_body": True}
        while message.get("more_body", False):
            message = await receive()
            body += message.get("body", b"")
        if not self._is_fine(body):
            headers = [(b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": 400, "headers": headers})
            await send({"type": "http.response.body", "body": json.dumps(_SENTENCE).encode()})
            return
        await self._app(scope, _again(body, receive), send)

    def _is_fine(self, body: bytes) -> bool:
        try:
            return all(map(self._has_arrived, _paths(json.loads(body))))
        except (ValueError, RecursionError):  # not for Gradio, then, which reads it the same way
            return not body

    def _has_arrived(self, path: object) -> bool:
        if not isinstance(path, str) or "\0" in path:
            return False
        return Path(path).resolve().is_relative_to(self._folder)


def _is_form(scope: Message) -> bool:
    """Uploads and logins, which are no JSON; what a request says that it is doesn't count."""
    return scope["path"] in ("/login", "/leave") or bool(UPLOADS.fullmatch(scope["path"]))


def _paths(value: Any) -> list[object]:  # noqa: ANN401 - JSON
    """Whatever is called a path, however deep."""
    if isinstance(value, dict):
        own = [value["path"]] if "path" in value else []
        return own + [path for one in value.values() for path in _paths(one)]
    return [path for one in value for path in _paths(one)] if isinstance(value, list) else []


def _again(body: bytes, receive: Receive) -> Receive:
    """The body once more, then whatever comes after it."""
    sent = False

    async def first_the_body() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return first_the_body
