"""A forgotten author, a deleted post and an opted-out author in a finished fleet."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING

import polars as pl
import pytest
from tests.cli.program import CommandLine
from tests.fleet.conftest import options
from tests.test_deleted_bytes import holding

from huggingtweets.fleet.forget import forget
from huggingtweets.fleet.sources import FleetSource
from huggingtweets.fleet.train import train
from huggingtweets.storage.fleets import FleetFolder

if TYPE_CHECKING:
    from pathlib import Path

    from huggingtweets.fleet.progress import FleetProgress

pytestmark = pytest.mark.timeout(600)  # seconds, more on a busy machine


@pytest.fixture
def fleet(finished: FleetFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FleetFolder:
    """A copy of the finished fleet in an empty working directory."""
    folder = FleetFolder(tmp_path / "fleet")
    shutil.copytree(finished.path, folder.path)
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


def posts_of(fleet: FleetFolder, name: str) -> list[str]:
    return pl.read_parquet(fleet.authors / name / "data" / "kept.parquet")["text"].to_list()


def test_forgotten_author_is_nowhere_and_stays_away(
    fleet: FleetFolder, cli: CommandLine, authors: list[Path], tiny_base: Path, config: Path
) -> None:
    posts = posts_of(fleet, "ann")
    assert holding(fleet.path, *posts)
    assert cli("fleet", "forget", "@ann").refused("no terminal to ask", "--yes")
    assert cli("fleet", "forget", "nobody", "--yes").refused("has no author 'nobody'")
    done = cli("fleet", "forget", "@Ann", "--yes", "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert str(fleet.authors / "ann") in [str(fleet.path.parent / path) for path in told["removed"]]
    assert f"your own file {authors[0]}" in told["out_of_reach"]
    assert any("copies of" in where for where in told["out_of_reach"])
    assert holding(fleet.path, *posts) == []
    left = [file for file in fleet.path.rglob("*") if file.suffix in (".json", ".html")]
    names = ["author: ann", '"ann"', ">ann<"]
    settings = fleet.settings()
    assert [s["source"] for s in settings["sources"]] == [str(path) for path in authors]
    assert not [file for file in left if any(name in file.read_text() for name in names)]
    assert cli("fleet", "check").code == 0
    progress = train([], options(tiny_base, fleet.path))
    assert progress.counts() == {"done": 2, "skipped": 1}
    assert "removed with fleet forget" in progress.in_state("skipped")[0].reason
    assert not (fleet.authors / "ann").exists()
    assert cli("fleet", "forget", "ann", "--yes").code == 0  # as after an interruption
    assert not config.exists()


def test_deleted_posts_are_in_no_object(fleet: FleetFolder, cli: CommandLine, config: Path) -> None:
    post = posts_of(fleet, "bob")[5]
    post_id = pl.read_parquet(fleet.authors / "bob" / "data" / "kept.parquet")["id"][5]
    assert any(name.startswith("objects/") for name in holding(fleet.path, post))
    done = cli("forget", f"@bob {post_id}")
    assert done.code == 0, done.err
    assert "fleet/authors/bob: 1 post removed" in done.out
    assert holding(fleet.path, post) == []
    assert cli("fleet", "check").code == 0
    assert config.is_dir()


def test_opt_out_blocks_the_author_and_names_the_run(
    fleet: FleetFolder, cli: CommandLine, tiny_base: Path, config: Path
) -> None:
    done = cli("opt-out", "@cat")
    assert "fleet/authors/cat holds their posts and is blocked" in done.out
    assert cli("generate", fleet.authors / "cat", "-n", "1").refused("asked not to be imitated")
    progress = train([], options(tiny_base, fleet.path))
    assert {a.author.lstrip("@"): a.state for a in progress.authors.values()} == {
        "ann": "done",
        "bob": "done",
        "cat": "skipped",
    }
    assert config.is_dir()


def test_show_check_and_delete(fleet: FleetFolder, cli: CommandLine) -> None:
    shown = cli("fleet", "show")
    assert shown.out.startswith("3 authors · 3 done\n")
    told = json.loads(cli("fleet", "show", "--json").out)
    assert [author["state"] for author in told["authors"]] == ["done"] * 3
    assert all(len(author["weights_sha256"]) == 64 for author in told["authors"])
    written = cli("generate", fleet.authors / "ann", "-n", "1", "--json")
    assert written.code == 0, written.err
    (fleet.authors / "bob" / "bot" / "adapter_model.safetensors").write_bytes(b"damaged")
    assert cli("fleet", "check").refused("1 of 3 authors in fleet are damaged or changed")
    assert cli("fleet", "show", "nowhere").refused("nowhere is not a fleet")
    assert cli("delete", "fleet", "--yes").code == 0
    assert not fleet.path.exists()


def test_name_in_a_manifest_is_forgotten_too(
    finished: FleetFolder, cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fleet = FleetFolder(tmp_path / "fleet")
    shutil.copytree(finished.path, fleet.path)
    with fleet.updating_settings() as values:
        values["sources"] = [asdict(FleetSource("/posts/a.csv", "@Ann"))]
    assert cli("fleet", "forget", "ann", "--yes").code == 0
    assert fleet.settings()["sources"] == []
    assert not fleet.log.exists()


def test_author_forgotten_while_waiting_is_not_trained(
    authors: list[Path], tiny_base: Path, tmp_path: Path
) -> None:
    fleet = FleetFolder(tmp_path / "fleet")

    def tell(progress: FleetProgress, _line: str) -> None:
        if progress.in_state("running") and (fleet.authors / "ann").is_dir():
            forget(fleet, ["ann"])

    progress = train(authors[:2], options(tiny_base, fleet.path), tell)
    assert progress.counts() == {"done": 1}
    assert not (fleet.authors / "ann").exists()
    assert "ann" not in fleet.names()
