"""How much an untrained base gains from an author's posts in its context.

    python benchmarks/few_shot.py [SOURCE ...] [--data ../shared/data] [--base pocket]
        [--posts 200] [--likeness FILE] [--json FILE]

The newest 20 % of each author's posts are held out. The table shows their bits per byte alone, and
after the newest 8 and 32 of the other posts, with the mean number of those that fit into the
context. ``--likeness`` takes the JSON file of benchmarks/likeness.py and adds the fine-tuned bot's
bits per byte over all of its held-out posts. For a close comparison, give ``--posts`` a large
number.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingtweets import pipeline
from huggingtweets.data import batching
from huggingtweets.errors import InputError
from huggingtweets.nn import devices, language_model, likelihood

if TYPE_CHECKING:
    from collections.abc import Sequence

    from huggingtweets.nn.language_model import LanguageModel

CONTEXT_POSTS = (0, 8, 32)
"""Maximum posts of context, one column each."""
HOLDOUT = 0.2
DEMO = ("NASA", "WhiteHouse")


@dataclass(frozen=True, slots=True)
class Measurement:
    """One line of the table.

    Attributes:
        author: the author, or several joined by ``&``.
        posts: number of held-out posts.
        base: bits per byte after each number of :data:`CONTEXT_POSTS`.
        fitted: mean number of context posts that fitted.
        bot: bits per byte of the fine-tuned bot; None if unknown.
    """

    author: str
    posts: int
    base: tuple[float, ...]
    fitted: tuple[float, ...]
    bot: float | None

    def cells(self) -> list[str]:
        """Return the table cells, without the bot's."""
        numbers = [
            f"{bits:.3f} ({fitted:.1f})" if limit else f"{bits:.3f}"
            for limit, bits, fitted in zip(CONTEXT_POSTS, self.base, self.fitted, strict=True)
        ]
        return [self.author, str(self.posts), *numbers]


def main() -> int:
    """Measure each source and print the table; return 2 on bad input."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", nargs="*", type=Path)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--base", default=language_model.POCKET)
    parser.add_argument(
        "--posts", type=post_count, default=200, help="maximum held-out posts, the newest"
    )
    parser.add_argument("--likeness", type=Path, help="output of benchmarks/likeness.py --json")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    chosen = parser.parse_args()
    try:
        bots = bits_of_bots(chosen.likeness) if chosen.likeness else None
        sources = chosen.sources or default_sources(chosen.data)
        lm = language_model.load(chosen.base).to(devices.select_device())
        results = table(lm, sources, chosen.posts, bots)
    except InputError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    if chosen.json:
        value = {
            "base": chosen.base,
            "context": CONTEXT_POSTS,
            "authors": [asdict(r) for r in results],
        }
        chosen.json.write_text(json.dumps(value, indent=2) + "\n", "utf-8")
    return 0


def post_count(text: str) -> int:
    """Parse a number of posts."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def default_sources(data: Path) -> list[Path]:
    """Return the benchmark's authors."""
    found = sorted((data / "bench").glob("*.parquet"))
    found += [path for name in DEMO if (path := data / "demo" / f"{name}.parquet").is_file()]
    if not found:
        raise InputError(f"{data} has no bench/*.parquet. Name sources, or set --data.")
    return found


def bits_of_bots(likeness: Path) -> dict[str, float]:
    """Return the bits per byte of each author's fine-tuned bot."""
    try:
        value: Any = json.loads(likeness.read_text("utf-8"))
        reports = value["reports"] if isinstance(value, dict) else value
        return {
            " & ".join(report["authors"]): float(report["bits_per_byte"]["bot"])
            for report in reports
        }
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{likeness} is not a file of benchmarks/likeness.py --json: {error!r}."
        ) from error


def table(
    lm: LanguageModel, sources: Sequence[Path], posts: int, bots: dict[str, float] | None
) -> list[Measurement]:
    """Measure each source; print its line at once, and the medians at the end."""
    columns = ["author", "posts"]
    columns += [f"base, {n} posts (fitted)" if n else "base alone" for n in CONTEXT_POSTS]
    columns += [] if bots is None else ["fine-tuned bot"]
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")
    results = []
    for source in sources:
        results.append(measure(lm, source, posts, bots or {}))
        show(results[-1], with_bot=bots is not None)
    show(median(results), with_bot=bots is not None)
    return results


def show(line: Measurement, *, with_bot: bool) -> None:
    """Print one line of the table."""
    bot = "–" if line.bot is None else f"{line.bot:.3f}"
    print("| " + " | ".join([*line.cells(), *([bot] if with_bot else [])]) + " |", flush=True)


def measure(lm: LanguageModel, source: Path, posts: int, bots: dict[str, float]) -> Measurement:
    """Score the newest held-out posts of a source after its newest training posts."""
    kept = batching.split(pipeline.curate(source).kept, holdout=HOLDOUT)
    train, held_out = (
        kept.filter(kept["split"] == part)["text"].to_list() for part in ("train", "held_out")
    )
    author = " & ".join(kept["author"].unique().sort())
    measured = held_out[-posts:]
    scores = [likelihood.bits_per_byte_after(lm, measured, train, n) for n in CONTEXT_POSTS]
    return Measurement(
        author=author,
        posts=len(measured),
        base=tuple(score.bits_per_byte for score in scores),
        fitted=tuple(score.fitted for score in scores),
        bot=bots.get(author),
    )


def median(lines: Sequence[Measurement]) -> Measurement:
    """Return the median of each column; the bot's covers the authors that have one."""
    bots = [line.bot for line in lines if line.bot is not None]
    return Measurement(
        author="median",
        posts=round(statistics.median(line.posts for line in lines)),
        base=tuple(map(statistics.median, zip(*(line.base for line in lines), strict=True))),
        fitted=tuple(map(statistics.median, zip(*(line.fitted for line in lines), strict=True))),
        bot=statistics.median(bots) if bots else None,
    )


if __name__ == "__main__":
    sys.exit(main())
