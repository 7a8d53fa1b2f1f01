"""How all plots of this program look, and their drawing by vl-convert: no browser, no network."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair as alt

    Chart = alt.LayerChart | alt.FacetChart | alt.HConcatChart | alt.Chart


@dataclass(frozen=True, slots=True)
class ChartTheme:
    """Colours and type of a plot.

    Attributes:
        ink: of labels and titles.
        grid: of grid, axes and ticks.
        background: behind it all.
        font: of everything.
        padding: around it, pixels.
    """

    ink: str
    grid: str
    background: str
    font: str
    padding: int


ON_A_PAGE = ChartTheme("var(--ink)", "var(--grid)", "transparent", "system-ui, sans-serif", 4)
"""Inline in a page of ours: colours are the page's variables, so they follow its scheme."""

ON_WHITE = ChartTheme("#24292f", "#e3e6ea", "white", "Inter, system-ui, sans-serif", 12)
"""By itself, as nobody knows where it will be shown."""


def svg(chart: Chart, look: ChartTheme) -> str:
    """The chart as SVG; text stays text."""
    return str(_drawing().vegalite_to_svg(_styled(chart, look), allowed_base_urls=[]))


def png(chart: Chart, look: ChartTheme) -> bytes:
    """The chart as PNG, two pixels a unit."""
    drawn = _drawing().vegalite_to_png(_styled(chart, look), scale=2, allowed_base_urls=[])
    return bytes(drawn)


def _styled(chart: Chart, look: ChartTheme) -> dict[str, Any]:
    styled = (
        chart.properties(background=look.background, padding=look.padding)
        .configure(font=look.font)
        .configure_view(stroke=None)
        .configure_title(
            color=look.ink, subtitleColor=look.ink, fontSize=15, anchor="start", offset=12
        )
        .configure_legend(orient="top", labelColor=look.ink, labelFontSize=12, symbolSize=85)
        .configure_axis(
            labelColor=look.ink,
            titleColor=look.ink,
            gridColor=look.grid,
            domainColor=look.grid,
            tickColor=look.grid,
            labelFontSize=12,
            labelLimit=220,
            labelFlush=False,
            labelPadding=5,
            titleFontSize=12,
            titleFontWeight="normal",
        )
    )
    described: dict[str, Any] = styled.to_dict()
    return described


def _drawing() -> Any:  # noqa: ANN401 - it has no types
    """vl-convert, which then knows the package's own fonts."""
    import vl_convert

    vl_convert.register_font_directory(str(resources.files("huggingtweets").joinpath("fonts")))
    return vl_convert
