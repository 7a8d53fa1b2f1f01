"""The cases of the contract suite for exports of networks' own interfaces, backups and scrapers.

The field names of Misskey's own export (``ExportNotesProcessorService``), of mastodon-archive and
of snscrape's ``Tweet`` were looked up in their sources. Those of the others follow the inputs of
public bug reports (tests/fixtures/cases) and the networks' documents as far as they are known to
us; no export of ours was at hand.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from html import escape
from typing import TYPE_CHECKING, Any

from tests.servers.bluesky import DID, HANDLE, POST, car_of
from tests.sources.cases import (
    MASTODON,
    PUBLIC,
    Case,
    Sample,
    activity,
    joined,
    write_file,
)

from huggingtweets.sources import open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from huggingtweets.sources import Source

_ACCOUNT = {"id": "7", "username": "ada", "acct": "ada", "url": "https://m.example/@ada"}


def _iso(sample: Sample) -> str:
    return sample.time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _status(sample: Sample) -> dict[str, Any]:
    return {
        "id": str(MASTODON + sample.number),
        "created_at": _iso(sample),
        "in_reply_to_id": "5" if sample.kind == "reply" else None,
        "spoiler_text": "",
        "visibility": "public",
        "language": sample.lang or None,
        "content": f"<p>{escape(sample.text)}</p>".replace("\n", "<br />"),
        "reblog": None,
        "quote": {"state": "accepted"} if sample.kind == "quote" else None,
        "account": _ACCOUNT,
    }


def _gotosocial_status(sample: Sample) -> dict[str, Any]:
    return _status(sample) | {"local_only": False, "interaction_policy": {}, "text": "source"}


def _note(sample: Sample) -> dict[str, Any]:
    return {
        "id": f"9k{sample.number:08}",
        "text": sample.text,
        "createdAt": _iso(sample),
        "fileIds": [],
        "replyId": "9j" if sample.kind == "reply" else None,
        "renoteId": "9j" if sample.kind == "quote" else None,
        "poll": None,
        "cw": None,
        "visibility": "public",
        "visibleUserIds": [],
        "localOnly": False,
    }


def _record(sample: Sample) -> dict[str, Any]:
    here = {"uri": f"at://{DID}/{POST}/k1", "cid": "bafy"}
    kinds: dict[str, dict[str, Any]] = {
        "reply": {"reply": {"root": here, "parent": here}},
        "quote": {"embed": {"$type": "app.bsky.embed.record", "record": here}},
    }
    return {
        "$type": POST,
        "text": sample.text,
        "createdAt": _iso(sample),
        "langs": [sample.lang] if sample.lang else [],
    } | kinds.get(sample.kind, {})


def _feed_item(sample: Sample) -> dict[str, Any]:
    view = {
        "uri": f"at://{DID}/{POST}/k{sample.number:05}",
        "author": {"did": DID, "handle": HANDLE, "labels": []},
        "record": _record(sample),
        "indexedAt": _iso(sample),
    }
    return {"post": view}


def _listed(sample: Sample) -> dict[str, Any]:
    uri = f"at://{DID}/{POST}/k{sample.number:05}"
    return {"uri": uri, "cid": "bafy", "value": _record(sample)}


def _tweet_v2(sample: Sample) -> dict[str, Any]:
    types = {"reply": "replied_to", "quote": "quoted"}
    kind = types.get(sample.kind)
    number = str(10**18 + sample.number)
    return {
        "id": number,
        "text": sample.text,
        "created_at": _iso(sample),
        "author_id": "55",
        "lang": sample.lang,
        "edit_history_tweet_ids": [number],
    } | ({"referenced_tweets": [{"type": kind, "id": "5"}]} if kind else {})


def _twarc2(posts: Iterable[Sample]) -> Iterator[bytes]:
    for post in posts:
        users = [{"id": "55", "username": "ada", "name": "Ada L"}]
        page = {"data": [_tweet_v2(post)], "includes": {"users": users}, "__twarc": {}}
        yield json.dumps(page).encode() + b"\n"


def _web_tweet(sample: Sample) -> dict[str, Any]:
    legacy = {
        "full_text": sample.text,
        "created_at": sample.time.strftime("%a %b %d %H:%M:%S +0000 %Y"),
        "lang": sample.lang,
        "retweeted": False,
        "is_quote_status": sample.kind == "quote",
        **({"in_reply_to_status_id_str": "5"} if sample.kind == "reply" else {}),
    }
    user = {"result": {"legacy": {"screen_name": "ada", "name": "Ada L"}}}
    number = str(10**18 + sample.number)
    return {"rest_id": number, "core": {"user_results": user}, "legacy": legacy}


def _snscrape(sample: Sample) -> dict[str, Any]:
    return {
        "_type": "snscrape.modules.twitter.Tweet",
        "url": f"https://twitter.com/ada/status/{10**18 + sample.number}",
        "date": sample.time.isoformat(),
        "rawContent": sample.text,
        "renderedContent": sample.text[:5],
        "id": 10**18 + sample.number,
        "user": {"username": "ada", "id": 7, "displayname": "Ada L"},
        "lang": sample.lang,
        "retweetedTweet": None,
        "quotedTweet": {"id": 5} if sample.kind == "quote" else None,
        "inReplyToTweetId": 5 if sample.kind == "reply" else None,
    }


def _apify(sample: Sample) -> dict[str, Any]:
    return {
        "type": "tweet",
        "id": str(10**18 + sample.number),
        "text": sample.text[:3],
        "fullText": sample.text,
        "createdAt": sample.time.strftime("%a %b %d %H:%M:%S +0000 %Y"),
        "isReply": sample.kind == "reply",
        "isRetweet": False,
        "isQuote": sample.kind == "quote",
        "lang": sample.lang,
        "author": {"type": "user", "userName": "ada", "name": "Ada L"},
    }


def _ntscraper(sample: Sample) -> dict[str, Any]:
    return {
        "link": f"https://twitter.com/ada/status/{10**18 + sample.number}#m",
        "text": sample.text,
        "user": {"name": "Ada L", "username": "@ada", "profile_id": "1", "avatar": ""},
        "date": "Feb 3, 2021 · 4:05 AM UTC",
        "is-retweet": False,
        "external-link": "",
        "replying-to": ["@bob"] if sample.kind == "reply" else [],
        "quoted-post": {"text": "others"} if sample.kind == "quote" else {},
        "stats": {"comments": 0, "retweets": 1, "quotes": 0, "likes": 2},
    }


def _twint(posts: Iterable[Sample]) -> Iterator[bytes]:
    names = [
        "id",
        "created_at",
        "date",
        "time",
        "timezone",
        "username",
        "name",
        "tweet",
        "language",
        "retweet",
        "quote_url",
    ]
    yield ",".join([*names, "reply_to"]).encode() + b"\n"
    for post in posts:
        stream = io.StringIO()
        quoted = "https://twitter.com/bob/status/5" if post.kind == "quote" else ""
        replied = "[{'screen_name': 'bob', 'id': '8'}]" if post.kind == "reply" else "[]"
        moment = post.time.strftime("%Y-%m-%d %H:%M:%S UTC")
        day, clock, _ = moment.split()
        values = [10**18 + post.number, moment, day, clock, "+0000", "ada", "Ada L", post.text]
        csv.writer(stream).writerow([*values, post.lang, "False", quoted, replied])
        yield stream.getvalue().encode()


def _lines(convert: Callable[[Sample], object]) -> Callable[[Iterable[Sample]], Iterator[bytes]]:
    return lambda posts: (json.dumps(convert(post)).encode() + b"\n" for post in posts)


def _list(
    convert: Callable[[Sample], object], head: str = "", tail: str = ""
) -> Callable[[Iterable[Sample]], Iterator[bytes]]:
    return lambda posts: joined(head, map(convert, posts), tail)


def _pleroma_zip(folder: Path, posts: Iterable[Sample]) -> Source:
    def create(sample: Sample) -> dict[str, Any]:
        where = f"https://m.example/objects/0f0e-{sample.number}"
        return activity(sample, id=where, source={"content": "x"}, to=[PUBLIC])

    actor = {"id": "https://m.example/users/ada", "preferredUsername": "ada", "type": "Person"}
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr("actor.json", json.dumps(actor))
        with archive.open("outbox.json", "w") as stream:
            stream.writelines(
                _list(create, '{"type": "OrderedCollection", "orderedItems": ', "}")(posts)
            )
        archive.writestr("likes.json", '{"type": "OrderedCollection", "orderedItems": []}')
        archive.writestr("bookmarks.json", '{"type": "OrderedCollection", "orderedItems": []}')
    return open_source(folder / "a.zip")


def _car(folder: Path, posts: Iterable[Sample]) -> Source:
    records = {f"{POST}/k{post.number:05}": _record(post) for post in posts}
    (folder / "repo.car").write_bytes(car_of(records) if records else b"")
    return open_source(folder / "repo.car")


def _unpacked(folder: Path, posts: Iterable[Sample]) -> Source:
    root = folder / DID / POST
    root.mkdir(parents=True, exist_ok=True)
    for post in posts:
        (root / f"k{post.number:05}.json").write_text(json.dumps(_record(post)))
    return open_source(folder)


_ARCHIVE = '{"account": {"id": "7"}, "favourites": [{"content": "others"}], "statuses": '
_FEED = '{"cursor": "x", "feed": '

EXPORT_CASES = [
    Case(
        "mastodon statuses",
        write_file("p.json", _list(_status, _ARCHIVE, "}")),
        "p.json",
        streams=False,
    ),
    Case(
        "gotosocial statuses",
        write_file("p.jsonl", _lines(_gotosocial_status)),
        "p.jsonl",
        streams=False,
    ),
    Case("pleroma zip", _pleroma_zip, "a.zip", streams=False),
    Case("misskey notes", write_file("p.json", _list(_note)), "p.json", langs=False, streams=False),
    Case("bluesky feed json", write_file("p.json", _list(_feed_item, _FEED, "}")), "p.json"),
    Case("bluesky listRecords", write_file("p.jsonl", _lines(_listed)), "p.jsonl", streams=False),
    Case("bluesky repo.car", _car, "repo.car", escapes=False, newest_first=True, streams=False),
    Case("bluesky unpacked", _unpacked, newest_first=True, streams=False),
    Case("twarc2", write_file("p.jsonl", _twarc2), "p.jsonl"),
    Case("x web client", write_file("p.json", _list(_web_tweet)), "p.json", streams=False),
    Case("snscrape", write_file("p.jsonl", _lines(_snscrape)), "p.jsonl", streams=False),
    Case("apify", write_file("p.json", _list(_apify)), "p.json", streams=False),
    Case("twint", write_file("p.csv", _twint), "p.csv", escapes=False, streams=False),
    Case(
        "ntscraper",
        write_file("p.json", _list(_ntscraper, '{"tweets": ', ', "threads": []}')),
        "p.json",
        times=False,
        langs=False,
        streams=False,
    ),
]
