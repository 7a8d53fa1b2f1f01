"""What a comparison of authors holds, as values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from huggingtweets.plots.run_plots import Plot

_SPREAD = 0.35
"""Standard error of bits per byte times the root of the held-out posts: 0.31 to 0.41 for the bots
of docs/compare.md, by 1,000 bootstrap draws of posts."""


@dataclass(frozen=True, slots=True)
class Bits:
    """Held-out bits per byte of the bot, the untouched base and PPMd; lower is better."""

    bot: float
    base: float
    ppmd: float | None

    @property
    def gain(self) -> float:
        """Share of the base's bits that the bot no longer needs; negative if it needs more."""
        return 1 - self.bot / self.base


@dataclass(frozen=True, slots=True)
class Size:
    """How much text there is of an author.

    Attributes:
        posts: learnt from.
        characters: in them.
        tokens: in them, as the base cuts them; None where its tokenizer isn't in one file.
        held_out_posts: only measured.
        held_out_characters: in those.
        median_characters: of a post, learnt or measured.
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
        run: name of the run.
        path: of the run folder.
        authors_of_bot: how many the bot has; over 1, the fields from ``copied`` on are of the whole
            bot.
        bits_per_byte: on this author's held-out posts.
        size: of the author's text.
        copied: share of 200 unfiltered posts that copy a training post.
        novelty: share of a generated post's words outside the longest run it shares with a training
            post, mean over the 200; None where they are gone.
        taken: share of them that a classifier takes for the author's; None if nobody was there to
            compare with.
        seconds: that training took.
        same_size: the same author on as much text as everyone else has.
    """

    author: str
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
        """How far chance moves the bot's bits per byte, roughly: by how few posts are held out."""
        return float(_SPREAD / self.size.held_out_posts**0.5)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Authors, the least predictable first.

    Attributes:
        authors: in that order; at the same size where that was measured.
        notes: sentences on what makes the numbers less than comparable.
        first: path of the run that was named first.
    """

    authors: tuple[AuthorComparison, ...]
    notes: tuple[str, ...]
    first: str

    @property
    def has_same_size(self) -> bool:
        """Whether everyone was measured on equal text as well."""
        return all(one.same_size is not None for one in self.authors)

    def label(self, one: AuthorComparison) -> str:
        """How an author is called: by the handle, with the run where that leaves a doubt."""
        namesakes = sum(other.author == one.author for other in self.authors) > 1
        several_runs = len({other.path for other in self.authors}) > 1
        doubtful = namesakes or (one.authors_of_bot > 1 and several_runs)
        return f"@{one.author}" + (f" in {one.run}" if doubtful else "")

    @property
    def too_near(self) -> list[tuple[AuthorComparison, AuthorComparison]]:
        """Neighbours in the order that chance may have put there: under two standard errors."""
        seen = [one.same_size if self.has_same_size else one for one in self.authors]
        pairs = zip(pairwise(self.authors), pairwise(one for one in seen if one), strict=True)
        return [
            pair
            for pair, (a, b) in pairs
            if abs(a.bits_per_byte.bot - b.bits_per_byte.bot)
            < 2 * (a.standard_error**2 + b.standard_error**2) ** 0.5
        ]

    def plot(self) -> Plot:
        """One row an author, the least predictable on top."""
        from huggingtweets.comparison import plot as compare_plot

        return compare_plot.plot(self)

    def to_json(self) -> dict[str, Any]:
        """Plain dicts and lists, ready for ``json.dump``."""
        return {"authors": [_as_json(one) for one in self.authors], "notes": list(self.notes)}


def ordered(authors: Sequence[AuthorComparison]) -> tuple[AuthorComparison, ...]:
    """The least predictable first, at equal size where all have it."""
    equal = all(one.same_size is not None for one in authors)

    def bits(one: AuthorComparison) -> float:
        seen = one.same_size if equal and one.same_size else one
        return seen.bits_per_byte.bot

    return tuple(sorted(authors, key=bits, reverse=True))


def _as_json(one: AuthorComparison) -> dict[str, Any]:
    values = asdict(one)
    values["bits_per_byte"] |= {
        "gain": one.bits_per_byte.gain,
        "standard_error": one.standard_error,
    }
    if one.same_size is not None:
        values["same_size"] = _as_json(one.same_size)
    return values
