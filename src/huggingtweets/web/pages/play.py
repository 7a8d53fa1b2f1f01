"""Step 3: a beginning, and ten posts that begin with it."""

from __future__ import annotations

from collections.abc import Iterator  # noqa: TC003 - Gradio reads annotations
from typing import TYPE_CHECKING, Any

import gradio as gr

from huggingtweets.errors import HuggingTweetsError
from huggingtweets.web import cards
from huggingtweets.web.cards import Wall
from huggingtweets.web.html import link_to

if TYPE_CHECKING:
    from huggingtweets.serving.types import BotSummary
    from huggingtweets.web.backstage import Backstage

POSTS = 10


def build(backstage: Backstage, page: gr.Blocks) -> None:
    """Lay the page out."""
    gr.HTML(
        backstage.header(
            "play",
            "Let it write",
            "Type a beginning, or none. What comes is made up by a machine: nobody ever said it.",
            step=3,
        ),
        apply_default_css=False,
        js_on_load=None,
    )
    bots = gr.HTML(apply_default_css=False, js_on_load=None, elem_id="bots")
    prompt = gr.Textbox(
        label="Beginning", placeholder="My dream is", max_length=200, elem_id="prompt"
    )
    temperature, length = settings()
    button = gr.Button("Write ten posts", variant="primary", elem_id="write")
    note = gr.HTML(apply_default_css=False, js_on_load=None, elem_id="note")
    posts = gr.HTML(apply_default_css=False, js_on_load=None, elem_id="posts")

    def show(request: gr.Request) -> str:
        found = backstage.playable(request)
        mine = chosen(found, backstage.asked(request, "bot"))
        return cards.chips(found, mine, lambda name: link_to("play", bot=name))

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
            yield cards.message(str(error), error=True), ""

    quiet: dict[str, Any] = {
        "api_visibility": "private",
        "concurrency_limit": None,
        "show_progress": "hidden",
    }
    page.load(show, None, bots, **quiet)
    given = [prompt, temperature, length]
    gr.on([button.click, prompt.submit], write, given, [note, posts], **quiet)


def settings() -> tuple[gr.Slider, gr.Slider]:
    """How wild, and how long."""
    with gr.Row():
        temperature = gr.Slider(
            0.2, 1.5, 0.7, step=0.1, label="Temperature", info="low is safe, high is wild",
            elem_id="temperature",
        )  # fmt: skip
        length = gr.Slider(
            40, 500, 280, step=10, label="Length", info="characters at most", elem_id="length"
        )
    return temperature, length


def chosen(bots: list[BotSummary], asked: str) -> str:
    """The bot that the address names, else the newest; what is asked for is never put right."""
    return asked or (bots[0].name if bots else "")
