"""Standalone plots of a run, for notebooks, files and documents.

Altair describes them and vl-convert renders them, without browser or network. They contain labels
and numbers, never a post. The background is white, so that they are readable on any page. Shape or
position distinguishes series as well as colour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from huggingtweets.errors import InputError
from huggingtweets.plots import charts, style
from huggingtweets.plots.style import ON_WHITE
from huggingtweets.storage import files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import altair as alt

    from huggingtweets.curation import Curated
    from huggingtweets.evaluation import LikenessReport
    from huggingtweets.storage.run_folder import RunFolder

BOT, BASE = ON_WHITE.bot, ON_WHITE.anchor
COMPRESSOR, EQUAL = "#d9822b", "#6a3fb5"
_WIDTH = 480


@dataclass(frozen=True)
class Plot:
    """A plot; Jupyter displays it as the last value of a cell.

    Attributes:
        chart: the Altair chart, which can be changed.
    """

    chart: alt.LayerChart | alt.FacetChart | alt.Chart

    def svg(self) -> str:
        """Render the plot as SVG; text stays text."""
        return style.svg(self.chart, ON_WHITE)

    def png(self) -> bytes:
        """Render the plot as PNG, two pixels per unit."""
        return style.png(self.chart, ON_WHITE)

    def save(self, path: Path) -> None:
        """Write the plot atomically, as ``.svg`` or ``.png``.

        Raises:
            InputError: ``path`` has another suffix.
            StorageError: the file can't be written.
        """
        check_name(path)
        data = self.png() if path.suffix.lower() == ".png" else self.svg().encode()
        with files.atomic_write(path) as temporary:
            temporary.write_bytes(data)

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """Return the PNG and its display width, for Jupyter."""
        png = self.png()
        return png, {"width": int.from_bytes(png[16:20]) // 2}  # width in the PNG header


def check_name(path: Path) -> None:
    """Check that a file name has the suffix of a plot format.

    Raises:
        InputError: it ends neither in ``.svg`` nor in ``.png``.
    """
    if path.suffix.lower() not in (".svg", ".png"):
        raise InputError(f"A plot's file name must end in .svg or .png, not be {path.name!r}.")


def lengths(before: Sequence[str], after: Sequence[str]) -> Plot:
    """Plot the lengths of posts in characters: as read (line) and after curation (bars)."""
    chart = charts.lengths(("after curation", after), ("as read", before), ON_WHITE, counted=True)
    return Plot(chart.properties(title="Length of posts", width=_WIDTH, height=180))


def dropped(curated: Curated) -> Plot:
    """Plot how many posts were kept, and how many were dropped for each reason."""
    counts = {kind: n for kind, n in curated.counts.items() if kind != "downloaded"}
    return _bars(
        {"kept": counts.pop("kept"), **counts},
        f"Curation of {curated.counts['downloaded']:,} posts",
        ",d",
    )


def training(run: RunFolder) -> Plot:
    """Plot training loss and held-out loss over steps.

    Each has its own axis: nats per token for the training loss on the left, bits per byte for the
    held-out posts on the right.
    """
    import altair as alt

    events = [event for event in run.events() if event["stage"] == "train"]
    steps = [
        {"along": event["done"], "loss": event["loss"]}
        for event in events
        if event.get("loss") is not None
    ]
    points = [
        (event["done"], event["held_out_bits_per_byte"])
        for event in events
        if event.get("held_out_bits_per_byte") is not None
    ]
    line = (
        alt.Chart({"values": steps})
        .mark_line(color=BASE)
        .encode(
            x=alt.X("along:Q"),
            y=alt.Y(
                "loss:Q",
                title="training loss, nats per token",
                scale=alt.Scale(zero=False),
                axis=alt.Axis(titleColor=BASE, grid=False),
            ),
        )
    )
    return Plot(
        alt.layer(line, charts.held_out_loss(points, "step", ON_WHITE, titleColor=BOT))
        .resolve_scale(y="independent")
        .properties(title="Training", width=_WIDTH, height=200)
    )


def likeness(report: LikenessReport) -> Plot:
    """Plot held-out bits per byte of the bot, the untouched base and compressor."""
    bits = report.bits_per_byte
    shown = {"bot": bits.bot, bits.compressor_name: bits.compressor, "untouched base": bits.base}
    return _bars(
        {name: value for name, value in shown.items() if value is not None},
        "Bits per byte of held-out posts (lower is better)",
        ".3f",
    )


def importance(shares: Mapping[str, Mapping[str, float]]) -> Plot:
    """Plot the importance of each hyper-parameter.

    Args:
        shares: for each method (``random_forest``, ``fanova``), each parameter's share, 0 to 1.
    """
    import altair as alt

    values = [
        {"method": method.replace("_", " "), "parameter": name.replace("_", " "), "share": share}
        for method, of_method in shares.items()
        for name, share in of_method.items()
    ]
    order = sorted(
        {str(value["parameter"]) for value in values},
        key=lambda name: -sum(v["share"] for v in values if v["parameter"] == name),  # type: ignore[misc]
    )
    chart = (
        alt.Chart({"values": values})
        .mark_bar()
        .encode(
            x=alt.X("share:Q", title="share of importance", axis=alt.Axis(format=".0%")),
            y=alt.Y("parameter:N", sort=order, title=None),
            yOffset=alt.YOffset("method:N", sort="descending"),
            color=alt.Color(
                "method:N",
                title=None,
                sort="descending",
                scale=alt.Scale(range=[BOT, COMPRESSOR]),
            ),
        )
    )
    return Plot(
        chart.properties(
            title="Importance of hyper-parameters for the held-out loss",
            width=_WIDTH,
            height=alt.Step(14),
        )
    )


def _bars(values: Mapping[str, float], title: str, form: str) -> Plot:
    """Plot horizontal bars with their numbers, the first in the bot's colour."""
    import altair as alt

    chart = charts.bars(values, form, ON_WHITE)
    return Plot(chart.properties(title=title, width=_WIDTH, height=alt.Step(32)))
