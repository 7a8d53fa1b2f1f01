"""With how few posts training is worth it, and whether other people's bots help.

    python benchmarks/few_shot.py --json docs/research/few-shot.json \
        --markdown docs/research/few-shot.md --plot docs/research/few-shot.svg --bots others

Four ways to use an author's few posts, measured on the same later posts:

- ``read``: the base reads the posts before each new one, as many of the newest as fit (``generate
  --few-shot``); nothing is trained;
- ``train``: the base is fine-tuned on them with the recipe of ``train``; as there, a tenth of them,
  one at least, chooses epoch and way back;
- ``nearest``: the same, from the bot of the author who writes most like the few posts (Cosine
  Delta, as ``explore`` measures it);
- ``mixture``: the same, from a merged bot: the other authors are clustered by how they write, the
  bots of each cluster are merged, and the clusters are merged by how well each predicts the posts.

Bots of other people are trained once and kept in ``--bots``; they are never of the author who is
measured, nor of a test-only one. Each seed takes another run of consecutive posts, seed 0 the
newest.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # benchmarks/ is not installed

from benchmarks.few_shot_others import Others
from benchmarks.likeness_results import TEST_ONLY

from benchmarks import studies
from huggingtweets.errors import InputError
from huggingtweets.generation.sampling import Sampling
from huggingtweets.generation.writer import Writer
from huggingtweets.nn import devices, language_model, likelihood
from huggingtweets.storage import files
from huggingtweets.training import RECIPES, TrainingTask, fit

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from benchmarks.few_shot_others import Neighbours
    from benchmarks.studies import Author, Cell

    from huggingtweets.nn.devices import ComputeDevice
    from huggingtweets.nn.language_model import LanguageModel

POSTS = (0, 1, 3, 10, 30, 100, 300, 1000)
WAYS = {
    "read": "reading first",
    "train": "training",
    "nearest": "training the nearest author's bot",
    "mixture": "training a mixture of styles",
}
_WRITTEN = 20
"""Posts whose writing is timed."""
_KEYS = ("author", "seed", "posts", "way")


# -- cells -----------------------------------------------------------------------------------------


def few_posts(author: Author, posts: int, seed: int) -> list[str]:
    """Consecutive posts from before the measured ones: the newest for seed 0, others at random."""
    earlier = [*author.train, *author.validation]
    end = len(earlier)
    if seed and end > posts:
        end = random.Random(f"{seed} {posts}").randint(posts, end)
    return earlier[max(0, end - posts) : end]


def cell_of(
    chosen: argparse.Namespace,
    author: Author,
    neighbours: Neighbours | None,
    machine: ComputeDevice,
    *,
    posts: int,
    way: str,
    seed: int,
) -> Cell:
    """Make a bot of few posts in one way, or let the base read them, and measure."""
    few = few_posts(author, posts, seed)
    if neighbours and way in ("nearest", "mixture"):
        neighbours.prepare()  # before the clock starts
    started = time.monotonic()
    lm, details = _start(chosen.base, few, neighbours, machine, way)
    if few and way != "read":
        details |= _train(lm, few, machine, seed)
    lm.to(machine)
    seconds = time.monotonic() - started
    context = few if way == "read" else []
    score = likelihood.bits_per_byte_after(lm, author.test, context, len(context))
    return {
        "bits_per_byte": score.bits_per_byte,
        "fitted": round(score.fitted, 1) if way == "read" else None,
        "seconds": round(seconds, 2),
        # a bot writes as fast, whatever its training started from
        "write_seconds": _write(lm, context, seed) if way in ("read", "train") else None,
        **details,
    }


def _write(lm: LanguageModel, context: Sequence[str], seed: int) -> float:
    """Seconds for 20 new posts."""
    started = time.monotonic()
    list(Writer(lm, Sampling(seed=seed), allow_loops=True, context=context).write(n=_WRITTEN))
    return round(time.monotonic() - started, 2)


def _start(
    base: str, few: Sequence[str], neighbours: Neighbours | None, machine: ComputeDevice, way: str
) -> tuple[LanguageModel, dict[str, Any]]:
    """The model to start from, and how it was chosen."""
    if neighbours and way == "nearest":
        name = neighbours.nearest(few)
        return neighbours.others.bot(name), {"start": name}
    if neighbours and way == "mixture":
        weights = neighbours.weights(few)
        return neighbours.mixture(weights), {"start": [round(weight, 3) for weight in weights]}
    recipe = RECIPES["fast"]
    attention = recipe.attention(machine.device) if way == "train" else None
    return language_model.load(base, attention=attention), {}


def _train(
    lm: LanguageModel, few: Sequence[str], machine: ComputeDevice, seed: int
) -> dict[str, Any]:
    """Train as the command does: the newest tenth, one at least, only chooses."""
    chooses = max(1, round(len(few) * 0.1))
    train, newest = (few[:-chooses], few[-chooses:]) if len(few) > 1 else (few, few)
    recipe = RECIPES["fast"].for_base(lm.width)
    result = fit(TrainingTask(lm, [train], newest, recipe, machine, seed=seed))
    return {"epochs": result.history[-1]["epoch"], "way_back": result.way}


# -- table and picture -----------------------------------------------------------------------------


def table(cells: Sequence[Cell]) -> str:
    """Likeness and seconds of each way at each number of posts, and what beats what."""
    sizes = sorted({cell["posts"] for cell in cells})
    ways = [way for way in WAYS if any(cell["way"] == way for cell in cells)]
    names = [WAYS[way] for way in ways]
    pairs = [(way, "read" if way == "train" else "train") for way in ways if way != "read"]

    def column(chosen: Sequence[Cell], way: str, key: str, digits: int) -> str:
        return studies.summary((c[key] for c in chosen if c["way"] == way), digits)

    likeness, seconds, compared = [], [], []
    for posts in sizes:
        row = comparable(cells, posts)
        likeness.append(
            [f"{posts:,}", str(len({(c["author"], c["seed"]) for c in row}))]
            + [column(row, "read", "fitted", 0)]
            + [column(row, way, "bits_per_byte", 3) for way in ways]
        )
        seconds.append(
            [f"{posts:,}"]
            + [column(row, way, "seconds", 0) for way in ways]
            + [column(row, way, "write_seconds", 1) for way in ways[:2]]
        )
        differences = [changes(cells, posts, way, other) for way, other in pairs]
        compared.append([f"{posts:,}", *(_signed(found) for found in differences)])
    head = ["posts", "authors × seeds", "of them read", *names]
    timed = ["posts", *names, *(f"{_WRITTEN} new posts, {WAYS[way]}" for way in ways[:2])]
    against = ["posts", *(f"{WAYS[way]} − {WAYS[other]}" for way, other in pairs)]
    parts = [
        studies.ran(cells),
        "\n".join(f"- {line}" for line in answers(cells)),
        "Bits per byte of later posts, of those authors for whom the whole row is measured:",
        studies.markdown(head, likeness),
        "Differences within an author and a seed (below 0 is better; how many are better):",
        studies.markdown(against, compared),
        "Seconds to make the bot, without those of other people's bots, and to write:",
        studies.markdown(timed, seconds),
    ]
    return "\n\n".join(parts)


def comparable(cells: Sequence[Cell], posts: int) -> list[Cell]:
    """The cells of a number of posts, of the authors and seeds that have all of its ways."""
    row = [cell for cell in cells if cell["posts"] == posts]
    found: dict[tuple[str, int], set[str]] = {}
    for cell in row:
        found.setdefault((cell["author"], cell["seed"]), set()).add(cell["way"])
    most = max(map(len, found.values()), default=0)
    return [cell for cell in row if len(found[cell["author"], cell["seed"]]) == most]


def changes(cells: Sequence[Cell], posts: int, way: str, other: str = "read") -> list[float]:
    """Bits per byte of a way minus those of another with as many posts, by author and seed."""
    others = {(c["author"], c["seed"], c["posts"]): c for c in cells if c["way"] == other}
    return [
        cell["bits_per_byte"] - others[key]["bits_per_byte"]
        for cell in cells
        if (cell["way"], cell["posts"]) == (way, posts)
        and (key := (cell["author"], cell["seed"], posts)) in others
    ]


def _signed(values: Sequence[float]) -> str:
    better = f" ({sum(value < 0 for value in values)} of {len(values)})" if values else ""
    return studies.summary(values).replace("-", "−") + better


def crossing(cells: Sequence[Cell], way: str) -> int | None:
    """The number of posts from which a way is better than reading in the mean; None for none."""
    found = {cell["posts"]: changes(cells, cell["posts"], way) for cell in cells}
    sizes = sorted(posts for posts, values in found.items() if values)
    better = [statistics.fmean(found[posts]) < 0 for posts in sizes]
    last_worse = max((at for at, is_better in enumerate(better) if not is_better), default=-1)
    return sizes[last_worse + 1] if last_worse + 1 < len(sizes) else None


def answers(cells: Sequence[Cell]) -> list[str]:
    """From how many posts on training beats reading, and what other people's bots change."""
    lines = []
    if any(cell["way"] == "train" for cell in cells):
        first = crossing(cells, "train")
        text = "never beats reading" if first is None else f"beats reading from {first:,} posts on"
        lines.append(f"**Training {text}.**")
    for way in ("nearest", "mixture"):
        sizes = {cell["posts"] for cell in cells}
        found = [value for posts in sizes for value in changes(cells, posts, way, "train")]
        if found:
            name = WAYS[way][0].upper() + WAYS[way][1:]
            lines.append(f"{name} instead of the base: {_signed(found)} bits per byte.")
    return lines


