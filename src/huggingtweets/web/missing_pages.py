"""A page of ours where a browser finds nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from huggingtweets.web.templating import render

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Message = MutableMapping[str, Any]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Message, Callable[[], Awaitable[Message]], Send], Awaitable[None]]


class MissingPageMiddleware:
    """ASGI middleware that answers a browser's request for an unknown page with a page.

    Programs, which don't ask for HTML, get the JSON of the app as before.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Send
    ) -> None:
        """Pass a request on, and replace the response if nothing was found."""
        if scope["type"] != "http" or scope["method"] != "GET" or not _wants_page(scope):
            await self._app(scope, receive, send)
            return
        is_missing = False

        async def respond(message: Message) -> None:
            nonlocal is_missing
            if message["type"] == "http.response.start" and message["status"] == 404:
                is_missing = True
                headers = [(b"content-type", b"text/html; charset=utf-8")]
                await send({"type": message["type"], "status": 404, "headers": headers})
                page = render("missing").encode()
                await send({"type": "http.response.body", "body": page})
            elif not is_missing:
                await send(message)

        await self._app(scope, receive, respond)


def _wants_page(scope: Message) -> bool:
    return any(key == b"accept" and b"text/html" in value for key, value in scope["headers"])
