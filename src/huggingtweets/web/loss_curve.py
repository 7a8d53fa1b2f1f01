"""The loss curve as an SVG without scripts, readable in light and dark themes.

Training loss is in nats per token (left axis), held-out loss in bits per byte (right axis). Both
are plotted over the training steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Sequence

_WIDTH, _HEIGHT = 640, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 68, 68, 16, 46
_TICKS = 4


def loss_curve(
    training: Sequence[tuple[float, float]], held_out: Sequence[tuple[float, float]], last_step: int
) -> Markup:
    """The curve as HTML, empty if there are no points.

    Args:
        training: pairs of step and mean training loss in nats per token.
        held_out: pairs of step and held-out bits per byte.
        last_step: of the whole training; the right end of the axis.
    """
    if not training and not held_out:
        return Markup()
    right = max([last_step, 1, *(step for step, _ in (*training, *held_out))])
    parts = [_step_axis(right)]
    for values, side, name in ((training, "left", "train"), (held_out, "right", "held")):
        if values:
            low, high = _value_range([value for _, value in values])
            parts.append(_value_axis(low, high, side))
            parts.append(_line(values, low, high, right, name))
    return Markup(
        '<figure class="curve"><svg viewBox="0 0 {w} {h}" role="img" aria-label="{label}">{shapes}'
        "</svg><figcaption>{legend}</figcaption></figure>"
    ).format(
        w=_WIDTH,
        h=_HEIGHT,
        label=_description(training, held_out),
        shapes=Markup().join(parts),
        legend=Markup(
            '<span class="key train">training loss, nats per token (left)</span>'
            '<span class="key held">held-out loss, bits per byte (right); lower is better</span>'
        ),
    )


def _description(
    training: Sequence[tuple[float, float]], held_out: Sequence[tuple[float, float]]
) -> str:
    """The curve in words, for screen readers."""
    sentences = []
    if training:
        sentences.append(
            f"Training loss went from {training[0][1]:.2f} to {training[-1][1]:.2f} nats per token"
            f" by step {training[-1][0]:.0f}."
        )
    if held_out:
        values = ", ".join(f"{value:.3f} at step {step:.0f}" for step, value in held_out[-8:])
        sentences.append(f"Held-out bits per byte: {values}.")
    return " ".join(sentences)


def _line(
    values: Sequence[tuple[float, float]], low: float, high: float, right: float, name: str
) -> Markup:
    points = [(_x(step, right), _y(value, low, high)) for step, value in values]
    shapes = Markup('<polyline class="{}" points="{}"/>').format(
        name, " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    )
    if name == "held" or len(points) == 1:  # a line of one point is invisible
        for x, y in points:
            shapes += Markup('<circle class="{}" cx="{}" cy="{}" r="4"/>').format(
                name, f"{x:.1f}", f"{y:.1f}"
            )
    return shapes


def _value_axis(low: float, high: float, side: str) -> Markup:
    """The numbers of a vertical axis; the left one also has grid lines."""
    parts = []
    for i in range(_TICKS):
        value = low + (high - low) * i / (_TICKS - 1)
        y = _y(value, low, high)
        if side == "left":
            parts.append(
                Markup('<line class="grid" x1="{}" x2="{}" y1="{y}" y2="{y}"/>').format(
                    _LEFT, _WIDTH - _RIGHT, y=f"{y:.1f}"
                )
            )
        x, anchor = (_LEFT - 8, "end") if side == "left" else (_WIDTH - _RIGHT + 8, "start")
        parts.append(
            Markup('<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>').format(
                side, x, f"{y + 4:.1f}", anchor, f"{value:.2f}"
            )
        )
    return Markup().join(parts)


def _step_axis(right: float) -> Markup:
    """The numbers of the horizontal axis."""
    texts = []
    for i in range(_TICKS + 1):
        step = right * i / _TICKS
        texts.append(
            Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>').format(
                f"{_x(step, right):.1f}", _HEIGHT - 12, f"{'step ' if i == 0 else ''}{step:,.0f}"
            )
        )
    return Markup().join(texts)


def _value_range(values: Sequence[float]) -> tuple[float, float]:
    """The range of an axis, with a margin of 6 %; never empty."""
    low, high = min(values), max(values)
    margin = (high - low) * 0.06 or 0.1
    return low - margin, high + margin


def _x(step: float, right: float) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * step / right


def _y(value: float, low: float, high: float) -> float:
    return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (high - value) / (high - low)
