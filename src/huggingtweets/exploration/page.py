"""An exploration as one self-contained HTML page, without scripts, network or fonts.

It holds posts: three of each topic, and those on the map. Jinja escapes them.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from huggingtweets import templating
from huggingtweets.exploration import authors, charts
from huggingtweets.exploration.style import FEATURES
from huggingtweets.privacy import masking

if TYPE_CHECKING:
    from huggingtweets.exploration.result import Exploration

COLOURS = 10
"""Colours of topics and authors; more can't be told apart. Topics are numbered as well, and authors
after these share one colour."""

_WIDTH, _HEIGHT, _EDGE = 640, 480, 14
_LONGEST_TEXT = 160


def render(found: Exploration) -> str:
    """Render the page."""
    environment = templating.environment("huggingtweets.exploration")
    environment.filters |= {"percent": lambda share: f"{share:.0%}", "counted": masking.counted}
    return environment.get_template("exploration.html.j2").render(
        found=found,
        total=found.posts.height,
        features=[_feature_row(found, name) for name in FEATURES],
        points=_points(found),
        labels=_labels(found),
        colours=range(COLOURS),
        width=_WIDTH,
        height=_HEIGHT,
        plots=_plots(found),
        nearest=_nearest(found),
        frequent=authors.WORDS,
    )


def _feature_row(found: Exploration, name: str) -> dict[str, Any]:
    """Return a feature's label and its values as text, marked if outside the panel's range."""
    feature = FEATURES[name]
    low, mean, high = found.panel.features.get(name, (None, None, None))

    def text(value: float | None) -> str:
        return "–" if value is None else format(value, feature.form).replace("%", " %")

    def mark(value: float | None) -> str:
        if value is None or low is None or high is None:
            return ""
        return "▲" if value > high else "▼" if value < low else ""

    values = [found.styles[author].features[name] for author in found.names]
    return {
        "label": feature.label,
        "meaning": feature.meaning,
        "values": [(text(value), mark(value)) for value in values],
        "panel": text(mean),
        "range": "" if low is None else f"{text(low)} to {text(high)}",
    }


def _points(found: Exploration) -> list[dict[str, Any]]:
    """Return the posts on the map with their colours and texts."""
    texts, authors = found.posts["text"], found.posts["author"]
    rank = {author: at if at < COLOURS else "s" for at, author in enumerate(found.names)}
    points = []
    for row, x, y in zip(found.places.rows, found.places.x, found.places.y, strict=True):
        text = texts[row]
        if len(text) > _LONGEST_TEXT:
            text = text[: _LONGEST_TEXT - 1] + "…"
        left, top = _at(x, y)
        points.append(
            {
                "x": left,
                "y": top,
                "topic": found.labels[row] % COLOURS,
                "author": rank[authors[row]],
                "text": f"{found.names[authors[row]]}: {text}",
            }
        )
    return points


def _labels(found: Exploration) -> list[dict[str, Any]]:
    """Return the number of each topic and where it stands on the map."""
    labels = []
    for topic in range(len(found.topics)):
        places = [
            (x, y)
            for row, x, y in zip(found.places.rows, found.places.x, found.places.y, strict=True)
            if found.labels[row] == topic
        ]
        if places:
            left, top = _at(median(x for x, _ in places), median(y for _, y in places))
            labels.append({"number": topic + 1, "x": left, "y": top})
    return labels


def _at(x: float, y: float) -> tuple[float, float]:
    return (
        round(_EDGE + x * (_WIDTH - 2 * _EDGE), 1),
        round(_EDGE + (1 - y) * (_HEIGHT - 2 * _EDGE), 1),
    )


def _plots(found: Exploration) -> dict[str, Markup]:
    plots = {}
    shares = {author: found.styles[author].hours for author in found.names}
    dated = {author: row for author, row in shares.items() if row}
    if dated:
        plots["hours"] = charts.hours(
            [found.names[author] for author in dated], list(dated.values())
        )
    if found.distances:
        plots["matrix"] = charts.matrix(found.distances, found.names)
        plots["authors"] = charts.author_map(found.distances, found.names)
    # numbers, and names that vl-convert escapes
    return {name: Markup(svg) for name, svg in plots.items()}  # noqa: S704


def _nearest(found: Exploration) -> list[tuple[str, str, float, float]]:
    """Return each author with the nearest other, the distance, and that of the own halves."""
    if found.distances is None:
        return []
    rows = []
    for author, name in found.names.items():
        if found.distances.can_compare(author):
            other, distance = found.distances.nearest(author)
            rows.append((name, found.names[other], distance, found.distances.own(author)))
    return rows
