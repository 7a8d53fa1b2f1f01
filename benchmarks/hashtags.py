"""How well hashtags are proposed for a text, and how well posts are written with a given one.

    python benchmarks/hashtags.py --json docs/research/hashtags.json \
        --markdown docs/research/hashtags.md

Proposals are judged on held-out posts, from which the tags are taken away (``hidden``), or only the
``#`` of those that are words of a sentence (``unmarked``). ``words`` is what ``huggingtweets
hashtags`` does. Writing needs a bot: ``generate --hashtag`` with tags of an author, from frequent
to rare. Bots are trained once, and kept with ``--bots``; ``--without-bots`` leaves them out.
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # benchmarks/ is not installed

from benchmarks import studies
from huggingtweets.data import hashtags
from huggingtweets.errors import InputError
from huggingtweets.generation import tagged
from huggingtweets.generation.copy_index import CopyIndex
from huggingtweets.generation.hashtag_proposals import HashtagModel
from huggingtweets.generation.sampling import Sampling
from huggingtweets.generation.writer import Writer
from huggingtweets.nn import devices, language_model
from huggingtweets.training import RECIPES

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from benchmarks.studies import Author, Cell

    from huggingtweets.data.hashtags import Hashtag
    from huggingtweets.nn.devices import ComputeDevice
    from huggingtweets.nn.language_model import LanguageModel

AT = (1, 3, 5)
_REORDERED = 12
"""Tags that the bot puts in order: to read all of an author's would take minutes a post."""
_FIT_AT = 3
_KEYS = ("author", "seed", "text", "method")
_WITHOUT_BOT = ("frequent", "nearest", "words")
_WITH_BOT = ("words, ordered by the bot", "words and bot")
METHODS = {
    "frequent": "the author's most frequent tags",
    "nearest": "tags of the nearest posts by TF-IDF",
    "words": "`huggingtweets hashtags`: ridge regression on TF-IDF",
    "words, ordered by the bot": "its best 12, in the order of the bot's probability",
    "words and bot": "its best 12, by the sum of both log scores",
}

Ranking = list[str]


class Bots:
    """The bots of a study, each trained when it is first needed.

    Args:
        chosen: the options.
        author: whose bot.
        machine: where to train.
        seed: of the training.
    """

    def __init__(
        self, chosen: argparse.Namespace, author: Author, machine: ComputeDevice, seed: int
    ) -> None:
        self._chosen, self._author, self._machine, self._seed = chosen, author, machine, seed
        self._bot: LanguageModel | None = None

    @property
    def bot(self) -> LanguageModel:
        """The bot, trained or read from the folder of ``--bots``."""
        if self._bot is None:
            name = f"{self._author.name}-{self._seed}-{len(self._author.train)}"
            stored = self._chosen.bots / name if self._chosen.bots else None
            if stored is not None and (stored / "config.json").is_file():
                self._bot = language_model.load(stored)
            else:
                self._bot = self._train()
                if stored is not None:
                    self._bot.save(stored)
            self._bot.to(self._machine)
        return self._bot

    def _train(self) -> LanguageModel:
        recipe = RECIPES["fast"].changed(epochs=1)
        base = language_model.load(
            self._chosen.base, attention=recipe.attention(self._machine.device)
        )
        author = self._author
        studies.train(base, author.train, author, recipe, self._machine, seed=self._seed)
        return base


def ranked(
    method: str, texts: Sequence[str], model: HashtagModel, author: Author, bots: Bots
) -> list[Ranking]:
    """Return the tags that a method proposes for each text, the best first."""
    keys = [tag.key for tag in model.tags.ranked]
    if method == "frequent":
        return [keys] * len(texts)
    if method == "nearest":
        return _nearest(texts, author.train, keys)
    scores = model.scores(texts)
    by_words = [
        sorted(zip(keys, row.tolist(), strict=True), key=lambda pair: -pair[1]) for row in scores
    ]
    if method == "words":
        return [[key for key, _ in row] for row in by_words]
    names = {tag.key: tag.text for tag in model.tags.ranked}
    weight = 0.0 if method == "words, ordered by the bot" else 1.0
    best = [row[:_REORDERED] for row in by_words]
    of_bot = iter(_of_bot(bots.bot, texts, [[names[key] for key, _ in row] for row in best]))
    result = []
    for row in best:
        summed = [(next(of_bot) + weight * math.log(max(score, 1e-3)), key) for key, score in row]
        result.append([key for _, key in sorted(summed, reverse=True)])
    return result


