"""Find candidate pairs of near-duplicates without comparing all pairs.

Two word sets with a Jaccard similarity of at least ``t``, the larger with ``n`` words, differ in at
most ``d = 2n(1 - t) / (1 + t)`` words, counting words that are in only one of them. If the words
are hashed into ``d + 1`` parts, at least one part is the same in both sets, so it suffices to
compare posts that share a part (Arasu, Ganti & Kaushik, *Efficient Exact Set-Similarity Joins*,
VLDB 2006, section 4). At 0.9 that is one part for up to 9 words, two for up to 18, three for up to
28. The number of parts depends on the size: sizes are grouped into levels, and a set is divided
once for each level that the larger set of a similar pair may belong to.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from functools import cache
from typing import TYPE_CHECKING, TypeAlias
from zlib import crc32

import polars as pl

from huggingtweets.curation._slices import each_slice

if TYPE_CHECKING:
    from collections.abc import Collection

    import numpy as np
    from numpy.typing import NDArray

    _Hashes: TypeAlias = NDArray[np.uint64]

_SLICE_ROWS = 40_000
"""Posts per slice; below 2^16, since the position is stored above the 48 bits of a word's hash."""

_SEED = 42
_HASH_BITS = 48
_ODD = 0x9E3779B97F4A7C15
"""2^64 over the golden ratio; distinguishes the part hashes of different levels."""

_64_BITS = 2**64 - 1

_MISS_PROBABILITY = 0.002
"""Probability that two posts exactly at the threshold share no part."""

_MAX_PARTS = 2**16
"""Enough for one part per word, which very low thresholds need."""

_MAX_SIZE = 2**31
"""Upper bound for set sizes; thresholds near zero would need far larger ones."""

_EPSILON = 1e-9
"""Rounding tolerance: 9 / 0.9 and 38 / 19 must come out as 10 and 2."""


def candidates(keys: pl.Series, threshold: float) -> pl.DataFrame:
    """Find the keys that share a part with another key.

    Args:
        keys: texts of words separated by one space.
        threshold: Jaccard similarity of two keys' word sets, in (0, 1].

    Returns:
        Columns ``position`` of the key, ascending, and ``parts``, a list with the hash of each part
        that it shares. Different parts collide once in 2^48; that only costs a comparison.
    """
    import numpy as np

    positions: list[NDArray[np.uint32]] = []
    part_hashes: list[_Hashes] = []
    for start, (posts, hashes) in zip(
        range(0, max(len(keys), 1), _SLICE_ROWS),
        each_slice(keys, lambda texts: _parts(texts, threshold), _SLICE_ROWS),
        strict=True,
    ):
        positions.append(posts + np.uint32(start))
        part_hashes.append(hashes)
    table = pl.DataFrame(
        {"position": np.concatenate(positions), "parts": np.concatenate(part_hashes)}
    )
    shared = table.filter(pl.len().over("parts") > 1)
    return shared.group_by("position").agg("parts").sort("position")


def divide_again(words: Collection[str], threshold: float, division: int) -> list[int]:
    """Divide a word set as :func:`candidates` does, with other words together in each division.

    Returns:
        The hashes of its parts.
    """
    partner = int(min(len(words) / threshold + _EPSILON, _MAX_SIZE))
    largest, part_counts = _levels(threshold, partner)
    factor = _ODD * (2 * division + 1)
    hashes = [crc32(word.encode()) * factor & _64_BITS for word in words]
    part_hashes: list[int] = []
    first, last = bisect_left(largest, len(words)), bisect_left(largest, partner)
    for count in part_counts[first : last + 1]:
        sums: dict[int, int] = {}
        for word_hash in hashes:
            part = (word_hash >> 32) * count >> 32
            sums[part] = sums.get(part, count * _ODD) + word_hash
        part_hashes += sums.values()
    return part_hashes


