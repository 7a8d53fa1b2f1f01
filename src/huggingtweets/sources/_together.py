"""Posts of several sources in one table, where ids of one place may mean others in another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from huggingtweets.data.posts import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Sequence

_PLACE, _NTH = "_place", "_nth"
# Networks number all their posts at once, or name them by an address: one id is one post, although
# its text may differ (cut short in one archive, edited since). Files and chats count from 1.
_ONE_POST = r"^\d{12,}$|:"


def merge_posts(tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Put tables of posts into one, each author's ids unique, each post once.

    A post that is in several tables, as when archives overlap, is kept where it comes first. Where
    two tables give different posts of an author the same id, the later post gets another.
    """
    placed = [table.with_columns(pl.lit(at).alias(_PLACE)) for at, table in enumerate(tables)]
    table = _first_of(pl.concat(placed), _PLACE, "author", "id")
    table = _first_of(table, "author", "id", "text")
    table = table.with_columns(pl.int_range(1, pl.len() + 1).over("author", "id").alias(_NTH))
    later = pl.col(_NTH) > 1
    table = table.filter(~(later & pl.col("id").str.contains(_ONE_POST)))
    new = pl.when(later).then(pl.format("{}-{}", "id", _NTH)).otherwise("id")
    return table.with_columns(new.alias("id")).select(SCHEMA.names())


def _first_of(table: pl.DataFrame, *columns: str) -> pl.DataFrame:
    return table.unique(subset=columns, keep="first", maintain_order=True)
