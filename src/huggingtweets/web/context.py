"""What all pages share: the service, who asks, what their address says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from huggingtweets.errors import InputError
from huggingtweets.web.templating import render

if TYPE_CHECKING:
    import gradio as gr
    from fastapi import Request

    from huggingtweets.serving.schemas import BotSummary, Settings
    from huggingtweets.serving.service import Service
    from huggingtweets.web.sessions import Visitor


@dataclass(frozen=True, slots=True)
class PageContext:
    """Behind every page.

    Attributes:
        service: does all that is to be done.
        settings: of the server.
    """

    service: Service
    settings: Settings

    def visitor(self, request: gr.Request) -> str:
        """Who asks; the guard has put it there and let nobody through who may not."""
        visitor: Visitor = _inner(request).state.visitor
        return visitor.id

    def uploaded_file(self, path: str) -> Path:
        """A file that was sent just now.

        Raises:
            InputError: it is any other file of this machine, whatever the request says.
        """
        file = Path(path).resolve()
        if not file.is_relative_to(arriving(self.settings).resolve()) or not file.is_file():
            raise InputError("That file didn't arrive; send it again.")
        return file

    def query_param(self, request: gr.Request, key: str) -> str:
        """A part of the page's address, empty where it isn't there."""
        return str(_inner(request).query_params.get(key, ""))

    def finished_bots(self, request: gr.Request) -> list[BotSummary]:
        """Bots that are done, newest first."""
        bots = self.service.gallery(self.visitor(request))
        return [bot for bot in bots if bot.state == "done"]

    def header(self, here: str, title: str, lead: str, step: int = 0) -> str:
        """The top of a page."""
        shared = self.settings.shared
        return render("header", here=here, title=title, lead=lead, step=step, shared=shared)


def arriving(settings: Settings) -> Path:
    """Where uploads wait until they are kept."""
    return settings.out.absolute() / ".app" / "arriving"


def _inner(request: gr.Request) -> Request:
    inner = request.request
    if inner is None:  # Gradio's promise for whatever comes over HTTP
        raise RuntimeError("This request didn't come over HTTP.")
    return inner
