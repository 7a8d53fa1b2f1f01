"""Datasets on a local Hub, for the contract suite and for the tests of the source."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from tests.servers.hub import CONVERTED, HubServer
from tests.sources.cases import Case, Sample, row

from huggingtweets.errors import SourceError
from huggingtweets.sources import ReadOptions, http, open_source, read_posts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from huggingtweets.data.posts import Post
    from huggingtweets.sources import Source

NAME = "ada/posts"
TOKEN = "hf_secret"  # noqa: S105 - of a fake Hub
_FILES = 3


class _WithServer:
    """The source, with a Hub that runs while it is read."""

    def __init__(self, files: dict[str, bytes], home: Path) -> None:
        self._files = files
        self._home = home
        self._source = open_source(f"hf:{NAME}")

    @property
    def name(self) -> str:
        return self._source.name

    def posts(self) -> Iterator[Post]:
        with HubServer() as hub, pytest.MonkeyPatch.context() as patch:
            hub.use(patch, self._home)
            hub.add("datasets", NAME, {"README.md": b"# Posts"})
            hub.add("datasets", NAME, self._files, CONVERTED)
            yield from self._source.posts()


def parquet(rows: list[dict[str, object]]) -> bytes:
    """Rows in the format of the Hub's Parquet conversion."""
    content = io.BytesIO()
    pl.DataFrame(rows or {"text": []}).write_parquet(content)
    return content.getvalue()


def write(folder: Path, posts: Iterable[Sample]) -> Source:
    """Write samples to a dataset of several files of about equal size."""
    rows = [row(post) for post in posts]
    size = -(-len(rows) // _FILES) or 1
    files = {
        f"default/train/{number:04}.parquet": parquet(rows[number * size : (number + 1) * size])
        for number in range(_FILES)
    }
    return _WithServer(files, folder / "hf")


CASE = Case("hugging face", write, escapes=False)


# -- for the tests of the source -------------------------------------------------------------------


def settle(hub: HubServer, folder: Path, patch: pytest.MonkeyPatch) -> Path:
    """Make this process use a Hub, without waiting between retries; return its HF_HOME."""
    from huggingface_hub import file_download
    from huggingface_hub.utils import _http

    quick = SimpleNamespace(sleep=lambda _seconds: None)
    patch.setattr(_http, "time", quick)
    patch.setattr(file_download, "time", quick)
    patch.setattr(http, "sleep", lambda _seconds: None)
    patch.chdir(folder)
    hub.use(patch, folder / "hf")
    return folder / "hf"


def rows(*texts: str, **more: object) -> bytes:
    return parquet([{"text": text, **more} for text in texts])


def converted(hub: HubServer, files: dict[str, bytes], name: str = NAME) -> None:
    hub.add("datasets", name, {"README.md": b"# Posts"})
    hub.add("datasets", name, files, CONVERTED)


def posts_of(spec: str = f"hf:{NAME}", **options: Any) -> list[Post]:  # noqa: ANN401
    return list(open_source(spec, ReadOptions(**options)).posts())


def error_of(spec: str = f"hf:{NAME}", **options: Any) -> str:  # noqa: ANN401
    with pytest.raises(SourceError) as caught:
        read_posts([spec], ReadOptions(**options))
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert TOKEN not in sentence
    return sentence
