"""The contract suite's posts on a fake X; the source is read newest first."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from unittest import mock

from tests.servers.x import FIRST, ID, TOKEN, USER, XServer, refers
from tests.sources.cases import Case, Network, Sample

from huggingtweets.sources import ReadOptions, http, open_source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from huggingtweets.data.posts import Post
    from huggingtweets.sources import Source

_REFERENCES = {"reply": "replied_to", "repost": "retweeted", "quote": "quoted"}
_CUT = 280
"""Characters of a post outside its note."""


def x_tweet(sample: Sample) -> dict[str, Any]:
    """Return a post in the format of the X API."""
    number = str(FIRST + sample.number)
    found: dict[str, Any] = {
        "id": number,
        "text": sample.text[:_CUT],
        "edit_history_tweet_ids": [number],
        "created_at": sample.time.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
    }
    if sample.lang:
        found["lang"] = sample.lang
    if len(sample.text) > _CUT:
        found["note_tweet"] = {"text": sample.text}
    return found | (refers(_REFERENCES[sample.kind]) if sample.kind in _REFERENCES else {})


@dataclass
class Online:
    """An account whose server runs while it is read.

    Attributes:
        folder: of the downloads.
        tweets: newest first.
    """

    folder: Path
    tweets: list[dict[str, Any]]
    name: ClassVar[str] = "x"

    def posts(self) -> Iterator[Post]:
        with XServer(self.tweets) as server:
            environment = {
                "HUGGINGTWEETS_X_API": server.url,
                "HUGGINGTWEETS_X_TOKEN": TOKEN,
                "HUGGINGTWEETS_DOWNLOADS": str(self.folder / "downloads"),
            }
            with (
                mock.patch.dict(os.environ, environment),
                mock.patch.object(http, "sleep", lambda _seconds: None),
            ):
                reading = ReadOptions(confirm=lambda _question: True)
                yield from open_source(f"x:@{USER}", reading).posts()


def _write(folder: Path, posts: Iterable[Sample]) -> Source:
    found = sorted((x_tweet(sample) for sample in posts), key=lambda one: int(one["id"]))
    return Online(folder, found[::-1])


def x_case() -> Case:
    """An account on X, found by its id."""
    assert ID.isdigit()
    return Case(
        "x api",
        _write,
        kinds=frozenset({"original", "reply", "repost", "quote"}),
        newest_first=True,
        streams=False,
        network=Network(lambda path: path.endswith("/tweets"), 100),
    )