def picture(cells: Sequence[Cell]) -> str:
    """Bits per byte, against the base, over the number of posts: one line for each way, as SVG."""
    import altair as alt
    import vl_convert

    bases = {
        (c["author"], c["seed"]): c["bits_per_byte"]
        for c in cells
        if (c["posts"], c["way"]) == (0, "read")
    }
    values = [
        {
            "posts": cell["posts"],
            "bits": cell["bits_per_byte"] - bases[cell["author"], cell["seed"]],
            "way": WAYS[cell["way"]],
        }
        for posts in {cell["posts"] for cell in cells}
        for cell in comparable(cells, posts)
        if (cell["author"], cell["seed"]) in bases
    ]
    if any(value["way"] == WAYS["train"] for value in values):
        values.append({"posts": 0, "bits": 0.0, "way": WAYS["train"]})  # it starts at the base
    names = [name for name in WAYS.values() if any(v["way"] == name for v in values)]
    colours = ["#57606a", "#0a6ebd", "#d9822b", "#7b3fa0"][: len(names)]
    ticks = sorted({value["posts"] for value in values})
    chart = alt.Chart({"values": values}).encode(
        # the scale is logarithmic from 1 on and linear below, so that 0 has a place
        x=alt.X(
            "posts:Q",
            title="posts of the author",
            scale=alt.Scale(type="symlog", constant=1),
            axis=alt.Axis(values=ticks, format=",d", grid=False),
        ),
        y=alt.Y(
            "mean(bits):Q",
            title="bits per byte against the untouched base (lower is better)",
            scale=alt.Scale(zero=False),
        ),
        color=alt.Color("way:N", title=None, scale=alt.Scale(domain=names, range=colours)),
        shape=alt.Shape("way:N", title=None, scale=alt.Scale(domain=names)),
    )
    title = alt.TitleParams("A few posts: read them or train on them?", anchor="start", fontSize=15)
    drawn = (
        alt.layer(chart.mark_line(strokeWidth=2), chart.mark_point(filled=True, size=60, opacity=1))
        .properties(width=520, height=320, title=title, background="white", padding=10)
        .configure(font="system-ui, sans-serif")
        .configure_view(stroke=None)
        .configure_legend(orient="top", labelFontSize=12, columns=2, labelLimit=260)
        .configure_axis(domain=False, gridColor="#e3e6ea", labelFontSize=12, titleFontSize=12)
    )
    return str(vl_convert.vegalite_to_svg(drawn.to_dict(), allowed_base_urls=[]))


