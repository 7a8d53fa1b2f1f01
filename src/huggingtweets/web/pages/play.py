"""Step 3: generate ten posts from a prompt."""

from __future__ import annotations

from collections.abc import Iterator  # noqa: TC003 - Gradio reads annotations
from typing import TYPE_CHECKING, Any

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

_N = 10  # posts per click


def build(context: PageContext, page: gr.Blocks) -> None:
    """Build the page."""
    html_slot(
        html=context.header(
            "play",
            "Let it write",
            "Type the beginning of a post, or leave it empty. A machine makes the posts up: nobody "
            "ever said them.",
            step=3,
        )
    )
    bots = html_slot("bots")
    with gr.Column(visible=False) as form:
        prompt = prompt_box()
        temperature, length = sampling_sliders()
        button = gr.Button("Write ten posts", variant="primary", elem_id="write")
    note = html_slot("note")
    posts = html_slot("posts")

    def show(request: gr.Request) -> tuple[str, Any]:
        bots = context.playable_bots(request)
        chosen = context.selected_bot(request)
        picker = components.bot_picker(bots, chosen, lambda name: link_to("play", bot=name))
        return picker, gr.update(visible=bool(bots))

    def write(
        request: gr.Request, prompt: str, temperature: float, length: int
    ) -> Iterator[tuple[str, str]]:
        visitor = context.visitor(request)
        try:
            name = context.selected_bot(request)
            post_list = PostList(context.service, visitor, context.service.bot(visitor, name), _N)
            posts = context.write(request, name, prompt, _N, temperature, length)
            yield "", post_list.html()
            for post in posts:
                post_list.add(post)
                yield "", post_list.html()
            yield "", post_list.html(done=True)
        except HuggingTweetsError as error:
            yield components.message(str(error), error=True), ""

    page.load(show, None, [bots, form], **NO_PROGRESS)
    inputs = [prompt, temperature, length]
    gr.on([button.click, prompt.submit], write, inputs, [note, posts], **NO_PROGRESS)
