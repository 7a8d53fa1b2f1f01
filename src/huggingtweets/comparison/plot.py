"""A dot plot of the compared authors: bot, compressor and untouched base in a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from huggingtweets.plots.run_plots import BASE, BOT, COMPRESSOR, EQUAL, Plot

if TYPE_CHECKING:
    from huggingtweets.comparison.result import AuthorComparison, Comparison

_EQUAL_TEXT = "bot, equal text"
_KINDS = {
    "bot": (BOT, "circle"),  # shapes distinguish the kinds without colour
    _EQUAL_TEXT: (EQUAL, "triangle-up"),
    "compressor": (COMPRESSOR, "diamond"),
    "untouched base": (BASE, "square"),
}


def plot(comparison: Comparison) -> Plot:
    """Plot one row per author, the least predictable on top."""
    import altair as alt

    names = [comparison.label(author) for author in comparison.authors]
    values = [
        value for author in comparison.authors for value in _dots(comparison.label(author), author)
    ]
    present = {value["kind"] for value in values}
    kinds = {kind: style for kind, style in _KINDS.items() if kind in present}
    y = alt.Y("author:N", sort=names, title=None, axis=alt.Axis(grid=True, ticks=False))
    base = alt.Chart({"values": values}).encode(y=y)
    spans = base.mark_rule(color="#b8bec6", size=2).encode(x="min(bits):Q", x2="max(bits):Q")
    domain = list(kinds)
    points = base.mark_point(filled=True, size=85, opacity=1).encode(
        x=alt.X(
            "bits:Q",
            title="bits per byte of held-out posts (higher is harder to predict)",
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
    title = "How well each author's AI bot predicts held-out posts"
    return Plot(alt.layer(spans, points).properties(width=460, height=alt.Step(26), title=title))


def _dots(label: str, author: AuthorComparison) -> list[dict[str, Any]]:
    bits = {
        "bot": author.bits_per_byte.bot,
        _EQUAL_TEXT: author.same_size.bits_per_byte.bot if author.same_size else None,
        "compressor": author.bits_per_byte.compressor,
        "untouched base": author.bits_per_byte.base,
    }
    return [
        {"author": label, "kind": kind, "bits": value}
        for kind, value in bits.items()
        if value is not None
    ]
