"""The likeness report as one HTML page that needs nothing else.

No script, no network, no font of its own: the page can be mailed or opened from a disk years
later. Posts are put in by jinja2 with escaping on, so whatever a bot writes stays text.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from huggingtweets.evaluation.report import percent
from huggingtweets.plots import report_charts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from huggingtweets.evaluation.report import LikenessReport

GENERATIONS_SHOWN = 20


def render(
    report: LikenessReport, generations: Sequence[str], held_out: Sequence[str], title: str
) -> str:
    """Return the page as HTML.

    Args:
        report: the numbers.
        generations: the bot's unfiltered posts, all of them for the plot of lengths; the first 20
            are listed.
        held_out: the author's real held-out posts, for the plot of lengths only.
        title: the bot's name.
    """
    source = resources.files(__package__).joinpath("templates/likeness.html.j2").read_text("utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["percent"] = percent
    return environment.from_string(source).render(
        report=report,
        title=title,
        shown=generations[:GENERATIONS_SHOWN],
        plots=_plots(report, generations, held_out),
    )


def _plots(
    report: LikenessReport, generations: Sequence[str], held_out: Sequence[str]
) -> dict[str, Markup]:
    bits, copied = report.bits_per_byte, report.copied
    plots = {
        "bits": report_charts.bars(
            [("bot", bits.bot), ("PPMd", bits.ppmd), ("base", bits.base)], ".3f"
        ),
        "copied": report_charts.bars([("bot", copied.bot), ("markovify", copied.markovify)], ".1%"),
        "lengths": report_charts.lengths(generations, held_out),
    }
    if (taken := report.taken_for_author) is not None:
        shares = [("bot", taken.bot), ("real posts", taken.held_out), ("other people", taken.panel)]
        plots["taken"] = report_charts.bars(shares, ".0%")
    if report.loss:
        plots["curve"] = report_charts.curve(report.loss, bits.base)
    # Drawn from numbers and fixed labels alone, so there is nothing in them to escape.
    return {name: Markup(svg) for name, svg in plots.items()}  # noqa: S704
