"""Reading datasets from the Hugging Face Hub with the real client and a local Hub."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.servers.hub import CONVERTED, HubServer, cut
from tests.servers.local import Reply
from tests.sources.network_hub import NAME, TOKEN, converted, error_of, posts_of, rows, settle

from huggingtweets.data.posts import SCHEMA
from huggingtweets.sources import open_source, read_posts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from huggingtweets.events import Event


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer({TOKEN: "ada"}) as server:
        yield server


@pytest.fixture(autouse=True)
def home(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The library's home folder; retries don't wait."""
    return settle(hub, tmp_path, monkeypatch)


def test_the_hubs_own_parquet_is_read(hub: HubServer) -> None:
    files = {
        "default/train/0000.parquet": rows("a", "b"),
        "default/train/0001.parquet": rows("a", "c"),
        "default/test/0000.parquet": rows("d"),
        "de/train/0000.parquet": rows("e"),
    }
    converted(hub, files)
    posts = posts_of()
    assert [post.text for post in posts] == ["a", "b", "a", "c"]
    assert {(post.author, post.source) for post in posts} == {("posts", "huggingface")}
    assert len({post.id for post in posts}) == 4
    assert posts_of() == posts
    table = read_posts([f"hf:{NAME}"])
    assert table.schema == SCHEMA
    assert table.height == 4
    page = f"https://huggingface.co/datasets/{NAME}"
    for spec in (NAME, f"{NAME}[train]", f"HF:{NAME}:default[train]", page, f"{page}/tree/main"):
        assert posts_of(spec) == posts
    assert [post.text for post in posts_of(f"{NAME}[test]")] == ["d"]
    for spec in (f"hf:{NAME}:de", f"{page}/viewer/de/train?row=1"):
        assert [post.text for post in posts_of(spec)] == ["e"]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "json", "txt", "parquet"])
def test_without_a_conversion_the_owners_files_are_read(hub: HubServer, ending: str) -> None:
    lines = {
        "csv": b"text\na\nb\n",
        "jsonl": b'{"text": "a"}\n{"text": "b"}\n',
        "json": b'[{"text": "a"}, {"text": "b"}]',
        "txt": b"a\nb\n",
        "parquet": rows("a", "b"),
    }
    files = {f"data/train.{ending}": lines[ending], "posts.py": b"raise SystemExit", "x.md": b""}
    hub.add("datasets", NAME, files)
    assert [post.text for post in posts_of()] == ["a", "b"]
    assert not hub.asked_for("(GET|HEAD) .*/resolve/.*(posts.py|x.md)")  # code isn't even fetched


def test_columns_and_authors_are_those_of_files(hub: HubServer) -> None:
    converted(hub, {"default/train/0000.parquet": rows("a", words="b", user="@grace", id=7)})
    assert [(post.author, post.text, post.id) for post in posts_of()] == [("grace", "a", "7")]
    (post,) = posts_of(text_column="words", author="@me")
    assert (post.author, post.text) == ("me", "b")
    said = error_of(text_column="wrods")
    assert "default/train/0000.parquet of the dataset ada/posts has no column 'wrods'" in said
    assert "(text, words, user, id)" in said
    assert str(open_source(f"hf:{NAME}").name) == "huggingface"


def test_some_files_may_be_empty_but_not_all(hub: HubServer) -> None:
    converted(hub, {"default/train/0000.parquet": rows(), "default/train/0001.parquet": rows("a")})
    assert len(posts_of()) == 1
    converted(hub, {"default/train/0000.parquet": rows()}, "ada/none")
    assert "holds no posts" in error_of("hf:ada/none")


def test_an_update_downloads_only_changed_files(hub: HubServer, home: Path) -> None:
    files = {f"default/train/{number:04}.parquet": rows(f"{number}") for number in range(3)}
    converted(hub, files)
    first = posts_of()
    assert len(hub.asked_for("GET /lfs/")) == 3
    assert (home / "hub" / "datasets--ada--posts").is_dir()
    hub.asked.clear()
    hub.methods.clear()
    assert posts_of() == first
    assert len(hub.asked) == 2  # one for its existence, one for its revision
    hub.add("datasets", NAME, {"default/train/0001.parquet": rows("new")}, CONVERTED)
    assert [post.text for post in posts_of()] == ["0", "new", "2"]
    assert len(hub.asked_for("GET /lfs/")) == 1


def test_an_interrupted_download_resumes(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    converted(hub, {"default/train/0000.parquet": rows(*(str(n**9) for n in range(5000)))})
    hub.fail("GET /lfs/", cut, times=1)
    assert len(posts_of()) == 5000
    again = hub.headers[hub.asked_for("GET /lfs/")[-1]]["range"]
    assert int(again.removeprefix("bytes=").removesuffix("-")) > 0


def test_files_downloaded_before_an_interruption_are_kept(hub: HubServer) -> None:
    files = {f"default/train/{number:04}.parquet": rows(f"{number}") for number in range(2)}
    converted(hub, files)
    hub.fail("HEAD .*/0001.parquet", Reply(b"", 500))
    assert "the Hugging Face Hub can't be reached" in error_of()
    hub.stop_failing()
    assert len(posts_of()) == 2
    assert len(hub.asked_for("GET /lfs/")) == 2


def test_bursts_of_errors_are_waited_out(hub: HubServer) -> None:
    converted(hub, {"default/train/0000.parquet": rows("a")})
    for question in ("GET /api/datasets/ada/posts$", "GET .*/revision/", "GET .*/tree/", "HEAD "):
        hub.fail(question, Reply(b"", 503), times=2)
    assert len(posts_of()) == 1


def test_progress_is_told(hub: HubServer) -> None:
    files = {
        f"default/train/{n:04}.parquet": rows(*(f"{n} {i**9}" for i in range(1_000)))
        for n in range(3)
    }
    converted(hub, files)
    events: list[Event] = []
    posts_of(listen=events.append)
    assert 3 <= len(events) <= 20
    assert events[-1].message.endswith("MB")
    assert events[-1].message.startswith("ada/posts: ")
    events.clear()
    posts_of(listen=events.append)
    assert not events
