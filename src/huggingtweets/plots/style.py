"""The style of all plots, and their rendering by vl-convert, without browser or network."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair as alt

    Chart = alt.LayerChart | alt.FacetChart | alt.HConcatChart | alt.Chart


@dataclass(frozen=True, slots=True)
class ChartTheme:
    """Colours and font of a plot.

    Attributes:
        ink: colour of labels and titles.
        bot: colour of the bot's numbers.
        anchor: colour of what the bot is compared with.
        grid: colour of grid, axes and ticks.
        background: background colour.
        font: CSS font family.
        padding: around the plot, in pixels.
    """

    ink: str
    bot: str
    anchor: str
    grid: str
    background: str
    font: str
    padding: int


ON_A_PAGE = ChartTheme(
    ink="var(--ink)",
    bot="var(--bot)",
    anchor="var(--anchor)",
    grid="var(--grid)",
    background="transparent",
    font="system-ui, sans-serif",
    padding=4,
)
"""Inline in one of our pages: CSS variables, so that colours follow its light or dark scheme."""

ON_WHITE = ChartTheme(
    ink="#24292f",
    bot="#0a6ebd",
    anchor="#8a8f98",
    grid="#e3e6ea",
    background="white",
    font="Inter, system-ui, sans-serif",
    padding=12,
)
"""Standalone, for any background."""


def svg(chart: Chart, theme: ChartTheme) -> str:
    """Render the chart as SVG; text stays text."""
    return str(_converter().vegalite_to_svg(_styled(chart, theme), allowed_base_urls=[]))


def png(chart: Chart, theme: ChartTheme) -> bytes:
    """Render the chart as PNG, two pixels per unit."""
    image = _converter().vegalite_to_png(_styled(chart, theme), scale=2, allowed_base_urls=[])
    return bytes(image)


def _styled(chart: Chart, theme: ChartTheme) -> dict[str, Any]:
    styled = (
        chart.properties(background=theme.background, padding=theme.padding)
        .configure(font=theme.font)
        .configure_view(stroke=None)
        .configure_title(
            color=theme.ink, subtitleColor=theme.ink, fontSize=15, anchor="start", offset=12
        )
        .configure_legend(orient="top", labelColor=theme.ink, labelFontSize=12, symbolSize=85)
        .configure_axis(
            labelColor=theme.ink,
            titleColor=theme.ink,
            gridColor=theme.grid,
            domainColor=theme.grid,
            tickColor=theme.grid,
            labelFontSize=12,
            labelLimit=220,
            labelFlush=False,
            labelPadding=5,
            titleFontSize=12,
            titleFontWeight="normal",
        )
    )
    specification: dict[str, Any] = styled.to_dict()
    return specification


def _converter() -> Any:  # noqa: ANN401 - it has no types
    """Return vl-convert with this package's fonts registered."""
    import vl_convert

    vl_convert.register_font_directory(str(resources.files("huggingtweets").joinpath("fonts")))
    return vl_convert
