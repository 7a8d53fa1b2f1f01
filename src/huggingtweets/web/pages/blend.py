"""Blend: two bots side by side, and between them a bot whose probabilities are a mix of both."""

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
            "Choose two bots, mix them, and compare their posts.",
        )
    )
    bots = html_slot("bots")
    with gr.Column(visible=False) as form:
        prompt = prompt_box()
        temperature, length = sampling_sliders()
        share = gr.Slider(0, 100, 50, step=5, label="Mix", info=" ", elem_id="share")
        with gr.Row():
            mix = gr.Button("Let the mix write", variant="primary", elem_id="mix")
            button = gr.Button("Let both write", elem_id="write")
    note = html_slot("note")
    mixed = html_slot("mixed")
    with gr.Row(elem_id="pair"):
        with gr.Column(min_width=260):
            left = html_slot("left")
        with gr.Column(min_width=260):
            right = html_slot("right")

    handlers = _Handlers(context)
    page.load(handlers.show, None, [bots, share, form], **NO_PROGRESS)
    inputs = [prompt, temperature, length]
    gr.on([button.click, prompt.submit], handlers.write, inputs, [note, left, right], **NO_PROGRESS)
    gr.on(
        [mix.click, share.release],
        handlers.write_mixed,
        [*inputs, share],
        [note, mixed],
        trigger_mode="always_last",
        **NO_PROGRESS,
    )


class _Handlers:
    """What the page does when it is opened and when somebody asks for posts."""

    def __init__(self, context: PageContext) -> None:
        self._context = context

    def show(self, request: gr.Request) -> tuple[str, dict[str, object], dict[str, object]]:
        """The pickers, and which bot is at which end of the slider."""
        bots = self._context.playable_bots(request)
        first, second = _selected_pair(self._context, request)
        pick = components.bot_picker
        first_picker = pick(bots, first, lambda name: _address(name, second), "First bot")
        second_picker = pick(bots, second, lambda name: _address(first, name), "Second bot")
        has_two = bool(first and second and first != second)
        ends = f"0 is {first} alone, 100 is {second} alone" if has_two else "needs two bots"
        return (
            first_picker + second_picker if bots else first_picker,
            gr.update(info=ends, interactive=has_two),
            gr.update(visible=bool(bots)),
        )

    def write(
        self, request: gr.Request, prompt: str, temperature: float, length: int
    ) -> Iterator[tuple[str, str, str]]:
        """Let both bots write, side by side."""
        context = self._context
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

    def write_mixed(
        self, request: gr.Request, prompt: str, temperature: float, length: int, percent: float
    ) -> Iterator[tuple[str, str]]:
        """Let the mixture write; ``percent`` is the share of the second bot."""
        context = self._context
        visitor = context.visitor(request)
        try:
            name, other = _selected_pair(context, request)
            bots = [context.service.bot(visitor, bot) for bot in (name, other)]
            posts = PostList(context.service, visitor, bots[0], _N, mixed_with=bots[1])
            mixture = {"blend": other, "share": percent / 100}
            stream = context.write(request, name, prompt, _N, temperature, length, **mixture)
            yield "", posts.html()
            for post in stream:
                posts.add(post)
                yield "", posts.html()
            yield "", posts.html(done=True)
        except HuggingTweetsError as error:
            yield components.message(str(error), error=True), ""


def _selected_pair(context: PageContext, request: gr.Request) -> tuple[str, str]:
    """The bots in the page's address, or the two newest."""
    first = context.selected_bot(request)
    return first, context.selected_bot(request, "with", other_than=first)


def _address(first: str, second: str) -> str:
    return link_to("blend", **{"bot": first, "with": second})
