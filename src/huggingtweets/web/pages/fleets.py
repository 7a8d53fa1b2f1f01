"""Fleets: how far the bots of many authors are. The page only shows; the command line trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

from huggingtweets.fleet.progress import read_progress
from huggingtweets.storage import places
from huggingtweets.storage.fleets import FleetFolder
from huggingtweets.web.components import NO_PROGRESS, html_slot
from huggingtweets.web.templating import render

if TYPE_CHECKING:
    from pathlib import Path

    from huggingtweets.web.context import PageContext

_REFRESH_SECONDS = 2.0
_ORDER = ("running", "failed", "skipped", "waiting", "done")


def build(context: PageContext, page: gr.Blocks) -> None:
    """Build the page."""
    html_slot(
        html=context.header(
            "fleets",
            "Fleets",
            "Bots of many authors, made with one command. This page follows their training; it "
            "refreshes itself.",
        )
    )
    live = html_slot("fleets")
    timer = gr.Timer(_REFRESH_SECONDS)

    def show(request: gr.Request) -> str:
        context.visitor(request)
        # Fleets are the owner's: visitors of a shared server don't see whose posts they hold.
        return fleets_html(None if context.settings.shared else context.settings.out)

    page.load(show, None, live, **NO_PROGRESS)
    timer.tick(show, None, live, **NO_PROGRESS)


def fleets_html(out: Path | None) -> str:
    """Return the fleets in a runs folder and beside it; None if the visitor may see none."""
    found = []
    for folder in places.fleet_folders(out, out.absolute().parent) if out else ():
        progress = read_progress(FleetFolder(folder))
        authors = sorted(progress.authors.values(), key=lambda author: _ORDER.index(author.state))
        found.append((folder.name, progress, authors))
    return render("fleets", fleets=found)