def _of_bot(lm: LanguageModel, texts: Sequence[str], tags: Sequence[Sequence[str]]) -> list[float]:
    """Log-probability of each tag after its text, flat, in order."""
    pairs = [(text, tag) for text, of_text in zip(texts, tags, strict=True) for tag in of_text]
    result = [0.0] * len(pairs)
    by_length: dict[int, list[tuple[int, list[int]]]] = {}
    for number, (text, tag) in enumerate(pairs):
        added = lm.encode(f" {tag}")
        row = [lm.separator, *lm.encode(text), *added][-lm.context - 1 :]
        by_length.setdefault(len(added), []).append((number, row))
    for length, rows in by_length.items():
        values = tagged.tail_log_probs(lm, [row for _, row in rows], length)
        for (number, _), value in zip(rows, values, strict=True):
            result[number] = value
    return result


def _nearest(texts: Sequence[str], train: Sequence[str], keys: Ranking) -> list[Ranking]:
    """Tags of the nearest post with tags, then of the second nearest, and so on."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    posts = [post for post in train if hashtags.keys_in(post)]
    vectors = TfidfVectorizer(sublinear_tf=True)
    of_posts = vectors.fit_transform(hashtags.without_tags(post, keep_words=True) for post in posts)
    alike = (vectors.transform(texts) @ of_posts.T).toarray()
    tags = [hashtags.keys_in(post) for post in posts]
    return [
        list(dict.fromkeys([key for i in row.argsort()[::-1][:100] for key in tags[i]] + keys))
        for row in alike
    ]


def propose_cell(method: str, unmarked: bool, author: Author, bots: Bots) -> Cell:
    """Measure the proposals of a method for the held-out posts with tags."""
    started = time.monotonic()
    model = HashtagModel(author.train)
    posts = [post for post in author.test if hashtags.keys_in(post)]
    texts = [hashtags.without_tags(post, keep_words=unmarked) for post in posts]
    truth = [set(hashtags.keys_in(post)) for post in posts]
    found = ranked(method, texts, model, author, bots)
    known = {tag.key for tag in model.tags.ranked}
    cell: Cell = {"posts": len(posts), "tags": len(known)}
    cell["known"] = statistics.fmean(len(tags & known) / len(tags) for tags in truth)
    for k in AT:
        hits = [len(tags & set(row[:k])) for tags, row in zip(truth, found, strict=True)]
        cell[f"precision_{k}"] = statistics.fmean(hit / k for hit in hits)
        cell[f"recall_{k}"] = statistics.fmean(
            hit / len(tags) for hit, tags in zip(hits, truth, strict=True)
        )
    return cell | {"seconds": round(time.monotonic() - started, 1)}


def write_cell(tag: Hashtag, author: Author, bots: Bots, *, seed: int, generated: int) -> Cell:
    """Let the bot write with a tag and without; measure place and fit of the tag."""
    model, lm = HashtagModel(author.train), bots.bot
    writer = Writer(lm, Sampling(seed=seed), CopyIndex(author.train))
    started = time.monotonic()
    posts = [post.text for post in writer.write("", generated, tag)]
    seconds = time.monotonic() - started
    started = time.monotonic()
    free = [post.text for post in writer.write("", 2 * generated)]
    free_seconds = (time.monotonic() - started) / 2
    real = [post for post in author.test if tag.key in hashtags.keys_in(post)]
    places = [hashtags.place_in(post, tag.key) for post in posts]
    return {
        "known_posts": tag.posts,
        "wanted": generated,
        "with_tag": sum(place is not None for place in places) / generated,
        "rewritten": writer.misplaced / generated,
        "same_place": _overlap(tag, [place for place in places if place]),
        "fit": _fit(model, posts, tag),
        "fit_of_any": _fit(model, free, tag),
        "fit_of_real": _fit(model, real, tag),
        "free_with_tag": sum(tag.key in hashtags.keys_in(post) for post in free) / len(free),
        "seconds": round(seconds, 1),
        "free_seconds": round(free_seconds, 1),
    }


def _overlap(tag: Hashtag, places: Sequence[str]) -> float | None:
    """Overlap of two distributions over the places, 0 to 1: the posts' and the author's."""
    if not places:
        return None
    return sum(
        min(places.count(place) / len(places), tag.places[place] / tag.posts)
        for place in hashtags.PLACES
    )


def _fit(model: HashtagModel, posts: Sequence[str], tag: Hashtag) -> float | None:
    """Share of posts for whose words the tag is among the three best; None without posts."""
    if not posts:
        return None
    texts = [hashtags.without_tags(post, keep_words=True) for post in posts]
    best = [{one.hashtag for one in model.propose(text, _FIT_AT)} for text in texts]
    return statistics.fmean(tag.name in names for names in best)


def tags_to_write(author: Author, number: int) -> list[Hashtag]:
    """Return tags of at least five posts, evenly from the most to the least frequent."""
    known = [tag for tag in hashtags.Hashtags(author.train).ranked if tag.posts >= 5]
    if len(known) <= number:
        return known
    steps = max(1, number - 1)
    return [known[round(i * (len(known) - 1) / steps)] for i in range(number)]


def table(cells: Sequence[Cell]) -> str:
    """Both tables in Markdown: mean ± standard deviation over authors and seeds."""
    proposals = [cell for cell in cells if cell["text"] != "written"]
    written = [cell for cell in cells if cell["text"] == "written"]
    parts = [studies.ran(cells)]
    for unmarked in ("unmarked", "hidden"):
        head = ["proposed", "authors × seeds", *(f"P@{k}" for k in AT), *(f"R@{k}" for k in AT)]
        parts += [f"Tags {unmarked}:", _rows(proposals, unmarked, head)]
        with_bot = {(c["author"], c["seed"]) for c in proposals if c["method"] in _WITH_BOT}
        parts += _same_authors(proposals, unmarked, with_bot, head)
    if written:
        parts += ["Written:", _written_table(written)]
    return "\n\n".join(parts)


def _same_authors(
    proposals: Sequence[Cell], text: str, with_bot: set[tuple[str, int]], head: Sequence[str]
) -> list[str]:
    """The rows without a bot again, for the authors that have one, so that they compare."""
    everyone = {c["author"] for c in proposals}
    names = sorted({author for author, _ in with_bot})
    if not names or len(names) == len(everyone):
        return []
    title = f"The same for {', '.join(names)} alone, which the bot's rows are of:"
    return [title, _rows([c for c in proposals if c["author"] in names], text, head)]


def _rows(proposals: Sequence[Cell], text: str, head: Sequence[str]) -> str:
    rows = []
    for method, title in METHODS.items():
        group = [c for c in proposals if (c["text"], c["method"]) == (text, method)]
        if group:
            rows.append([title, str(len(group)), *_numbers(group)])
    return studies.markdown([*head, "known", "seconds"], rows)


def _numbers(group: Sequence[Cell]) -> list[str]:
    names = [*(f"precision_{k}" for k in AT), *(f"recall_{k}" for k in AT), "known"]
    return [
        *(studies.summary((c[name] for c in group), 2) for name in names),
        studies.summary((c["seconds"] for c in group), 0),
    ]


def _written_table(written: Sequence[Cell]) -> str:
    columns: list[tuple[str, Callable[[Cell], float | None], int]] = [
        ("posts with the tag", lambda c: c["with_tag"], 2),
        ("rewritten for each", lambda c: c["rewritten"], 2),
        ("same place", lambda c: c["same_place"], 2),
        ("fit", lambda c: c["fit"], 2),
        ("fit of any new post", lambda c: c["fit_of_any"], 2),
        ("fit of real posts", lambda c: c["fit_of_real"], 2),
        ("by itself", lambda c: c["free_with_tag"], 2),
        ("times as long", lambda c: c["seconds"] / max(c["free_seconds"], 0.1), 1),
    ]
    rows = [
        [f"#{cell['method']} ({cell['author']}, {cell['known_posts']} posts)"]
        + [studies.summary([value(cell)], digits) for _, value, digits in columns]
        for cell in sorted(written, key=lambda c: (c["author"], -c["known_posts"], c["seed"]))
    ]
    rows.append(
        ["mean"] + [studies.summary(map(value, written), digits) for _, value, digits in columns]
    )
    return studies.markdown(["tag", *(name for name, _, _ in columns)], rows)


def run(chosen: argparse.Namespace) -> None:
    """Measure what is missing, then write the tables."""
    studies.check_document(chosen.markdown)
    sources = studies.sources_of(chosen)
    setting = {"study": "hashtags", "base": chosen.base, "posts": chosen.posts}
    setting |= {"held_out": chosen.held_out, "generated": chosen.generated}
    cells = studies.Cells(chosen.json, None if chosen.render else setting, _KEYS)
    if not chosen.render:
        measure_all(chosen, cells, sources)
    if not cells.cells:
        raise InputError("There is nothing to show: no cell is measured.")
    studies.write_table(chosen.markdown, table(cells.cells))


def measure_all(chosen: argparse.Namespace, cells: studies.Cells, sources: Sequence[Path]) -> None:
    """Measure the cells that are missing; those without a bot first, which take seconds."""
    machine = devices.select_device(None, RECIPES["fast"].precision)
    authors = [studies.read_author(source, chosen.held_out) for source in sources]
    for author in authors:
        del author.train[: max(0, len(author.train) - (chosen.posts or len(author.train)))]
    authors = [author for author in authors if any(map(hashtags.keys_in, author.train))]
    authors = [author for author in authors if any(map(hashtags.keys_in, author.test))]
    for author in authors:
        _propose(cells, author, Bots(chosen, author, machine, 0), 0, _WITHOUT_BOT)
    if chosen.without_bots:
        return
    for seed in range(chosen.seeds):
        for author in authors:
            bots = Bots(chosen, author, machine, seed)
            for tag in tags_to_write(author, chosen.tags):
                one = partial(write_cell, tag, author, bots, seed=seed, generated=chosen.generated)
                cells.need(one, author=author.name, seed=seed, text="written", method=tag.name)
            _propose(cells, author, bots, seed, _WITH_BOT)


def _propose(
    cells: studies.Cells, author: Author, bots: Bots, seed: int, methods: Sequence[str]
) -> None:
    for text in ("unmarked", "hidden"):
        for method in methods:
            one = partial(propose_cell, method, text == "unmarked", author, bots)
            cells.need(one, author=author.name, seed=seed, text=text, method=method)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is the program's."""
    options = studies.parser(__doc__)
    options.set_defaults(generated=10)
    add = options.add_argument
    add("--posts", type=int, help="training posts, the newest (default: all)")
    add("--tags", type=int, default=4, help="tags that each bot writes with (%(default)s)")
    add("--bots", type=Path, metavar="FOLDER", help="keep trained bots there to go on faster")
    add("--without-bots", action="store_true", help="only proposals that need no bot")
    chosen = options.parse_args(arguments)
    if chosen.quick:
        chosen.seeds, chosen.posts, chosen.tags = 1, studies.QUICK_POSTS, 1
        chosen.held_out, chosen.generated = 20, 2
    return studies.exit_status(lambda: run(chosen))


if __name__ == "__main__":
    sys.exit(main())
