"""The card of a base and its learning curve, both made from the record of its training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from huggingtweets.publish import template

if TYPE_CHECKING:
    from collections.abc import Sequence

_NO_ORIGIN = "*Say here where the text is from and under which licences (`--about FILE`).*"
_MOST_POINTS = 12
"""Rows of the curve's table; the plot shows all."""
_FEWEST_POINTS = 3
"""With fewer there is no line after the first."""


def render_base_card(sittings: Sequence[dict[str, Any]], vocabulary: int, about: str | None) -> str:
    """The card as Markdown.

    Args:
        sittings: the record of each training of these weights, oldest first.
        vocabulary: tokens of the tokenizer.
        about: Markdown on the data's origin and licences, or None.
    """
    curve = sittings[-1]["curve"]
    return template("huggingtweets.pretraining", "base-card.md.j2").render(
        sittings=sittings,
        last=sittings[-1],
        vocabulary=vocabulary,
        origin=(about or _NO_ORIGIN).strip(),
        curve=_thinned(curve),
        names=list(curve[-1]["held_out_bits_per_byte"]),
        hardware=_share_of_hardware,
    )


def _share_of_hardware(sitting: dict[str, Any]) -> str:
    """How much of what the machine's matrix products alone would do, where that was measured."""
    limit = sitting["machine"].get("matmul_flops")
    if not limit:
        return ""
    share = sitting["tokens"] / sitting["seconds"] * sitting["flops_per_token"] / limit
    return f", {share:.0%} of its matrix products"


def _thinned(curve: list[dict[str, Any]]) -> list[dict[str, Any]]:
    step = max(1, -(-(len(curve) - 1) // (_MOST_POINTS - 1)))
    last = curve[-1:] if (len(curve) - 1) % step else []
    return curve[::step] + last


def draw_curve(sittings: Sequence[dict[str, Any]]) -> str:
    """Held-out bits per byte of each corpus over the tokens read in all sittings, as an SVG."""
    import altair as alt
    import vl_convert

    values, before = [], 0
    for sitting in sittings:
        for point in sitting["curve"]:
            tokens = (before + point["tokens"]) / 1e6
            values += [
                {"corpus": name, "tokens": tokens, "bits": bits}
                for name, bits in point["held_out_bits_per_byte"].items()
                # random weights would flatten all the rest, where there is one
                if point["step"] or len(sitting["curve"]) < _FEWEST_POINTS
            ]
        before += sitting["tokens"]
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
