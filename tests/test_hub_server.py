"""The tests' Hub server, checked with the Hub's real client."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from tests.servers.hub import CONVERTED, HubServer, cut
from tests.servers.local import Reply

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from huggingface_hub import HfApi

# The client's own warning at each upload.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

TOKEN, READ, WRONG = "hf_writes", "hf_reads", "hf_wrong"
NAME = "me/nasa"
LARGE = bytes(range(256)) * 4000  # safetensors go to LFS, whatever their size
USES = """
import sys
from transformers import pipeline
written = pipeline("text-generation", model=sys.argv[1])("one", max_new_tokens=4, do_sample=False)
print("written:", written[0]["generated_text"].startswith("one"))
"""


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer({TOKEN: "me", READ: "me"}, page=2) as server:
        server.read_only.add(READ)
        yield server


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The client's cache folder; the client doesn't wait between retries."""
    from huggingface_hub import file_download
    from huggingface_hub.utils import _http

    quick = SimpleNamespace(sleep=lambda _seconds: None)
    monkeypatch.setattr(_http, "time", quick)
    monkeypatch.setattr(file_download, "time", quick)
    return tmp_path / "hf"


def _api(hub: HubServer, patch: pytest.MonkeyPatch, home: Path, token: str | None = TOKEN) -> HfApi:
    from huggingface_hub import HfApi

    hub.use(patch, home, token)
    return HfApi(endpoint=hub.url)


def _folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def _files(folder: Path) -> dict[str, bytes]:
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def _snapshot(hub: HubServer, home: Path, **options: Any) -> dict[str, bytes]:  # noqa: ANN401
    from pathlib import Path

    from huggingface_hub import snapshot_download

    folder = snapshot_download(NAME, endpoint=hub.url, cache_dir=home / "hub", **options)
    return _files(Path(str(folder)))


FILES = {
    "README.md": b"---\nlicense: mit\n---\n# Nasa\n",
    "model.safetensors": LARGE,
    "deep/down/empty.txt": b"",
    "config.json": b"{}",
}


