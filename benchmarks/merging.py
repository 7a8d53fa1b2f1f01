r"""Which way of merging two authors' bots is best: the study of docs/research/merging.md.

    python benchmarks/merging.py --json docs/research/merging.json \
        --markdown docs/research/merging.md --plot docs/research/merging.svg

For each pair of authors and each seed three bots are trained: one of each author and one of both.
Each way of merging is measured on the held-out posts of both. Every measurement is in --json before
the next begins, and the same command continues an interrupted study. ``--quick`` tests the whole
command in seconds; ``--render`` only writes table and picture from --json.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # benchmarks/ is not installed

from benchmarks.likeness_results import TEST_ONLY

from benchmarks import markers
from huggingtweets import pipeline
from huggingtweets.data import batching
from huggingtweets.errors import HuggingTweetsError, InputError, Interrupted
from huggingtweets.evaluation.authorship import classify_authorship
from huggingtweets.generation.sampling import Sampling
from huggingtweets.generation.writer import Writer
from huggingtweets.nn import blended, devices, language_model, likelihood, merging
from huggingtweets.storage import files
from huggingtweets.training import RECIPES, TrainingTask, fit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from huggingtweets.nn.language_model import LanguageModel

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
PAIRS = ("NASA+ChuckGrassley", "RepJeffries+SenTedCruz")
SAMPLES = 20
BEGIN, END = "<!-- merging: begin -->", "<!-- merging: end -->"
_COLOURS = ("#0a6ebd", "#d9822b")
_INK, _GRID = "#24292f", "#e3e6ea"


@dataclass(frozen=True, slots=True)
class Way:
    """One way of putting two bots together.

    Attributes:
        name: a method of :mod:`huggingtweets.nn.merging`, ``blend`` for mixed probabilities, or
            ``both``, one bot trained on both authors.
        share: weight of the second author's bot.
        scale: of task-arithmetic and ties.
    """

    name: str
    share: float = 0.5
    scale: float = 1.0

    @property
    def label(self) -> str:
        """The way in tables."""
        if self.name == "both":
            return "trained on both"
        scale = f" × {self.scale:g}" if self.name in merging.WITH_BASE else ""
        return f"{self.name}{scale}"


CURVED = ("linear", "blend")
WAYS = (
    *(Way("linear", share) for share in (0.0, 1.0, 0.5)),
    Way("blend"),
    Way("both"),
    Way("ties"),
    Way("task-arithmetic", scale=1.5),
    Way("slerp"),
    Way("task-arithmetic", scale=2.0),
    Way("ties", scale=2.0),
    *(Way(name, share) for share in (0.25, 0.75) for name in CURVED),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is the same for all cells.

    Attributes:
        base: the base.
        posts: how many of each author's newest posts are used.
        generated: number of posts that the authorship is measured on.
        held_out: at most so many of each author's newest posts are predicted.
        epochs: of the training.
        ways: to measure.
    """

    base: str
    posts: int
    generated: int
    held_out: int
    epochs: int
    ways: Sequence[Way] = WAYS


