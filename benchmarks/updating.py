"""Whether a bot that is updated month by month keeps up with one that is trained anew each month.

    python benchmarks/updating.py --json docs/research/updating.json \
        --markdown docs/research/updating.md --plot docs/research/updating.svg

The first bot learns an author's first month. Then each month's posts arrive, and six ways follow
them: `update` trains the bot on the new posts at half the learning rate, as `huggingtweets update`
does; `full rate` at the bot's own rate; `replay` also on two older posts for each new one; `full
rate and replay` does both; `anew` trains the base on all posts so far; and `never` leaves the first
bot as it is. The newest 20 % of each month are held out: their older half chooses the weights, the
newer half is only measured.

A cell is one way through all months, so a study that is stopped repeats at most one of them.
"""

from __future__ import annotations

import random
import statistics
import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # benchmarks/ is not installed

from benchmarks import studies
from huggingtweets import pipeline
from huggingtweets.errors import InputError
from huggingtweets.nn import devices, language_model, likelihood
from huggingtweets.plots import style
from huggingtweets.training import RECIPES, TrainingTask, fit
from huggingtweets.updating.new_posts import halves
from huggingtweets.updating.update import update_recipe

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from benchmarks.studies import Cell

    from huggingtweets.nn.devices import ComputeDevice
    from huggingtweets.nn.language_model import LanguageModel
    from huggingtweets.training import Recipe

_COLORS = {
    "update": "#1d6fb8",
    "full rate": "#7fb2dd",
    "replay": "#e8a48c",
    "full rate and replay": "#d1603d",
    "anew": "#4b8b3b",
    "never": "#8a8a8a",
}
WAYS = tuple(_COLORS)
_REPLAY = 2
"""Older posts for each new one, with `replay`."""
_KEYS = ("author", "seed", "way")
_LEAST_POSTS = 20
"""In a month; smaller ones are joined to the month before."""


@dataclass(frozen=True)
class Month:
    """One month of an author: posts to train on, to choose weights on, and to measure."""

    name: str
    train: list[str]
    choosing: list[str]
    judging: list[str]


def read_months(source: Path, chosen: argparse.Namespace) -> tuple[str, list[Month]]:
    """Read and curate an author's posts; return the name and the newest months, oldest first.

    Raises:
        InputError: the posts span less than two months, or aren't dated.
    """
    kept = pipeline.curate([source]).kept.drop_nulls("created_at")
    kept = kept.with_columns(month=pl.col("created_at").dt.strftime("%Y-%m"))
    groups: list[tuple[str, list[str]]] = []
    for (name,), posts in kept.group_by("month", maintain_order=True):
        texts = posts["text"].to_list()
        if groups and (len(texts) < _LEAST_POSTS or len(groups[-1][1]) < _LEAST_POSTS):
            groups[-1][1].extend(texts)
        else:
            groups.append((str(name), texts))
    if len(groups) < 2:
        raise InputError(f"{source} has posts of less than two months; name another author.")
    months = []
    for name, texts in groups[-chosen.months :]:
        at = len(texts) - max(2, round(len(texts) * studies.HOLDOUT))
        choosing, judging = halves({name: texts[at:]})
        most = chosen.held_out
        months.append(Month(name, texts[:at][-chosen.posts :], choosing[-most:], judging[:most]))
    return str(kept["author"][0]), months


def cell_of(
    chosen: argparse.Namespace,
    months: Sequence[Month],
    machine: ComputeDevice,
    *,
    seed: int,
    way: str,
) -> Cell:
    """Follow an author through all months in one way; measure after each."""
    lm = language_model.load(chosen.base)
    measured: list[dict[str, Any]] = []
    for number, month in enumerate(months):
        seconds = 0.0
        if not number or way == "anew":
            posts = [text for earlier in months[: number + 1] for text in earlier.train]
            lm, seconds = trained(
                chosen.base, posts, month, machine, seed=seed, settings=RECIPES["fast"]
            )
        elif way != "never":
            posts = month.train + replayed(months[:number], month, way, seed)
            recipe = recipe_of(way)
            lm, seconds = trained(lm, posts, month, machine, seed=seed + number, settings=recipe)
        lm.to(machine)
        measured.append(
            {
                "month": month.name,
                "seconds": round(seconds, 1),
                "newest": likelihood.bits_per_byte(lm, month.judging),
                "first": likelihood.bits_per_byte(lm, months[0].judging),
            }
        )
    later = measured[1:]
    return {
        "months": measured,
        "bits_per_byte": statistics.fmean(row["newest"] for row in later),
        "last": later[-1]["newest"],
        "first": later[-1]["first"],
        "forgotten": later[-1]["first"] - measured[0]["first"],
        "seconds": statistics.fmean(row["seconds"] for row in later),
    }


