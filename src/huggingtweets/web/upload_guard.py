"""A check of JSON bodies: they are valid JSON, and name no files but the visitor's uploads, by id.

Python reads ``NaN``, ``1e999`` and half of a surrogate pair, none of which can be written back as
JSON or UTF-8; Gradio and FastAPI fail on them in an error of their own.

Gradio copies any file that a request names into its own folder and treats the copy as an upload. In
a mounted app like ours it doesn't check the path (``_check_allowed`` in gradio 6.31 returns at once
unless ``launch()`` was called). So this middleware checks every request before Gradio sees it. It
replaces the id of an upload by the path of a small file that holds the id: Gradio copies that, and
:meth:`~huggingtweets.web.context.PageContext.uploaded_file` looks up the upload.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingtweets.errors import InputError, StorageError
from huggingtweets.storage import files
from huggingtweets.web.security import UPLOAD

if TYPE_CHECKING:
    from collections.abc import Callable

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
        find: returns the file of a visitor's upload, or None.
    """

    def __init__(self, app: App, folder: Path, find: Callable[[str, str], Path | None]) -> None:
        self._app, self._folder, self._find = app, folder, find

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
        try:
            body = self._with_paths(body, scope["state"]["visitor"].id)
        except StorageError as error:
            await _reject(send, 507, str(error))
            return
        except InputError as error:
            await _reject(send, 400, str(error))
            return
        except (ValueError, RecursionError):
            await _reject(send, 400, _NO_JSON)
            return
        headers = [pair for pair in scope["headers"] if pair[0] != b"content-length"]
        headers.append((b"content-length", str(len(body)).encode()))
        await self._app({**scope, "headers": headers}, _replay(body, receive), send)

    def _with_paths(self, body: bytes, visitor: str) -> bytes:
        """The body with paths in place of ids.

        Raises:
            ValueError: it is no valid JSON.
            InputError: it names something else than an upload of the visitor.
        """
        if not body:
            return body
        value = json.loads(body, parse_constant=_finite, parse_float=_finite)
        json.dumps(value, ensure_ascii=False).encode()  # fails on half a surrogate pair
        named = _with_path(value)
        for each in named:
            each["path"] = str(self._stand_in(each["path"], visitor))
        return json.dumps(value).encode() if named else body

    def _stand_in(self, upload_id: object, visitor: str) -> Path:
        file = self._find(visitor, upload_id) if isinstance(upload_id, str) else None
        if file is None:
            raise InputError(_NO_UPLOAD)
        path = self._folder / file.parent.name / file.name
        with files.wrap_os_errors(Path(file.name)):
            files.make_folder(path.parent)
            path.write_text(file.parent.name, "ascii")
        return path


def _is_form(scope: Message) -> bool:
    """Whether the body is a form. Decided by path: a request may lie about its content type."""
    return scope["path"] in ("/login", "/leave", UPLOAD)


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text} is not finite")
    return value


async def _reject(send: Send, status: int, error: str) -> None:
    answer = {"error": error, "detail": error}
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


def _with_path(value: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - JSON
    """All objects with the key ``path``, at any depth."""
    if isinstance(value, dict):
        own = [value] if "path" in value else []
        return own + [each for item in value.values() for each in _with_path(item)]
    return [each for item in value for each in _with_path(item)] if isinstance(value, list) else []


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
