"""A sweep's report as one self-contained HTML page, without scripts, network or fonts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from huggingtweets import templating
from huggingtweets.sweep import charts
from huggingtweets.sweep.search_space import Range, space_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_OBJECTIVES = {
    "robust": "mean + 1 standard deviation",
    "mean": "mean",
    "median": "median",
    "worst": "worst author",
}


def render(report: Mapping[str, Any]) -> str:
    """Render the page.

    Args:
        report: the result of :func:`~.report.report_of`.
    """
    environment = templating.environment("huggingtweets.sweep")
    environment.filters |= {
        "plain": charts.plain,
        "value": charts.text,
        "percent": lambda share: f"{share:.1%}",
        "bits": lambda value: f"{value:.3f}",
    }
    trials = _with_kinds(report)
    # numbers, and names that vl-convert escapes
    plots = {
        name: Markup(svg)  # noqa: S704
        for name, svg in _plots(report, trials).items()
    }
    return environment.get_template("sweep.html.j2").render(
        report=report,
        sweep=report["sweep"],
        objective=_OBJECTIVES[report["sweep"]["objective"]],
        best=_find(trials, report["best"]),
        default=_find(trials, report["default"]),
        ranked=sorted(
            (t for t in trials if t["objective"] is not None), key=lambda t: t["objective"]
        ),
        varied=list(space_of(report["sweep"]["space"]).varied),
        plots=plots,
    )


def _with_kinds(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the trials, each with its kind (see :data:`~.charts.KINDS`)."""
    best = [(trial["stage"], trial["trial"]) for trial in report["region"]["trials"]]

    def kind(trial: Mapping[str, Any]) -> str:
        if trial["default"]:
            return "default"
        if (trial["stage"], trial["trial"]) in best:
            return "best"
        return "other" if trial["state"] == "complete" else "pruned"

    return [trial | {"kind": kind(trial)} for trial in report["trials"]]


def _find(trials: list[dict[str, Any]], key: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    for trial in trials if key else ():
        if key and (trial["stage"], trial["trial"]) == (key["stage"], key["trial"]):
            return trial
    return None


def _plots(report: Mapping[str, Any], trials: list[dict[str, Any]]) -> dict[str, str]:
    plots = {"parallel": _parallel(report, trials)}
    if report["importance"]["random_forest"]:
        plots["importance"] = charts.importance(report["importance"])
    dots = [trial for trial in trials if trial["part"] is not None]
    for name, svg in charts.slices(report["region"]["fields"], dots).items():
        plots[f"slice {name}"] = svg
    distances = [
        {
            "author": row["author"],
            "shared": row["distance"],
            "default": row["default"] / row["own"] - 1 if row["default"] else None,
        }
        for row in report["own_best"]
    ]
    if any(row["shared"] is not None for row in distances):
        plots["distances"] = charts.distances(distances)
    kinds = {(trial["stage"], trial["trial"]): trial["kind"] for trial in trials}
    curves = [
        curve | {"kind": kinds[curve["stage"], curve["trial"]]}
        for curve in report["impatience"]["curves"]
    ]
    if curves:
        plots["impatience"] = charts.early_stopping_cost(
            curves, _OBJECTIVES[report["sweep"]["objective"]]
        )
    return plots


def _parallel(report: Mapping[str, Any], trials: list[dict[str, Any]]) -> str:
    varied = space_of(report["sweep"]["space"]).varied
    axes: list[dict[str, Any]] = []
    for name, field in varied.items():
        if isinstance(field, Range):
            values = charts.ticks({"searched": [field.low, field.high], "log": field.log})
            labels = [charts.text(round(v) if field.whole else v) for v in values]
            ticks = list(zip((0.0, 0.5, 1.0), labels, strict=True))
        else:
            step = 1 / (len(field.values) - 1)
            ticks = [(i * step, charts.text(v)) for i, v in enumerate(field.values)]
        axes.append({"name": charts.plain(name), "ticks": ticks})
    reached = [t["objective"] for t in trials if t["objective"] is not None]
    low, high = min(reached, default=0.0), max(reached, default=1.0)
    last = report["sweep"]["objective"]
    if reached:
        ends = [(0.0, f"{low:.3f}")] + ([(1.0, f"{high:.3f}")] if high > low else [])
        axes.append({"name": last, "ticks": ends})
    lines = []
    for trial in trials:
        points = [
            (charts.plain(name), _height(field, trial["recipe"][name]))
            for name, field in varied.items()
        ]
        if trial["objective"] is not None:
            points.append((last, (trial["objective"] - low) / ((high - low) or 1.0)))
        lines.append({"kind": trial["kind"], "points": points})
    return charts.parallel(axes, lines)


def _height(field: Any, value: Any) -> float:  # noqa: ANN401 - a space's field and its value
    """Return a value's height on its axis, 0 to 1; the default recipe may be slightly outside."""
    if not isinstance(field, Range):
        return float(field.values.index(value)) / (len(field.values) - 1)
    low, high = field.low, field.high
    if field.log:
        low, high, value = math.log(low), math.log(high), math.log(value)
    return float(min(1.02, max(-0.02, (value - low) / (high - low))))
