"""``opt-out``, ``forget`` and ``--forget`` on the command line."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.cli.program import contents
from tests.helpers.posts import made_up_posts, write_csv

from huggingtweets.privacy import opt_out
from huggingtweets.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from tests.cli.program import CommandLine

X = "1234567890123456789"

_CUT = """
import os, signal, sys
from huggingtweets.storage import files
import huggingtweets.cli as c
real, left = files.sync, [int(sys.argv.pop(1))]
def cut(path):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    real(path)
files.sync = cut
c.main()
"""


@pytest.fixture(autouse=True)
def folders(config: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Separate configuration and downloads for the test."""
    monkeypatch.setenv("HUGGINGTWEETS_DOWNLOADS", str(here / "downloads"))
    return config


def test_opt_out_adds_and_lists(cli: CommandLine, folders: Path) -> None:
    assert "0 opted out" in cli("opt-out").out
    assert not folders.exists()
    outcome = cli("opt-out", "@Ann", "bob.example", "@ann")
    assert outcome.code == 0, outcome.err
    assert "2 added, 2 in all" in outcome.out
    assert "0 added, 2 in all" in cli("opt-out", "@ANN").out
    shown = cli("opt-out").out.splitlines()
    assert shown[-2:] == ["  ann", "  bob.example"]
    assert str(folders / "opt-out.txt") in "".join(shown)
    assert cli("opt-out", "a b").refused("'a b' is not a handle", "@user@instance")


def test_opt_out_as_json_and_hashed(cli: CommandLine, folders: Path) -> None:
    outcome = cli("opt-out", "--hashed", "@Ann", "--json")
    entry = "sha256:" + hashlib.sha256(b"ann").hexdigest()
    assert json.loads(outcome.out) == {
        "file": str(folders / "opt-out.txt"),
        "entries": [entry],
        "added": [entry],
        "blocked": [],
        "removed": [],
        "tracked_runs": 0,
        "out_of_reach": [],
    }
    assert json.loads(cli("opt-out", "--json").out)["added"] == []


@pytest.mark.parametrize(
    "args",
    [
        ("train", "gardener.csv", "--name", "me"),
        ("curate", "gardener.csv"),
        ("curate", "gardener.csv", "--as", "me"),
        ("curate", "other.csv", "--as", "@Gardener"),
        ("download", "gardener.csv", "--out", "p.csv"),
        ("download", "bsky:gardener"),
        ("generate", "pocket", "--few-shot", "gardener.csv"),
    ],
)
def test_opted_out_authors_are_never_read(
    cli: CommandLine, here: Path, args: tuple[str, ...]
) -> None:
    write_csv(here / "gardener.csv", "gardener", made_up_posts(9))
    write_csv(here / "other.csv", "other", made_up_posts(9))
    opt_out.add(["gardener", "gardener.bsky.social"])
    before = contents(here)
    args = tuple(arg.replace("bsky:gardener", "bsky:gardener.bsky.social") for arg in args)
    assert cli(*args).refused(
        "@", "asked not to be imitated", "opt-out.txt), so these posts are not used"
    )
    assert contents(here) == before


def test_damaged_opt_out_list_stops_reading(cli: CommandLine, here: Path, folders: Path) -> None:
    folders.mkdir()
    (folders / "opt-out.txt").write_text("ann bob\n")
    write_csv(here / "a.csv", "a", ["one"])
    for args in (("curate", "a.csv"), ("opt-out",), ("opt-out", "zoe")):
        assert cli(*args).refused("Line 1", "opt-out.txt is not a handle ('ann bob')")


# -- --forget --------------------------------------------------------------------------------------


def test_forget_option_leaves_posts_out(cli: CommandLine, here: Path) -> None:
    texts = made_up_posts(9)
    write_csv(here / "a.csv", "a", texts)
    Path("gone.txt").write_text("1\n@A 3\n")
    outcome = cli("curate", "a.csv", "--forget", "gone.txt")
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[:2] == [
        "2 deleted posts left out",
        "7 downloaded · 0 retweets · 0 short · 0 duplicates · 7 kept",
    ]
    assert texts[1] not in outcome.out
    as_json = cli("curate", "a.csv", "--forget", "1", "--json")
    assert json.loads(as_json.out)["counts"]["downloaded"] == 8
    assert as_json.err == "1 deleted post left out\n"
    done = cli("download", "a.csv", "--forget", "1,2,3", "--out", "p.csv")
    assert done.out.startswith("3 deleted posts left out\n\n6 posts"), done.out
    assert texts[1] not in Path("p.csv").read_text()
    assert cli("curate", "a.csv").out.startswith("9 downloaded")  # the option applies to one call


