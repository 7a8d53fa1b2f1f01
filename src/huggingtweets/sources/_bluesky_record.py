"""Parse Bluesky post records: the text with full links, the kind and the language."""

from __future__ import annotations

from typing import TYPE_CHECKING

from huggingtweets.data.posts import Post
from huggingtweets.sources._fields import as_dict, as_list, parse_name, parse_text, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from huggingtweets.data.posts import Kind

POST = "app.bsky.feed.post"
NETWORK = "bluesky"
HIDDEN = "!no-unauthenticated"
"""The label of authors who ask to be hidden from people without an account."""

_LINK = "app.bsky.richtext.facet#link"
_QUOTES = frozenset({"app.bsky.embed.record", "app.bsky.embed.recordWithMedia"})


def parse_post(uri: str, record: dict[str, object], author: str) -> Post:
    """Convert a record to a post, with the ``at://`` URI as its id."""
    langs = as_list(record.get("langs"))
    return Post(
        author=author,
        id=uri,
        text=full_text(record),
        created_at=parse_time(record.get("createdAt")),
        kind=kind_of_record(record),
        lang=parse_name(langs[0]) if langs else None,
        source=NETWORK,
    )


def kind_of_record(record: dict[str, object]) -> Kind:
    """Return the kind of a post by its record; a repost has a record of its own."""
    return "reply" if record.get("reply") else "quote" if _quotes(record) else "original"


def asks_to_be_hidden(labels: object) -> bool:
    """Return whether an author's labels ask to hide them from people without an account."""
    values = labels if isinstance(labels, list) else as_list(as_dict(labels).get("values"))
    return any(as_dict(label).get("val") == HIDDEN for label in values)


def _quotes(record: dict[str, object]) -> bool:
    """Return whether the record embeds a post; an embedded list or feed is not a quote."""
    embed = as_dict(record.get("embed"))
    inner = as_dict(embed.get("record"))
    uri = inner.get("uri") or as_dict(inner.get("record")).get("uri")
    return str(embed.get("$type")) in _QUOTES and f"/{POST}/" in str(uri)


def full_text(record: dict[str, object]) -> str:
    """Return the text with shortened links (``example.com/a...``) replaced by full ones.

    Facets mark links by UTF-8 byte offsets. Words that carry a link stay unchanged.
    """
    text = parse_text(record.get("text"), "the posts from Bluesky")
    encoded = text.encode()
    for start, end, uri in sorted(_links(record), reverse=True):
        if not 0 <= start < end <= len(encoded):
            continue
        try:
            before, shown, after = (
                part.decode() for part in (encoded[:start], encoded[start:end], encoded[end:])
            )
        except UnicodeDecodeError:  # the facet splits a character
            continue
        if _is_shortened(shown, uri):
            encoded = f"{before}{uri}{after}".encode()
    return parse_text(encoded.decode(), "the posts from Bluesky")


def _links(record: dict[str, object]) -> Iterator[tuple[int, int, str]]:
    """Yield the start byte, end byte and URI of each link."""
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
    prefix = _without_scheme(shown.strip().removesuffix("...").removesuffix("…"))
    full = _without_scheme(uri)
    return bool(prefix) and "." in full and full.lower().startswith(prefix.lower())


def _without_scheme(uri: str) -> str:
    return uri.rpartition("://")[2].removeprefix("www.")
