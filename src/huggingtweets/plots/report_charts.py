"""The charts of the likeness page, each an inline SVG.

Altair describes them and vl-convert renders them, without browser or network. Colours are CSS
variables of the page, so the charts follow its light or dark scheme. They contain fixed labels and
numbers, never a post.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from huggingtweets.plots.style import ON_A_PAGE, svg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from huggingtweets.evaluation.report import LossPoint

# Narrow enough for a phone: the page scales a chart down, never up.
_WIDTH = 330
# Label widths are fixed: the reader's font may be wider than the one vl-convert measures with.
_LABELS, _VALUES = 100, 40
_BOT, _ANCHOR, _INK = "var(--bot)", "var(--anchor)", ON_A_PAGE.ink
_BIN = 20  # characters
_LAST_BIN = 300  # posts of this length and more share a bin


def bars(rows: Sequence[tuple[str, float | None]], form: str) -> str:
    """Plot horizontal bars with their numbers; the first is the bot's.

    Args:
        rows: label and value, top to bottom; rows with the value None are left out.
        form: d3 number format of the values, such as ``.2f`` or ``.0%``.
    """
    import altair as alt

    values = [
        {"label": label, "value": value, "color": _ANCHOR if i else _BOT}
        for i, (label, value) in enumerate(rows)
        if value is not None
    ]
    largest = max((value for _, value in rows if value is not None), default=0.0)
    end = 1.25 * largest or 1.0  # space for the number beside the longest bar
    base = alt.Chart({"values": values}).encode(
        x=alt.X("value:Q", axis=None, scale=alt.Scale(domain=[0, end])),
        y=alt.Y(
            "label:N",
            sort=None,
            title=None,
            axis=alt.Axis(minExtent=_LABELS, labelLimit=_LABELS, domain=False, ticks=False),
        ),
    )
    marks = base.mark_bar().encode(color=alt.Color("color:N", scale=None))
    numbers = base.mark_text(align="left", dx=5, color=_INK, fontSize=12).encode(
        text=alt.Text("value:Q", format=form)
    )
    return svg(
        alt.layer(marks, numbers).properties(width=_WIDTH - _LABELS - 10, height=34 * len(values)),
        ON_A_PAGE,
    )


def curve(points: Sequence[LossPoint], base: float) -> str:
    """Plot held-out bits per byte over training, with the untouched base as a dashed line."""
    import altair as alt

    values = [{"epoch": p.epoch, "bits": p.held_out_bits_per_byte} for p in points]
    line = (
        alt.Chart({"values": values})
        .mark_line(color=_BOT, point=alt.OverlayMarkDef(color=_BOT, size=45))
        .encode(
            x=alt.X("epoch:Q", title="epochs", axis=alt.Axis(tickMinStep=1, grid=False)),
            y=alt.Y(
                "bits:Q",
                title="bits per byte",
                axis=alt.Axis(minExtent=_VALUES),
                scale=alt.Scale(zero=False, nice=True),
            ),
        )
    )
    rule = (
        alt.Chart({"values": [{"bits": base}]})
        .mark_rule(color=_ANCHOR, strokeDash=[5, 4], size=2)
        .encode(y="bits:Q")
    )
    return svg(alt.layer(rule, line).properties(width=_WIDTH - _VALUES - 30, height=180), ON_A_PAGE)


def lengths(generated: Sequence[str], real: Sequence[str]) -> str:
    """Plot the lengths of posts in characters: generated posts as bars, real ones as a line."""
    import altair as alt

    encoding: dict[str, Any] = {
        "y": alt.Y(
            "share:Q",
            title="share of posts",
            axis=alt.Axis(format=".0%", tickCount=4, minExtent=_VALUES),
        ),
    }
    bot = (
        alt.Chart({"values": _bins(generated)})
        .mark_bar(color=_BOT, opacity=0.75)
        .encode(
            x=alt.X(
                "start:Q",
                title="characters",
                scale=alt.Scale(domain=[0, _LAST_BIN + _BIN], nice=False),
                axis=alt.Axis(values=list(range(0, _LAST_BIN + 1, 100)), grid=False),
            ),
            x2="end:Q",
            y2=alt.datum(0),
            **encoding,
        )
    )
    author = (
        alt.Chart({"values": _bins(real)})
        .mark_line(color=_ANCHOR, strokeWidth=2.5)
        .encode(x="middle:Q", **encoding)
    )
    return svg(
        alt.layer(bot, author).properties(width=_WIDTH - _VALUES - 30, height=180), ON_A_PAGE
    )


def _bins(posts: Sequence[str]) -> list[dict[str, float]]:
    counts = dict.fromkeys(range(0, _LAST_BIN + _BIN, _BIN), 0)
    for post in posts:
        counts[min(len(post), _LAST_BIN) // _BIN * _BIN] += 1
    return [
        {
            "start": start,
            "middle": start + _BIN / 2,
            "end": start + _BIN,
            "share": count / max(1, len(posts)),
        }
        for start, count in counts.items()
    ]