def recipe_of(way: str) -> Recipe:
    """Return the recipe of an update, or the same at the bot's own learning rate."""
    own = RECIPES["fast"]
    recipe = update_recipe(own)
    return replace(recipe, learning_rate=own.learning_rate) if "full rate" in way else recipe


def replayed(before: Sequence[Month], month: Month, way: str, seed: int) -> list[str]:
    """Return the older posts that an update learns again."""
    known = [text for earlier in before for text in earlier.train]
    wanted = _REPLAY * len(month.train) if "replay" in way else 0
    return random.Random(f"{seed}/{month.name}").sample(known, min(len(known), wanted))


def trained(
    start: str | LanguageModel,
    posts: Sequence[str],
    month: Month,
    machine: ComputeDevice,
    *,
    seed: int,
    settings: Recipe,
) -> tuple[LanguageModel, float]:
    """Train a base by name, or a bot further in place; return it and the seconds it took."""
    attention = settings.attention(machine.device)
    lm = language_model.load(start, attention=attention) if isinstance(start, str) else start
    result = fit(TrainingTask(lm, [posts], month.choosing, settings, machine, seed=seed))
    return lm, result.seconds


def table(cells: Sequence[Cell]) -> str:
    """Mean and spread of each way, in Markdown."""
    rows = []
    for way in WAYS:
        group = [cell for cell in cells if cell["way"] == way]
        if group:
            values = [
                studies.summary((cell[key] for cell in group), digits)
                for key, digits in (
                    ("bits_per_byte", 3),
                    ("last", 3),
                    ("first", 3),
                    ("forgotten", 3),
                    ("seconds", 0),
                )
            ]
            rows.append([f"`{way}`", str(len(group)), *values])
    head = ["way", "bots", "newest posts, all months", "newest posts, last month"]
    head += ["first month's posts, at the end", "forgotten", "seconds a month"]
    months = sorted({len(cell["months"]) for cell in cells})
    span = f" Months: {', '.join(map(str, months))}."
    return studies.ran(cells) + span + "\n\n" + studies.markdown(head, rows)


def plot(cells: Sequence[Cell], file: Path) -> None:
    """Draw the bits per byte of the newest and of the first month's posts, month by month."""
    import altair as alt

    panels = {"newest": "posts of that month", "first": "posts of the first month"}
    rows: list[dict[str, Any]] = [
        {"way": cell["way"], "month": number, "bits": row[key], "posts": panels[key]}
        for cell in cells
        for number, row in enumerate(cell["months"], start=1)
        for key in panels
    ]
    ways = [way for way in _COLORS if any(cell["way"] == way for cell in cells)]
    chart = (
        alt.Chart(pl.DataFrame(rows))
        .mark_line(point=True)
        .encode(
            x=alt.X("month:O", title="month").axis(labelAngle=0),
            y=alt.Y("mean(bits):Q", title="held-out bits per byte").scale(zero=False),
            color=alt.Color("way:N", sort=ways, title=None).scale(
                domain=ways, range=[_COLORS[way] for way in ways]
            ),
            strokeDash=alt.StrokeDash("way:N", sort=ways, legend=None),
            column=alt.Column("posts:N", sort=list(panels.values()), title=None),
        )
        .properties(width=260, height=220)
    )
    file.write_text(style.svg(chart, style.ON_WHITE), "utf-8")


def run(chosen: argparse.Namespace) -> None:
    """Measure what is missing, then write table and picture.

    Raises:
        InputError: an author, a file or a document can't be used.
    """
    sources = studies.sources_of(chosen)
    studies.check_document(chosen.markdown)
    setting = {name: getattr(chosen, name) for name in ("base", "months", "posts", "held_out")}
    cells = studies.Cells(chosen.json, None if chosen.render else setting, _KEYS)
    if not chosen.render:
        machine = devices.select_device(None, RECIPES["fast"].precision)
        authors = [read_months(source, chosen) for source in sources]
        for seed in range(chosen.seeds):
            for name, months in authors:
                for way in chosen.ways:
                    one = partial(cell_of, chosen, months, machine, seed=seed, way=way)
                    cells.need(one, author=name, seed=seed, way=way)
    if not cells.cells:
        raise InputError("There is nothing to show: no cell is measured.")
    studies.write_table(chosen.markdown, table(cells.cells))
    if chosen.plot:
        plot(cells.cells, chosen.plot)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is the program's."""
    options = studies.parser(__doc__)
    add = options.add_argument
    add("--months", type=int, default=12, help="most months, the newest (%(default)s)")
    add("--posts", type=int, default=10_000, help="most posts of a month to train on")
    add("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    add("--plot", type=Path, metavar="FILE", help="also draw it as SVG")
    chosen = options.parse_args(arguments)
    if chosen.quick:
        chosen.seeds, chosen.months = 1, 3
        chosen.posts, chosen.held_out = studies.QUICK_POSTS, 20
    return studies.exit_status(lambda: run(chosen))


if __name__ == "__main__":
    sys.exit(main())
