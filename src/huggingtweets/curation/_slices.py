"""Work on a long column of texts, a slice at a time, on all cores.

Polars runs a string operation on one column in one thread, but lets go of the GIL meanwhile.
Slices in a few threads therefore use every core, and what a chain of operations leaves in between
exists for a few slices only, not for the million posts.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_FEWEST, _MOST = 10_000, 40_000
"""Rows of a slice: each pattern is made ready for each slice anew, and what a slice leaves in
between takes memory."""

_T = TypeVar("_T")


def in_slices(
    texts: pl.Series, function: Callable[[pl.Series], _T], rows: int | None = None
) -> list[_T]:
    """Call a function on consecutive slices of a column; its results in the slices' order.

    Without ``rows``, a core has at least one slice of its own unless they would be tiny. An empty
    column is one empty slice.
    """
    return list(each_slice(texts, function, rows))


def each_slice(
    texts: pl.Series, function: Callable[[pl.Series], _T], rows: int | None = None
) -> Iterator[_T]:
    """Yield what :func:`in_slices` returns, so that no result has to be kept."""
    rows = rows or min(max(_FEWEST, -(-len(texts) // pl.thread_pool_size())), _MOST)
    slices = [texts.slice(start, rows) for start in range(0, max(len(texts), 1), rows)]
    if len(slices) == 1:
        yield function(slices[0])
        return
    with ThreadPoolExecutor(pl.thread_pool_size()) as pool:
        yield from pool.map(function, slices)


def map_where(
    texts: pl.Series, chosen: pl.Series, function: Callable[[pl.Series], pl.Series]
) -> pl.Series:
    """Replace the chosen texts by what a function makes of them; the others aren't touched.

    Most rules concern few posts, and a test is several times cheaper than a replacement.
    """
    rows = chosen.arg_true()
    if rows.is_empty():
        return texts
    if len(rows) == len(texts):
        return function(texts)
    # scatter() changes the column it is called on; the caller's must stay as it is.
    return texts.clone().scatter(rows, function(texts.gather(rows)))
