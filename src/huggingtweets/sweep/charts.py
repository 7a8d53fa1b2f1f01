"""The charts of a sweep's report, each an inline SVG.

Altair describes them and vl-convert renders them, without browser or network. Colours are CSS
variables of the page, so the charts follow its light or dark scheme; shape or stroke distinguishes
the kinds of trials as well. They contain numbers and names, never a post.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from huggingtweets.plots.style import ON_A_PAGE, svg

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


_BEST, _SECOND, _OTHER = "var(--bot)", "var(--second)", "var(--anchor)"
_INK = ON_A_PAGE.ink
_PARALLEL_WIDTH = 830
_SLICE_WIDTH = 215

KINDS = ("best", "default", "other", "pruned")
"""Kinds of trials; the page has a legend."""

_COLOURS = dict(zip(KINDS, (_BEST, _SECOND, _OTHER, _OTHER), strict=True))
_STROKE_WIDTHS = dict(zip(KINDS, (2.2, 2.6, 1.1, 0.8), strict=True))
_DASHES = dict(zip(KINDS, ([1, 0], [7, 4], [1, 0], [2, 3]), strict=True))
_OPACITY = dict(zip(KINDS, (0.9, 1.0, 0.75, 0.7), strict=True))


def parallel(axes: Sequence[Mapping[str, Any]], lines: Sequence[Mapping[str, Any]]) -> str:
    """Plot parallel coordinates: an axis per hyper-parameter and the objective, a line per trial.

    Args:
        axes: each with ``name`` and ``ticks``: pairs of height, 0 to 1, and label.
        lines: each with ``kind``, one of :data:`KINDS`, and ``points``: pairs of axis and height.
    """
    import altair as alt

    names = [axis["name"] for axis in axes]
    x = alt.X(
        "axis:N",
        sort=names,
        title=None,
        scale=alt.Scale(type="point", padding=0.45),
        axis=alt.Axis(
            orient="top", labelAngle=0, domain=False, ticks=False, labelFontWeight="bold"
        ),
    )
    y = alt.Y("height:Q", axis=None, scale=alt.Scale(domain=[-0.02, 1.02], nice=False))
    rules = (
        alt.Chart({"values": [{"axis": n, "height": 0, "to": 1} for n in names]})
        .mark_rule(color=_INK, opacity=0.6)
        .encode(x=x, y=y, y2="to:Q")
    )
    ticks = [
        {"axis": axis["name"], "height": height, "label": label}
        for axis in axes
        for height, label in axis["ticks"]
    ]
    # an outline in the background colour keeps labels readable where lines cross them
    text = alt.Chart({"values": ticks}).encode(x=x, y=y, text="label:N")
    style: dict[str, Any] = {"align": "right", "dx": -6, "fontSize": 11}
    outline = text.mark_text(stroke="var(--card)", strokeWidth=3.5, strokeJoin="round", **style)
    labels = text.mark_text(color=_INK, **style)
    layers = [
        _line(alt, [line for line in lines if line["kind"] == kind], kind, x, y)
        for kind in reversed(KINDS)
        if any(line["kind"] == kind for line in lines)
    ]
    return svg(
        alt.layer(*layers, rules, outline, labels).properties(width=_PARALLEL_WIDTH, height=280),
        ON_A_PAGE,
    )


def _line(
    alt: Any,  # noqa: ANN401 - the module
    lines: Sequence[Mapping[str, Any]],
    kind: str,
    x: Any,  # noqa: ANN401 - a channel
    y: Any,  # noqa: ANN401
) -> Any:  # noqa: ANN401 - a chart
    values = [
        {"axis": axis, "height": height, "line": number}
        for number, line in enumerate(lines)
        for axis, height in line["points"]
    ]
    return (
        alt.Chart({"values": values})
        .mark_line(
            color=_COLOURS[kind],
            strokeWidth=_STROKE_WIDTHS[kind],
            strokeDash=_DASHES[kind],
            opacity=_OPACITY[kind],
            interpolate="monotone",
        )
        .encode(x=x, y=y, detail="line:N")
    )


def importance(shares: Mapping[str, Mapping[str, float]]) -> str:
    """Plot each hyper-parameter's importance by both methods, the most important on top."""
    import altair as alt

    methods = {"random_forest": "random forest", "fanova": "fANOVA"}
    values: list[dict[str, Any]] = [
        {"parameter": plain(name), "method": methods[method], "share": share}
        for method, of_method in shares.items()
        for name, share in of_method.items()
    ]
    total = dict.fromkeys((value["parameter"] for value in values), 0.0)
    for value in values:
        total[value["parameter"]] += value["share"]
    base = alt.Chart({"values": values}).encode(
        y=alt.Y(
            "parameter:N",
            sort=sorted(total, key=lambda name: -total[name]),
            title=None,
            axis=alt.Axis(minExtent=95, domain=False, ticks=False),
            scale=alt.Scale(paddingInner=0.25),
        ),
        yOffset=alt.YOffset("method:N", sort=list(methods.values())),
        x=alt.X("share:Q", axis=None, scale=alt.Scale(domain=[0, 1.2])),
    )
    marks = base.mark_bar().encode(
        color=alt.Color(
            "method:N",
            sort=list(methods.values()),
            scale=alt.Scale(domain=list(methods.values()), range=[_BEST, _OTHER]),
            legend=None,
        )
    )
    numbers = base.mark_text(align="left", dx=4, fontSize=11, color=_INK).encode(
        text=alt.Text("share:Q", format=".0%")
    )
    return svg(alt.layer(marks, numbers).properties(width=240, height=40 * len(total)), ON_A_PAGE)


