"""``huggingtweets explore`` on the command line."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest
from tests.helpers.posts import made_up_posts, write_csv

from huggingtweets.privacy import opt_out

if TYPE_CHECKING:
    from tests.cli.program import CommandLine

    from huggingtweets.storage.run_folder import RunFolder


def test_a_run_and_a_file_are_explored_together(
    cli: CommandLine, finished: Path, trained: RunFolder, tiny_base: Path
) -> None:
    baker = write_csv(Path("baker.csv"), "baker", made_up_posts(60, seed=3))
    outcome = cli("explore", finished, baker, "--base", tiny_base, "--out", "us.html")
    assert outcome.code == 0, outcome.err
    for text in ("Topics of", "@gardener", "@baker", "own halves", "readability", "us.html"):
        assert text in outcome.out
    page = Path("us.html")
    assert stat.S_IMODE(page.stat().st_mode) == 0o600  # it holds posts
    kept = trained.table("kept")["text"]
    assert any(text.replace("'", "&#39;") in page.read_text("utf-8") for text in kept)


def test_json(cli: CommandLine, source: Path) -> None:
    outcome = cli("explore", source, "--base", "words", "--topics", "3", "--json")
    value = json.loads(outcome.out)
    assert outcome.code == 0
    assert value["format"] == 1
    assert [author["name"] for author in value["authors"]] == ["@gardener"]
    assert len(value["topics"]) <= 3
    assert (value["page"], value["warnings"], value["distances"]) == (None, [], None)
    assert any("need two authors" in note for note in value["notes"])


def test_a_name_that_is_no_handle_is_shown_without_at(cli: CommandLine, here: Path) -> None:
    Path("diary.txt").write_text("\n".join(made_up_posts(40)), encoding="utf-8")
    assert here.is_dir()
    outcome = cli("explore", "diary.txt", "--base", "words", "--json")
    assert json.loads(outcome.out)["authors"][0]["name"] == "diary"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "report.pdf"], "must be an .html file"),
        (["--out", "folder.html"], "is a folder"),
        (["--base", "./nowhere"], "no model folder"),
        (["--topics", "0"], "--topics must be from 1 to 50"),
        (["--scrub", "--keep-personal"], "either --keep-personal or --scrub"),
    ],
)
def test_bad_options_are_refused(
    cli: CommandLine, source: Path, arguments: list[str], message: str
) -> None:
    Path("folder.html").mkdir()
    assert cli("explore", source, *arguments).refused(message)
    assert [path.name for path in Path().iterdir()] == ["folder.html"]


def test_bad_sources_are_refused(cli: CommandLine) -> None:
    ten = write_csv(Path("ann.csv"), "ann", made_up_posts(10))
    Path("empty.csv").write_text("author,id,text\n", encoding="utf-8")
    Path("dull.csv").write_text("author,text\nann,ok\n", encoding="utf-8")
    explore = ("explore", "--base", "words", "--out", "page.html")
    assert cli(*explore, ten).refused("at least 20 posts", "ann has 10")
    assert cli(*explore, "empty.csv").refused("holds no posts")
    assert cli(*explore, "dull.csv").refused("No post is left after curation")
    assert cli(*explore, "missing.csv").refused("missing.csv")
    assert not Path("page.html").exists()


def test_a_run_of_an_author_who_opted_out_is_refused(
    cli: CommandLine, finished: Path, config: Path
) -> None:
    opt_out.add(["@gardener"])
    assert config.is_dir()
    assert cli("explore", finished, "--base", "words").refused("@gardener asked not to be")


def test_a_speaker_is_refused_where_only_runs_are_given(cli: CommandLine, finished: Path) -> None:
    refused = cli("explore", finished, "--base", "words", "--from", "Ann")
    assert refused.refused("--from Ann", "only runs")


def test_posts_that_a_run_keeps_personal_are_masked(cli: CommandLine, finished: Path) -> None:
    file = finished / "data" / "kept.parquet"
    kept = pl.read_parquet(file)
    kept.with_columns(pl.format("{} ann@example.org", "text").alias("text")).write_parquet(file)
    outcome = cli("explore", finished, "--base", "words", "--json", "--out", "page.html")
    assert outcome.code == 0, outcome.err
    assert "example.org" not in outcome.out + Path("page.html").read_text("utf-8")
