"""The gallery: all bots with their picture, likeness and base."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import gradio as gr  # noqa: TC002 - Gradio reads annotations

from huggingtweets.web.components import NO_PROGRESS, html_slot
from huggingtweets.web.templating import render

if TYPE_CHECKING:
    from collections.abc import Sequence

    from huggingtweets.serving.schemas import BotSummary, Status
    from huggingtweets.web.context import PageContext

_BOTS_A_PAGE = 60
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
        return gallery_html(bots, trainings, context.query_param(request, "page"))

    page.load(show, None, bots, **NO_PROGRESS)


def gallery_html(bots: Sequence[BotSummary], trainings: Sequence[Status], wanted: str = "") -> str:
    """Render a page of bots; the first one shows the trainings, too.

    Args:
        bots: all that the visitor may see, newest first.
        trainings: the visitor's own that haven't ended.
        wanted: number of the page, as in its address.
    """
    last = max(1, -(-len(bots) // _BOTS_A_PAGE))
    number = min(max(1, int(wanted)), last) if re.fullmatch("[0-9]{1,9}", wanted) else 1
    return render(
        "gallery",
        bots=bots[(number - 1) * _BOTS_A_PAGE : number * _BOTS_A_PAGE],
        total=len(bots),
        page=number,
        last=last,
        trainings=trainings if number == 1 else (),
        states=_STATES,
    )
