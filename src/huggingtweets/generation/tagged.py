"""Posts with a given hashtag, at the place where its author puts it.

A model writes from left to right, so it can't be told what is to come. Waiting until it writes the
tag by itself takes as many posts as the tag is rare. Instead:

1. It writes drafts without the tag.
2. At each word of each draft it says how likely the tag is there. Words after which the tag is
   likely are drawn by that probability (importance resampling, Rubin 1987), so the words before the
   tag fit it.
3. It goes on from there: what it has written up to the tag is kept, and the rest is new.

How many posts have the tag at the beginning, in the middle and at the end is drawn from the
author's own posts with it. A post in which the tag ends up elsewhere is written again.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import replace
from itertools import cycle
from typing import TYPE_CHECKING

import regex
import torch

from huggingtweets.arguments import PostCount, check
from huggingtweets.data import batching, hashtags
from huggingtweets.data.hashtags import PLACES, Hashtag, Place
from huggingtweets.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from huggingtweets.data.batching import Row
    from huggingtweets.generation.sampling import GeneratedPost, Sampling
    from huggingtweets.nn.language_model import LanguageModel

    Request = Callable[[str, int, Sampling, "TaggedStarts | None"], Iterator[GeneratedPost]]
    """Requests posts: their prompt, number and settings, and what they begin with."""

_DRAFTS, _MOST_DRAFTS = 32, 200
"""Number of drafts: at least the first and three times the wanted posts, at most the second."""

_SCORED = 64
"""Words of the drafts at which the whole tag is read, besides the ends of the drafts."""

_STRICT_TRIES = 4
"""Posts with the tag at another place that are written again, for each wanted post. Later ones are
taken as they are."""

_POSITIONS = 256
"""Positions in a batch, including padding: the logits of one batch take 50 MB with a vocabulary of
50,000 tokens."""

_SENTENCE_ENDS = ".!?…。！？"
_WORD_END = regex.compile(r"(?<=\S)(?=\s)|(?<=[。！？、，])")


class TaggedStarts:
    """What posts with a tag begin with, and whether a finished one has the tag at its place.

    Args:
        tag: the tag.
        starts: what posts may begin with, the tag last, by the tag's place; the best first.
        n: number of wanted posts.
        rng: random numbers.

    Attributes:
        misplaced: posts that were refused.
    """

    def __init__(
        self, tag: Hashtag, starts: dict[Place, list[str]], n: int, rng: random.Random
    ) -> None:
        places = [place for place in PLACES if starts.get(place)]
        shares = [tag.shares[place] or 1e-9 for place in places]  # a prompt excludes some places
        self._order = rng.choices(places, shares, k=n)
        self._wanted = Counter(self._order)
        self._starts = {place: cycle(starts[place]) for place in places}
        self._strict = _STRICT_TRIES * n
        self._key, self._rng = tag.key, rng
        self.misplaced = 0

    def next_start(self) -> str:
        """Return what the next post begins with."""
        if self._order:
            place = self._order.pop()
        else:
            places, left = zip(*(+self._wanted).items(), strict=True)
            place = self._rng.choices(places, left)[0]
        return next(self._starts[place])

    def accepts(self, post: str) -> bool:
        """Whether a finished post has the tag at a place that is still wanted."""
        place = hashtags.place_in(post, self._key)
        if place is None or not hashtags.has_words(post):
            self.misplaced += 1
            return False
        if not self._wanted[place]:
            if self._strict > 0:
                self._strict -= 1
                self.misplaced += 1
                return False
            place = self._wanted.most_common(1)[0][0]
        self._wanted[place] -= 1
        return True


def write(
    lm: LanguageModel,
    tag: Hashtag,
    prompt: str,
    n: int,
    *,
    sampling: Sampling,
    request: Request,
) -> Iterator[GeneratedPost]:
    """Return ``n`` new posts with a tag as they finish; fewer when nearly all are refused.

    Posts that are imitated without training (few-shot) are read before the drafts and the posts,
    but not where the likelihood of the tag is computed, which would take several times as long.

    Args:
        lm: the model.
        tag: the tag.
        prompt: what each post begins with; the tag comes after it.
        n: number of posts.
        sampling: settings.
        request: makes the model write.

    Raises:
        InputError: at once, when a value is out of range, or the prompt or the tag is too long.
    """
    check({"n": n}, {"n": PostCount})
    seed, rng = _random(sampling)
    sampling = replace(sampling, seed=rng.getrandbits(62))
    if hashtags.place_in(prompt, tag.key):
        return request(prompt, n, sampling, None)
    drafts = _drafts(tag, prompt, n, replace(sampling, seed=seed), request)

    def finished() -> Iterator[GeneratedPost]:
        starts = find_starts(lm, [post.text for post in drafts], tag, prompt, rng)
        yield from request(prompt, n, sampling, TaggedStarts(tag, starts, n, rng))

    return finished()


def beginnings(
    lm: LanguageModel,
    tag: Hashtag,
    prompt: str,
    n: int,
    *,
    sampling: Sampling,
    request: Request,
) -> list[str]:
    """Return what ``n`` posts with a tag begin with, the tag last, for whoever continues them.

    The arguments and errors are those of :func:`write`.
    """
    seed, rng = _random(sampling)
    drafts = _drafts(tag, prompt, n, replace(sampling, seed=seed), request)
    starts = find_starts(lm, [post.text for post in drafts], tag, prompt, rng)
    tagged = TaggedStarts(tag, starts, n, rng)
    return [tagged.next_start() for _ in range(n)]


def _random(sampling: Sampling) -> tuple[int, random.Random]:
    """Return the seed of the drafts, and what everything else is drawn with."""
    seed = random.SystemRandom().getrandbits(62) if sampling.seed is None else sampling.seed
    return seed, random.Random(f"{seed}/hashtag")


def _drafts(
    tag: Hashtag, prompt: str, n: int, sampling: Sampling, request: Request
) -> Iterator[GeneratedPost]:
    """Request posts without the tag that leave room for it.

    Raises:
        InputError: there is no room.
    """
    room = sampling.max_chars - len(tag.text) - 1
    if room <= len(prompt):
        raise InputError(
            f"{tag.text} leaves no room for a post of at most {sampling.max_chars} characters; "
            "raise --max-chars."
        )
    number = min(max(_DRAFTS, 3 * n), _MOST_DRAFTS)
    return request(prompt, number, replace(sampling, max_chars=room), None)


def find_starts(
    lm: LanguageModel, drafts: Sequence[str], tag: Hashtag, prompt: str, rng: random.Random
) -> dict[Place, list[str]]:
    """Return what posts with a tag may begin with, the tag last; likelier ones are earlier.

    Args:
        lm: the model.
        drafts: posts that begin with the prompt.
        tag: the tag.
        prompt: what the posts begin with; it stays before the tag.
        rng: random numbers.

    Returns:
        Texts by the place of the tag. There is at least one.
    """
    prompt = prompt.strip()
    middles = [
        (number, text)
        for number, draft in enumerate(drafts)
        for text in _beginnings(draft, tag, len(prompt))
    ]
    ends = [
        (number, draft)
        for number, draft in enumerate(drafts)
        if tag.key not in hashtags.keys_in(draft)
    ]
    ends += [(number, text) for number, text in middles if text[-1] in _SENTENCE_ENDS]
    first = _first_token_log_probs(lm, drafts, middles, tag)
    order = [i for i in _drawn(first, rng)[:_SCORED] if first[i] > -math.inf]
    middles, first = [middles[i] for i in order], [first[i] for i in order]
    tokens = lm.encode(f" {tag.text}")
    whole = _log_probs_of(lm, [text for _, text in middles], tokens)
    # each was drawn by the first token already
    rest = [all_of_it - one for all_of_it, one in zip(whole, first, strict=True)]
    of_ends = _log_probs_of(lm, [text for _, text in ends], [*tokens, lm.separator])
    starts: dict[Place, list[str]] = {
        "beginning": [] if prompt else [tag.text],
        "middle": _different_first([middles[i] for i in _drawn(rest, rng)], tag),
        "end": _different_first([ends[i] for i in _drawn(of_ends, rng)], tag),
    }
    if not any(starts.values()):  # all drafts were copies
        starts["middle"] = [f"{prompt} {tag.text}"]
    return starts


def _beginnings(draft: str, tag: Hashtag, after: int) -> Iterator[str]:
    """Yield the beginnings of a draft that end with a word, before the tag if it has it."""
    for match in _WORD_END.finditer(draft):
        text = draft[: match.start()]
        if text == draft or tag.key in hashtags.keys_in(text):
            return
        if len(text) >= after and hashtags.has_words(text):
            yield text


def _drawn(log_weights: Sequence[float], rng: random.Random) -> list[int]:
    """Return indices drawn without replacement by their weights, in the order of being drawn.

    Adding Gumbel noise to logarithms and sorting does that (Kool et al. 2019, arXiv 1903.06059).
    """
    noisy = [weight - math.log(-math.log(rng.random() or 0.5)) for weight in log_weights]
    return sorted(range(len(noisy)), key=noisy.__getitem__, reverse=True)


def _different_first(found: Sequence[tuple[int, str]], tag: Hashtag) -> list[str]:
    """Return the starts, those from a draft that was used already last."""
    seen: set[int] = set()
    fresh: list[str] = []
    again: list[str] = []
    for number, text in found:
        (again if number in seen else fresh).append(f"{text} {tag.text}")
        seen.add(number)
    return fresh + again


def _first_token_log_probs(
    lm: LanguageModel, drafts: Sequence[str], beginnings: Sequence[tuple[int, str]], tag: Hashtag
) -> list[float]:
    """Log-probability of the tag's first token after each beginning; each draft is read once."""
    token = lm.encode(f" {tag.text}")[0]
    rows = [[lm.separator, *ids][: lm.context] for ids in lm.encode_all(drafts)]
    read: list[torch.Tensor] = [torch.empty(0)] * len(rows)
    for i, logits in _logits(lm, [[*row, token] for row in rows]):
        read[i] = logits[:, token] - logits.logsumexp(-1)
    result = []
    ids_of = lm.encode_all([text for _, text in beginnings])
    for (number, _), ids in zip(beginnings, ids_of, strict=True):
        row = rows[number]
        is_same = len(ids) < len(row) and row[1 : len(ids) + 1] == ids  # the words end with a token
        result.append(float(read[number][len(ids)]) if is_same else -math.inf)
    return result


