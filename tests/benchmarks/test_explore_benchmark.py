"""The benchmark of exploring: its quick form, on made-up posts."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import polars as pl
from tests.helpers.posts import made_up_posts

from benchmarks import explore

if TYPE_CHECKING:
    from pathlib import Path


def test_it_measures_vectors_and_seconds(tmp_path: Path, tiny_base: Path) -> None:
    for number, name in enumerate(("NASA", "WhiteHouse")):
        texts = [f"{text} #{text.split()[-2].strip('.')}" for text in made_up_posts(150, number)]
        table = pl.DataFrame({"author": [name] * 150, "id": map(str, range(150)), "text": texts})
        file = tmp_path / "demo" / f"{name}.parquet"
        file.parent.mkdir(exist_ok=True)
        table.write_parquet(file)
    found = explore.compare_vectors(tmp_path, str(tiny_base), 200)
    assert list(found) == [
        "words",
        *("layer 1 of 2", "layer 1 of 2, and words"),
        *("layer 2 of 2", "layer 2 of 2, and words"),
    ]
    assert all(0 <= share <= 1 for share in found.values())
    assert "0." in explore.table(found)
    file = tmp_path / "posts.parquet"
    explore.build(200, tmp_path).write_parquet(file)
    measured = explore.measure(file, str(tiny_base))
    assert measured["posts"] > 100
    assert measured["seconds"] > 0
    assert "goal 120" in explore.report(measured)


def test_it_finds_the_own_half_of_authors(tmp_path: Path) -> None:
    (tmp_path / "bench").mkdir()
    words = ["the", "and", "of", "was", "very", "quite", "really", "often", "never", "maybe"]
    common = [*words, "here", "there"]
    rng = random.Random(0)
    for number in range(6):
        weights = [9 if at % 6 == number else 1 for at in range(len(common))]
        texts = [f"{' '.join(rng.choices(common, weights, k=12))} {at}" for at in range(100)]
        table = pl.DataFrame({"author": [f"a{number}"] * 100, "text": texts})
        table.write_parquet(tmp_path / "bench" / f"a{number}.parquet")
    assert explore.compare_authors(tmp_path, (60,)) == {"of 6 authors with 60 posts": 1.0}
