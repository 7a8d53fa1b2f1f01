"""Write ``src/huggingtweets/evaluation/panel.parquet``, the reference authors of the report.

It has fifty posts of each of the 15 authors in the benchmark folder, curated like training posts
and evenly spaced in time, so that no event dominates. They are official communication of members
of the US Congress.

    python scripts/make_panel.py ../shared/data/bench
"""

from __future__ import annotations

import argparse
from pathlib import Path

import polars as pl

from huggingtweets.curation import curate
from huggingtweets.data.posts import SCHEMA
from huggingtweets.evaluation.ppm import evenly_spaced

POSTS_PER_AUTHOR = 50
TARGET = Path(__file__).parent.parent / "src/huggingtweets/evaluation/panel.parquet"


def main() -> None:
    """Read the benchmark folder named on the command line and write the panel."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="folder with one Parquet file per author")
    folder: Path = parser.parse_args().folder
    panel = pl.concat(author_posts(path) for path in sorted(folder.glob("*.parquet")))
    panel.write_parquet(TARGET, compression="zstd", compression_level=19)
    print(f"{TARGET}: {len(panel)} posts, {TARGET.stat().st_size / 1e3:.0f} kB")


def author_posts(path: Path) -> pl.DataFrame:
    """Return some of an author's curated posts, evenly spaced in time."""
    raw = pl.read_parquet(path).sort("created_at", "text").with_row_index("id")
    posts = raw.select(
        "author",
        pl.col("id").cast(pl.String),
        "created_at",
        "text",
        kind=pl.when("is_repost").then(pl.lit("repost")).otherwise(pl.lit("original")),
        lang=pl.lit("en"),
        source=pl.lit("bench"),
    )
    kept = curate(posts.cast(SCHEMA)).kept["text"].to_list()
    texts = evenly_spaced(kept, POSTS_PER_AUTHOR)
    return pl.DataFrame({"author": [path.stem] * len(texts), "text": texts})


if __name__ == "__main__":
    main()
