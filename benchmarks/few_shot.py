"""How much an untrained base gains from an author's posts in its context.

    python benchmarks/few_shot.py [SOURCE ...] [--data ../shared/data] [--base pocket]
        [--posts 200] [--likeness FILE] [--json FILE]

The table has bits per byte of each author's newest 20 % of posts: alone, and after the newest 8 and
32 of the others, with the mean number of those that fit in the context. ``--likeness``, the JSON
file of benchmarks/likeness.py, adds the fine-tuned bot's bits per byte over all of its held-out
posts; for a close comparison, give ``--posts`` a large number.
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

MOST = (0, 8, 32)
"""Posts of context at most, a column each."""
HOLDOUT = 0.2
DEMO = ("NASA", "WhiteHouse")


@dataclass(frozen=True, slots=True)
class Measured:
    """One line of the table.

    Attributes:
        author: or several, joined by ``&``.
        posts: held-out posts that were measured.
        base: bits per byte after each of :data:`MOST` posts of context.
        fitted: how many of those fitted on average.
        bot: bits per byte of the fine-tuned bot, None where it isn't known.
    """

    author: str
    posts: int
    base: tuple[float, ...]
    fitted: tuple[float, ...]
    bot: float | None

    def cells(self) -> list[str]:
        """What stands in the table, but for the bot."""
        numbers = [
            f"{bits:.3f} ({fitted:.1f})" if most else f"{bits:.3f}"
            for most, bits, fitted in zip(MOST, self.base, self.fitted, strict=True)
        ]
        return [self.author, str(self.posts), *numbers]


def main() -> int:
    """Measure each source and print the table; 2 when something can't be used."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", nargs="*", type=Path)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--base", default=language_model.POCKET)
    parser.add_argument("--posts", type=number, default=200, help="newest held-out posts at most")
    parser.add_argument("--likeness", type=Path, help="what benchmarks/likeness.py --json wrote")
    parser.add_argument("--json", type=Path, help="write the numbers there as well")
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
        value = {"base": chosen.base, "context": MOST, "authors": [asdict(r) for r in results]}
        chosen.json.write_text(json.dumps(value, indent=2) + "\n", "utf-8")
    return 0


def number(text: str) -> int:
    """A number of posts."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def default_sources(data: Path) -> list[Path]:
    """The authors of the benchmark."""
    found = sorted((data / "bench").glob("*.parquet"))
    found += [path for name in DEMO if (path := data / "demo" / f"{name}.parquet").is_file()]
    if not found:
        raise InputError(f"{data} holds no bench/*.parquet; name sources, or their --data folder.")
    return found


def bits_of_bots(likeness: Path) -> dict[str, float]:
    """Bits per byte of each author's fine-tuned bot."""
    try:
        value: Any = json.loads(likeness.read_text("utf-8"))
        reports = value["reports"] if isinstance(value, dict) else value
        return {
            " & ".join(report["authors"]): float(report["bits_per_byte"]["bot"])
            for report in reports
        }
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{likeness} is not what benchmarks/likeness.py --json writes: {error!r}."
        ) from error


def table(
    lm: LanguageModel, sources: Sequence[Path], posts: int, bots: dict[str, float] | None
) -> list[Measured]:
    """Print a line for each source as it is measured, and the medians."""
    columns = ["author", "posts"]
    columns += [f"base, {most} posts (fitted)" if most else "base alone" for most in MOST]
    columns += [] if bots is None else ["fine-tuned bot"]
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")
    results = []
    for source in sources:
        results.append(measure(lm, source, posts, bots or {}))
        show(results[-1], with_bot=bots is not None)
    show(median(results), with_bot=bots is not None)
    return results


def show(line: Measured, *, with_bot: bool) -> None:
    """Print one line of the table."""
    bot = "–" if line.bot is None else f"{line.bot:.3f}"
    print("| " + " | ".join([*line.cells(), *([bot] if with_bot else [])]) + " |", flush=True)


def measure(lm: LanguageModel, source: Path, posts: int, bots: dict[str, float]) -> Measured:
    """Score the newest held-out posts of a source after its newest training posts."""
    kept = batching.split(pipeline.curate(source).kept, holdout=HOLDOUT)
    train, held_out = (
        kept.filter(kept["split"] == part)["text"].to_list() for part in ("train", "held_out")
    )
    author = " & ".join(kept["author"].unique().sort())
    measured = held_out[-posts:]
    scores = [likelihood.bits_per_byte_after(lm, measured, train, most) for most in MOST]
    return Measured(
        author=author,
        posts=len(measured),
        base=tuple(score.bits_per_byte for score in scores),
        fitted=tuple(score.fitted for score in scores),
        bot=bots.get(author),
    )


def median(lines: Sequence[Measured]) -> Measured:
    """The medians of all columns; the bot's over the authors for which it is known."""
    bots = [line.bot for line in lines if line.bot is not None]
    return Measured(
        author="median",
        posts=round(statistics.median(line.posts for line in lines)),
        base=tuple(map(statistics.median, zip(*(line.base for line in lines), strict=True))),
        fitted=tuple(map(statistics.median, zip(*(line.fitted for line in lines), strict=True))),
        bot=statistics.median(bots) if bots else None,
    )


if __name__ == "__main__":
    sys.exit(main())