def test_upload_and_download_round_trip(
    hub: HubServer, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = _api(hub, monkeypatch, home)
    assert api.whoami()["name"] == "me"
    url = api.create_repo(NAME, private=True)
    assert (url.repo_id, url.repo_type) == (NAME, "model")
    folder = _folder(tmp_path / "bot", FILES)
    done = api.upload_folder(folder_path=folder, repo_id=NAME)
    assert done.oid == api.model_info(NAME).sha
    got = _snapshot(hub, home)
    assert {name: got[name] for name in FILES} == FILES
    puts = hub.asked_for("^PUT /lfs/")
    assert len(puts) == 1
    stored = hub.asked_for("^(PUT|GET|HEAD) /lfs/")
    assert all("authorization" not in hub.headers[number] for number in stored)


def test_second_upload_sends_only_changes(
    hub: HubServer, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = _api(hub, monkeypatch, home)
    api.create_repo(NAME)
    folder = _folder(tmp_path / "bot", FILES)
    first = api.upload_folder(folder_path=folder, repo_id=NAME)
    assert api.upload_folder(folder_path=folder, repo_id=NAME).oid == first.oid
    _folder(folder, {"config.json": b'{"new": 1}'})
    (folder / "deep/down/empty.txt").unlink()
    second = api.upload_folder(folder_path=folder, repo_id=NAME, delete_patterns="deep/*")
    assert second.oid != first.oid
    assert len(hub.asked_for("^PUT /lfs/")) == 1
    got = _snapshot(hub, home)
    assert got["config.json"] == b'{"new": 1}'
    assert "deep/down/empty.txt" not in got
    assert _snapshot(hub, home, revision=first.oid)["config.json"] == b"{}"


def test_model_loads_in_a_new_process(
    hub: HubServer, home: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = _api(hub, monkeypatch, home)
    api.create_repo(NAME)
    api.upload_folder(folder_path=tiny_base, repo_id=NAME)
    environment = os.environ | hub.environment(home / "other")
    done = subprocess.run(
        [sys.executable, "-c", USES, NAME],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[-1:] == ["written: True"], done.stderr


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_interrupted_download_continues(
    hub: HubServer, home: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants, hf_hub_download

    hub.use(monkeypatch, home)
    hub.add("models", NAME, {name: LARGE})
    monkeypatch.setattr(
        constants, "DOWNLOAD_CHUNK_SIZE", 1000
    )  # resumes at the last complete chunk
    hub.fail("^GET .*(lfs|resolve)/", cut, times=2)
    path = hf_hub_download(NAME, name, endpoint=hub.url, cache_dir=home / "hub")
    with open(path, "rb") as file:  # noqa: PTH123 - the client gives a str
        assert file.read() == LARGE
    gets = hub.asked_for("^GET .*(lfs|resolve)/")
    ranges = [hub.headers[number].get("range") for number in gets]
    assert ranges == [None, "bytes=512000-", "bytes=768000-"]


def test_interrupted_upload_is_retried(
    hub: HubServer, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = _api(hub, monkeypatch, home)
    api.create_repo(NAME)
    hub.fail("^PUT /lfs/", Reply(fault="cut"), times=2)
    hub.fail("^PUT /lfs/", Reply(b"", 503), times=1)
    api.upload_folder(folder_path=_folder(tmp_path / "bot", FILES), repo_id=NAME)
    assert len(hub.asked_for("^PUT /lfs/")) == 4
    assert _snapshot(hub, home)["model.safetensors"] == LARGE


def test_failed_upload_is_repeated(
    hub: HubServer, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = _api(hub, monkeypatch, home)
    api.create_repo(NAME)
    folder = _folder(tmp_path / "bot", FILES | {"second.safetensors": LARGE[::-1]})
    hub.fail("^POST /api/models/me/nasa/commit/", Reply(b"", 500), times=1)
    with pytest.raises(OSError, match="500"):
        api.upload_folder(folder_path=folder, repo_id=NAME)
    assert set(_snapshot(hub, home)) == {".gitattributes"}  # all or nothing
    api.upload_folder(folder_path=folder, repo_id=NAME)
    assert len(hub.asked_for("^PUT /lfs/")) == 2  # files that arrived are not sent again
    assert _snapshot(hub, home)["second.safetensors"] == LARGE[::-1]


def test_access_errors_are_distinct(
    hub: HubServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    _api(hub, monkeypatch, home).create_repo(NAME, private=True)
    hub.add("models", "other/gated", {"config.json": b"{}"}).gated = frozenset()

    def refused(token: str | None, ask: str, *args: str) -> tuple[type, int]:
        api = _api(hub, monkeypatch, home, token)
        with pytest.raises(HfHubHTTPError) as caught:
            getattr(api, ask)(*args)
        return type(caught.value), caught.value.response.status_code

    assert refused(WRONG, "whoami") == (HfHubHTTPError, 401)
    assert refused(None, "model_info", NAME) == (RepositoryNotFoundError, 401)
    assert refused(TOKEN, "model_info", "me/none") == (RepositoryNotFoundError, 404)
    assert refused(WRONG, "model_info", NAME) == (HfHubHTTPError, 401)
    assert refused(READ, "create_repo", "me/new") == (HfHubHTTPError, 403)
    assert refused(TOKEN, "create_repo", "other/new") == (HfHubHTTPError, 403)
    assert refused(TOKEN, "create_repo", NAME) == (HfHubHTTPError, 409)
    assert refused(None, "hf_hub_download", "other/gated", "config.json") == (GatedRepoError, 401)
    assert refused(TOKEN, "hf_hub_download", "other/gated", "config.json") == (GatedRepoError, 403)
    assert _api(hub, monkeypatch, home).create_repo(NAME, exist_ok=True).repo_id == NAME


def test_file_lists_are_paged_and_retried(
    hub: HubServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import get_session

    api = _api(hub, monkeypatch, home)
    files = {f"default/train/{number:04}.parquet": b"%d" % number for number in range(5)}
    hub.add("datasets", "me/posts", {"README.md": b""})
    hub.add("datasets", "me/posts", files, CONVERTED)
    hub.fail("^GET .*/tree/", Reply(b"", 503), times=2)
    options: dict[str, Any] = {"repo_type": "dataset", "revision": CONVERTED}
    tree = list(api.list_repo_tree("me/posts", recursive=True, **options))
    assert [entry.path for entry in tree] == ["default", "default/train", *files]
    assert len(hub.asked_for("^GET .*/tree/")) == 2 + 4
    there = [entry.path for entry in api.list_repo_tree("me/posts", "default", **options)]
    assert there == ["default/train"]
    told = get_session().get(f"{hub.url}/api/datasets/me/posts/parquet").json()
    assert [url.rsplit("/", 3)[1:] for url in told["default"]["train"]] == [
        ["default", "train", f"{number}.parquet"] for number in range(5)
    ]
