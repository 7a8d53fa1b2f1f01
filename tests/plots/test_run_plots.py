from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from huggingtweets import pipeline
from huggingtweets.errors import InputError, StorageError
from huggingtweets.plots import run_plots

if TYPE_CHECKING:
    from pathlib import Path

PNG = b"\x89PNG"


def test_lengths_are_counted_before_and_after() -> None:
    posts = ["x" * n for n in (1, 19, 20, 299, 300, 5_000)]
    chart = run_plots.lengths(posts, posts[:2]).chart.to_dict()
    after, before = (chart["datasets"][layer["data"]["name"]] for layer in chart["layer"])
    assert [row["posts"] for row in after if row["posts"]] == [2]
    assert [(row["start"], row["posts"]) for row in before if row["posts"]] == [
        (0, 2),
        (20, 1),
        (280, 1),
        (300, 2),
        (320, 2),  # the line ends at the last bar's end
    ]


def test_dropped_posts_are_counted(tmp_path: Path, posts: list[str]) -> None:
    from tests.helpers.posts import write_csv

    rows = ["RT @me: somebody else's", "too short", *posts[:20], posts[0]]
    curated = pipeline.curate(write_csv(tmp_path / "a.csv", "a", rows))
    drawn = run_plots.dropped(curated).svg()
    for text in ("kept", "retweets", "short", "duplicates", ">20<", "23 posts"):
        assert text in drawn
    assert not [post for post in rows if post in drawn]


def test_importance_shows_parameters_and_methods() -> None:
    shares = {
        "random_forest": {"learning_rate": 0.7, "epochs": 0.3},
        "fanova": {"learning_rate": 0.6, "epochs": 0.4},
    }
    drawn = run_plots.importance(shares).svg()
    for text in ("learning rate", "epochs", "random forest", "fanova"):
        assert text in drawn


def test_plot_format_follows_the_file_name(tmp_path: Path) -> None:
    plot = run_plots.lengths(["one post"], ["one"])
    plot.save(tmp_path / "new" / "a.svg")
    plot.save(tmp_path / "a.PNG")
    assert (tmp_path / "new" / "a.svg").read_text("utf-8").startswith("<svg")
    assert (tmp_path / "a.PNG").read_bytes().startswith(PNG)
    with pytest.raises(InputError, match=r"\.svg or \.png, not be 'a\.pdf'"):
        plot.save(tmp_path / "a.pdf")
    with pytest.raises(StorageError):
        plot.save(tmp_path / "a.PNG" / "b.svg")


def test_jupyter_shows_plots_at_half_size() -> None:
    png, size = run_plots.lengths(["one post"], ["one"])._repr_png_()
    assert png.startswith(PNG)
    assert int.from_bytes(png[16:20]) // 2 == size["width"] > 300
