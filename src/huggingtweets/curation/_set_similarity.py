"""Find which posts may be near-duplicates, without comparing each with each.

Two sets of words with a Jaccard similarity of at least ``t``, the larger of ``n`` words, differ in
at most ``d = 2n(1 - t) / (1 + t)`` words: those in one of them only. Put the words into ``d + 1``
parts by their hash, and at least one part holds the same words in both, so that it is enough to
compare posts that have a part in common (Arasu, Ganti & Kaushik, *Efficient Exact Set-Similarity
Joins*, VLDB 2006, section 4). At 0.9 that is one part for up to 9 words, two for up to 18, three
for up to 28. Sets of other sizes have other numbers of parts: sizes are gathered into levels, and
a set is divided for each level in which a set as like as that may be the larger one.
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

    _Numbers: TypeAlias = NDArray[np.uint64]

_AT_ONCE = 40_000
"""Posts of a slice, fewer than 2^16: their number stands above 48 bits of a word's hash."""

_SEED = 42
_HASH_BITS = 48
_ODD = 0x9E3779B97F4A7C15
"""Tells the parts of one level from those of another: 2^64 over the golden ratio."""

_64_BITS = 2**64 - 1

_MISSED = 0.002
"""Likelihood, at the threshold itself, that two posts have no part in common."""

_MOST_PARTS = 2**16
"""Enough for each word of a post to be a part of its own, which very low thresholds ask for."""

_LARGEST = 2**31
"""Words that no set has; a threshold near zero would ask for sets of many more."""

_EPSILON = 1e-9
"""0.9 isn't a binary number: 9 / 0.9 and 38 / 19 must come out as 10 and 2."""


def candidates(keys: pl.Series, threshold: float) -> pl.DataFrame:
    """Find the keys that have a part in common with any other.

    Args:
        keys: texts of words with one space between them.
        threshold: Jaccard similarity of two keys' sets of words, in (0, 1].

    Returns:
        Columns ``position`` of the key, ascending, and ``parts``, a list with one number for each
        of its parts that others have as well. Different parts may have the same number, once in
        2^48; that only costs a comparison.
    """
    import numpy as np

    positions: list[NDArray[np.uint32]] = []
    numbers: list[_Numbers] = []
    for start, (posts, found) in zip(
        range(0, max(len(keys), 1), _AT_ONCE),
        each_slice(keys, lambda texts: _parts(texts, threshold), _AT_ONCE),
        strict=True,
    ):
        positions.append(posts + np.uint32(start))
        numbers.append(found)
    table = pl.DataFrame({"position": np.concatenate(positions), "parts": np.concatenate(numbers)})
    shared = table.filter(pl.len().over("parts") > 1)
    return shared.group_by("position").agg("parts").sort("position")


def divide_again(words: Collection[str], threshold: float, time: int) -> list[int]:
    """Divide a set of words as :func:`candidates` does, but others of them together each time.

    Returns:
        The numbers of its parts.
    """
    partner = int(min(len(words) / threshold + _EPSILON, _LARGEST))
    largest, fewest = _levels(threshold, partner)
    factor = _ODD * (2 * time + 1)
    hashes = [crc32(word.encode()) * factor & _64_BITS for word in words]
    numbers: list[int] = []
    for parts in fewest[bisect_left(largest, len(words)) : bisect_left(largest, partner) + 1]:
        sums: dict[int, int] = {}
        for hashed in hashes:
            part = (hashed >> 32) * parts >> 32
            sums[part] = sums.get(part, parts * _ODD) + hashed
        numbers += sums.values()
    return numbers


