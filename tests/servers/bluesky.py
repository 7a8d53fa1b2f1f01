"""A fake Bluesky with one account: AppView, DID directory and repository host."""

from __future__ import annotations

import hashlib
from typing import Any

from tests.servers.local import Reply, Server, as_json

HANDLE = "gardener.bsky.social"
DID = "did:plc:abcdefghijklmnopqrstuvwx"
OTHER = "did:plc:zzzzzzzzzzzzzzzzzzzzzzzz"
POST = "app.bsky.feed.post"


def record(text: str, number: int = 0, **more: object) -> dict[str, Any]:
    """Return a post record; posts are one minute apart."""
    moment = f"2024-03-{1 + number // 1440:02}T{number // 60 % 24:02}:{number % 60:02}:00.000Z"
    return {"$type": POST, "text": text, "createdAt": moment, "langs": ["en"], **more}


def item(number: int, text: str | None = None, **more: object) -> dict[str, Any]:
    """Return a feed item with a post of the account; higher numbers are newer."""
    return {
        "post": {
            "uri": f"at://{DID}/{POST}/k{number:05}",
            "cid": "bafy",
            "author": {"did": DID, "handle": HANDLE, "labels": []},
            "record": record(text or f"I counted {number} lanterns today", number, **more),
            "indexedAt": "2024-03-01T00:00:00.000Z",
        }
    }


def repost(number: int) -> dict[str, Any]:
    """Return a feed item with a repost."""
    found = item(number, "Somebody else's words")
    found["post"]["uri"] = f"at://{OTHER}/{POST}/k{number:05}"
    found["post"]["author"] = {"did": OTHER, "handle": "other.example"}
    found["reason"] = {
        "$type": "app.bsky.feed.defs#reasonRepost",
        "by": {"did": DID, "handle": HANDLE},
        "uri": f"at://{DID}/app.bsky.feed.repost/r{number:05}",
        "indexedAt": "2024-03-20T12:00:00.000Z",
    }
    return found


class BlueskyServer(Server):
    """Attributes:
    feed: newest first.
    car: the repository.
    pds: the host that the DID document names.
    """

    def __init__(self, feed: list[dict[str, Any]] | None = None, page: int = 100) -> None:
        super().__init__()
        self.feed = feed or []
        self.page = page
        self.car = b""
        self.pds: str | None = None

    def answer(self, path: str, query: dict[str, str]) -> Reply:
        if path == "/xrpc/app.bsky.feed.getAuthorFeed":
            return self._feed(query)
        if path == "/xrpc/com.atproto.identity.resolveHandle":
            return self._refused("handle", query) or as_json({"did": DID})
        if path in (f"/{DID}", "/.well-known/did.json"):
            service = {
                "id": "#atproto_pds",
                "type": "AtprotoPersonalDataServer",
                "serviceEndpoint": self.pds or self.url,
            }
            return as_json({"id": DID, "alsoKnownAs": [f"at://{HANDLE}"], "service": [service]})
        if path == "/xrpc/com.atproto.sync.getRepo":
            return Reply(self.car, headers={"Content-Type": "application/vnd.ipld.car"})
        return as_json({"error": "MethodNotImplemented"}, 501)

    def _refused(self, name: str, query: dict[str, str]) -> Reply | None:
        if query.get(name) in (HANDLE, DID) or query.get(name, "").startswith("did:web:127."):
            return None
        return as_json({"error": "InvalidRequest", "message": "Profile not found"}, 400)

    def _feed(self, query: dict[str, str]) -> Reply:
        assert query["limit"] == "100"
        assert query["filter"] == "posts_with_replies"
        if refused := self._refused("actor", query):
            return refused
        # As on Bluesky, a cursor is a time, so later posts don't shift the pages.
        older = [i for i in self.feed if _key(i) < query.get("cursor", "~")]
        shown = older[: self.page]
        more = {"cursor": _key(shown[-1])} if len(older) > self.page else {}
        return as_json({"feed": shown, **more})


def _key(found: dict[str, Any]) -> str:
    return str(found["post"]["uri"]).rsplit("/", 1)[1]


# -- repositories ----------------------------------------------------------------------------------


def _cid(block: bytes) -> bytes:
    return bytes([1, 0x71, 0x12, 0x20]) + hashlib.sha256(block).digest()


def _varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def car_of(records: dict[str, dict[str, Any]]) -> bytes:
    """Return a repository as a CAR file: a commit, a tree of two levels and the records."""
    import libipld

    blocks: list[bytes] = []

    def put(value: object) -> bytes:
        blocks.append(libipld.encode_dag_cbor(value))
        return _cid(blocks[-1])

    def node(keys: list[str], left: bytes | None, last: bytes | None) -> bytes:
        entries, before = [], ""
        for key in keys:
            common = next(
                (i for i, (a, b) in enumerate(zip(key, before, strict=False)) if a != b),
                min(len(key), len(before)),
            )
            entries.append(
                {"p": common, "k": key[common:].encode(), "v": put(records[key]), "t": None}
            )
            before = key
        if entries:
            entries[-1]["t"] = last
        return put({"l": left, "e": entries})

    keys = sorted(records)
    third = len(keys) // 3
    left = node(keys[:third], None, None)
    right = node(keys[2 * third :], None, None)
    tree = node(keys[third : 2 * third], left, right)
    commit = put({"did": DID, "version": 3, "data": tree, "rev": "3k", "prev": None})
    header = libipld.encode_dag_cbor({"version": 1, "roots": [commit]})
    whole = _varint(len(header)) + header
    for block in blocks:
        whole += _varint(len(block) + 36) + _cid(block) + block
    return whole