def _log_probs_of(lm: LanguageModel, texts: Sequence[str], added: Row) -> list[float]:
    """Log-probability of further tokens after each text."""
    rows = [[lm.separator, *ids, *added][-lm.context - 1 :] for ids in lm.encode_all(texts)]
    return tail_log_probs(lm, rows, len(added))


def tail_log_probs(lm: LanguageModel, rows: Sequence[Row], length: int) -> list[float]:
    """Return the log-probability of the last ``length`` tokens of each row after the others.

    Args:
        lm: the model.
        rows: token ids, at most one more than the model's context.
        length: number of tokens, less than those of each row.
    """
    result = [0.0] * len(rows)
    for i, logits in _logits(lm, rows):
        log_probs = logits[-length:].log_softmax(-1)
        target = torch.tensor(rows[i][-length:], device=log_probs.device)[:, None]
        result[i] = float(log_probs.gather(1, target).sum())
    return result


def _logits(lm: LanguageModel, rows: Sequence[Row]) -> Iterator[tuple[int, torch.Tensor]]:
    """Yield the number of each row with the logits of its tokens after the first, in fp32."""
    lm.model.eval()
    for group in batching.batches_by_length(rows, range(len(rows)), _POSITIONS, 0, 0):
        inputs = batching.to_batch([rows[i] for i in group]).inputs.to(lm.device)
        with torch.inference_mode():
            logits = lm.model(input_ids=inputs, use_cache=False).logits
        for i, of_row in zip(group, logits, strict=True):
            yield i, of_row[: len(rows[i]) - 1].float()
