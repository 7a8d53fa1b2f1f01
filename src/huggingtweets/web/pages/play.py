"""Step 3: a beginning, and ten posts that begin with it."""

from __future__ import annotations

from collections.abc import Iterator  # noqa: TC003 - Gradio reads annotations
from typing import TYPE_CHECKING

import gradio as gr

from huggingtweets.errors import HuggingTweetsError
from huggingtweets.web import components
from huggingtweets.web.components import PostList
from huggingtweets.web.pages.parts import NO_PROGRESS, chosen, html_slot, prompt_box, settings
from huggingtweets.web.templating import link_to

if TYPE_CHECKING:
    from huggingtweets.web.context import PageContext

POSTS = 10


def build(context: PageContext, page: gr.Blocks) -> None:
    """Lay the page out."""
    html_slot(
        html=context.header(
            "play",
            "Let it write",
            "Type a beginning, or none. What comes is made up by a machine: nobody ever said it.",
            step=3,
        )
    )
    bots = html_slot("bots")
    prompt = prompt_box()
    temperature, length = settings()
    button = gr.Button("Write ten posts", variant="primary", elem_id="write")
    note = html_slot("note")
    posts = html_slot("posts")

    def show(request: gr.Request) -> str:
        found = context.finished_bots(request)
        mine = chosen(found, context.query_param(request, "bot"))
        return components.bot_picker(found, mine, lambda name: link_to("play", bot=name))

    def write(
        request: gr.Request, prompt: str, temperature: float, length: float
    ) -> Iterator[tuple[str, str]]:
        visitor = context.visitor(request)
        try:
            name = chosen(context.finished_bots(request), context.query_param(request, "bot"))
            list_ = PostList(context.service, visitor, context.service.bot(visitor, name), POSTS)
            coming = context.service.write(
                visitor, name, prompt or "", POSTS, temperature, int(length)
            )
            yield "", list_.html()
            for post in coming:
                list_.add(post)
                yield "", list_.html()
            yield "", list_.html(done=True)
        except HuggingTweetsError as error:
            yield components.message(str(error), error=True), ""

    page.load(show, None, bots, **NO_PROGRESS)
    given = [prompt, temperature, length]
    gr.on([button.click, prompt.submit], write, given, [note, posts], **NO_PROGRESS)
