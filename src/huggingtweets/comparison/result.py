"""The result of a comparison of authors."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from huggingtweets.plots.run_plots import Plot

_SPREAD = 0.35
"""Standard error of bits per byte times the square root of the number of held-out posts: 0.31 to
0.41 for the bots of docs/how-to/compare.md, from 1,000 bootstrap samples of posts."""


@dataclass(frozen=True, slots=True)
class Bits:
    """Held-out bits per byte of the bot, the untouched base and compressor; lower is better."""

    bot: float
    base: float
    compressor: float | None

    @property
    def gain(self) -> float:
        """Share by which the bot needs fewer bits than the base; negative if it needs more."""
        return 1 - self.bot / self.base


@dataclass(frozen=True, slots=True)
class Size:
    """The amount of an author's text.

    Attributes:
        posts: number of training posts.
        characters: in the training posts.
        tokens: in the training posts; None if the base's tokenizer isn't one file.
        held_out_posts: number of held-out posts.
        held_out_characters: in the held-out posts.
        median_characters: median length of a post, training and held-out.
    """

    posts: int
    characters: int
    tokens: int | None
    held_out_posts: int
    held_out_characters: int
    median_characters: float


@dataclass(frozen=True, slots=True)
class AuthorComparison:
    """One author of one bot.

    Attributes:
        author: handle without ``@``.
        shown: the author as people read it: ``@handle``, or a name without ``@``.
        run: name of the run.
        path: path of the run folder.
        authors_of_bot: number of the bot's authors; if over 1, the fields from ``copied`` on are
            for all of them together.
        bits_per_byte: on this author's held-out posts.
        size: amount of the author's text.
        copied: share of 200 unfiltered posts that copy a training post.
        novelty: share of a generated post's words outside the longest run it shares with a training
            post, mean over the 200; None if they are gone.
        taken: share of them that a classifier takes for the author's; None if there were no other
            authors to compare with.
        seconds: duration of training.
        same_size: the same author on equal text.
    """

    author: str
    shown: str
    run: str
    path: str
    authors_of_bot: int
    bits_per_byte: Bits
    size: Size
    copied: float
    novelty: float | None
    taken: float | None
    seconds: float | None
    same_size: AuthorComparison | None = None

    @property
    def standard_error(self) -> float:
        """Approximate standard error of the bot's bits per byte."""
        return float(_SPREAD / self.size.held_out_posts**0.5)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Compared authors, the least predictable first.

    Attributes:
        authors: in that order, on equal text if that was measured.
        notes: warnings about differences between the runs.
        first: path of the first run given.
    """

    authors: tuple[AuthorComparison, ...]
    notes: tuple[str, ...]
    first: str

    @property
    def has_same_size(self) -> bool:
        """Whether all authors were also measured on equal text."""
        return all(author.same_size is not None for author in self.authors)

    def label(self, author: AuthorComparison) -> str:
        """Return the author as people read it, with the run's name if that is ambiguous."""
        is_duplicate = sum(other.author == author.author for other in self.authors) > 1
        several_runs = len({other.path for other in self.authors}) > 1
        is_ambiguous = is_duplicate or (author.authors_of_bot > 1 and several_runs)
        return author.shown + (f" in {author.run}" if is_ambiguous else "")

    @property
    def too_near(self) -> list[tuple[AuthorComparison, AuthorComparison]]:
        """Neighbours whose difference may be chance: under two standard errors."""
        ranked = [author.same_size if self.has_same_size else author for author in self.authors]
        pairs = zip(
            pairwise(self.authors), pairwise(author for author in ranked if author), strict=True
        )
        return [
            pair
            for pair, (a, b) in pairs
            if abs(a.bits_per_byte.bot - b.bits_per_byte.bot)
            < 2 * (a.standard_error**2 + b.standard_error**2) ** 0.5
        ]

    def plot(self) -> Plot:
        """Plot one row per author, the least predictable on top."""
        from huggingtweets.comparison.plot import plot

        return plot(self)

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts and lists, ready for ``json.dump``."""
        return {
            "authors": [_as_json(author) for author in self.authors],
            "notes": list(self.notes),
        }


def ordered(authors: Sequence[AuthorComparison]) -> tuple[AuthorComparison, ...]:
    """Sort authors, the least predictable first, on equal text if all were measured on it."""
    equal_text = all(author.same_size is not None for author in authors)

    def bits(author: AuthorComparison) -> float:
        compared = author.same_size if equal_text and author.same_size else author
        return compared.bits_per_byte.bot

    return tuple(sorted(authors, key=bits, reverse=True))


def _as_json(author: AuthorComparison) -> dict[str, Any]:
    values = asdict(author)
    values["bits_per_byte"] |= {
        "gain": author.bits_per_byte.gain,
        "standard_error": author.standard_error,
    }
    if author.same_size is not None:
        values["same_size"] = _as_json(author.same_size)
    return values
