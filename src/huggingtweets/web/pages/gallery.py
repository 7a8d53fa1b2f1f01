"""The gallery: all bots with their picture, likeness and base."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr  # noqa: TC002 - Gradio reads annotations

from huggingtweets.web.components import NO_PROGRESS, html_slot
from huggingtweets.web.templating import render

if TYPE_CHECKING:
    from huggingtweets.web.context import PageContext

_STATES = {
    "waiting": "waiting",
    "reading": "reading",
    "training": "training",
    "judging": "ready, being measured",
    "done": "ready",
    "stopped": "stopped",
    "failed": "failed",
}


def build(context: PageContext, page: gr.Blocks) -> None:
    """Build the page."""
    html_slot(
        html=context.header(
            "gallery",
            "Gallery",
            "All bots on this server, newest first. A classifier that knows the author’s posts "
            "says how often it takes a bot’s post for the author’s.",
        )
    )
    bots = html_slot("gallery")

    def show(request: gr.Request) -> str:
        visitor = context.visitor(request)
        trainings = context.service.trainings(visitor)
        # a bot that is being updated is used as it is meanwhile
        names = [training.name for training in trainings if not training.is_update]
        bots = [bot for bot in context.service.gallery(visitor) if bot.name not in names]
        return render("gallery", bots=bots, trainings=trainings, states=_STATES)

    page.load(show, None, bots, **NO_PROGRESS)
