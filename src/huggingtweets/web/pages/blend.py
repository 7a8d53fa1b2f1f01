"""Blend: two bots side by side, with the same prompt."""

from __future__ import annotations

from collections.abc import Iterator  # noqa: TC003 - Gradio reads annotations
from itertools import zip_longest
from typing import TYPE_CHECKING

import gradio as gr

from huggingtweets.errors import HuggingTweetsError
from huggingtweets.web import components
from huggingtweets.web.components import (
    NO_PROGRESS,
    PostList,
    html_slot,
    prompt_box,
    sampling_sliders,
)
from huggingtweets.web.templating import link_to

if TYPE_CHECKING:
    from huggingtweets.web.context import PageContext

_N = 5  # posts per bot and click


def build(context: PageContext, page: gr.Blocks) -> None:
    """Build the page."""
    html_slot(
        html=context.header(
            "blend",
            "Two bots, one beginning",
            "Choose two bots and compare their posts.",
        )
    )
    bots = html_slot("bots")
    prompt = prompt_box()
    temperature, length = sampling_sliders()
    button = gr.Button("Let both write", variant="primary", elem_id="write")
    note = html_slot("note")
    with gr.Row(elem_id="pair"):
        with gr.Column(min_width=260):
            left = html_slot("left")
        with gr.Column(min_width=260):
            right = html_slot("right")

    def show(request: gr.Request) -> str:
        bots = context.finished_bots(request)
        first, second = _selected_pair(context, request)
        pick = components.bot_picker
        first_picker = pick(bots, first, lambda name: _address(name, second), "First bot")
        second_picker = pick(bots, second, lambda name: _address(first, name), "Second bot")
        return first_picker + second_picker if bots else first_picker

    def write(
        request: gr.Request, prompt: str, temperature: float, length: int
    ) -> Iterator[tuple[str, str, str]]:
        visitor = context.visitor(request)
        try:
            lists, streams = [], []
            for name in _selected_pair(context, request):
                bot = context.service.bot(visitor, name)
                lists.append(PostList(context.service, visitor, bot, _N))
                streams.append(context.write(request, name, prompt, _N, temperature, length))
            yield "", lists[0].html(), lists[1].html()
            for posts in zip_longest(*streams):
                for post_list, post in zip(lists, posts, strict=True):
                    if post is not None:
                        post_list.add(post)
                yield "", lists[0].html(), lists[1].html()
            yield "", lists[0].html(done=True), lists[1].html(done=True)
        except HuggingTweetsError as error:
            yield components.message(str(error), error=True), "", ""

    page.load(show, None, bots, **NO_PROGRESS)
    inputs = [prompt, temperature, length]
    gr.on([button.click, prompt.submit], write, inputs, [note, left, right], **NO_PROGRESS)


def _selected_pair(context: PageContext, request: gr.Request) -> tuple[str, str]:
    """The bots in the page's address, or the two newest."""
    first = context.selected_bot(request)
    return first, context.selected_bot(request, "with", other_than=first)


def _address(first: str, second: str) -> str:
    return link_to("blend", **{"bot": first, "with": second})