def slices(
    fields: Mapping[str, Mapping[str, Any]], dots: Sequence[Mapping[str, Any]]
) -> dict[str, str]:
    """Plot the loss of all trials against each hyper-parameter, with the best region shaded.

    Args:
        fields: ``fields`` of the report's ``region``.
        dots: trials, each with ``kind``, ``part`` (bits per byte over the lowest) and ``recipe``.

    Returns:
        An SVG for each hyper-parameter.
    """
    return {name: _slice(name, field, dots) for name, field in fields.items()}


def _slice(name: str, field: Mapping[str, Any], dots: Sequence[Mapping[str, Any]]) -> str:
    import altair as alt

    is_choice = "log" not in field
    values = [
        {
            "value": text(d["recipe"][name]) if is_choice else d["recipe"][name],
            "part": d["part"],
            "kind": d["kind"],
        }
        for d in dots
    ]
    all_values = [*field["searched"], *(value["value"] for value in values)]
    x: Any = (
        alt.X(
            "value:N",
            sort=[text(v) for v in field["searched"]],
            title=None,
            axis=alt.Axis(labelAngle=0),
        )
        if is_choice
        else alt.X(
            "value:Q",
            title=None,
            scale=alt.Scale(
                type="log" if field["log"] else "linear",
                nice=False,
                domain=[min(all_values), max(all_values)],
            ),
            axis=alt.Axis(values=ticks(field), labelExpr=_label(ticks(field)), grid=False),
        )
    )
    y = alt.Y(
        "part:Q",
        title="bits per byte over the lowest",
        scale=alt.Scale(type="sqrt", nice=True),
        axis=alt.Axis(tickCount=4, minExtent=36, format=".2~f"),
    )
    layers = []
    if not is_choice:
        low, high = field["best"]
        band = alt.Chart({"values": [{"low": low, "high": high}]}).mark_rect(
            color=_BEST, opacity=0.16
        )
        layers.append(band.encode(x=alt.X("low:Q"), x2="high:Q"))
    shapes = {
        "best": ("circle", True),
        "default": ("diamond", True),
        "other": ("circle", True),
        "pruned": ("M-.6,-.6L.6,.6M-.6,.6L.6,-.6", False),
    }
    for kind in reversed(KINDS):
        shape, filled = shapes[kind]
        size = 85 if kind == "default" else 40
        points = alt.Chart({"values": [v for v in values if v["kind"] == kind]}).mark_point(
            shape=shape, filled=filled, color=_COLOURS[kind], size=size, opacity=_OPACITY[kind]
        )
        layers.append(points.encode(x=x, y=y))
    return svg(alt.layer(*layers).properties(width=_SLICE_WIDTH, height=150), ON_A_PAGE)


