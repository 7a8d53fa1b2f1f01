"""Manifests: what they may hold, and one sentence for what they may not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.helpers.posts import made_up_posts, write_csv

from huggingtweets.errors import InputError
from huggingtweets.fleet.progress import AuthorProgress, FleetProgress
from huggingtweets.fleet.sources import FleetSource, read_sources

if TYPE_CHECKING:
    from pathlib import Path


def manifest(folder: Path, *lines: str, name: str = "list.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8-sig")
    return path


def test_manifest_and_sources_together(tmp_path: Path) -> None:
    table = write_csv(tmp_path / "dan.csv", "dan", made_up_posts(3))
    path = manifest(
        tmp_path,
        "Author;Source;text-column;from;join",
        "ann;posts/ann.csv;message;;",
        "",
        "bob;bsky:bob.example;;;",
        "cat;chat.txt;;Cat;yes",
    )
    found = read_sources([path, table], FleetSource("", keep_names=True))
    assert found == [
        FleetSource(str(tmp_path / "posts/ann.csv"), "ann", "message", keep_names=True),
        FleetSource("bsky:bob.example", "bob", keep_names=True),
        FleetSource(str(tmp_path / "chat.txt"), "cat", None, "Cat", join=True, keep_names=True),
        FleetSource(str(table), keep_names=True),
    ]


def test_table_of_posts_with_a_column_source_is_no_manifest(tmp_path: Path) -> None:
    path = manifest(tmp_path, "author,source,text", "ann,web,a post about a harbour")
    assert [source.author for source in read_sources([path])] == [None]


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["author,source"], "names no author: it has only a header"),
        (["author,source,colour", "ann,a.csv,red"], "a column 'colour' that a manifest doesn't"),
        (["author,source", "ann,a.csv", ",b.csv"], "There is no author in line 3 of "),
        (["author,source", "ann"], "There is no source in line 2 of "),
        (["author,source,join", "ann,a.csv,perhaps"], "join must be yes or no, not 'perhaps', in"),
        (
            ["author,source", "ann,a.csv", "bob,b.csv", "@Ann,c.csv"],
            "@Ann is named twice, in line 2 of .*list.csv and in line 4 of .*list.csv",
        ),
    ],
)
def test_bad_manifest_is_one_sentence(tmp_path: Path, lines: list[str], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        read_sources([manifest(tmp_path, *lines)])
    assert str(caught.value).count("\n") == 0


def test_missing_file_on_the_command_line_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no file or folder .*none\.csv"):
        read_sources([tmp_path / "none.csv"])
    assert read_sources(["bsky:bob.example", "hf:owner/name"])


def test_source_named_twice_is_refused(tmp_path: Path) -> None:
    table = write_csv(tmp_path / "dan.csv", "dan", made_up_posts(3))
    with pytest.raises(InputError, match="is named twice"):
        read_sources([table, table])


def test_time_left_follows_from_text_and_workers() -> None:
    progress = FleetProgress(workers=2, started=100.0)
    done = {"state": "done", "started": 200.0}
    progress.authors = {
        "a": AuthorProgress("a", characters=1_000, seconds=20.0, **done),  # type: ignore[arg-type]
        "b": AuthorProgress("b", characters=3_000, seconds=40.0, **done),  # type: ignore[arg-type]
        "c": AuthorProgress("c", characters=2_000),
        "d": AuthorProgress("d", characters=4_000),
    }
    progress.estimate()
    assert progress.seconds_left == pytest.approx(50.0)  # the longest: 10 + 0.01 a character
    progress.authors["e"] = AuthorProgress("e", characters=4_000)
    progress.estimate()
    assert progress.seconds_left == pytest.approx((30 + 50 + 50) / 2)
