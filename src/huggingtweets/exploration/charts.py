"""The charts of an exploration's page, each an inline SVG: hours, distances, the map of authors.

The map of posts is drawn by the page's template: vl-convert's pictures have no text that appears
where the mouse points, which is how a post on the map is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from huggingtweets.plots.style import ON_A_PAGE, svg

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import altair as alt

    from huggingtweets.exploration.authors import Distances

# Narrow enough for a phone: the page scales a chart down, never up.
_WIDTH = 330
_NAMES = 96  # width of the authors' names: the reader's font may be wider than vl-convert's
_LONGEST_NAME = 16
_ROW = 26
_NUMBERS_UP_TO = 6  # authors whose distances are written into the cells


def hours(names: Sequence[str], shares: Sequence[Sequence[float]]) -> str:
    """Plot when authors write: a row for each, a cell for each hour."""
    import altair as alt

    shown = _labels(names)
    values = [
        {"author": name, "hour": hour, "share": share / (max(row) or 1.0)}
        for name, row in zip(shown, shares, strict=True)
        for hour, share in enumerate(row)
    ]
    chart = (
        alt.Chart({"values": values})
        .mark_rect(color=ON_A_PAGE.bot)
        .encode(
            x=alt.X(
                "hour:O",
                title="hour of the day, UTC",
                axis=alt.Axis(values=[0, 6, 12, 18], labelAngle=0, domain=False),
            ),
            y=_names_axis(shown),
            opacity=alt.Opacity("share:Q", legend=None, scale=alt.Scale(range=[0.04, 1])),
        )
    )
    return svg(chart.properties(width=_WIDTH - _NAMES - 10, height=_ROW * len(shown)), ON_A_PAGE)


def matrix(distances: Distances, names: Mapping[str, str]) -> str:
    """Plot the distances of all pairs; the diagonal is an author's two halves."""
    import altair as alt

    shown = _labels([names[author] for author in distances.authors])
    values = [
        {"row": shown[i], "column": shown[j], "distance": value, "near": max(0.0, 1.2 - value)}
        for i, row in enumerate(distances.matrix)
        for j, value in enumerate(row)
    ]
    side = _WIDTH - _NAMES - 10
    base = alt.Chart({"values": values}).encode(
        x=alt.X("column:N", sort=shown, title=None, axis=_no_ticks(labelAngle=-60, labelLimit=90)),
        y=_names_axis(shown, "row:N"),
    )
    cells = base.mark_rect(color=ON_A_PAGE.bot).encode(
        opacity=alt.Opacity(
            "near:Q", legend=None, scale=alt.Scale(domain=[0, 1.2], range=[0.04, 0.85])
        )
    )
    layers = [cells]
    if len(shown) <= _NUMBERS_UP_TO:
        text = base.mark_text(color=ON_A_PAGE.ink, fontSize=12)
        layers.append(text.encode(text=alt.Text("distance:Q", format=".2f")))
    height = max(_ROW * len(shown), min(side, 40 * len(shown)))
    return svg(alt.LayerChart(layer=layers).properties(width=side, height=height), ON_A_PAGE)


def author_map(distances: Distances, names: Mapping[str, str]) -> str:
    """Plot authors with their names, and the panel's people as dots without names."""
    import altair as alt

    shown = _labels([names[author] for author in distances.authors])
    places = [*distances.places, *distances.panel]
    values = [
        {"name": name, "x": x, "y": y, "kind": "author" if name else "panel"}
        for name, (x, y) in zip([*shown, *[""] * len(distances.panel)], places, strict=True)
    ]
    low, high = min(x for x, _ in places), max(x for x, _ in places)
    room = 0.35 * (high - low or 1.0)  # for the names, which stand right of their dots
    scale = alt.Scale(domain=[low - 0.1 * room, high + room], nice=False)
    base = alt.Chart({"values": values}).encode(
        x=alt.X("x:Q", axis=None, scale=scale),
        y=alt.Y("y:Q", axis=None, scale=alt.Scale(zero=False, padding=14)),
    )
    dots = base.mark_circle(size=75, opacity=0.9).encode(
        color=alt.Color(
            "kind:N",
            legend=None,
            scale=alt.Scale(domain=["author", "panel"], range=[ON_A_PAGE.bot, ON_A_PAGE.anchor]),
        )
    )
    labels = base.mark_text(align="left", dx=7, color=ON_A_PAGE.ink, fontSize=12).encode(
        text="name:N"
    )
    return svg(
        alt.LayerChart(layer=[dots, labels]).properties(width=_WIDTH - 10, height=280), ON_A_PAGE
    )


def _names_axis(names: Sequence[str], field: str = "author:N") -> alt.Y:
    import altair as alt

    axis = _no_ticks(minExtent=_NAMES, labelLimit=_NAMES)
    return alt.Y(field, sort=list(names), title=None, axis=axis)


def _no_ticks(**options: Any) -> alt.Axis:  # noqa: ANN401 - Altair's
    import altair as alt

    return alt.Axis(domain=False, ticks=False, **options)


def _labels(names: Sequence[str]) -> list[str]:
    """Return short names, numbered where they would be the same."""
    labels: list[str] = []
    for name in names:
        label = name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
        same = sum(other.split(" (")[0] == label for other in labels)
        labels.append(f"{label} ({same + 1})" if same else label)
    return labels