def _parts(keys: pl.Series, threshold: float) -> tuple[NDArray[np.uint32], _Numbers]:
    """Number the parts of each key: for each part the key's position, and the number."""
    import numpy as np

    words, posts = _sets(keys)
    sizes = np.bincount(posts, minlength=len(keys))
    partners = np.minimum(sizes / threshold + _EPSILON, _LARGEST).astype(np.int64)
    largest, fewest = _levels(threshold, int(partners.max(initial=0)))
    parts = np.array(fewest, np.uint64)
    level, last = np.searchsorted(largest, sizes), np.searchsorted(largest, partners)
    found: list[tuple[NDArray[np.uint32], _Numbers]] = []
    while len(words):
        found.append(_divide(words, posts, parts[level][posts]))
        level += 1
        more = (level <= last)[posts]
        words, posts = words[more], posts[more]
        level = np.minimum(level, last)
    empty = [(np.empty(0, np.uint32), np.empty(0, np.uint64))]
    positions, numbers = zip(*(found or empty), strict=True)
    return np.concatenate(positions), np.concatenate(numbers)


def _sets(keys: pl.Series) -> tuple[_Numbers, NDArray[np.int64]]:
    """Hash the different words of each key: the hashes, ascending in each key, and its position."""
    import numpy as np

    words = keys.str.split(" ")
    all_words: _Numbers = words.explode(empty_as_null=False).hash(seed=_SEED).to_numpy()
    hashes = all_words >> np.uint64(64 - _HASH_BITS)
    first = np.arange(len(keys), dtype=np.uint64) << np.uint64(_HASH_BITS)
    hashes |= first.repeat(words.list.len().to_numpy())
    hashes.sort()
    hashes = hashes[_begins(hashes)]
    posts = (hashes >> np.uint64(_HASH_BITS)).view(np.int64)
    hashes &= np.uint64((1 << _HASH_BITS) - 1)
    return hashes, posts


def _divide(
    words: _Numbers, posts: NDArray[np.int64], parts: _Numbers
) -> tuple[NDArray[np.uint32], _Numbers]:
    """Divide sets of hashes into as many parts as said for each word; empty ones aren't told."""
    import numpy as np

    part = words >> np.uint64(_HASH_BITS - 32)  # of 32 bits, as products of 48 would overflow
    part *= parts
    part >>= np.uint64(32)
    begins = _begins(part)
    begins |= _begins(posts)
    starts = np.flatnonzero(begins)
    numbers = np.add.reduceat(words, starts) + parts[starts] * _ODD
    return posts[starts].astype(np.uint32), numbers


def _begins(numbers: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Whether each number differs from the one before it."""
    import numpy as np

    begins = np.ones(len(numbers), np.bool_)
    np.not_equal(numbers[1:], numbers[:-1], out=begins[1:])
    return begins


@cache
def _levels(threshold: float, size: int) -> tuple[list[int], list[int]]:
    """Gather sizes up to one into levels: the largest size of each, and how many parts it takes.

    A level reaches as far as no more words may differ, and at least as far as the partners of its
    smallest size, so that a set belongs to two levels at most.
    """
    rate = 2 * (1 - threshold) / (1 + threshold)
    largest, parts = [0], [1]
    while largest[-1] < size:
        smallest = largest[-1] + 1
        more = int(rate * smallest + _EPSILON) + 1
        same_up_to = math.ceil((more - _EPSILON) / rate) - 1 if rate else _LARGEST
        partner = int(min(smallest / threshold + _EPSILON, _LARGEST))
        largest.append(min(max(partner, same_up_to), _LARGEST))
        differing = int(rate * largest[-1] + _EPSILON)
        parts.append(_fewest_parts(differing, shared=math.ceil(threshold * smallest - _EPSILON)))
    return largest, parts


def _fewest_parts(differing: int, shared: int) -> int:
    """Choose so many parts that there is a common one: shared words and none of those that differ.

    Either the words that differ stand in all parts, with a likelihood of at most
    ``(1 - (1 - 1/k)^d)^k`` (numbers of balls in bins are negatively associated: Dubhashi & Ranjan,
    *Balls and Bins*, 1998), or all shared words stand where they do, at most ``((k - 1) / k)^s``.
    """
    for parts in range(1, _MOST_PARTS):
        everywhere = (1 - (1 - 1 / parts) ** differing) ** parts if parts <= differing else 0
        if everywhere + (min(differing, parts - 1) / parts) ** shared <= _MISSED:
            return parts
    return _MOST_PARTS
