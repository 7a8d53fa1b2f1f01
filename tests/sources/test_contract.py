"""The contract suite: properties that every source of posts must have."""

from __future__ import annotations

import re
import tracemalloc
from dataclasses import fields
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, get_args

import pytest
from tests.sources.cases import LARGE, Case, Sample, large, samples
from tests.sources.mangle import damaged
from tests.sources.network_cases import ALL_CASES

from huggingtweets.data.posts import SCHEMA, Kind, Name, Post, posts_table
from huggingtweets.errors import SourceError
from huggingtweets.sources import open_source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.parametrize("case", ALL_CASES, ids=lambda case: case.name)
_TAG = re.compile(r"</?[a-z][^<>]*>")


@pytest.fixture(autouse=True)
def _running(case: Case) -> Iterator[None]:
    """Run the servers that the case needs."""
    with case.running():
        yield


def _posts(case: Case, folder: Path, wanted: list[Sample]) -> list[Post]:
    return list(case.write(folder, wanted).posts())


def test_posts_are_what_was_written_in_order(case: Case, tmp_path: Path) -> None:
    wanted = samples(24)
    posts = _posts(case, tmp_path, wanted)
    if case.newest_first:
        wanted.reverse()
    one_line = case.name == "txt"
    texts = [sample.text.replace("\n", " ") if one_line else sample.text for sample in wanted]
    assert [post.text for post in posts] == texts
    kinds = [sample.kind if sample.kind in case.kinds else "original" for sample in wanted]
    assert [post.kind for post in posts] == kinds
    if case.times:
        assert [post.created_at for post in posts] == [sample.time for sample in wanted]
    if case.langs:
        assert [post.lang for post in posts] == [sample.lang for sample in wanted]


def test_posts_are_typed(case: Case, tmp_path: Path) -> None:
    source = case.write(tmp_path, samples(6))
    posts = list(source.posts())
    for post in posts:
        assert type(post) is Post
        assert all(
            type(getattr(post, name)) is str and getattr(post, name)
            for name in ("id", "text", "source")
        )
        assert type(post.author) in {str, Name}
        assert post.author
        assert post.source == source.name
        assert post.kind in get_args(Kind)
        assert post.lang is None or (type(post.lang) is str and post.lang)
        time = post.created_at
        assert time is None or time.utcoffset() == timedelta(0)
    assert {field.name for field in fields(Post)} == set(SCHEMA)
    assert posts_table(posts).schema == SCHEMA


def test_ids_are_unique_and_the_same_at_each_reading(case: Case, tmp_path: Path) -> None:
    source = case.write(tmp_path, samples(24))
    posts = list(source.posts())
    assert len({(post.author, post.id) for post in posts}) == len(posts)
    assert list(source.posts()) == posts
    assert list(case.write(tmp_path, samples(24)).posts()) == posts


def test_texts_hold_no_html_nul_or_lone_surrogate(case: Case, tmp_path: Path) -> None:
    wanted = samples(8)
    if case.escapes:
        wanted.append(Sample(8, "a \x00 b \ud83d c \ude00"))
    for post in _posts(case, tmp_path, wanted):
        assert "\0" not in post.text
        assert not _TAG.search(post.text)
        post.text.encode()


def test_a_source_without_posts_is_an_error(case: Case, tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        _posts(case, tmp_path, [])
    assert "\n" not in str(caught.value)


def test_a_damaged_file_gives_posts_or_one_sentence(case: Case, tmp_path: Path) -> None:
    if case.file is None:
        pytest.skip("no file")
    case.write(tmp_path, samples(3))
    path = tmp_path / case.file
    whole = path.read_bytes()
    spec = tmp_path if "/" in case.file else path
    for seed in range(100):
        path.write_bytes(damaged(Random(seed), whole))
        try:
            for post in open_source(spec).posts():
                post.text.encode()
        except SourceError as error:
            sentence = str(error)
            assert sentence.endswith(".")
            assert "\n" not in sentence


def test_memory_does_not_grow_with_the_source(case: Case, tmp_path: Path) -> None:
    if not case.streams:
        pytest.skip("a page is held, or what is on disk")
    source = case.write(tmp_path, large())
    tracemalloc.start()
    try:
        count = sum(1 for _ in source.posts())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == LARGE
    assert peak < 20_000_000  # of 50 MB