def distances(rows: Sequence[Mapping[str, Any]]) -> str:
    """Plot how much worse the shared best and the default recipe are than each author's own best.

    Args:
        rows: ``author``, ``shared`` and ``default``: relative excess over the author's own best,
            or None.
    """
    import altair as alt

    names = [row["author"] for row in rows]
    y = alt.Y(
        "author:N", sort=names, title=None, axis=alt.Axis(grid=True, ticks=False, domain=False)
    )
    x = alt.X(
        "distance:Q",
        title="over the author's own best",
        scale=alt.Scale(zero=True, nice=True),
        axis=alt.Axis(format=".1%", grid=False, tickCount=5),
    )
    layers = []
    for key, colour, shape in (
        ("default", _SECOND, "diamond"),
        ("shared", _BEST, "circle"),
    ):
        values = [
            {"author": row["author"], "distance": row[key]} for row in rows if row[key] is not None
        ]
        points = alt.Chart({"values": values}).mark_point(
            shape=shape, filled=True, color=colour, size=80, opacity=1
        )
        layers.append(points.encode(x=x, y=y))
    return svg(alt.layer(*layers).properties(width=330, height=alt.Step(24)), ON_A_PAGE)


def early_stopping_cost(curves: Sequence[Mapping[str, Any]], title: str) -> str:
    """Plot the objective after each epoch, one line per complete trial, without the base."""
    import altair as alt

    layers = []
    for kind in reversed(KINDS):
        values = [
            {"line": number, "epoch": epoch, "objective": value}
            for number, curve in enumerate(curves)
            for epoch, value in curve["points"]
            if curve["kind"] == kind and epoch
        ]
        if not values:
            continue
        line = alt.Chart({"values": values}).mark_line(
            color=_COLOURS[kind],
            strokeWidth=_STROKE_WIDTHS[kind],
            strokeDash=_DASHES[kind],
            opacity=_OPACITY[kind],
            point=alt.OverlayMarkDef(color=_COLOURS[kind], size=22),
        )
        layers.append(
            line.encode(
                x=alt.X("epoch:Q", title="epochs", axis=alt.Axis(tickMinStep=1, grid=False)),
                y=alt.Y(
                    "objective:Q",
                    title=title,
                    scale=alt.Scale(zero=False, nice=True),
                    axis=alt.Axis(minExtent=40),
                ),
                detail="line:N",
            )
        )
    return svg(alt.layer(*layers).properties(width=300, height=200), ON_A_PAGE)


def ticks(field: Mapping[str, Any]) -> list[float]:
    """Return both ends and the middle of a range, the geometric one on a log scale."""
    low, high = field["searched"]
    middle = math.sqrt(low * high) if field["log"] else (low + high) / 2
    return [low, middle, high]


def text(value: Any) -> str:  # noqa: ANN401 - a recipe's
    """Format a value for labels."""
    if not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or value >= 100:
        return f"{value:.0f}"
    exact = f"{value:.2g}" if value < 0.9 else f"{value:.4g}"  # 0.999 for beta2
    if "e" in exact:
        number, power = exact.split("e")
        return f"{number}e{int(power)}"
    return exact


def plain(name: str) -> str:
    """Format a field's name for labels."""
    return name.replace("_", " ")


def _label(values: Sequence[float]) -> str:
    """Return a Vega expression that formats three tick values as :func:`text` does."""
    first, second, third = (text(value) for value in values)
    middle = (values[0] + values[1]) / 2, (values[1] + values[2]) / 2
    later = f"datum.value < {middle[1]} ? '{second}' : '{third}'"
    return f"datum.value < {middle[0]} ? '{first}' : {later}"
