"""How strongly a bot has memorised the rarest strings of its posts.

The exposure of Carlini et al. 2019, "The Secret Sharer" (arXiv 1802.08232, definition 3): a string
that the author wrote, the canary, is ranked by its likelihood among strings R of the same form that
the author did not write, each after the words that came before the canary:

    exposure = log2 |R| - log2 rank

It is about 1 bit for a string that was never seen, and at most log2 |R|, when the bot finds the
author's own string likelier than every other. The paper makes canaries up and trains on them; here
they are what is rarest in the posts, so that any finished bot can be measured: words that stand in
one post only and hold a digit, or else are long. The other strings have the same form: other digits
for digits, other letters for letters. A real word is likelier than these without any memorising;
the base, which has not read the posts, measures that, and is the anchor.
"""

from __future__ import annotations

import math
import random
import re
import string
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from huggingtweets.data import batching

if TYPE_CHECKING:
    from collections.abc import Sequence

    from huggingtweets.nn.language_model import LanguageModel

CANARIES = 12
REFERENCES = 31
"""Other strings for each canary. Bot and base read 24 times 32 short rows, 8,000 tokens in all."""

_MAX_BEFORE = 80
"""Characters of the post before a canary that the model reads."""

_WORD = re.compile(r"[^\W_][\w.-]{2,30}[^\W_]")


@dataclass(frozen=True, slots=True)
class Memorised:
    """Mean exposure of the canaries, in bits.

    Attributes:
        bot: of the bot.
        base: of the base, which has not read the posts.
        most: the highest that was possible: log2 of the number of strings ranked.
        canaries: number of canaries.
        first: canaries that the bot finds likelier than all other strings.
    """

    bot: float
    base: float
    most: float
    canaries: int
    first: int


@dataclass(frozen=True, slots=True)
class Canary:
    """A rare string of a post.

    Attributes:
        before: the post up to it.
        text: the string.
    """

    before: str
    text: str


def memorised(
    bot: LanguageModel, base: LanguageModel, posts: Sequence[str], seed: int = 0
) -> Memorised | None:
    """Measure the exposure of the posts' own rarest strings; None if there are none.

    Args:
        bot: the fine-tuned model.
        base: the model before fine-tuning.
        posts: the training posts.
        seed: of the choice of canaries and of the strings that they are ranked among.
    """
    canaries = rarest(posts, seed)
    if not canaries:
        return None
    ranked = [(canary, others(canary.text, seed + i)) for i, canary in enumerate(canaries)]
    of_bot = [exposure(bot, canary, among) for canary, among in ranked]
    of_base = [exposure(base, canary, among) for canary, among in ranked]
    most = math.log2(1 + REFERENCES)
    return Memorised(
        bot=sum(of_bot) / len(of_bot),
        base=sum(of_base) / len(of_base),
        most=most,
        canaries=len(canaries),
        first=sum(bits >= most for bits in of_bot),
    )


def rarest(posts: Sequence[str], seed: int = 0, number: int = CANARIES) -> list[Canary]:
    """Return words that stand in one post only: those with digits first, then the longest."""
    found: dict[str, Canary] = {}
    counts: Counter[str] = Counter()
    for post in posts:
        words = {match[0]: match for match in _WORD.finditer(post)}
        counts.update(words.keys())
        for word, match in words.items():
            if match.start() and word not in found:
                found[word] = Canary(post[: match.start()][-_MAX_BEFORE:], word)
    once = [canary for word, canary in found.items() if counts[word] == 1]
    random.Random(seed).shuffle(once)
    digits = {canary: sum(c.isdigit() for c in canary.text) for canary in once}
    once.sort(key=lambda canary: (digits[canary], len(canary.text)), reverse=True)
    return once[:number]


def others(text: str, seed: int, number: int = REFERENCES) -> list[str]:
    """Return different strings of the same form: digits for digits, letters for letters."""
    rng = random.Random(seed)
    made: dict[str, None] = {}
    for _ in range(20 * number):
        other = "".join(_other(character, rng) for character in text)
        if other != text:
            made[other] = None
        if len(made) == number:
            break
    return list(made)


def _other(character: str, rng: random.Random) -> str:
    if character.isdigit():
        return rng.choice(string.digits)
    if character.isalpha():
        letters = string.ascii_uppercase if character.isupper() else string.ascii_lowercase
        return rng.choice(letters)
    return character


def exposure(lm: LanguageModel, canary: Canary, among: Sequence[str]) -> float:
    """Return the exposure in bits of a canary among other strings.

    Args:
        lm: the model.
        canary: what the author wrote, and the words before it.
        among: strings that the author did not write.
    """
    nats = _nats(lm, [canary.before + text for text in (canary.text, *among)])
    rank = 1 + sum(other < nats[0] for other in nats[1:])
    return math.log2(len(nats)) - math.log2(rank)


def _nats(lm: LanguageModel, texts: Sequence[str]) -> list[float]:
    """Negative log-likelihood of each text after the tokens that all of them begin with."""
    from huggingtweets.nn import likelihood

    rows = [[lm.separator, *ids][: lm.context] for ids in lm.encode_all(texts)]
    read = _shared_length(rows)
    batch = batching.to_batch(rows, [read - 1] * len(rows))
    nats = iter(likelihood.token_nats(lm.model, batch).tolist())
    return [sum(islice(nats, len(row) - read)) for row in rows]


def _shared_length(rows: Sequence[Sequence[int]]) -> int:
    """Number of tokens that all rows begin with, the separator included."""
    columns = enumerate(zip(*rows, strict=False))
    return next((i for i, tokens in columns if len(set(tokens)) > 1), min(map(len, rows)))
