"""A whole Bluesky repository: a CAR file whose records hang in a tree of keys.

The tree's nodes share the beginnings of their keys: each entry says how many characters it has in
common with the one before (``p``), the rest (``k``), the record (``v``) and the subtree after it
(``t``); ``l`` is the subtree before the first.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from huggingtweets.errors import SourceError
from huggingtweets.sources._bluesky_record import POST, post_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from huggingtweets.data.posts import Post

LARGEST = 512 * 1024**2
"""Bytes; a repository of ten years has some 100 MB."""

SECONDS = 600.0

_MOST_NODES = 5_000_000


def check_extra() -> None:
    """Say what to install where the decoder isn't there, before anything is downloaded."""
    if find_spec("libipld") is None:
        raise SourceError(
            "Whole repositories need one more package: pip install huggingtweets[bluesky]."
        )


def records(car: bytes, where: str) -> dict[str, dict[str, Any]]:
    """Return the records of a CAR file by their key, such as ``app.bsky.feed.post/3k...``.

    Raises:
        SourceError: it is not one, or a damaged one.
    """
    import libipld

    try:
        header, blocks = libipld.decode_car(car)
        tree = blocks[header["roots"][0]]["data"]
        found = dict(_walk(blocks, tree))
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise SourceError(
            f"{where} sent a repository that can't be read; try again, or without --full."
        ) from error
    return {key: record for key, record in found.items() if isinstance(record, dict)}


def _walk(blocks: dict[bytes, Any], root: bytes) -> Iterator[tuple[str, object]]:
    """Yield keys and records; the order is of no matter, no node is visited twice."""
    waiting, seen = [root], set[bytes]()
    while waiting:
        node = waiting.pop()
        if node in seen or len(seen) > _MOST_NODES:
            continue
        seen.add(node)
        block = blocks[node]
        waiting += [block["l"]] if block["l"] else []
        key = b""
        for entry in block["e"]:
            key = key[: entry["p"]] + entry["k"]
            waiting += [entry["t"]] if entry["t"] else []
            yield key.decode(), blocks.get(entry["v"])


def posts(found: dict[str, dict[str, Any]], did: str, author: str) -> list[Post]:
    """Make the posts among the records, newest first."""
    made = [
        post_of(f"at://{did}/{key}", record, author)
        for key, record in found.items()
        if key.startswith(f"{POST}/")
    ]
    times = {post.id: post.created_at.timestamp() if post.created_at else 0.0 for post in made}
    return sorted(made, key=lambda post: times[post.id], reverse=True)
