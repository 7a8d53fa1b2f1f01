"""Blend: two bots side by side, the same beginning for both."""

from __future__ import annotations

from collections.abc import Iterator  # noqa: TC003 - Gradio reads annotations
from itertools import zip_longest
from typing import TYPE_CHECKING

import gradio as gr

from huggingtweets.errors import HuggingTweetsError
from huggingtweets.web import components
from huggingtweets.web.components import PostList
from huggingtweets.web.pages.parts import NO_PROGRESS, chosen, html_slot, prompt_box, settings
from huggingtweets.web.templating import link_to

if TYPE_CHECKING:
    from huggingtweets.serving.schemas import BotSummary
    from huggingtweets.web.context import PageContext

_POSTS = 5


def build(context: PageContext, page: gr.Blocks) -> None:
    """Lay the page out."""
    html_slot(
        html=context.header(
            "blend",
            "Two bots, one beginning",
            "Pick two and see what each makes of the same words.",
        )
    )
    bots = html_slot("bots")
    prompt = prompt_box()
    temperature, length = settings()
    button = gr.Button("Let both write", variant="primary", elem_id="write")
    note = html_slot("note")
    with gr.Row(elem_id="pair"):
        with gr.Column(min_width=260):
            left = html_slot("left")
        with gr.Column(min_width=260):
            right = html_slot("right")

    def show(request: gr.Request) -> str:
        found = context.finished_bots(request)
        first, second = _pair(context, found, request)
        one = components.bot_picker(found, first, lambda name: _address(name, second), "First bot")
        two = components.bot_picker(found, second, lambda name: _address(first, name), "Second bot")
        return one + two if found else one

    def write(
        request: gr.Request, prompt: str, temperature: float, length: float
    ) -> Iterator[tuple[str, str, str]]:
        visitor = context.visitor(request)
        try:
            lists, coming = [], []
            for name in _pair(context, context.finished_bots(request), request):
                found = context.service.bot(visitor, name)
                lists.append(PostList(context.service, visitor, found, _POSTS))
                coming.append(
                    context.service.write(
                        visitor, name, prompt or "", _POSTS, temperature, int(length)
                    )
                )
            yield "", lists[0].html(), lists[1].html()
            for pair in zip_longest(*coming):
                for list_, post in zip(lists, pair, strict=True):
                    if post is not None:
                        list_.add(post)
                yield "", lists[0].html(), lists[1].html()
            yield "", lists[0].html(done=True), lists[1].html(done=True)
        except HuggingTweetsError as error:
            yield components.message(str(error), error=True), "", ""

    page.load(show, None, bots, **NO_PROGRESS)
    given = [prompt, temperature, length]
    gr.on([button.click, prompt.submit], write, given, [note, left, right], **NO_PROGRESS)


def _pair(context: PageContext, bots: list[BotSummary], request: gr.Request) -> tuple[str, str]:
    """Both bots: those the address names, else the two newest."""
    first = chosen(bots, context.query_param(request, "bot"))
    others = [bot for bot in bots if bot.name != first] or bots
    return first, chosen(others, context.query_param(request, "with"))


def _address(first: str, second: str) -> str:
    return link_to("blend", **{"bot": first, "with": second})
