"""What the rules of sampling change: how posts begin, and which hashtags they have.

    python benchmarks/sampling_rules.py --json docs/lab/sampling-rules.json \
        --markdown docs/lab/likeness.md

A bot of each author writes posts without a prompt: with one temperature for every token, with the
author's openings at a higher one, and with hashtags at a lower one as well. First words and
hashtags are compared with those of the author's newest posts, which it has not read. All mentions
count as one word.
"""

from __future__ import annotations

import re
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
from huggingtweets.training import RECIPES

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from benchmarks.studies import Author, Cell

    from huggingtweets.nn.language_model import LanguageModel

WAYS: dict[str, dict[str, Any]] = {
    "one temperature": {"MIN_OPENINGS": sys.maxsize, "HASHTAG_FACTOR": 1.0},
    "openings": {"MIN_OPENINGS": 0, "HASHTAG_FACTOR": 1.0},
    "openings and hashtags": {"MIN_OPENINGS": 0},
}
"""The rules of each row, as constants of ``token_rules``. Mentions are known ones in all."""

_HASHTAG = re.compile(r"(?<!\w)#\w+")
_KEYS = ("author", "seed", "rules")
_COLUMNS = (
    ("begin with a mention", "mentions", 2),
    ("real", "mentions_real", 2),
    ("likeliest first word", "likeliest", 2),
    ("real", "likeliest_real", 2),
    ("distance of first words", "distance", 2),
    ("between real halves", "distance_real", 2),
    ("hashtags in no post", "new_tags", 2),
    ("real", "new_tags_real", 2),
    ("different hashtags", "varied_tags", 2),
    ("real", "varied_tags_real", 2),
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


def hashtags(posts: Sequence[str]) -> list[str]:
    """All hashtags, as often as they occur."""
    return [tag.casefold() for post in posts for tag in _HASHTAG.findall(post)]


def share(part: int, of: int) -> float:
    """A share, or 0 of nothing."""
    return part / of if of else 0.0


def measure(
    bot: LanguageModel, trained: Sequence[str], author: Author, seed: int, generated: int
) -> Cell:
    """Measure posts that a bot writes without a prompt, and the author's newest ones."""
    writer = Writer(bot, Sampling(seed=seed), CopyIndex(trained))
    posts = [post.text for post in writer.write(n=generated)]
    newest = [*author.validation, *author.test]
    new, real = first_words(posts), first_words(newest)
    bot_diversity, real_diversity = compare_diversity(posts, newest)
    known, tags, real_tags = set(hashtags(trained)), hashtags(posts), hashtags(newest)
    fewer = min(len(tags), len(real_tags))  # the more there are, the more often they repeat
    return {
        "bits_per_byte": likelihood.bits_per_byte(bot, author.test),
        "mentions": new["@"] / new.total(),
        "mentions_real": real["@"] / real.total(),
        "likeliest": max(new.values()) / new.total(),
        "likeliest_real": max(real.values()) / real.total(),
        "distance": distance(new, real),
        "distance_real": distance(first_words(newest[::2]), first_words(newest[1::2])),
        "new_tags": share(sum(tag not in known for tag in tags), len(tags)),
        "new_tags_real": share(sum(tag not in known for tag in real_tags), len(real_tags)),
        "varied_tags": share(len(set(tags[:fewer])), fewer),
        "varied_tags_real": share(len(set(real_tags[:fewer])), fewer),
        "distinct_2": bot_diversity.distinct_2,
        "distinct_2_real": real_diversity.distinct_2,
        "authorship": author.taken_share(posts),
        "loops": writer.loops / generated,
    }


def run(chosen: argparse.Namespace) -> None:
    """Measure what is missing, then write the table."""
    studies.check_document(chosen.markdown)
    sources = studies.sources_of(chosen)
    setting = {"study": "sampling rules", "base": chosen.base, "posts": chosen.posts}
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
    keys = {way: {"author": author.name, "seed": seed, "rules": way} for way in WAYS}
    if all(cells.find(**key) for key in keys.values()):
        return
    machine = devices.select_device(None, RECIPES["fast"].precision)
    bot = language_model.load(chosen.base).to(machine)
    posts = author.train[-chosen.posts :]
    studies.train(bot, posts, author, RECIPES["fast"].for_base(bot.width), machine, seed=seed)
    for way, changed in WAYS.items():
        one = partial(measure, bot, posts, author, seed, chosen.generated)
        with mock.patch.multiple(token_rules, **changed):
            cells.need(one, **keys[way])


def table(cells: Sequence[Cell]) -> str:
    """The mean of every measure for each set of rules, in Markdown."""
    rows = [
        [
            way,
            *(
                f"{statistics.fmean(c[key] for c in of_way):.{digits}f}"
                for _, key, digits in _COLUMNS
            ),
        ]
        for way in WAYS
        if (of_way := [cell for cell in cells if cell["rules"] == way])
    ]
    head = ["rules", *(name for name, _, _ in _COLUMNS)]
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
