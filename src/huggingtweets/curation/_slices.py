"""Process a long column of texts in slices, on all cores.

Polars runs a string operation on one column in one thread, but releases the GIL. So slices in
several threads use all cores, and intermediate results exist for a few slices instead of a million
posts.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MIN_ROWS, _MAX_ROWS = 10_000, 40_000
"""Rows per slice: small slices recompile each pattern more often, large ones take more memory."""

_T = TypeVar("_T")


def in_slices(
    texts: pl.Series, function: Callable[[pl.Series], _T], rows: int | None = None
) -> list[_T]:
    """Call a function on consecutive slices of a column; return its results in order.

    Without ``rows``, each core gets at least one slice unless they would be tiny. An empty column
    is one empty slice.
    """
    return list(each_slice(texts, function, rows))


def each_slice(
    texts: pl.Series, function: Callable[[pl.Series], _T], rows: int | None = None
) -> Iterator[_T]:
    """Yield the results of :func:`in_slices` one by one."""
    rows = rows or min(max(_MIN_ROWS, -(-len(texts) // pl.thread_pool_size())), _MAX_ROWS)
    slices = [texts.slice(start, rows) for start in range(0, max(len(texts), 1), rows)]
    if len(slices) == 1:
        yield function(slices[0])
        return
    with ThreadPoolExecutor(pl.thread_pool_size()) as pool:
        yield from pool.map(function, slices)


def map_where(
    texts: pl.Series, chosen: pl.Series, function: Callable[[pl.Series], pl.Series]
) -> pl.Series:
    """Apply a function to the chosen texts only.

    Most rules match few posts, and searching is several times cheaper than replacing.
    """
    return map_rows(texts, chosen.arg_true(), function)


def map_rows(
    texts: pl.Series, rows: pl.Series, function: Callable[[pl.Series], pl.Series]
) -> pl.Series:
    """Apply a function to the texts of the given row numbers only."""
    if rows.is_empty():
        return texts
    if len(rows) == len(texts):
        return function(texts)
    # scatter() modifies its column in place, so clone the caller's.
    return texts.clone().scatter(rows, function(texts.gather(rows)))
