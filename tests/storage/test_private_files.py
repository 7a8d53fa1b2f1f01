"""Files that may hold posts are for this user alone, whatever the umask."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import polars as pl
import pytest

from huggingtweets.privacy import deleted_posts, opt_out
from huggingtweets.serving.jobs import Job, JobStore
from huggingtweets.serving.schemas import LOCAL_USER, Settings
from huggingtweets.serving.workspaces import Workspaces
from huggingtweets.sources.store import Store
from huggingtweets.storage import files, run_folder
from huggingtweets.storage.run_folder import RunFolder, RunRecord

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=[0o000, 0o022], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> dict[str, str]:
    """The folder and all in it that another user could open, with their modes."""
    found = {}
    for path in (folder, *folder.rglob("*")):
        mode = path.lstat().st_mode
        if not stat.S_ISLNK(mode) and stat.S_IMODE(mode) != (0o700 if path.is_dir() else 0o600):
            found[str(path.relative_to(folder))] = oct(stat.S_IMODE(mode))
    return found


def new_run(out: Path) -> RunFolder:
    record = RunRecord("me", ["ann"], {}, {}, {})
    return run_folder.create(out, record, {"posts": pl.DataFrame({"text": ["a post"]})})


@pytest.mark.usefixtures("umask")
def test_a_run_folder_is_private(tmp_path: Path) -> None:
    run = new_run(tmp_path / "new" / "runs")
    with run.locked():
        run.append_event({"stage": "train"})
        run.replace_table("posts", pl.DataFrame({"text": []}))
        files.write_json(run.report_json, {})
        with files.atomic_write_dir(run.bot) as building:
            (building / "sub").mkdir(0o777)
            (building / "sub" / "weights").touch(0o666)
    assert open_to_others(tmp_path / "new") == {}


def test_an_open_run_folder_is_closed_when_it_is_opened_for_writing(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    outside = tmp_path / "outside"
    outside.touch(0o644)
    (run.path / "link").symlink_to(outside)
    for path in (run.path, *run.path.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)
    with run.locked():
        assert open_to_others(run.path) == {}
    assert outside.stat().st_mode & 0o777 == 0o644


@pytest.mark.usefixtures("umask")
def test_downloads_and_lists_are_private(
    tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUGGINGTWEETS_DOWNLOADS", str(tmp_path / "cache" / "downloads"))
    from huggingtweets.data.posts import Post

    store = Store(tmp_path / "cache" / "downloads" / "bluesky" / "ann")
    with store.locked():
        store.add([Post(id="1", author="ann", text="a post", source="bluesky")])
        store.save()
    opt_out.add(["@bob"])
    deleted_posts.remember(["123456789012"])
    assert open_to_others(tmp_path / "cache") == {}
    assert open_to_others(config) == {}


def test_an_opt_out_list_that_others_may_read_stays_readable(config: Path) -> None:
    opt_out.add(["@ann"])
    opt_out.list_file().chmod(0o644)
    opt_out.add(["@bob"])
    assert opt_out.list_file().stat().st_mode & 0o777 == 0o644
    assert config.stat().st_mode & 0o777 == 0o700


@pytest.mark.usefixtures("umask")
def test_a_servers_own_files_are_private(tmp_path: Path) -> None:
    workspaces = Workspaces(Settings(out=tmp_path / "runs"))
    (tmp_path / "posts.csv").write_text("text\na post\n")
    workspaces.secret()
    workspaces.keep_upload(LOCAL_USER, tmp_path / "posts.csv", "posts.csv")
    jobs = JobStore(workspaces.home)
    jobs.save(Job(LOCAL_USER, "me", None))
    assert jobs.claim() is not None
    assert open_to_others(tmp_path / "runs") == {}
