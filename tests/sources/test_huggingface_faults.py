"""Errors of datasets on the Hugging Face Hub, and how the command line reports them."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.cli.program import PROGRAM
from tests.servers.hub import HubServer
from tests.servers.local import Reply
from tests.sources.network_hub import NAME, TOKEN, converted, error_of, posts_of, rows, settle

from huggingtweets.errors import SourceError
from huggingtweets.sources import _hub, huggingface, open_source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer({TOKEN: "ada"}) as server:
        yield server


@pytest.fixture(autouse=True)
def home(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The library's home folder; retries don't wait."""
    return settle(hub, tmp_path, monkeypatch)


def test_no_such_dataset_or_a_private_one(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    none = "There is no dataset ada/none on the Hugging Face Hub, or it is private"
    assert none in error_of("hf:ada/none")
    converted(hub, {"default/train/0000.parquet": rows("a")})
    hub.repos["datasets", NAME].readers = frozenset({"ada"})
    assert "log in with `hf auth login`" in error_of()
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert len(posts_of()) == 1
    assert none in error_of("hf:ada/none")  # 404 rather than 401
    monkeypatch.setenv("HF_TOKEN", "hf_old")
    assert "rejects your login" in error_of()


def test_a_gated_dataset(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    converted(hub, {"default/train/0000.parquet": rows("a")})
    hub.repos["datasets", NAME].gated = frozenset()
    assert "is gated: accept its terms" in error_of()
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert "is gated: accept its terms" in error_of()
    hub.repos["datasets", NAME].gated = frozenset({"ada"})
    assert len(posts_of()) == 1


def test_cached_files_are_read_without_the_hub(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    converted(hub, {"default/train/0000.parquet": rows("a"), "de/x/0.parquet": rows("b")})
    there = posts_of()
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    for offline in (False, True):
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
        assert posts_of() == there
        said = "HF_HUB_OFFLINE is set; unset it" if offline else "can't be reached; check the"
        for spec in (f"hf:{NAME}:de", "hf:ada/none"):
            assert said in error_of(spec)
        hint = "There is no file or folder ada/none. If you mean the dataset: "
        assert hint in error_of("ada/none")


def test_an_unresponsive_hub_times_out(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_hub, "_TIMEOUT_SECONDS", 0.2)
    hub.fail("", Reply(fault="mute"))
    assert "can't be reached" in error_of()
    assert len(hub.asked) == 1


@pytest.mark.parametrize("status", [403, 418])
def test_other_refusals(hub: HubServer, status: int) -> None:
    hub.fail("", Reply(b"{}", status))
    said = {403: "may not read ada/posts", 418: "answered 418 for ada/posts"}
    assert said[status] in error_of()


def test_a_cache_that_is_full(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import file_download

    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    converted(hub, {"default/train/0000.parquet": rows("a")})
    monkeypatch.setattr(file_download, "_chmod_and_move", full)
    assert "can't be stored in the cache of the Hugging Face Hub: No space left" in error_of()


def test_too_large_datasets_are_refused(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    converted(hub, {"default/train/0000.parquet": rows("a")})
    monkeypatch.setattr(huggingface, "MAX_BYTES", 100)
    assert "The split train of the dataset ada/posts has 0.0 GB, more than the limit" in error_of()
    assert not hub.asked_for("GET /lfs/")


def test_partially_converted_datasets_are_refused(hub: HubServer) -> None:
    converted(hub, {"default/partial-train/0000.parquet": rows("a")})
    assert "is so large that the Hub converted only its beginning" in error_of()


def test_a_dataset_without_readable_files(hub: HubServer) -> None:
    hub.add("datasets", NAME, {"README.md": b"", "posts.py": b"", "a.png": b""})
    assert "has no file in a supported format (.csv, .json" in error_of()
    hub.add("datasets", NAME, {"train.csv": b"a,b\n1,2\n"})
    assert "train.csv of the dataset ada/posts has no text column among its columns" in error_of()
    hub.add("datasets", NAME, {"train.csv": b"text\n\xff\n"})
    assert "train.csv of the dataset ada/posts is not UTF-8" in error_of()


@pytest.mark.parametrize(
    "spec",
    [
        *("hf:nasa", "hf:a/b/c", "hf:ada/posts[train[:10%]]", "hf:", "hf:ada/posts[]"),
        "https://huggingface.co/ada/posts",
        "https://huggingface.co/datasets/ada/posts/tree/other",
    ],
)
def test_invalid_dataset_specs(hub: HubServer, spec: str) -> None:
    assert "is not a dataset of the Hugging Face Hub; give hf:owner/name" in error_of(spec)
    assert not hub.asked


def test_names_that_the_hub_does_not_know(hub: HubServer) -> None:
    assert "is not a dataset name" in error_of("hf:a--b/posts")
    assert "--full is for accounts on Bluesky" in error_of(f"hf:{NAME}", full=True)
    assert not hub.asked


def test_neither_a_file_nor_a_dataset(hub: HubServer, tmp_path: Path) -> None:
    said = error_of("ada/psots")
    assert "There is no file or folder ada/psots, and no dataset of that name" in said
    hub.asked.clear()
    (tmp_path / "here").mkdir()
    paths = ("ada/posts.csv", "./ada/posts", "/ada/posts", "here/posts", "ada/posts/", "~/posts")
    for spec in (*paths, "../ada", "a/b/c", "posts", "ada/posts.v2"):
        assert "There is no file or folder" in error_of(spec)
    with pytest.raises(SourceError, match="There is no file or folder"):
        open_source(tmp_path.relative_to(tmp_path) / "ada" / "posts")
    assert not hub.asked


def test_an_existing_path_is_not_a_dataset(hub: HubServer, tmp_path: Path) -> None:
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada" / "posts").write_text("x")
    assert "has an unsupported format" in error_of(NAME)
    assert not hub.asked


def _run(hub: HubServer, home: Path, *arguments: str, **more: str) -> tuple[int, str]:
    environment = {name: text for name, text in os.environ.items() if not name.startswith("HF_")}
    done = subprocess.run(
        [*PROGRAM, *arguments],
        env=environment | hub.environment(home, TOKEN) | more,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_command_line(hub: HubServer, home: Path, tmp_path: Path) -> None:
    converted(hub, {"default/train/0000.parquet": rows(*(f"post {n}" for n in range(30)))})
    hub.repos["datasets", NAME].readers = frozenset({"ada"})
    out = tmp_path / "posts.jsonl"
    code, said = _run(hub, home, "download", NAME, "--limit", "20", "--out", str(out))
    assert code == 0, said
    assert "0 posts in all" not in said
    assert json.loads(out.read_text().splitlines()[-1])["text"] == "post 19"
    for debug, status in (((), 2), (("--debug",), 1)):  # with a traceback
        code, said = _run(hub, home, *debug, "curate", "hf:ada/none")
        assert code == status
        assert "There is no dataset ada/none" in said
        assert TOKEN not in said
    code, said = _run(hub, home, "curate", f"hf:{NAME}", HF_HUB_OFFLINE="1")
    assert code == 0, said