@pytest.mark.parametrize("command", ["train", "curate", "download"])
@pytest.mark.parametrize(
    ("ids", "word"), [("gone.txt", "no file gone.txt"), ("1,,2", "Number 2"), ("", "Number 1")]
)
def test_invalid_ids_are_refused(
    cli: CommandLine, here: Path, command: str, ids: str, word: str
) -> None:
    write_csv(here / "a.csv", "a", ["one"])
    assert cli(command, "a.csv", "--forget", ids).refused(word)
    assert [path.name for path in here.iterdir()] == ["a.csv"]


def test_resume_refuses_the_forget_option(cli: CommandLine, halfway: Path) -> None:
    assert cli("train", "--resume", halfway, "--forget", "1").refused("forget IDS runs/halfway")


# -- forget ----------------------------------------------------------------------------------------


def test_forget_marks_the_bot_until_it_is_trained_again(
    cli: CommandLine, finished: Path, source: Path, posts: list[str], folders: Path
) -> None:
    before = cli("curate", source).out
    outcome = cli("forget", f"@gardener 3,@gardener 4,{X}")
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    assert lines[0] == "runs/me: 2 posts removed"
    told = "out of date: 2 posts were deleted by their author since; train it again"
    assert f"runs/me is {told}: " in outcome.out
    assert "train --resume runs/me" in outcome.out
    assert str(folders / "forgotten.txt") in outcome.out
    assert f"runs/me is {told}\n" in cli("runs").out
    assert json.loads(cli("runs", "--json").out)["runs"][0]["out_of_date"] == told
    assert told in cli("show", finished).out
    assert cli("show", finished).out.splitlines()[2].startswith("@gardener: 298 downloaded")
    assert json.loads(cli("show", finished, "--json").out)["forgotten"] == 2
    written = cli("generate", finished, "-n", "1", "--seed", "1")
    assert written.code == 0
    assert written.out.startswith(f"warning: this bot is {told}\n")
    assert "warning: this bot" in cli("generate", finished, "-n", "1", "--json").err
    # reading the source again doesn't restore them
    again = cli("curate", source).out
    assert before.startswith("300 downloaded")
    assert again.startswith("2 deleted posts left out\n298 downloaded")
    assert posts[3] not in again
    assert cli("train", "--resume", finished).code == 0
    for args in (("runs",), ("show", finished), ("generate", finished, "-n", "1")):
        assert "out of date" not in cli(*args).out
    assert cli("train", "--resume", finished).refused("runs/me is finished")


def test_forget_as_json(cli: CommandLine, finished: Path, source: Path) -> None:
    outcome = cli("forget", f"3,999,{X}", finished, "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out) == {
        "ids": 3,
        "runs": {"runs/me": 1},
        "sweeps": {},
        "downloads": {},
        "tracked": {},
        "skipped": [],
        "not_remembered": ["999"],
        "removed": [],
        "tracked_runs": 0,
        "out_of_reach": [f"your own file {source}"],
    }
    again = cli("forget", "999,@gardener 3")
    assert "No run, sweep or download held any of these posts." in again.out
    assert "999: not found, and not remembered" in again.out


def test_forget_without_matching_posts(cli: CommandLine, folders: Path) -> None:
    assert cli("forget", X).code == 0
    assert (folders / "forgotten.txt").read_text() == f"{X}\n"


@pytest.mark.parametrize("run", ["nowhere", "."])
def test_forget_refuses_other_folders(cli: CommandLine, folders: Path, run: str) -> None:
    assert cli("forget", X, run).refused("is not a run folder")
    assert not folders.exists()


def test_forget_reports_a_run_in_use(cli: CommandLine, finished: Path, halfway: Path) -> None:
    with RunFolder(halfway).locked():
        outcome = cli("forget", "@gardener 3")
    assert outcome.code == 2
    assert "runs/me: 1 post removed" in outcome.out
    assert outcome.refused(
        "Not everything was deleted: runs/halfway is in use by another process.",
        "same command again",
    )
    assert "runs/halfway: 1 post removed" in cli("forget", "@gardener 3").out
    assert RunFolder(finished).record().forgotten == 1


@pytest.mark.parametrize("writes", [0, 3, 6, 9, 12])
def test_killed_forget_leaves_complete_files(cli: CommandLine, finished: Path, writes: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _CUT, str(writes), "forget", "@gardener 3"],
        env=os.environ,
        capture_output=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    run = RunFolder(finished)
    for name in ("posts", "kept", "dropped"):
        run.table(name)
    assert cli("show", finished).code == 0
    assert cli("generate", finished, "-n", "1").code == 0
    assert cli("forget", "@gardener 3").code == 0
    assert run.table("posts").height == run.table("kept").height == 299
    assert run.record().forgotten == 1
    assert cli("curate", run.record().config["sources"][0]).out.split("\n")[1].startswith("299")
