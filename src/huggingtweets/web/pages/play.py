"""Step 3: generate ten posts from a prompt."""

from __future__ import annotations

from collections.abc import Iterator  # noqa: TC003 - Gradio reads annotations
from contextlib import suppress
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
from huggingtweets.web.templating import link_to, render

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
        hashtag = gr.Textbox(
            label="Hashtag",
            placeholder="none",
            info="in each post, where the author puts it",
            max_length=200,
            elem_id="hashtag",
            visible=False,
        )
        tags = html_slot()
        temperature, length = sampling_sliders()
        button = gr.Button("Write ten posts", variant="primary", elem_id="write")
    note = html_slot("note")
    posts = html_slot("posts")

    def show(request: gr.Request) -> tuple[str, Any, Any, str]:
        bots = context.playable_bots(request)
        chosen = context.selected_bot(request)
        picker = components.bot_picker(bots, chosen, lambda name: link_to("play", bot=name))
        known: tuple[str, ...] = ()
        with suppress(HuggingTweetsError):  # it says why as soon as it is asked to write
            known = context.service.bot(context.visitor(request), chosen).hashtags
        chips = render("hashtags", tags=known)
        return picker, gr.update(visible=bool(bots)), gr.update(visible=bool(known)), chips

    def write(
        request: gr.Request, prompt: str, temperature: float, length: int, hashtag: str | None
    ) -> Iterator[tuple[str, str]]:
        visitor = context.visitor(request)
        try:
            name = context.selected_bot(request)
            post_list = PostList(context.service, visitor, context.service.bot(visitor, name), _N)
            options = {"hashtag": hashtag} if hashtag else {}
            posts = context.write(request, name, prompt, _N, temperature, length, **options)
            yield "", post_list.html()
            for post in posts:
                post_list.add(post)
                yield "", post_list.html()
            yield "", post_list.html(done=True)
        except HuggingTweetsError as error:
            yield components.message(str(error), error=True), ""

    page.load(show, None, [bots, form, hashtag, tags], **NO_PROGRESS)
    inputs = [prompt, temperature, length, hashtag]
    gr.on(
        [button.click, prompt.submit, hashtag.submit], write, inputs, [note, posts], **NO_PROGRESS
    )
