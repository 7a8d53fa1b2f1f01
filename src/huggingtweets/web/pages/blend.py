"""Blend: two bots side by side, the same beginning for both."""

from __future__ import annotations

from collections.abc import Iterator  # noqa: TC003 - Gradio reads annotations
from itertools import zip_longest
from typing import TYPE_CHECKING

import gradio as gr

from huggingtweets.errors import HuggingTweetsError
from huggingtweets.web import components
from huggingtweets.web.components import Wall
from huggingtweets.web.pages.parts import QUIET, beginning, chosen, markup, settings
from huggingtweets.web.templating import link_to

if TYPE_CHECKING:
    from huggingtweets.serving.schemas import BotSummary
    from huggingtweets.web.context import Backstage

_POSTS = 5


def build(backstage: Backstage, page: gr.Blocks) -> None:
    """Lay the page out."""
    markup(
        html=backstage.header(
            "blend",
            "Two bots, one beginning",
            "Pick two and see what each makes of the same words.",
        )
    )
    bots = markup("bots")
    prompt = beginning()
    temperature, length = settings()
    button = gr.Button("Let both write", variant="primary", elem_id="write")
    note = markup("note")
    with gr.Row(elem_id="pair"):
        with gr.Column(min_width=260):
            left = markup("left")
        with gr.Column(min_width=260):
            right = markup("right")

    def show(request: gr.Request) -> str:
        found = backstage.playable(request)
        first, second = _pair(backstage, found, request)
        one = components.chips(found, first, lambda name: _address(name, second), "First bot")
        two = components.chips(found, second, lambda name: _address(first, name), "Second bot")
        return one + two if found else one

    def write(
        request: gr.Request, prompt: str, temperature: float, length: float
    ) -> Iterator[tuple[str, str, str]]:
        visitor = backstage.visitor(request)
        try:
            walls, coming = [], []
            for name in _pair(backstage, backstage.playable(request), request):
                found = backstage.service.bot(visitor, name)
                walls.append(Wall(backstage.service, visitor, found, _POSTS))
                coming.append(
                    backstage.service.write(
                        visitor, name, prompt or "", _POSTS, temperature, int(length)
                    )
                )
            yield "", walls[0].html(), walls[1].html()
            for pair in zip_longest(*coming):
                for wall, post in zip(walls, pair, strict=True):
                    if post is not None:
                        wall.add(post)
                yield "", walls[0].html(), walls[1].html()
            yield "", walls[0].html(done=True), walls[1].html(done=True)
        except HuggingTweetsError as error:
            yield components.message(str(error), error=True), "", ""

    page.load(show, None, bots, **QUIET)
    given = [prompt, temperature, length]
    gr.on([button.click, prompt.submit], write, given, [note, left, right], **QUIET)


def _pair(backstage: Backstage, bots: list[BotSummary], request: gr.Request) -> tuple[str, str]:
    """Both bots: those the address names, else the two newest."""
    first = chosen(bots, backstage.asked(request, "bot"))
    others = [bot for bot in bots if bot.name != first] or bots
    return first, chosen(others, backstage.asked(request, "with"))


def _address(first: str, second: str) -> str:
    return link_to("blend", **{"bot": first, "with": second})
