"""Fleets: how far the bots of many authors are. The page only shows; the command line trains."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr

from huggingtweets.fleet.progress import read_progress, steps
from huggingtweets.storage import places
from huggingtweets.storage.fleets import FleetFolder
from huggingtweets.web.components import NO_PROGRESS, html_slot
from huggingtweets.web.templating import render

if TYPE_CHECKING:
    from huggingtweets.fleet.progress import AuthorProgress, FleetProgress
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
        settings = context.settings
        return fleets_html(None if settings.shared else settings.out, settings.fleet)

    page.load(show, None, live, **NO_PROGRESS)
    timer.tick(show, None, live, **NO_PROGRESS)


@dataclass(frozen=True, slots=True)
class _Shown:
    """A fleet as the page shows it.

    Attributes:
        name: of its folder.
        progress: of its authors.
        authors: in the order of the table.
        steps: how far each training is, by run folder.
        finished: number of authors with nothing left to do.
        command: offers its bots in the app; empty if there are none, or if the app does so.
        is_offered: whether this app offers its bots.
    """

    name: str
    progress: FleetProgress
    authors: list[AuthorProgress]
    steps: dict[str, str]
    finished: int
    command: str
    is_offered: bool


def fleets_html(out: Path | None, offered: Path | None = None) -> str:
    """Return the fleets in a runs folder and beside it.

    Args:
        out: the runs folder; None if the visitor may see no fleet.
        offered: the fleet whose bots this app offers, if any.
    """
    folders = places.fleet_folders(out, out.absolute().parent) if out else ()
    return render("fleets", fleets=[_shown(folder, offered) for folder in folders])


def _shown(folder: Path, offered: Path | None) -> _Shown:
    fleet = FleetFolder(folder)
    progress = read_progress(fleet)
    is_offered = offered is not None and folder.resolve() in (
        offered.resolve(),
        offered.resolve().parent,  # its run folders alone
    )
    here = folder.absolute()
    path = here.relative_to(Path.cwd()) if here.is_relative_to(Path.cwd()) else here
    is_playable = bool(progress.in_state("done")) and not is_offered
    return _Shown(
        folder.name,
        progress,
        sorted(progress.authors.values(), key=lambda author: _ORDER.index(author.state)),
        steps(fleet, progress.in_state("running")),
        len(progress.in_state("done", "failed", "skipped")),
        f"huggingtweets app --fleet {shlex.quote(str(path))}" if is_playable else "",
        is_offered,
    )
