"""How posts begin: any token at the temperature of the rest, or the author's at a higher one.

    python benchmarks/openings.py --json docs/lab/openings.json --markdown docs/lab/likeness.md

A low temperature makes frequent tokens more frequent, and nothing decides more than the first one.
A bot of each author writes posts without a prompt both ways. Their first words are compared with
those of the author's newest posts, which it has not read. All mentions count as one word.
"""

from __future__ import annotations

import statistics
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # benchmarks/ is not installed

from benchmarks import studies
from huggingtweets.errors import InputError
from huggingtweets.evaluation.diversity import compare_diversity
from huggingtweets.generation import token_rules
from huggingtweets.generation.copy_index import CopyIndex
from huggingtweets.generation.sampling import Sampling
from huggingtweets.generation.writer import Writer
from huggingtweets.nn import devices, language_model, likelihood
from huggingtweets.nn.language_model import TEMPERATURE
from huggingtweets.training import RECIPES

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from benchmarks.studies import Author, Cell

    from huggingtweets.nn.language_model import LanguageModel

WAYS = {f"{TEMPERATURE:g}, any": (TEMPERATURE, sys.maxsize), "1, of the author's": (1.0, 0)}
"""Temperature of the first token, and the posts from which on it must be one of theirs."""

_KEYS = ("author", "seed", "first")
_COLUMNS = (
    ("begin with a mention", "mentions", 2),
    ("real", "mentions_real", 2),
    ("likeliest first word", "likeliest", 2),
    ("real", "likeliest_real", 2),
    ("distance of first words", "distance", 2),
    ("between real halves", "distance_real", 2),
    ("distinct-2", "distinct_2", 2),
    ("real", "distinct_2_real", 2),
    ("authorship", "authorship", 2),
    ("loops written again", "loops", 2),
)


def first_words(posts: Sequence[str]) -> Counter[str]:
    """How often each word is a post's first one."""
    firsts = (post.split()[0].casefold() for post in posts)
    return Counter("@" if word.lstrip(".").startswith("@") else word for word in firsts)


def distance(some: Counter[str], others: Counter[str]) -> float:
    """Half the sum of the differences in share: 0 for equal first words, 1 for entirely others."""
    a, b = some.total(), others.total()
    return sum(abs(some[word] / a - others[word] / b) for word in some | others) / 2


def measure(
    bot: LanguageModel, trained: Sequence[str], author: Author, seed: int, generated: int
) -> Cell:
    """Measure posts that a bot writes without a prompt, and the author's newest ones."""
    writer = Writer(bot, Sampling(seed=seed), CopyIndex(trained))
    posts = [post.text for post in writer.write(n=generated)]
    newest = [*author.validation, *author.test]
    new, real = first_words(posts), first_words(newest)
    bot_diversity, real_diversity = compare_diversity(posts, newest)
    return {
        "bits_per_byte": likelihood.bits_per_byte(bot, author.test),
        "mentions": new["@"] / new.total(),
        "mentions_real": real["@"] / real.total(),
        "likeliest": max(new.values()) / new.total(),
        "likeliest_real": max(real.values()) / real.total(),
        "distance": distance(new, real),
        "distance_real": distance(first_words(newest[::2]), first_words(newest[1::2])),
        "distinct_2": bot_diversity.distinct_2,
        "distinct_2_real": real_diversity.distinct_2,
        "authorship": author.taken_share(posts),
        "loops": writer.loops / generated,
    }


def run(chosen: argparse.Namespace) -> None:
    """Measure what is missing, then write the table."""
    studies.check_document(chosen.markdown)
    sources = studies.sources_of(chosen)
    setting = {"study": "openings", "base": chosen.base, "posts": chosen.posts}
    setting |= {"generated": chosen.generated}
    cells = studies.Cells(chosen.json, None if chosen.render else setting, _KEYS)
    if not chosen.render:
        for source in sources:
            author = studies.read_author(source, chosen.held_out)
            for seed in range(chosen.seeds):
                measure_author(chosen, cells, author, seed)
    if not cells.cells:
        raise InputError("There is nothing to show: no cell is measured.")
    studies.write_table(chosen.markdown, table(cells.cells))


def measure_author(
    chosen: argparse.Namespace, cells: studies.Cells, author: Author, seed: int
) -> None:
    """Train a bot and measure what is missing of it; without that, train none."""
    keys = {way: {"author": author.name, "seed": seed, "first": way} for way in WAYS}
    if all(cells.find(**key) for key in keys.values()):
        return
    machine = devices.select_device(None, RECIPES["fast"].precision)
    bot = language_model.load(chosen.base).to(machine)
    posts = author.train[-chosen.posts :]
    studies.train(bot, posts, author, RECIPES["fast"].for_base(bot.width), machine, seed=seed)
    for way, (temperature, least) in WAYS.items():
        one = partial(measure, bot, posts, author, seed, chosen.generated)
        changed: dict[str, Any] = {"FIRST_TEMPERATURE": temperature, "MIN_OPENINGS": least}
        with mock.patch.multiple(token_rules, **changed):
            cells.need(one, **keys[way])


def table(cells: Sequence[Cell]) -> str:
    """The mean of every measure for each temperature, in Markdown."""
    rows = [
        [
            way,
            *(
                f"{statistics.fmean(c[key] for c in of_way):.{digits}f}"
                for _, key, digits in _COLUMNS
            ),
        ]
        for way in WAYS
        if (of_way := [cell for cell in cells if cell["first"] == way])
    ]
    head = ["temperature of the first token", *(name for name, _, _ in _COLUMNS)]
    return studies.ran(cells) + "\n\n" + studies.markdown(head, rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is the program's."""
    options = studies.parser(__doc__)
    options.add_argument("--posts", type=int, default=300, help="training posts (%(default)s)")
    chosen = options.parse_args(arguments)
    if chosen.quick:
        chosen.seeds, chosen.posts, chosen.held_out, chosen.generated = 1, 60, 20, 10
    return studies.exit_status(lambda: run(chosen))


if __name__ == "__main__":
    sys.exit(main())
