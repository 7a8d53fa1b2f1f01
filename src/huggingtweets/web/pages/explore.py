"""Explore: topics, a map of posts, style, and who writes like whom, of the visitor's own bots."""

from __future__ import annotations

from collections.abc import Iterator  # noqa: TC003 - Gradio reads annotations
from typing import TYPE_CHECKING, Any

import gradio as gr

from huggingtweets.errors import HuggingTweetsError
from huggingtweets.serving.explorations import MOST_BOTS
from huggingtweets.web import components
from huggingtweets.web.components import NO_PROGRESS, html_slot
from huggingtweets.web.templating import render
from huggingtweets.web.waiting import until_done

if TYPE_CHECKING:
    from huggingtweets.web.context import PageContext


def build(context: PageContext, page: gr.Blocks) -> None:
    """Build the page."""
    html_slot(
        html=context.header(
            "explore",
            "What do they write about?",
            "The topics of your authors’ real posts, a map of them, their style, and who writes "
            "like whom. Only you see it.",
        )
    )
    none = html_slot("none")
    with gr.Column(visible=False) as form:
        bots = gr.CheckboxGroup(
            label="Your bots", info=f"up to {MOST_BOTS}; two or more are compared", elem_id="chosen"
        )
        button = gr.Button("Explore their posts", variant="primary", elem_id="explore")
    found = html_slot("found")

    def show(request: gr.Request) -> tuple[str, Any, Any]:
        names = [bot.name for bot in context.playable_bots(request) if bot.mine]
        chosen = context.query_param(request, "bot")
        picker = "" if names else components.bot_picker([], "", str)
        value = [chosen] if chosen in names else names[:2]
        return picker, gr.update(visible=bool(names)), gr.update(choices=names, value=value)

    def explore(request: gr.Request, names: list[str]) -> Iterator[str]:
        visitor = context.visitor(request)
        yield components.message("Reading the posts. 2,000 take about half a minute.")
        try:
            for result in until_done(lambda left: context.service.explore(visitor, names, left)):
                if result is not None:
                    yield render("explored", found=result)
        except HuggingTweetsError as error:
            yield components.message(str(error), error=True)

    page.load(show, None, [none, form, bots], **NO_PROGRESS)
    button.click(explore, bots, found, trigger_mode="once", **NO_PROGRESS)
