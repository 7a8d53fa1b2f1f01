"""The likeness report as one self-contained HTML page.

It has no scripts, network requests or fonts, so it can be mailed or opened from disk years later.
Jinja escapes all posts, so a bot can't inject markup.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from huggingtweets import templating
from huggingtweets.evaluation.report import percent
from huggingtweets.plots import report_charts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from huggingtweets.evaluation.report import LikenessReport

GENERATIONS_SHOWN = 20


def render(
    report: LikenessReport,
    generations: Sequence[str],
    held_out: Sequence[str],
    title: str,
    names: Sequence[str] = (),
) -> str:
    """Render the page as HTML.

    Args:
        report: the numbers.
        generations: all unfiltered posts of the bot, for the plot of lengths; the first 20 are
            listed.
        held_out: the author's held-out posts, for the plot of lengths only.
        title: the bot's name.
        names: the authors as people read them, in the order of the report; empty for the names
            in the report.
    """
    environment = templating.environment("huggingtweets.evaluation")
    environment.filters["percent"] = percent
    return environment.get_template("likeness.html.j2").render(
        report=report,
        title=title,
        names=dict(zip(report.authors, names or report.authors, strict=True)),
        shown=generations[:GENERATIONS_SHOWN],
        plots=_plots(report, generations, held_out),
    )


def _plots(
    report: LikenessReport, generations: Sequence[str], held_out: Sequence[str]
) -> dict[str, Markup]:
    bits, copied = report.bits_per_byte, report.copied
    plots = {
        "bits": report_charts.bars(
            [("bot", bits.bot), (bits.compressor_name, bits.compressor), ("base", bits.base)], ".3f"
        ),
        "copied": report_charts.bars([("bot", copied.bot), ("Markov chain", copied.markov)], ".1%"),
        "lengths": report_charts.lengths(generations, held_out),
    }
    if (shares := report.taken_for_author) is not None:
        bars = [
            ("bot", shares.bot),
            ("real posts", shares.held_out),
            ("other people", shares.panel),
        ]
        plots["taken"] = report_charts.bars(bars, ".0%")
    if (tokens := report.out_of_place) is not None:
        kinds: list[tuple[str, float | None]] = [
            ("bot", tokens.bot),
            ("real posts", tokens.held_out),
            ("Markov chain", tokens.markov),
            ("shuffled words", tokens.shuffled),
        ]
        plots["sense"] = report_charts.bars(kinds, ".0%")
    if report.loss:
        plots["curve"] = report_charts.curve(report.loss, bits.base)
    # The plots contain only numbers and fixed labels, so there is nothing to escape.
    return {name: Markup(svg) for name, svg in plots.items()}  # noqa: S704
