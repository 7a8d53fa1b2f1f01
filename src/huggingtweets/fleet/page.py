"""The page of a fleet: all authors side by side, and who failed."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from markupsafe import Markup

from huggingtweets import templating
from huggingtweets.comparison.compare import authors_of
from huggingtweets.comparison.result import AuthorComparison, Comparison, ordered
from huggingtweets.errors import BotError
from huggingtweets.evaluation.report import percent
from huggingtweets.storage import files
from huggingtweets.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from huggingtweets.fleet.progress import FleetProgress
    from huggingtweets.storage.fleets import FleetFolder

_MOST_PLOTTED = 60
"""Authors in the chart; the table has all."""


def write(fleet: FleetFolder, progress: FleetProgress) -> None:
    """Write the page.

    Raises:
        StorageError: it can't be written.
    """
    files.write_text(fleet.page, render(fleet, progress))


def render(fleet: FleetFolder, progress: FleetProgress) -> str:
    """Render the page, self-contained, without scripts, network or fonts."""
    authors = compared(fleet, progress)
    comparison = Comparison(authors, (), "")
    plotted = Comparison(authors[:_MOST_PLOTTED], (), "")
    environment = templating.environment("huggingtweets.fleet")
    environment.filters |= {
        "percent": percent,
        "bits": lambda value: "–" if value is None else f"{value:.3f}",
        "number": lambda value: f"{value:,}",
        "time": lambda value: "–" if value is None else f"{value // 60:.0f}:{value % 60:02.0f}",
    }
    settings = fleet.settings()
    return environment.get_template("fleet.html.j2").render(
        name=fleet.path.absolute().name,
        settings=settings,
        authors=[(comparison.label(author), author) for author in authors],
        most_plotted=_MOST_PLOTTED,
        # numbers, and names that vl-convert escapes
        plot=Markup(plotted.plot().svg()) if authors else None,  # noqa: S704
        counts=progress.counts(),
        failed=progress.in_state("failed"),
        skipped=progress.in_state("skipped"),
        unfinished=progress.in_state("waiting", "running"),
    )


def compared(fleet: FleetFolder, progress: FleetProgress) -> tuple[AuthorComparison, ...]:
    """Return the numbers of the finished authors, the least predictable first."""
    found: list[AuthorComparison] = []
    for author in progress.in_state("done"):
        run = RunFolder(fleet.authors / author.name)
        with suppress(BotError):  # damaged or deleted since; the others count
            found += authors_of(run, run.record())
    return ordered(found)
