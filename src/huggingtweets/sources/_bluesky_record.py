"""What a Bluesky post record says: its text with links in full, what kind it is, its language."""

from __future__ import annotations

from typing import TYPE_CHECKING

from huggingtweets.data.posts import Post
from huggingtweets.sources._fields import as_dict, as_list, name_of, text_of, time_of

if TYPE_CHECKING:
    from collections.abc import Iterator

POST = "app.bsky.feed.post"
NETWORK = "bluesky"
HIDDEN = "!no-unauthenticated"
"""The label of those who ask not to be shown to people without an account."""

_LINK = "app.bsky.richtext.facet#link"
_QUOTES = frozenset({"app.bsky.embed.record", "app.bsky.embed.recordWithMedia"})


def post_of(uri: str, record: dict[str, object], author: str) -> Post:
    """Make a post of a record; its address on the network is its id."""
    langs = as_list(record.get("langs"))
    return Post(
        author=author,
        id=uri,
        text=full_text(record),
        created_at=time_of(record.get("createdAt")),
        kind="reply" if record.get("reply") else "quote" if _quotes(record) else "original",
        lang=name_of(langs[0]) if langs else None,
        source=NETWORK,
    )


def hides(labels: object) -> bool:
    """Tell whether somebody asks not to be shown to people without an account."""
    listed = labels if isinstance(labels, list) else as_list(as_dict(labels).get("values"))
    return any(as_dict(label).get("val") == HIDDEN for label in listed)


def _quotes(record: dict[str, object]) -> bool:
    """Tell whether a post is embedded; a list or a feed that is embedded is no quote."""
    embed = as_dict(record.get("embed"))
    inner = as_dict(embed.get("record"))
    uri = inner.get("uri") or as_dict(inner.get("record")).get("uri")
    return embed.get("$type") in _QUOTES and f"/{POST}/" in str(uri)


def full_text(record: dict[str, object]) -> str:
    """Return the text with shortened links (``example.com/a...``) in full.

    Facets say by the bytes of UTF-8 which part is a link. Words that are a link stay words.
    """
    text = text_of(record.get("text"), "the posts from Bluesky")
    encoded = text.encode()
    for start, end, uri in sorted(_links(record), reverse=True):
        if not 0 <= start < end <= len(encoded):
            continue
        try:
            before, shown, after = (
                part.decode() for part in (encoded[:start], encoded[start:end], encoded[end:])
            )
        except UnicodeDecodeError:  # a facet that cuts a character in two
            continue
        if _is_shortened(shown, uri):
            encoded = f"{before}{uri}{after}".encode()
    return text_of(encoded.decode(), "the posts from Bluesky")


def _links(record: dict[str, object]) -> Iterator[tuple[int, int, str]]:
    for facet in map(as_dict, as_list(record.get("facets"))):
        index = as_dict(facet.get("index"))
        start, end = index.get("byteStart"), index.get("byteEnd")
        for feature in map(as_dict, as_list(facet.get("features"))):
            uri = feature.get("uri")
            if feature.get("$type") == _LINK and isinstance(uri, str):
                if isinstance(start, int) and isinstance(end, int):
                    yield start, end, uri
                break


def _is_shortened(shown: str, uri: str) -> bool:
    stem = _without_scheme(shown.strip().removesuffix("...").removesuffix("…"))
    whole = _without_scheme(uri)
    return bool(stem) and "." in whole and whole.lower().startswith(stem.lower())


def _without_scheme(uri: str) -> str:
    return uri.rpartition("://")[2].removeprefix("www.")