def _parts(keys: pl.Series, threshold: float) -> tuple[NDArray[np.uint32], _Hashes]:
    """Divide all keys; return the key's position and the hash of each part."""
    import numpy as np

    words, posts = _word_sets(keys)
    sizes = np.bincount(posts, minlength=len(keys))
    partners = np.minimum(sizes / threshold + _EPSILON, _MAX_SIZE).astype(np.int64)
    largest, part_counts = _levels(threshold, int(partners.max(initial=0)))
    counts = np.array(part_counts, np.uint64)
    level, last = np.searchsorted(largest, sizes), np.searchsorted(largest, partners)
    divided: list[tuple[NDArray[np.uint32], _Hashes]] = []
    while len(words):
        divided.append(_divide(words, posts, counts[level][posts]))
        level += 1
        has_level = (level <= last)[posts]
        words, posts = words[has_level], posts[has_level]
        level = np.minimum(level, last)
    empty = [(np.empty(0, np.uint32), np.empty(0, np.uint64))]
    positions, part_hashes = zip(*(divided or empty), strict=True)
    return np.concatenate(positions), np.concatenate(part_hashes)


def _word_sets(keys: pl.Series) -> tuple[_Hashes, NDArray[np.int64]]:
    """Hash the distinct words of each key; return the hashes, sorted per key, and positions."""
    import numpy as np

    words = keys.str.split(" ")
    all_words: _Hashes = words.explode(empty_as_null=False).hash(seed=_SEED).to_numpy()
    hashes = all_words >> np.uint64(64 - _HASH_BITS)
    first = np.arange(len(keys), dtype=np.uint64) << np.uint64(_HASH_BITS)
    hashes |= first.repeat(words.list.len().to_numpy())
    hashes.sort()
    hashes = hashes[_differs_from_previous(hashes)]
    posts = (hashes >> np.uint64(_HASH_BITS)).view(np.int64)
    hashes &= np.uint64((1 << _HASH_BITS) - 1)
    return hashes, posts


def _divide(
    words: _Hashes, posts: NDArray[np.int64], counts: _Hashes
) -> tuple[NDArray[np.uint32], _Hashes]:
    """Divide sets of hashes into parts and return the position and hash of each nonempty part.

    Args:
        words: hashes, sorted within each post.
        posts: for each word the position of its post.
        counts: for each word the number of parts of its post.
    """
    import numpy as np

    part = words >> np.uint64(_HASH_BITS - 32)  # 32 bits, because 48-bit products would overflow
    part *= counts
    part >>= np.uint64(32)
    is_start = _differs_from_previous(part)
    is_start |= _differs_from_previous(posts)
    starts = np.flatnonzero(is_start)
    part_hashes = np.add.reduceat(words, starts) + counts[starts] * _ODD
    return posts[starts].astype(np.uint32), part_hashes


def _differs_from_previous(values: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Return whether each value differs from the previous one; True for the first."""
    import numpy as np

    differs = np.ones(len(values), np.bool_)
    np.not_equal(values[1:], values[:-1], out=differs[1:])
    return differs


@cache
def _levels(threshold: float, size: int) -> tuple[list[int], list[int]]:
    """Group the sizes up to ``size`` into levels: the largest size and the number of parts of each.

    A level extends while the number of differing words stays the same, and at least to the largest
    partner of its smallest size, so that a set belongs to at most two levels.
    """
    rate = 2 * (1 - threshold) / (1 + threshold)
    largest, parts = [0], [1]
    while largest[-1] < size:
        smallest = largest[-1] + 1
        next_differing = int(rate * smallest + _EPSILON) + 1
        same_up_to = math.ceil((next_differing - _EPSILON) / rate) - 1 if rate else _MAX_SIZE
        partner = int(min(smallest / threshold + _EPSILON, _MAX_SIZE))
        largest.append(min(max(partner, same_up_to), _MAX_SIZE))
        differing = int(rate * largest[-1] + _EPSILON)
        parts.append(_part_count(differing, shared=math.ceil(threshold * smallest - _EPSILON)))
    return largest, parts


def _part_count(differing: int, shared: int) -> int:
    """Return the smallest number of parts that makes a common part almost certain.

    A common part has shared words and no differing ones. There is none if the differing words hit
    every part, with probability at most ``(1 - (1 - 1/k)^d)^k`` (counts of balls in bins are
    negatively associated: Dubhashi & Ranjan, *Balls and Bins*, 1998), or if all shared words fall
    into parts with differing ones, at most ``((k - 1) / k)^s``.
    """
    for parts in range(1, _MAX_PARTS):
        all_hit = (1 - (1 - 1 / parts) ** differing) ** parts if parts <= differing else 0
        if all_hit + (min(differing, parts - 1) / parts) ** shared <= _MISS_PROBABILITY:
            return parts
    return _MAX_PARTS
