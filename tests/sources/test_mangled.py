from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sources.mangle import mangled_archive, mangled_file
from tests.sources.mangle_chats import mangled_chat
from tests.sources.mangle_exports import mangled_export

from huggingtweets.data.posts import SCHEMA
from huggingtweets.errors import SourceError
from huggingtweets.sources import open_source, read_posts

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mangled")


def _posts_or_one_sentence(path: Path) -> None:
    try:
        table = read_posts([path])
    except SourceError as error:
        sentence = str(error)
        assert sentence.endswith(".")
        assert "\n" not in sentence
        assert len(sentence) < 1000
        return
    assert table.schema == SCHEMA
    assert not table.is_empty()
    again = [post.id for post in open_source(path).posts()]
    assert set(again) == set(table["id"])


@settings(max_examples=400, deadline=None, database=None, derandomize=True)
@given(random=st.randoms(use_true_random=False))
def test_a_mangled_archive_gives_posts_or_one_sentence(folder: Path, random: Random) -> None:
    name, content = mangled_archive(random)
    (folder / name).write_bytes(content)
    _posts_or_one_sentence(folder / name)


@settings(max_examples=100, deadline=None, database=None, derandomize=True)
@given(random=st.randoms(use_true_random=False))
def test_a_mangled_file_gives_posts_or_one_sentence(folder: Path, random: Random) -> None:
    name, content = mangled_file(random)
    (folder / name).write_bytes(content)
    _posts_or_one_sentence(folder / name)


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(random=st.randoms(use_true_random=False))
def test_a_mangled_export_gives_posts_or_one_sentence(folder: Path, random: Random) -> None:
    name, content = mangled_export(random)
    (folder / name).write_bytes(content)
    _posts_or_one_sentence(folder / name)


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(random=st.randoms(use_true_random=False))
def test_a_mangled_chat_gives_posts_or_one_sentence(folder: Path, random: Random) -> None:
    name, content = mangled_chat(random)
    (folder / name).write_bytes(content)
    _posts_or_one_sentence(folder / name)
