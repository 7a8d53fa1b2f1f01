"""The likeness benchmark as a dot plot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.likeness_results import Result, Results

_KINDS = ("bot", "compressor", "untouched base")
# Told apart without colour too: each has a shape of its own.
_COLOURS = ("#0a6ebd", "#d9822b", "#8a8f98")
_SHAPES = ("circle", "diamond", "square")
_INK, _GRID = "#24292f", "#e3e6ea"


def dots(results: Results) -> str:
    """Render one row per author as SVG: base, compressor and bot; the lowest bot is on top.

    The background is white, because it stands in a document without a colour scheme of its own.
    """
    import altair as alt
    import vl_convert

    order = sorted(results.reports, key=lambda result: result.report.bits_per_byte.bot)
    names = [result.name for result in order]
    values = [value for result in order for value in _dots_of(result)]
    marked = ["* test only: never used to choose a setting"] if "*" in "".join(names) else []
    y = alt.Y("author:N", sort=names, title=None, axis=alt.Axis(grid=True, ticks=False))
    base = alt.Chart({"values": values}).encode(y=y)
    spans = base.mark_rule(color="#b8bec6", size=2).encode(x="min(bits):Q", x2="max(bits):Q")
    points = base.mark_point(filled=True, size=85, opacity=1).encode(
        x=alt.X(
            "bits:Q",
            title="bits per byte of held-out posts (lower is better)",
            scale=alt.Scale(zero=False, padding=12),
        ),
        color=alt.Color(
            "kind:N", title=None, scale=alt.Scale(domain=list(_KINDS), range=list(_COLOURS))
        ),
        shape=alt.Shape(
            "kind:N", title=None, scale=alt.Scale(domain=list(_KINDS), range=list(_SHAPES))
        ),
    )
    title = alt.TitleParams(
        "How well bots predict their authors' posts: further left is better",
        subtitle=[f"fine-tuned from {results.setup.base['name']}", *marked],
        anchor="start",
    )
    chart = (
        alt.layer(spans, points)
        .properties(width=460, height=alt.Step(23), title=title, background="white", padding=10)
        .configure(font="system-ui, sans-serif")
        .configure_view(stroke=None)
        .configure_title(color=_INK, subtitleColor=_INK, fontSize=15, subtitleFontSize=12)
        .configure_legend(orient="top", labelColor=_INK, labelFontSize=12, symbolSize=85)
        .configure_axis(
            labelColor=_INK,
            titleColor=_INK,
            gridColor=_GRID,
            domain=False,
            tickColor=_GRID,
            labelFontSize=12,
            labelLimit=220,
            labelFlush=False,
            labelPadding=6,
            titleFontWeight="normal",
            titleFontSize=12,
        )
    )
    return str(vl_convert.vegalite_to_svg(chart.to_dict(), allowed_base_urls=[]))


def _dots_of(result: Result) -> list[dict[str, Any]]:
    bits = result.report.bits_per_byte
    values = (bits.bot, result.compressor_stream, bits.base)
    return [
        {"author": result.name, "kind": kind, "bits": value}
        for kind, value in zip(_KINDS, values, strict=True)
        if value is not None
    ]
