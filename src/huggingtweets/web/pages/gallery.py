"""All bots, with their pictures, likeness and base."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr  # noqa: TC002 - Gradio reads annotations

from huggingtweets.web.pages.parts import NO_PROGRESS, html_slot
from huggingtweets.web.templating import render

if TYPE_CHECKING:
    from huggingtweets.web.context import PageContext

_STATES = {
    "waiting": "waiting",
    "reading": "reading",
    "training": "learning",
    "judging": "being judged",
    "done": "ready",
    "stopped": "stopped",
    "failed": "failed",
}


def build(context: PageContext, page: gr.Blocks) -> None:
    """Lay the page out."""
    html_slot(
        html=context.header(
            "gallery",
            "Gallery",
            "Every bot that was made here, the newest first. Likeness is held-out bits per byte: "
            "the lower, the better the bot guesses posts it never saw.",
        )
    )
    bots = html_slot("gallery")

    def show(request: gr.Request) -> str:
        visitor = context.visitor(request)
        under_way = context.service.trainings(visitor)
        names = [one.name for one in under_way]
        bots = [one for one in context.service.gallery(visitor) if one.name not in names]
        return render("gallery", bots=bots, under_way=under_way, states=_STATES)

    page.load(show, None, bots, **NO_PROGRESS)
