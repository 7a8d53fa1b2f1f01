"""Bits per byte of a compressor: the anchor of the bot's bits per byte.

The compressor is an adaptive model of bytes of the family PPM, prediction by partial matching
(Cleary and Witten 1984): it counts which byte followed each context of up to 12 bytes. With the
training posts as history it is the strongest model that needs no training, so a bot that isn't
better has learned little about the author. Nothing is compressed; the ideal code length, ``-log2``
of the probability that the model gives to each byte, is added up.

The contexts are mixed from short to long. After a context that has been seen, a byte's probability
is ``(1 - e - r) * seen + r * last + e * shorter``:

- ``seen`` is the byte's count with a discount of 0.85 (absolute discounting, Ney et al. 1994), as a
  share of all counts;
- ``last`` is 1 for the byte that followed this context the last time;
- ``shorter`` is the probability after the next shorter context, at the end 1 in 256.

``e`` and ``r`` depend on how much and how varied the context's counts are; they are fitted to the
end of the history by expectation maximisation. A count in a shorter context rises only when the
byte is new in the longer one (update exclusion, Moffat 1990).

Each held-out post is measured alone, as the bot is: the model has counts of the history and of the
post's own beginning, and none of other held-out posts. :func:`compressor_stream_bits_per_byte` lets
it learn from them as well, as if a file were compressed. On the posts of 17 authors both take fewer
bits than PPMd (variant I, order 8), which earlier versions used (``benchmarks/compressors.py``).
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    _Ints = NDArray[np.signedinteger]
    _Floats = NDArray[np.floating]

MAX_POSTS = 1_000
"""Maximum number of held-out posts measured alone."""

MAX_HISTORY_BYTES = 512 * 1024
"""Maximum size of the history of posts measured alone, about 5,000 posts; the newest are used."""

_ORDERS = (0, 1, 2, 3, 4, 6, 8, 12)  # bytes of context
_DISCOUNT = 0.85
_FITTED_BYTES = 100_000  # end of the history that the weights are fitted to
_FITTING_STEPS = 12
_START = (0.3, 0.1)  # escape and repeat before fitting
_COUNTS = (1, 2, 3, 4, 6, 9, 14, 25, 60, 200)  # classes of contexts: lowest total of each
_VARIETIES = 5
_CLASSES = 1 + len(_COUNTS) * _VARIETIES  # the first is that of contexts never seen


def compressor_bits_per_byte(history: Sequence[str], posts: Sequence[str]) -> float | None:
    """Bits per UTF-8 byte that the compressor needs for each of ``posts`` alone.

    A post has one byte more, for the newline at its end. The mean is over bytes, not posts. Takes
    about 2 s for 250 kB of history, and no more than 5 s for any (two cores, no GPU).

    Args:
        history: the training posts, oldest first.
        posts: the held-out posts.

    Returns:
        None if there is no held-out post.
    """
    lines = newest([line(post) for post in history], MAX_HISTORY_BYTES)
    return _bits_per_byte(lines, [line(post) for post in evenly_spaced(posts, MAX_POSTS)])


def compressor_stream_bits_per_byte(history: Sequence[str], posts: Sequence[str]) -> float | None:
    """Bits per UTF-8 byte of all ``posts`` in one stream after the whole ``history``.

    The compressor learns from the held-out posts as well, which a bot doesn't, so this is a
    stricter anchor than :func:`compressor_bits_per_byte`. Arguments and the size of a post are the
    same.

    Returns:
        None if there is no held-out post.
    """
    return _bits_per_byte(
        [line(post) for post in history], [line(post) for post in posts], stream=True
    )


def evenly_spaced(posts: Sequence[str], limit: int) -> list[str]:
    """Select at most ``limit`` evenly spaced posts, in order."""
    count = min(limit, len(posts))
    return [posts[i * len(posts) // count] for i in range(count)]


def line(post: str) -> bytes:
    """A post as the compressor meets it: UTF-8 and a newline."""
    # An unpaired surrogate can't be encoded as UTF-8; it becomes a question mark.
    return post.encode("utf-8", "replace") + b"\n"


def newest(lines: list[bytes], max_bytes: int) -> list[bytes]:
    """Return the last lines that fit into ``max_bytes``."""
    sizes = list(accumulate(len(line) for line in reversed(lines)))
    count = sum(size <= max_bytes for size in sizes)
    return lines[len(lines) - count :]


def _bits_per_byte(
    history: Sequence[bytes], posts: Sequence[bytes], *, stream: bool = False
) -> float | None:
    import numpy as np

    if not posts:
        return None
    known = sum(map(len, history))
    found = probabilities(history, posts, stream=stream)[known:]
    return float(-np.log2(found).mean())


def probabilities(
    history: Sequence[bytes], posts: Sequence[bytes], *, stream: bool = False
) -> _Floats:
    """The probability of each byte of history and posts, given the bytes before it."""
    known = sum(map(len, history))
    predictors = _predictors(history, posts, stream=stream)
    fitted = [part.cut(max(0, known - _FITTED_BYTES), known) for part in predictors]
    return _mix(predictors, _fit(fitted))[-1]


class _Predictor(NamedTuple):
    """What the contexts of one length say of each position.

    Attributes:
        seen: share of the byte among the context's counts, after the discount.
        last: 1 where the byte is the one that followed this context the last time.
        kind: class of the context.
    """

    seen: _Floats
    last: _Floats
    kind: _Ints

    def cut(self, start: int, end: int) -> _Predictor:
        """The same for some positions only."""
        return _Predictor(self.seen[start:end], self.last[start:end], self.kind[start:end])


class Groups:
    """Positions with the same key, each group in the order of time.

    ``before`` counts what is known at a position: the group's events in the history, and the
    earlier ones in the same post.
    """

    def __init__(self, keys: _Ints, owners: _Ints) -> None:
        import numpy as np

        self.order = order = _stable_order(keys)
        sorted_keys, sorted_owners = keys[order], owners[order]
        first = np.ones(len(order), bool)
        first[1:] = sorted_keys[1:] != sorted_keys[:-1]
        group = np.cumsum(first) - 1
        self.ids = np.empty(len(order), np.int32)
        self.ids[order] = group
        starts = np.flatnonzero(first).astype(np.int32)
        first[1:] |= sorted_owners[1:] != sorted_owners[:-1]  # of each post within each group
        own_starts = np.flatnonzero(first).astype(np.int32)
        in_history = sorted_owners == 0
        history_ends = starts + np.add.reduceat(in_history, starts, dtype=np.int32)
        self.start = starts[group]
        self.own_start = own_starts[np.cumsum(first) - 1]
        self.history_end = np.where(in_history, self.start, history_ends[group])

    def before(self, events: NDArray[np.bool_]) -> _Ints:
        """How many of ``events`` are known at each position."""
        import numpy as np

        total = np.zeros(len(events) + 1, np.int32)
        np.cumsum(events[self.order], out=total[1:])
        counts = np.empty(len(events), np.int32)
        counts[self.order] = (
            total[:-1] - total[self.own_start] + total[self.history_end] - total[self.start]
        )
        return counts

    def repeats(self, symbols: _Ints) -> NDArray[np.bool_]:
        """Whether each position has the symbol of the newest known position of its group."""
        import numpy as np

        here = np.arange(len(self.order), dtype=np.int32)
        newest = np.where(here > self.own_start, here, self.history_end) - 1
        ordered = symbols[self.order]
        found = np.empty(len(self.order), bool)
        found[self.order] = (newest >= self.start) & (ordered[newest] == ordered)
        return found


def _stable_order(keys: _Ints) -> _Ints:
    """A stable argsort of numbers from 0 on; by 16 bits at a time, which numpy sorts by radix."""
    import numpy as np

    order = np.argsort((keys & 0xFFFF).astype(np.uint16), kind="stable")
    rest = keys >> 16
    while rest.any():
        digits = (rest[order] & 0xFFFF).astype(np.uint16)
        order = order[np.argsort(digits, kind="stable")]
        rest = rest >> 16
    return order


def _predictors(
    history: Sequence[bytes], posts: Sequence[bytes], *, stream: bool
) -> list[_Predictor]:
    """One predictor for each of :data:`_ORDERS`."""
    import numpy as np

    lines = [*history, *posts]
    lengths = np.array([len(line) for line in lines])
    symbols = np.frombuffer(b"".join(lines), np.uint8).astype(np.int64)
    # 0 for what every later position knows, else the number of the post that alone knows it
    owner_of_line = np.zeros(len(lines), np.int32)
    if not stream:
        owner_of_line[len(history) :] = np.arange(1, len(posts) + 1)
    owners = np.repeat(owner_of_line, lengths)
    groups = _context_groups(symbols, lengths, owners)
    predictors: list[_Predictor] = []
    events = np.ones(len(symbols), bool)
    for contexts in reversed(groups):
        pairs = Groups(contexts.ids.astype(np.int64) * 256 + symbols, owners)
        count = pairs.before(events)
        new = events & (count == 0)
        total, distinct = contexts.before(events), contexts.before(new)
        left = np.maximum(total - _DISCOUNT * distinct, 1e-9)
        seen = np.where(count > 0, (count - _DISCOUNT) / left, 0.0).astype(np.float32)
        last = contexts.repeats(symbols).astype(np.float32)
        predictors.append(_Predictor(seen, last, _kinds(total, distinct)))
        events = new  # update exclusion
    return predictors[::-1]


def _context_groups(symbols: _Ints, lengths: _Ints, owners: _Ints) -> list[Groups]:
    """Positions by their context; that of a post's first byte is newlines."""
    import numpy as np

    offsets = np.arange(len(symbols)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    keys = np.zeros(len(symbols), np.int64)
    groups: list[Groups] = []
    length = 0
    for order in _ORDERS:
        while length < order:
            length += 1
            keys *= 256
            keys += np.where(offsets >= length, np.roll(symbols, length), ord("\n"))
        groups.append(Groups(keys, owners))
        keys = groups[-1].ids.astype(np.int64)
    return groups


def _kinds(total: _Ints, distinct: _Ints) -> _Ints:
    """The class of contexts by their number of bytes and of different bytes; 0 if never seen."""
    import numpy as np

    size = np.searchsorted(_COUNTS, total, side="right") - 1
    variety = np.select(
        [distinct <= 1, distinct == 2, 4 * distinct < total, 2 * distinct < total],
        [0, 1, 2, 3],
        _VARIETIES - 1,
    )
    return np.where(total > 0, 1 + size * _VARIETIES + variety, 0).astype(np.int16)


_Weights = list[tuple["_Floats", "_Floats"]]  # of each order: escape and repeat, by class


def _fit(predictors: Sequence[_Predictor]) -> _Weights:
    """Fit the weights of escape and repeat by expectation maximisation."""
    import numpy as np

    weights: _Weights = []
    for _ in predictors:
        escape, repeat = (np.full(_CLASSES, start, np.float32) for start in _START)
        escape[0], repeat[0] = 1, 0
        weights.append((escape, repeat))
    for _ in range(_FITTING_STEPS):
        mixed = _mix(predictors, weights)
        reached = np.ones_like(mixed[0])  # how likely the byte came from this order or a shorter
        for order in range(len(predictors) - 1, -1, -1):
            (_, last, kind), (escape, repeat) = predictors[order], weights[order]
            share = reached / mixed[order + 1]
            escaped, repeated = share * escape[kind] * mixed[order], share * repeat[kind] * last
            sums = (np.bincount(kind, part, _CLASSES) for part in (escaped, repeated, reached))
            escapes, repeats, uses = sums
            escape[1:] = ((escapes + _START[0]) / (uses + 1))[1:]  # one observation as prior
            repeat[1:] = ((repeats + _START[1]) / (uses + 1))[1:]
            reached = escaped
    return weights


def _mix(predictors: Sequence[_Predictor], weights: _Weights) -> list[_Floats]:
    """The probability of each byte by no context, and after each order's."""
    import numpy as np

    mixed = [np.full(len(predictors[0].seen), 1 / 256, np.float32)]
    for (seen, last, kind), (escape, repeat) in zip(predictors, weights, strict=True):
        escaped, repeated = escape[kind], repeat[kind]
        own = (1 - escaped - repeated) * seen + repeated * last
        mixed.append(own + escaped * mixed[-1])
    return mixed
