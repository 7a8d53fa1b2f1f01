"""What all pages share: the service, the visitor of a request and its query parameters."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingtweets.errors import InputError
from huggingtweets.storage.places import APP
from huggingtweets.web.templating import render

if TYPE_CHECKING:
    from collections.abc import Iterator

    import gradio as gr
    from fastapi import Request

    from huggingtweets.serving.schemas import BotSummary, Settings, WrittenPost
    from huggingtweets.serving.service import Service
    from huggingtweets.web.clients import Client
    from huggingtweets.web.sessions import Visitor


@dataclass(frozen=True, slots=True)
class PageContext:
    """The context of every page.

    Attributes:
        service: does the work.
        settings: of the server.
    """

    service: Service
    settings: Settings

    def visitor(self, request: gr.Request) -> str:
        """Id of the visitor, as set by the security middleware."""
        visitor: Visitor = _http_request(request).state.visitor
        return visitor.id

    def client(self, request: gr.Request) -> str:
        """Address that the visitor's limits count by, as set by the security middleware."""
        client: Client = _http_request(request).state.client
        return client.address if self.settings.shared else ""

    def write(  # noqa: PLR0917 - the values of a form
        self,
        request: gr.Request,
        name: str,
        prompt: str | None,
        n: int,
        temperature: float,
        length: int,
        **options: Any,  # noqa: ANN401 - the service checks it
    ) -> Iterator[WrittenPost]:
        """Generate posts with a bot for the visitor, see ``Service.write``.

        ``options`` are the ``blend`` and ``share`` of another bot, or a ``hashtag``, if any.
        """
        return self.service.write(
            self.visitor(request),
            name,
            prompt or "",
            n,
            temperature,
            length,
            client=self.client(request),
            **options,
        )

    def uploaded_file(self, request: gr.Request, path: str) -> Path:
        """A file that the browser has just uploaded; its folder's name is a source.

        Args:
            request: of the browser.
            path: of the small file that stands for it, see ``upload_guard.py``.

        Raises:
            InputError: the path is not that of an upload.
        """
        file, found = Path(path).resolve(), None
        if file.is_relative_to(incoming_uploads(self.settings).resolve()) and file.is_file():
            with file.open("rb") as opened:
                upload_id = opened.read(100).decode("ascii", "replace")
            found = self.service.upload(self.visitor(request), upload_id)
        if found is None:
            raise InputError("The file was not uploaded; add it again.")
        return found

    def query_param(self, request: gr.Request, key: str) -> str:
        """A query parameter of the page's address, empty if missing."""
        return str(_http_request(request).query_params.get(key, ""))

    def playable_bots(self, request: gr.Request) -> list[BotSummary]:
        """All bots that generate posts, newest first."""
        return [bot for bot in self.service.gallery(self.visitor(request)) if bot.playable]

    def selected_bot(
        self, request: gr.Request, key: str = "bot", *, own: bool = False, other_than: str = ""
    ) -> str:
        """Name of the bot in the page's address, or of the newest bot that generates posts.

        Args:
            request: of the page.
            key: query parameter that names the bot.
            own: whether to consider only the visitor's own bots, and only measured ones.
            other_than: bot to skip, if there is another one.
        """
        if name := self.query_param(request, key):
            return name
        return self.service.newest_bot(self.visitor(request), own=own, other_than=other_than)

    def header(self, here: str, title: str, lead: str, step: int = 0) -> str:
        """The top of a page."""
        shared = self.settings.shared
        return render("header", here=here, title=title, lead=lead, step=step, shared=shared)


def incoming_uploads(settings: Settings) -> Path:
    """The folder of Gradio's files, which only stand for uploads."""
    return settings.out.absolute() / APP / "arriving"


def _http_request(request: gr.Request) -> Request:
    http_request = request.request
    if http_request is None:  # Gradio sets it for every request over HTTP
        raise RuntimeError("This request didn't come over HTTP.")
    return http_request
