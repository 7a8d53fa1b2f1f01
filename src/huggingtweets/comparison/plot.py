"""Compared authors as a dot plot: each one's bot, PPMd and untouched base in a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from huggingtweets.plots.run_plots import BASE, BOT, EQUAL, PPMD, Plot

if TYPE_CHECKING:
    from huggingtweets.comparison.result import AuthorComparison, Comparison

_SAME = "bot, equal text"
_KINDS = {
    # told apart without colour too: each has a shape of its own
    "bot": (BOT, "circle"),
    _SAME: (EQUAL, "triangle-up"),
    "PPMd": (PPMD, "diamond"),
    "untouched base": (BASE, "square"),
}


def plot(comparison: Comparison) -> Plot:
    """Draw one row an author, the least predictable on top."""
    import altair as alt

    names = [comparison.label(one) for one in comparison.authors]
    values = [value for one in comparison.authors for value in _dots(comparison.label(one), one)]
    shown = {value["kind"] for value in values}
    kinds = {kind: look for kind, look in _KINDS.items() if kind in shown}
    y = alt.Y("author:N", sort=names, title=None, axis=alt.Axis(grid=True, ticks=False))
    base = alt.Chart({"values": values}).encode(y=y)
    spans = base.mark_rule(color="#b8bec6", size=2).encode(x="min(bits):Q", x2="max(bits):Q")
    domain = list(kinds)
    points = base.mark_point(filled=True, size=85, opacity=1).encode(
        x=alt.X(
            "bits:Q",
            title="bits per byte of held-out posts (further right is harder to foresee)",
            scale=alt.Scale(zero=False, padding=12),
        ),
        color=alt.Color(
            "kind:N",
            title=None,
            scale=alt.Scale(domain=domain, range=[colour for colour, _ in kinds.values()]),
        ),
        shape=alt.Shape(
            "kind:N",
            title=None,
            scale=alt.Scale(domain=domain, range=[shape for _, shape in kinds.values()]),
        ),
    )
    title = "How well each author's AI bot foresees posts it never saw"
    return Plot(alt.layer(spans, points).properties(width=460, height=alt.Step(26), title=title))


def _dots(label: str, one: AuthorComparison) -> list[dict[str, Any]]:
    bits = {
        "bot": one.bits_per_byte.bot,
        _SAME: one.same_size.bits_per_byte.bot if one.same_size else None,
        "PPMd": one.bits_per_byte.ppmd,
        "untouched base": one.bits_per_byte.base,
    }
    return [
        {"author": label, "kind": kind, "bits": value}
        for kind, value in bits.items()
        if value is not None
    ]