class Cell:
    """One pair of authors with one seed; its bots are trained when first asked for.

    Args:
        plan: of the study.
        pair: two authors.
        seed: of training and generation.
        folder: keeps the bots.
        data: folder with ``bench`` and ``demo``.
    """

    def __init__(
        self, plan: Plan, pair: tuple[str, str], seed: int, folder: Path, data: Path
    ) -> None:
        self.plan, self.pair, self.seed, self._folder = plan, pair, seed, folder
        self.train: dict[str, list[str]] = {}
        self.held_out: dict[str, list[str]] = {}
        for author in pair:
            kept = batching.split(
                pipeline.curate([_source(data, author)]).kept.tail(plan.posts), holdout=0.1
            )
            parts = kept.partition_by("split", as_dict=True)
            self.train[author] = parts["train",]["text"].to_list()
            self.held_out[author] = parts["held_out",]["text"].to_list()
        self.device = devices.select_device(None, "fp32")

    def bot(self, who: str) -> LanguageModel:
        """The bot of ``both`` or of one author."""
        own = "-and-".join(self.pair) if who == "both" else who
        folder = self._folder / f"{own}-{self.seed}-{self.plan.posts}"
        if not (folder / "config.json").is_file():
            base = language_model.load(self.plan.base)
            recipe = RECIPES["fast"].changed(epochs=self.plan.epochs).for_base(base.width)
            authors = self.pair if who == "both" else (who,)
            task = TrainingTask(
                base=language_model.load(
                    self.plan.base, attention=recipe.attention(self.device.device)
                ),
                train=[self.train[author] for author in authors],
                held_out=[post for author in authors for post in self.held_out[author]],
                recipe=recipe,
                machine=self.device,
                seed=self.seed,
                checkpoint_seconds=float("inf"),
            )
            started = time.monotonic()
            fit(task)
            with files.atomic_write_dir(folder) as temporary:
                task.base.save(temporary)
            files.write_json(folder / "seconds.json", time.monotonic() - started)
        return language_model.load(folder).to(self.device)

    def made(self, way: Way) -> LanguageModel:
        """The bot that a way makes."""
        if way.name == "both":
            return self.bot("both")
        one, other = map(self.bot, self.pair)
        if way.name == "blend":
            return blended.blend(one, other, way.share)
        base = language_model.load(self.plan.base).to(self.device)
        settings = merging.Settings(
            way.name,  # type: ignore[arg-type]  # one of its methods
            (1 - way.share, way.share),
            way.scale,
            0.2,
        )
        target = replace(one, model=copy.deepcopy(one.model))
        merging.merge_into(target.model, [other.model], base.model, settings)
        return target

    def measure(self, way: Way) -> dict[str, Any]:
        """All numbers of one way."""
        started = time.monotonic()
        lm = self.made(way)
        seconds = {"make": time.monotonic() - started}
        bits = [
            likelihood.bits_per_byte(lm, self.held_out[author][-self.plan.held_out :])
            for author in self.pair
        ]
        started = time.monotonic()
        writer = Writer(lm, Sampling(seed=self.seed), allow_loops=True)
        posts = [post.text for post in writer.write(n=self.plan.generated)]
        seconds["write"] = time.monotonic() - started
        shares = []
        for author in self.pair:
            found = classify_authorship(
                self.train[author], posts, self.held_out[author], authors=[author]
            )
            shares.append(None if found is None else asdict(found))
        return {
            "pair": list(self.pair),
            "seed": self.seed,
            **asdict(way),
            "bits": bits,
            "authorship": shares,
            "seconds": {name: round(value, 2) for name, value in seconds.items()},
            # spread over all, as short ones end first
            "posts": posts[:: max(1, len(posts) // SAMPLES)][:SAMPLES] if way.share == 0.5 else [],
        }


def _source(data: Path, author: str) -> Path:
    """The posts of an author.

    Raises:
        InputError: there are none, or the author is kept for final figures.
    """
    if author in TEST_ONLY:
        raise InputError(f"{author} is test only: no setting may be chosen by its posts.")
    for folder in ("bench", "demo"):
        if (file := data / folder / f"{author}.parquet").is_file():
            return file
    raise InputError(f"There is no {author}.parquet in bench or demo of {data}.")


def _key(found: dict[str, Any]) -> list[Any]:
    return [found["pair"], found["seed"], found["name"], found["share"], found["scale"]]


def run(chosen: argparse.Namespace) -> None:
    """Measure what is missing, then print and write.

    Raises:
        InputError: an option can't be used, or --json is from another setup.
    """
    pairs = [_pair(text) for text in (chosen.authors or PAIRS[: 1 if chosen.quick else None])]
    if chosen.markdown:
        markers.check(chosen.markdown, BEGIN, END)
    plan = Plan(chosen.base, chosen.posts, chosen.generated, chosen.held_out, 1)
    if chosen.quick:
        plan = Plan(chosen.base, 60, 8, 5, 1, (Way("linear"), Way("blend"), Way("both")))
    setup = {name: value for name, value in asdict(plan).items() if name != "ways"}
    results: dict[str, Any] = {"setup": setup, "machine": {}, "found": []}
    if chosen.json and chosen.json.is_file():
        results = json.loads(chosen.json.read_text("utf-8"))
        if results["setup"] != setup and not chosen.render:
            raise InputError(f"{chosen.json} is from {results['setup']}, not {setup}.")
    if not chosen.render:
        with tempfile.TemporaryDirectory() as temporary:
            folder = chosen.out or Path(temporary)
            for seed in range(chosen.seeds):
                for pair in pairs:
                    cell = Cell(plan, pair, seed, folder, chosen.data)
                    _measure_cell(cell, results, chosen.json)
    report = table(results)
    print(report)
    if chosen.markdown:
        markers.put(chosen.markdown, BEGIN, END, report)
    if chosen.plot:
        files.write_text(chosen.plot, curve(results))


def _measure_cell(cell: Cell, results: dict[str, Any], file: Path | None) -> None:
    done = [_key(found) for found in results["found"]]
    for way in cell.plan.ways:
        if _key({"pair": list(cell.pair), "seed": cell.seed, **asdict(way)}) in done:
            continue
        print(f"{' & '.join(cell.pair)}, seed {cell.seed}: {way}", file=sys.stderr, flush=True)
        results["found"].append(cell.measure(way))
        results["machine"] = cell.device.as_dict()
        if file:
            files.write_json(file, results)


def _pair(text: str) -> tuple[str, str]:
    names = text.split("+")
    if len(names) != 2 or not all(names) or names[0] == names[1]:
        raise InputError(f"--authors takes pairs such as {PAIRS[0]}, not {text!r}.")
    return names[0], names[1]


def _spread(values: Sequence[float], form: Callable[[float], str]) -> str:
    text = form(statistics.mean(values))
    return f"{text} ± {form(statistics.stdev(values))}" if len(values) > 1 else text


def table(results: dict[str, Any]) -> str:
    """One table for each pair, and twenty unpicked posts of each way at equal weights."""
    found = results["found"]
    parts = []
    for pair in dict.fromkeys(tuple(point["pair"]) for point in found):
        own = [point for point in found if tuple(point["pair"]) == pair]
        seeds = {point["seed"] for point in own}
        one, other = pair
        lines = [
            f"### {one} and {other}",
            "",
            f"Seeds: {len(seeds)}. Mean ± standard deviation over the seeds.",
            "",
            f"| way | weight of {other} | bits per byte, {one} | bits per byte, {other} | mean "
            f"| taken for {one} | taken for {other} | seconds to make |",
            "|---|---:|---:|---:|---:|---:|---:|---:|",
        ]
        ways = dict.fromkeys(Way(p["name"], p["share"], p["scale"]) for p in own)
        for way in sorted(ways, key=lambda way: (way.name in CURVED, way.name, way.share)):
            same = [p for p in own if Way(p["name"], p["share"], p["scale"]) == way]
            shown = f"{way.share:g}" if way.name != "both" else ""
            lines.append(f"| {way.label} | {shown} | {' | '.join(_cells(same))} |")
        parts.append("\n".join(lines))
    parts += [_samples(point) for point in found if point["posts"] and point["seed"] == 0]
    return "\n\n".join(parts)


def _cells(same: Sequence[dict[str, Any]]) -> list[str]:
    bits = [_spread([p["bits"][i] for p in same], "{:.3f}".format) for i in (0, 1)]
    mean = _spread([statistics.mean(p["bits"]) for p in same], "{:.3f}".format)
    shares = [
        _spread([p["authorship"][i]["bot"] for p in same], "{:.0%}".format)
        if all(p["authorship"][i] for p in same)
        else ""
        for i in (0, 1)
    ]
    # a bot alone isn't made of others; its time would be that of the training
    alone = same[0]["share"] in (0, 1)
    seconds = "" if alone else _spread([p["seconds"]["make"] for p in same], "{:.1f}".format)
    return [*bits, mean, *shares, seconds]


def _samples(point: dict[str, Any]) -> str:
    way = Way(point["name"], point["share"], point["scale"])
    posts = "\n".join(f"- {' '.join(post.split())}" for post in point["posts"])
    title = f"{' and '.join(point['pair'])}: {way.label}"
    title += f", {len(point['posts'])} unpicked posts"
    return f"<details><summary>{title}</summary>\n\n{posts}\n\n</details>"


def _on_curve(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The points of both curves, which begin and end at the same two bots."""
    points = [point for point in found if point["name"] in CURVED]
    ends = [point for point in points if point["name"] == "linear" and point["share"] in (0, 1)]
    return [*points, *({**point, "name": "blend"} for point in ends)]


def curve(results: dict[str, Any]) -> str:
    """Draw bits per byte on both authors over the weight of the second, as SVG."""
    import altair as alt
    import vl_convert

    values = [
        {
            "pair": " and ".join(point["pair"]),
            "share": point["share"],
            "bits": bits,
            "way": {"linear": "weights merged", "blend": "probabilities mixed"}[point["name"]],
            "author": f"{which} author",
        }
        for point in _on_curve(results["found"])
        for which, bits in zip(("first", "second"), point["bits"], strict=True)
    ]
    below = alt.Legend(title=None, orient="bottom")  # side by side, two legends touch
    ways, authors = ["weights merged", "probabilities mixed"], ["first author", "second author"]
    chart = (
        alt.Chart({"values": values})
        .mark_line(point=True, strokeWidth=2)
        .encode(
            x=alt.X("share:Q", title="weight of the second author's bot"),
            y=alt.Y(
                "mean(bits):Q",
                title="bits per byte of held-out posts (lower is better)",
                scale=alt.Scale(zero=False),
            ),
            color=alt.Color(
                "author:N", title=None, scale=alt.Scale(domain=authors, range=list(_COLOURS))
            ),
            strokeDash=alt.StrokeDash(
                "way:N", legend=below, scale=alt.Scale(domain=ways, range=[[1, 0], [5, 4]])
            ),
            shape=alt.Shape("way:N", legend=below, scale=alt.Scale(domain=ways)),
            column=alt.Column("pair:N", title=None, header=alt.Header(labelFontSize=13)),
        )
        .properties(width=300, height=260, background="white", padding=10)
        .configure(font="system-ui, sans-serif")
        .configure_view(stroke=None)
        .configure_legend(orient="top", labelColor=_INK, labelFontSize=12, columnPadding=28)
        .configure_axis(labelColor=_INK, titleColor=_INK, gridColor=_GRID, domain=False)
    )
    return str(vl_convert.vegalite_to_svg(chart.to_dict(), allowed_base_urls=[]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study; the exit status is the program's."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--base", default=language_model.POCKET, help="a built-in base, folder or Hub id")
    add("--authors", nargs="+", metavar="A+B", help=f"pairs; default: {' '.join(PAIRS)}")
    add("--seeds", type=int, default=3, help="number of seeds (%(default)s)")
    add("--posts", type=int, default=2000, help="newest posts of each author (%(default)s)")
    add("--generated", type=int, default=200, help="posts of each bot to classify (%(default)s)")
    add("--held-out", type=int, default=200, help="held-out posts of each author (%(default)s)")
    add("--data", type=Path, default=DATA, help="folder with bench/ and demo/ (%(default)s)")
    add("--out", type=Path, metavar="FOLDER", help="keep the bots there")
    add("--json", type=Path, metavar="FILE", help="keep results there and go on from them")
    add("--markdown", type=Path, metavar="FILE", help="put the tables between its markers")
    add("--plot", type=Path, metavar="FILE.svg", help="draw the curve")
    add("--render", action="store_true", help="only write the files from --json")
    add("--quick", action="store_true", help="60 posts of each author, three ways")
    try:
        run(parser.parse_args(arguments))
    except KeyboardInterrupt:
        print("Stopped. With --json FILE the same command goes on.", file=sys.stderr)
        return Interrupted.exit_code
    except HuggingTweetsError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