# -- the command -----------------------------------------------------------------------------------


def run(chosen: argparse.Namespace) -> None:
    """Measure what is missing, then write table and picture."""
    studies.check_document(chosen.markdown)
    sources = studies.sources_of(chosen)
    setting = {"study": "few-shot", "base": chosen.base, "held_out": chosen.held_out}
    setting |= {"others_posts": chosen.others_posts, "others": chosen.others}
    cells = studies.Cells(chosen.json, None if chosen.render else setting, _KEYS)
    if not chosen.render:
        measure_all(chosen, cells, sources)
    if not cells.cells:
        raise InputError("There is nothing to show: no cell is measured.")
    studies.write_table(chosen.markdown, table(cells.cells))
    if chosen.plot:
        files.write_text(chosen.plot, picture(cells.cells))


def measure_all(chosen: argparse.Namespace, cells: studies.Cells, sources: Sequence[Path]) -> None:
    """Measure the cells that are missing, one author after the other."""
    machine = devices.select_device(None, RECIPES["fast"].precision)
    usable = {
        name: file
        for name, file in studies.all_sources(chosen.data).items()
        if name not in TEST_ONLY
    }
    with ExitStack() as stack:
        folder = chosen.bots or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if not set(chosen.ways) & {"nearest", "mixture"}:
            usable = {}
        names = list(usable)[: chosen.others]
        others = Others(chosen, machine, {name: usable[name] for name in names}, folder)
        authors = [
            others.authors.get(source.stem) or studies.read_author(source, chosen.held_out)
            for source in sources
        ]
        for seed in range(chosen.seeds):
            for author in authors:
                neighbours = others.without(author.name) if usable else None
                one = partial(cell_of, chosen, author, neighbours, machine, seed=seed)
                for posts in sorted(chosen.posts):
                    for way in _possible(chosen.ways, posts):
                        key = {"author": author.name, "seed": seed, "posts": posts, "way": way}
                        cells.need(partial(one, posts=posts, way=way), **key)


def _possible(ways: Sequence[str], posts: int) -> list[str]:
    """Without posts there is nothing to train on, and nobody is nearest."""
    return [way for way in ways if posts or way not in ("train", "nearest")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is the program's."""
    options = studies.parser(__doc__)
    add = options.add_argument
    add("--posts", nargs="+", type=int, default=list(POSTS), help="numbers of posts to compare")
    add("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    add(
        "--bots",
        type=Path,
        metavar="DIR",
        help="keep other people's bots; default: a temporary one",
    )
    add("--others", type=int, metavar="N", help="most other people; default: all")
    add("--others-posts", type=int, default=1000, help="posts of their bots (%(default)s)")
    add("--plot", type=Path, metavar="FILE.svg", help="draw the curves")
    chosen = options.parse_args(arguments)
    if chosen.quick:
        chosen.seeds, chosen.posts, chosen.held_out = 1, [0, 1, studies.QUICK_POSTS], 20
        chosen.others, chosen.others_posts = 3, studies.QUICK_POSTS
    return studies.exit_status(lambda: run(chosen))


if __name__ == "__main__":
    sys.exit(main())
