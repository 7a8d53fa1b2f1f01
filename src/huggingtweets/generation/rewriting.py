"""Rewriting posts with a base: some ordinary words are replaced by words that it expects there.

A base can't follow instructions, so it can't be asked for a paraphrase. It gives a probability to
each word after those before it. A quarter of a post's ordinary words are drawn anew from that, a
few times, and the version that the base finds most likely as a whole is kept. Names, numbers, tags,
links, punctuation and the length stay as they are.
"""

from __future__ import annotations

import random
import re
from operator import itemgetter
from typing import TYPE_CHECKING

import torch

from huggingtweets.data import batching

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from huggingtweets.data.batching import Row
    from huggingtweets.nn.language_model import LanguageModel

ATTEMPTS = 4
"""Versions of each post, of which the most likely is kept."""

_REPLACED_SHARE = 0.25
"""Share of a post's ordinary words that are replaced, at least one."""

_POSITIONS = 256
"""Positions in a batch, including padding. The logits of all versions take 200 MB with a vocabulary
of 50,000 tokens."""

_SPACES = "\u0120\u2581"
"""How byte-level and SentencePiece tokenizers write the space before a word."""

_CONTINUES = re.compile(rf"(?![{_SPACES}\u010a])[\w'\u2019]")
"""How a token begins that continues the word before it; U+010A is a line break."""


def rewrite(
    lm: LanguageModel,
    posts: Sequence[str],
    seed: int,
    report: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[str | None]:
    """Rewrite each post once.

    Args:
        lm: the base.
        posts: the posts; equal posts at other places are rewritten differently.
        seed: determines the result on one machine.
        report: called with the number of finished posts and of all posts.

    Returns:
        The new texts in the order of ``posts``; None where no word can be replaced, or the post is
        longer than the base's context.
    """
    words = _whole_words(lm)
    allowed = torch.tensor(sorted(words), dtype=torch.long)
    rows = [[lm.separator, *ids, lm.separator] for ids in lm.encode_all(posts)]
    places = [_replaceable(lm, row, words) if len(row) <= lm.context + 1 else [] for row in rows]
    numbers = [i for i, found in enumerate(places) if found]
    result: list[str | None] = [None] * len(posts)
    lm.model.eval()
    chosen = [rows[i] for i in numbers]
    done = 0
    for group in batching.batches_by_length(chosen, range(len(chosen)), _POSITIONS, 0, 0):
        members = [numbers[j] for j in group]
        log_probs = _log_probs(lm, [rows[i] for i in members])
        versions = [
            _replaced(rows[i], places[i], of_post, allowed, f"{seed}/rewrite/{i}/{attempt}")
            for i, of_post in zip(members, log_probs, strict=True)
            for attempt in range(ATTEMPTS)
        ]
        scores = map(_score, versions, _log_probs(lm, versions))
        scored = list(zip(scores, versions, strict=True))
        for number, i in enumerate(members):
            of_post_versions = scored[number * ATTEMPTS : (number + 1) * ATTEMPTS]
            best = max(of_post_versions, key=itemgetter(0))[1]
            result[i] = lm.decode(best[1:-1])
        done += len(members)
        report(done, len(numbers))
    return result


def _whole_words(lm: LanguageModel) -> set[int]:
    """Ids of the tokens that are letters after a space, without capitals and at least two."""
    pieces = lm.tokenizer.convert_ids_to_tokens(list(range(len(lm.tokenizer))))
    after_space = [i for i, piece in enumerate(pieces) if piece and piece[0] in _SPACES]
    texts = lm.tokenizer.batch_decode([[i] for i in after_space])
    words = zip(after_space, (text.strip() for text in texts), strict=True)
    return {i for i, text in words if len(text) > 1 and text.isalpha() and text == text.lower()}


def _replaceable(lm: LanguageModel, row: Row, words: set[int]) -> list[int]:
    """Positions in a row of whole words that the next token doesn't continue."""
    pieces = lm.tokenizer.convert_ids_to_tokens(row)
    return [
        position
        for position in range(1, len(row) - 1)
        if row[position] in words
        and (row[position + 1] == lm.separator or not _CONTINUES.match(pieces[position + 1]))
    ]


def _log_probs(lm: LanguageModel, rows: Sequence[Row]) -> list[torch.Tensor]:
    """Log-probabilities of all tokens at each position of each row, (time, vocabulary)."""
    inputs = batching.to_batch(rows).inputs.to(lm.device)
    with torch.inference_mode():
        logits = lm.model(input_ids=inputs, use_cache=False).logits.float().cpu()
    return [
        of_row[: len(row) - 1].log_softmax(-1) for row, of_row in zip(rows, logits, strict=True)
    ]


def _replaced(
    row: Row, places: Sequence[int], log_probs: torch.Tensor, allowed: torch.Tensor, seed: str
) -> Row:
    """A copy of a row with some words drawn from the base's probabilities at their places."""
    rng = random.Random(seed)
    number = max(1, round(_REPLACED_SHARE * len(places)))
    new = list(row)
    for place in sorted(rng.sample(places, number)):
        probabilities = log_probs[place - 1, allowed].exp()
        probabilities[allowed == row[place]] = 0.0  # another word
        cumulative = probabilities.cumsum(0)
        at = torch.searchsorted(cumulative, rng.random() * float(cumulative[-1]))
        new[place] = int(allowed[min(int(at), len(allowed) - 1)])
    return new


def _score(row: Row, log_probs: torch.Tensor) -> float:
    """Log-probability of a row."""
    return float(log_probs.gather(1, torch.tensor(row[1:])[:, None]).sum())
