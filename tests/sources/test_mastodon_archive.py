from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from tests.sources.cases import MASTODON, PUBLIC, Sample, activity, tar_gz

from huggingtweets.errors import SourceError
from huggingtweets.sources import ReadOptions, open_source, read_posts

if TYPE_CHECKING:
    from pathlib import Path

    from huggingtweets.data.posts import Post

FOLLOWERS = "https://m.example/users/ada/followers"
ACTOR = {"preferredUsername": "ada", "id": "https://m.example/users/ada"}
BOOST = {
    "id": "https://m.example/users/ada/statuses/55/activity",
    "type": "Announce",
    "actor": "https://m.example/users/ada",
    "published": "2021-01-01T00:00:00Z",
    "to": [PUBLIC],
    "object": "https://other.example/notes/1",
}


def _outbox(*items: object) -> str:
    return json.dumps({"@context": ["x"], "type": "OrderedCollection", "orderedItems": items})


def _posts(folder: Path, *items: object, name: str = "outbox.json", **options: Any) -> list[Post]:  # noqa: ANN401
    (folder / name).write_text(_outbox(*items))
    return list(open_source(folder / name, ReadOptions(**options)).posts())


def _note(**fields: Any) -> dict[str, Any]:  # noqa: ANN401
    return activity(Sample(1, "hello there"), **fields)


def test_a_post_and_a_boost(tmp_path: Path) -> None:
    post, boost = _posts(tmp_path, _note(), BOOST)
    assert (post.author, post.text, post.kind, post.lang) == (
        *("ada@m.example", "hello there"),
        *("original", "en"),
    )
    assert post.id == str(MASTODON + 1)
    assert post.source == "mastodon-archive"
    assert (boost.kind, boost.id, boost.author) == ("repost", "55", "ada@m.example")


@pytest.mark.parametrize(
    ("to", "cc", "public"),
    [
        ([PUBLIC], [FOLLOWERS], True),
        ([FOLLOWERS], [PUBLIC], True),
        (PUBLIC, None, True),
        (["as:Public"], [], True),
        ([FOLLOWERS], [], False),
        (["https://other.example/users/bob"], [], False),
        ([], [], False),
        (None, {"a": PUBLIC}, False),
    ],
)
def test_only_public_posts_are_read(
    tmp_path: Path, to: object, cc: object, *, public: bool
) -> None:
    posts = _posts(tmp_path, BOOST, _note(to=to, cc=cc))
    assert [post.kind for post in posts[1:]] == ["original"] * public


def test_a_private_boost_is_left_out_and_so_are_likes(tmp_path: Path) -> None:
    like = {"type": "Like", "to": [PUBLIC], "object": "https://a.example/1"}
    assert len(_posts(tmp_path, BOOST | {"to": [FOLLOWERS]}, like, _note(), 5, None)) == 1


def test_a_content_warning_is_not_part_of_the_text(tmp_path: Path) -> None:
    assert [post.text for post in _posts(tmp_path, _note(summary="spoiler"))] == ["hello there"]


def test_the_author_is_given_or_in_the_actor_or_in_the_address(tmp_path: Path) -> None:
    item = _note() | {"actor": "https://m.example/ap/users/115"}
    assert [post.author for post in _posts(tmp_path, item)] == ["115@m.example"]
    (tmp_path / "actor.json").write_text(json.dumps(ACTOR))
    assert [post.author for post in _posts(tmp_path, item)] == ["ada@m.example"]
    assert [post.author for post in _posts(tmp_path, item, author="@grace")] == ["grace"]
    bare = _note() | {"actor": None}
    (tmp_path / "actor.json").unlink()
    assert [post.author for post in _posts(tmp_path, bare, name="me.json")] == ["me"]


def test_zip_tar_and_folder_give_the_same_posts(tmp_path: Path) -> None:
    members = {
        "outbox.json": _outbox(_note(), BOOST).encode(),
        "actor.json": json.dumps(ACTOR).encode(),
        "likes.json": b"never \0 opened",
        "media_attachments/a.png": b"\0" * 1000,
    }
    tar_gz(tmp_path / "a.tar.gz", members)
    tar_gz(tmp_path / "b.tgz", {f"./{name}": content for name, content in members.items()})
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, content in members.items():
            archive.writestr(f"export/{name}", content)
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("outbox.json", "actor.json"):
        (folder / name).write_bytes(members[name])
    expected = list(open_source(folder).posts())
    assert [post.author for post in expected] == ["ada@m.example"] * 2
    for name in ("a.tar.gz", "b.tgz", "a.zip", "folder/outbox.json"):
        assert list(open_source(tmp_path / name).posts()) == expected


def test_invalid_exports_give_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no public posts"):
        _posts(tmp_path, _note(to=[]))
    with pytest.raises(SourceError, match=r"holds no outbox\.json.*It holds: holiday\.txt"):
        read_posts([tar_gz(tmp_path / "a.tar.gz", {"holiday.txt": b"x"})])
