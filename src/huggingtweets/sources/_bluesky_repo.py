"""Read a whole Bluesky repository: a CAR file whose records form a Merkle search tree.

Keys within a node are prefix-compressed. Each entry holds the length of the prefix shared with the
previous key (``p``), the rest of the key (``k``), the record (``v``) and the subtree after it
(``t``); ``l`` is the subtree before the first entry.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from huggingtweets.errors import SourceError
from huggingtweets.sources._bluesky_record import POST, parse_post

if TYPE_CHECKING:
    from collections.abc import Iterator

    from huggingtweets.data.posts import Post

MAX_BYTES = 512 * 1024**2
"""A repository of ten years has about 100 MB."""

TIMEOUT_SECONDS = 600.0

_MAX_NODES = 5_000_000


def check_extra() -> None:
    """Raise an error if the decoder isn't installed, before anything is downloaded."""
    if find_spec("libipld") is None:
        raise SourceError(
            "Reading a whole repository needs an extra package: "
            "run `pip install huggingtweets[bluesky]`."
        )


def records(car: bytes, where: str) -> dict[str, dict[str, Any]]:
    """Return the records of a downloaded CAR file by key, such as ``app.bsky.feed.post/3k...``.

    Raises:
        SourceError: it is not a CAR file, or a damaged one.
    """
    damaged = f"{where} sent a damaged repository; try again, or try without --full."
    return read_car(car, damaged)[1]


def read_car(car: bytes, damaged: str) -> tuple[str | None, dict[str, dict[str, Any]]]:
    """Return the DID of a CAR file, and its records by key.

    Args:
        car: the file's content.
        damaged: the message of the error.

    Raises:
        SourceError: it is not a CAR file, or a damaged one.
    """
    import libipld

    try:
        header, blocks = libipld.decode_car(car)
        commit = blocks[header["roots"][0]]
        did = commit.get("did")
        found = dict(_walk(blocks, commit["data"]))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise SourceError(damaged) from error
    is_did = isinstance(did, str) and did.startswith("did:")
    records = {key: record for key, record in found.items() if isinstance(record, dict)}
    return (did if is_did else None), records


def _walk(blocks: dict[bytes, Any], root: bytes) -> Iterator[tuple[str, object]]:
    """Yield keys and records in any order, visiting each node once."""
    pending, seen = [root], set[bytes]()
    while pending:
        node = pending.pop()
        if node in seen or len(seen) > _MAX_NODES:
            continue
        seen.add(node)
        block = blocks[node]
        pending += [block["l"]] if block["l"] else []
        key = b""
        for entry in block["e"]:
            key = key[: entry["p"]] + entry["k"]
            pending += [entry["t"]] if entry["t"] else []
            yield key.decode(), blocks.get(entry["v"])


def posts(records_by_key: dict[str, dict[str, Any]], did: str, author: str) -> list[Post]:
    """Return the posts among the records, newest first."""
    found = [
        parse_post(f"at://{did}/{key}", record, author)
        for key, record in records_by_key.items()
        if key.startswith(f"{POST}/")
    ]
    times = {post.id: post.created_at.timestamp() if post.created_at else 0.0 for post in found}
    return sorted(found, key=lambda post: times[post.id], reverse=True)
