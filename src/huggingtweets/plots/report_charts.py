"""The charts of the likeness page, each an inline SVG.

vl-convert renders them, without browser or network. Colours are CSS variables of the page, so the
charts follow its light or dark scheme.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from huggingtweets.plots import charts
from huggingtweets.plots.style import ON_A_PAGE, svg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from huggingtweets.evaluation.report import LossPoint

# Narrow enough for a phone: the page scales a chart down, never up.
_WIDTH = 330
# Label widths are fixed: the reader's font may be wider than the one vl-convert measures with.
_LABELS, _VALUES = 100, 40


def bars(rows: Sequence[tuple[str, float | None]], form: str) -> str:
    """Plot horizontal bars with their numbers; the first is the bot's.

    Args:
        rows: label and value, top to bottom; rows with the value None are left out.
        form: d3 number format of the values, such as ``.2f`` or ``.0%``.
    """
    values = {label: value for label, value in rows if value is not None}
    chart = charts.bars(values, form, ON_A_PAGE, _LABELS)
    return svg(chart.properties(width=_WIDTH - _LABELS - 10, height=34 * len(values)), ON_A_PAGE)


def curve(points: Sequence[LossPoint], base: float) -> str:
    """Plot held-out bits per byte over training, with the untouched base as a dashed line."""
    import altair as alt

    values = [(p.epoch, p.held_out_bits_per_byte) for p in points]
    line = charts.held_out_loss(values, "epochs", ON_A_PAGE, minExtent=_VALUES)
    rule = (
        alt.Chart({"values": [{"bits": base}]})
        .mark_rule(color=ON_A_PAGE.anchor, strokeDash=[5, 4], size=2)
        .encode(y="bits:Q")
    )
    return svg(alt.layer(rule, line).properties(width=_WIDTH - _VALUES - 30, height=180), ON_A_PAGE)


def lengths(generated: Sequence[str], real: Sequence[str]) -> str:
    """Plot the lengths of posts in characters: generated posts as bars, real ones as a line."""
    chart = charts.lengths(
        ("generated", generated), ("real", real), ON_A_PAGE, counted=False, label_width=_VALUES
    )
    return svg(chart.properties(width=_WIDTH - _VALUES - 30, height=180), ON_A_PAGE)
