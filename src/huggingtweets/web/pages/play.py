"""Step 3: a beginning, and ten posts that begin with it."""

from __future__ import annotations

from collections.abc import Iterator  # noqa: TC003 - Gradio reads annotations
from typing import TYPE_CHECKING

import gradio as gr

from huggingtweets.errors import HuggingTweetsError
from huggingtweets.web import components
from huggingtweets.web.components import Wall
from huggingtweets.web.pages.parts import QUIET, beginning, chosen, markup, settings
from huggingtweets.web.templating import link_to

if TYPE_CHECKING:
    from huggingtweets.web.context import Backstage

POSTS = 10


def build(backstage: Backstage, page: gr.Blocks) -> None:
    """Lay the page out."""
    markup(
        html=backstage.header(
            "play",
            "Let it write",
            "Type a beginning, or none. What comes is made up by a machine: nobody ever said it.",
            step=3,
        )
    )
    bots = markup("bots")
    prompt = beginning()
    temperature, length = settings()
    button = gr.Button("Write ten posts", variant="primary", elem_id="write")
    note = markup("note")
    posts = markup("posts")

    def show(request: gr.Request) -> str:
        found = backstage.playable(request)
        mine = chosen(found, backstage.asked(request, "bot"))
        return components.chips(found, mine, lambda name: link_to("play", bot=name))

    def write(
        request: gr.Request, prompt: str, temperature: float, length: float
    ) -> Iterator[tuple[str, str]]:
        visitor = backstage.visitor(request)
        try:
            name = chosen(backstage.playable(request), backstage.asked(request, "bot"))
            wall = Wall(backstage.service, visitor, backstage.service.bot(visitor, name), POSTS)
            coming = backstage.service.write(
                visitor, name, prompt or "", POSTS, temperature, int(length)
            )
            yield "", wall.html()
            for post in coming:
                wall.add(post)
                yield "", wall.html()
            yield "", wall.html(done=True)
        except HuggingTweetsError as error:
            yield components.message(str(error), error=True), ""

    page.load(show, None, bots, **QUIET)
    given = [prompt, temperature, length]
    gr.on([button.click, prompt.submit], write, given, [note, posts], **QUIET)
