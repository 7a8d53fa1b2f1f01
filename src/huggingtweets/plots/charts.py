"""Charts that the likeness page and the standalone plots share: bars, lengths, held-out loss.

Altair describes them. They contain fixed labels and numbers, never a post.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import altair as alt

    from huggingtweets.plots.style import ChartTheme

_BIN = 20  # characters
_LAST_BIN = 300  # posts of this length and more share a bin


def bars(
    values: Mapping[str, float], form: str, theme: ChartTheme, label_width: int | None = None
) -> alt.LayerChart:
    """Horizontal bars with their numbers, the first in the bot's colour.

    Args:
        values: value by label, top to bottom.
        form: d3 number format of the values, such as ``.2f`` or ``.0%``.
        theme: colours.
        label_width: width of the labels in pixels; None fits it to their text.
    """
    import altair as alt

    rows = [
        {"label": label, "value": value, "color": theme.anchor if i else theme.bot}
        for i, (label, value) in enumerate(values.items())
    ]
    end = 1.25 * max(values.values(), default=0) or 1.0  # space for the number of the longest bar
    options: dict[str, Any] = {"domain": False, "ticks": False}
    if label_width is not None:
        options |= {"minExtent": label_width, "labelLimit": label_width}
    base = alt.Chart({"values": rows}).encode(
        x=alt.X("value:Q", axis=None, scale=alt.Scale(domain=[0, end])),
        y=alt.Y("label:N", sort=None, title=None, axis=alt.Axis(**options)),
    )
    marks = base.mark_bar().encode(color=alt.Color("color:N", scale=None))
    numbers = base.mark_text(align="left", dx=6, color=theme.ink, fontSize=12).encode(
        text=alt.Text("value:Q", format=form)
    )
    return alt.LayerChart(layer=[marks, numbers])


def lengths(
    posts: tuple[str, Sequence[str]],
    anchor: tuple[str, Sequence[str]],
    theme: ChartTheme,
    *,
    counted: bool,
    label_width: int | None = None,
) -> alt.LayerChart:
    """Lengths of posts in characters: one set of posts as bars, the other as a line.

    Args:
        posts: label and posts of the bars.
        anchor: label and posts of the line.
        theme: colours.
        counted: True shows numbers of posts and a legend; False shows shares.
        label_width: width of the vertical axis' labels in pixels; None fits it to their text.
    """
    import altair as alt

    color = alt.Color(
        "kind:N",
        title=None,
        scale=alt.Scale(domain=[anchor[0], posts[0]], range=[theme.anchor, theme.bot]),
        legend=alt.Legend() if counted else None,
    )
    options: dict[str, Any] = {"tickCount": 4} | ({} if counted else {"format": ".0%"})
    if label_width is not None:
        options["minExtent"] = label_width
    x = alt.X(
        "start:Q",
        title=f"characters (last bar: {_LAST_BIN} or more)",
        scale=alt.Scale(domain=[0, _LAST_BIN + _BIN], nice=False),
        axis=alt.Axis(values=list(range(0, _LAST_BIN + 1, 100)), grid=False),
    )
    shown = ("posts:Q", "posts") if counted else ("share:Q", "share of posts")
    y = alt.Y(shown[0], title=shown[1], axis=alt.Axis(**options))
    bar = alt.Chart({"values": _bins(*posts)}).mark_bar(opacity=0.75)
    anchor_bins = _bins(*anchor)
    anchor_bins.append(anchor_bins[-1] | {"start": anchor_bins[-1]["end"]})  # ends the last step
    line = alt.Chart({"values": anchor_bins}).mark_line(interpolate="step-after", strokeWidth=2.5)
    return alt.LayerChart(
        layer=[
            bar.encode(x=x, x2="end:Q", y=y, y2=alt.datum(0), color=color),
            line.encode(x=x, y=y, color=color),
        ]
    )


def held_out_loss(
    points: Iterable[tuple[float, float]],
    along: str,
    theme: ChartTheme,
    **axis: Any,  # noqa: ANN401 - Altair's options
) -> alt.Chart:
    """Held-out bits per byte over training.

    Args:
        points: pairs of epoch or step, and bits per byte.
        along: title of the horizontal axis.
        theme: colours.
        axis: options of the vertical axis, see ``altair.Axis``.
    """
    import altair as alt

    values = [{"along": x, "bits": bits} for x, bits in points]
    chart: alt.Chart = (
        alt.Chart({"values": values})
        .mark_line(color=theme.bot, point=alt.OverlayMarkDef(color=theme.bot, size=60))
        .encode(
            x=alt.X("along:Q", title=along, axis=alt.Axis(tickMinStep=1, grid=False)),
            y=alt.Y(
                "bits:Q",
                title="held-out bits per byte",
                axis=alt.Axis(**axis),
                scale=alt.Scale(zero=False, nice=True),
            ),
        )
    )
    return chart


def _bins(kind: str, posts: Sequence[str]) -> list[dict[str, Any]]:
    counts = dict.fromkeys(range(0, _LAST_BIN + _BIN, _BIN), 0)
    for post in posts:
        counts[min(len(post), _LAST_BIN) // _BIN * _BIN] += 1
    total = max(1, len(posts))
    return [
        {
            "kind": kind,
            "start": start,
            "end": start + _BIN,
            "posts": count,
            "share": count / total,
        }
        for start, count in counts.items()
    ]
