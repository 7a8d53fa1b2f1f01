"""The card and the learning curve of a base, rendered from its training record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from huggingtweets.publish import template

if TYPE_CHECKING:
    from collections.abc import Sequence

_NO_ORIGIN = "*Describe the origin and licences of the text here (`--about FILE`).*"
_MAX_TABLE_ROWS = 12
"""Maximum rows of the curve's table; the plot shows all points."""
_MIN_POINTS_WITHOUT_FIRST = 3
"""Minimum number of points of a curve that is plotted without its first point."""


def render_base_card(sessions: Sequence[dict[str, Any]], vocabulary: int, about: str | None) -> str:
    """Render the card as Markdown.

    Args:
        sessions: record of each training session of these weights, oldest first.
        vocabulary: size of the tokenizer's vocabulary.
        about: Markdown about the data's origin and licences, or None.
    """
    curve = sessions[-1]["curve"]
    return template("huggingtweets.pretraining", "base-card.md.j2").render(
        sessions=sessions,
        last=sessions[-1],
        vocabulary=vocabulary,
        origin=(about or _NO_ORIGIN).strip(),
        curve=_table_rows(curve),
        names=list(curve[-1]["held_out_bits_per_byte"]),
        hardware=_hardware_utilization,
    )


def _hardware_utilization(session: dict[str, Any]) -> str:
    """Share of the machine's speed for matrix products, or nothing if that wasn't measured."""
    limit = session["machine"].get("matmul_flops")
    if not limit:
        return ""
    share = session["tokens"] / session["seconds"] * session["flops_per_token"] / limit
    return f", {share:.0%} of the peak matrix product speed"


def _table_rows(curve: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Evenly spaced points of the curve, with the first and the last."""
    step = max(1, -(-(len(curve) - 1) // (_MAX_TABLE_ROWS - 1)))
    last = curve[-1:] if (len(curve) - 1) % step else []
    return curve[::step] + last


def render_curve(sessions: Sequence[dict[str, Any]]) -> str:
    """Render held-out bits per byte of each corpus over the tokens of all sessions as an SVG."""
    import altair as alt
    import vl_convert

    values, tokens_before = [], 0
    for session in sessions:
        for point in session["curve"]:
            tokens = (tokens_before + point["tokens"]) / 1e6
            values += [
                {"corpus": name, "tokens": tokens, "bits": bits}
                for name, bits in point["held_out_bits_per_byte"].items()
                # the loss of random weights would flatten the rest of the curve
                if point["step"] or len(session["curve"]) < _MIN_POINTS_WITHOUT_FIRST
            ]
        tokens_before += session["tokens"]
    chart = (
        alt.Chart({"values": values})
        .mark_line()
        .encode(
            x=alt.X("tokens:Q", title="million tokens read"),
            y=alt.Y("bits:Q", title="bits per byte, held-out posts", scale=alt.Scale(zero=False)),
            color=alt.Color("corpus:N", title=None, scale=alt.Scale(scheme="tableau20")),
            size=alt.condition("datum.corpus == 'all'", alt.value(3.5), alt.value(1.2)),
        )
        .properties(width=520, height=320, background="white", padding=8)
    )
    return str(vl_convert.vegalite_to_svg(chart.to_dict(), allowed_base_urls=[]))
