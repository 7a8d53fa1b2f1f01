from __future__ import annotations

from typing import TYPE_CHECKING

from tests.sources.cases import CASES, samples

from huggingtweets import sources
from huggingtweets.data.posts import SCHEMA
from huggingtweets.events import ignore
from huggingtweets.sample import sample_path
from huggingtweets.sources import ReadOptions, read_posts

if TYPE_CHECKING:
    from pathlib import Path


def _csv(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(["author,id,text", *rows]))
    return path


def test_ids_of_different_sources_do_not_collide(tmp_path: Path) -> None:
    one = _csv(tmp_path / "one.csv", "a,1,first", "a,2,second")
    two = _csv(tmp_path / "two.csv", "b,1,other", "b,2,second", "b,3,third")
    table = read_posts([one, two], ReadOptions(author="ada"))
    assert table.schema == SCHEMA
    assert table["author"].unique().to_list() == ["ada"]
    assert table.select("id", "text").rows() == [
        ("1", "first"),
        ("2", "second"),  # the same post in both
        ("1-2", "other"),
        ("3", "third"),
    ]
    assert read_posts([one, two], ReadOptions(author="ada")).equals(table)


def test_without_an_alias_each_source_names_its_author(tmp_path: Path) -> None:
    one = _csv(tmp_path / "one.csv", "a,1,first")
    two = _csv(tmp_path / "two.csv", "b,1,other")
    assert read_posts([one, two]).select("author", "id").rows() == [("a", "1"), ("b", "1")]


def test_an_id_of_a_network_is_one_post(tmp_path: Path) -> None:
    one = _csv(tmp_path / "one.csv", "a,1234567890123,cut sho…")
    two = _csv(tmp_path / "two.csv", "a,1234567890123,cut short no more")
    assert read_posts([one, two])["text"].to_list() == ["cut sho…"]


def test_one_alias_for_all_sources(tmp_path: Path) -> None:
    paths = []
    for number, case in enumerate(CASES):
        folder = tmp_path / str(number)
        folder.mkdir()
        case.write(folder, samples(3))
        paths.append(folder if "/" in (case.file or "") else folder / (case.file or ""))
    table = read_posts(paths, ReadOptions(author="ada"))
    assert table["author"].unique().to_list() == ["ada"]
    assert table.height == table["id"].n_unique()
    # csv and json have the posts that Grailbird's table has.
    places = ["x-archive", "mastodon-archive", "telegram", "txt"]
    assert table["source"].unique(maintain_order=True).to_list() == places


def handles_of(*paths: Path, author: str | None = None) -> set[str]:
    counting = sources.CountLeftOut(ignore)
    read_posts(paths, ReadOptions(author=author, listen=counting))
    return counting.handles


def test_a_handle_is_known_only_if_the_source_or_the_user_gives_it(tmp_path: Path) -> None:
    lines, handle, person = (tmp_path / name for name in ("nasa.txt", "nasa.csv", "person.csv"))
    lines.write_text("one post\nanother post\n")
    handle.write_text("username,text\n@nasa,one post\n")
    person.write_text("author,text\nAda Lovelace,one post\n")
    assert handles_of(lines) == set()  # a file's name may be a stranger's handle
    assert handles_of(handle) == {"nasa"}
    assert handles_of(person) == set()
    assert handles_of(lines, author="ada") == set()
    assert handles_of(lines, author="@ada") == {"ada"}
    assert handles_of(lines, handle) == {"nasa"}
    assert handles_of(sample_path()) == {"NASA"}
