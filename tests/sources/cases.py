"""The cases of the contract suite: the same posts in the format of each source.

To add a source to the suite, add a :class:`Case` to :data:`CASES`, or to ``network_cases`` for a
network. Its ``write`` stores the given samples where the source finds them (files in the folder,
responses in a fake server) and returns the opened source.
"""

from __future__ import annotations

import csv
import io
import json
import tarfile
import zipfile
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape
from typing import TYPE_CHECKING, Any

import polars as pl

from huggingtweets.sources import open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from huggingtweets.data.posts import Kind
    from huggingtweets.sources import Source

LARGE = 2_500
MASTODON = 110_000_000_000_000_000
PUBLIC = "https://www.w3.org/ns/activitystreams#Public"


@dataclass(frozen=True)
class Sample:
    """A post, independent of any source."""

    number: int
    text: str
    kind: Kind = "original"
    lang: str = "en"

    @property
    def time(self) -> datetime:
        return datetime(2021, 2, 3, 4, 5, 6, tzinfo=UTC) + timedelta(hours=self.number)


@dataclass(frozen=True)
class Network:
    """Properties of a source that reads from a server.

    Attributes:
        hands_out: whether a request with this path is for posts.
        page: posts per page, for tests of resumed and repeated downloads; None if all posts come in
            one response.
    """

    hands_out: Callable[[str], bool]
    page: int | None


@dataclass(frozen=True)
class Case:
    """One source, or one variant of it.

    Attributes:
        name: of the case.
        write: writes samples to a folder and opens the source.
        file: the file that ``write`` creates, for tests that damage it.
        kinds: kinds of post that the source distinguishes.
        times, langs: whether it has times and languages.
        escapes: whether it can hold NUL and lone surrogates, as JSON can.
        running: context manager of the server that ``write`` and reading need.
        newest_first: whether it yields the newest post first.
        streams: whether it is read in constant memory.
        network: for a source that reads from a server.
    """

    name: str
    write: Callable[[Path, Iterable[Sample]], Source]
    file: str | None = None
    kinds: frozenset[str] = frozenset({"original", "reply", "quote"})
    times: bool = True
    langs: bool = True
    escapes: bool = True
    running: Callable[[], AbstractContextManager[object]] = nullcontext
    newest_first: bool = False
    streams: bool = True
    network: Network | None = None


def samples(count: int) -> list[Sample]:
    """Return posts of all kinds, with unusual texts."""
    texts = (
        "good morning 😀 naïve",
        "two\nlines, \"quoted\" 'too'",
        "1 < 2 & 3 > 2 #tag @user",
        "שלום 👩🏽‍🚀 مرحبا",
    )
    kinds: tuple[Kind, ...] = ("original", "reply", "quote")
    return [
        Sample(n, f"{texts[n % 4]} {n}", kinds[n % 3], "en" if n % 2 else "de")
        for n in range(count)
    ]


def large() -> Iterator[Sample]:
    """Yield 50 MB of posts."""
    for number in range(LARGE):
        yield Sample(number, f"{number} " + "x" * 20_000, lang="")


def joined(head: str, items: Iterable[object], tail: str) -> Iterator[bytes]:
    """Yield a JSON list of items between a head and a tail."""
    yield head.encode() + b"["
    for number, item in enumerate(items):
        yield (b",\n" if number else b"") + json.dumps(item).encode()
    yield b"]" + tail.encode()


def tweet(sample: Sample) -> dict[str, Any]:
    extra: dict[str, Any] = {
        "reply": {"in_reply_to_status_id_str": "5"},
        "quote": {"quoted_status_id_str": "5"},
    }.get(sample.kind, {})
    return {
        "id_str": str(10**17 + sample.number),
        "full_text": sample.text,
        "created_at": sample.time.strftime("%a %b %d %H:%M:%S +0000 %Y"),
        "retweeted": False,
        "lang": sample.lang,
    } | extra


def activity(sample: Sample, **fields: object) -> dict[str, Any]:
    """Return a post as Mastodon exports it; fields change the note inside."""
    where = f"https://m.example/users/ada/statuses/{MASTODON + sample.number}"
    html = "".join(f"<p>{escape(sample.text)}</p>").replace("\n", "<br />")
    note = {
        "id": where,
        "type": "Note",
        "summary": None,
        "inReplyTo": "https://a.example/1" if sample.kind == "reply" else None,
        "quote": "https://a.example/2" if sample.kind == "quote" else None,
        "published": sample.time.isoformat().replace("+00:00", "Z"),
        "to": [PUBLIC],
        "cc": [],
        "content": html,
        "contentMap": {sample.lang: html} if sample.lang else None,
    }
    actor = "https://m.example/users/ada"
    return {"id": f"{where}/activity", "type": "Create", "actor": actor, "object": note | fields}


def message(sample: Sample, **fields: object) -> dict[str, Any]:
    """Return a message as Telegram exports it."""
    reply = {"reply_to_message_id": 1} if sample.kind == "reply" else {}
    return {
        "id": sample.number,
        "type": "message",
        "date": "2021-02-03T05:05:06",
        "date_unixtime": str(int(sample.time.timestamp())),
        "from": "Ada L",
        "from_id": "user7",
        "text": [sample.text[:3], {"type": "bold", "text": sample.text[3:]}],
        **reply,
        **fields,
    }


def row(sample: Sample) -> dict[str, Any]:
    return {
        "author": "ada",
        "id": str(sample.number),
        "text": sample.text,
        "created_at": sample.time.isoformat(),
        "kind": sample.kind,
        "lang": sample.lang,
    }


def _write(path: Path, chunks: Iterable[bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        stream.writelines(chunks)
    return path


def _tweets(posts: Iterable[Sample]) -> Iterator[bytes]:
    return joined("window.YTD.tweets.part0 = ", ({"tweet": tweet(post)} for post in posts), "")


def _outbox(posts: Iterable[Sample]) -> Iterator[bytes]:
    head = '{"@context": [1], "type": "OrderedCollection", "orderedItems": '
    return joined(head, map(activity, posts), "}")


def _chat(posts: Iterable[Sample]) -> Iterator[bytes]:
    head = '{"name": "Bob", "type": "personal_chat", "id": 3, "messages": '
    return joined(head, map(message, posts), "}")


def write_file(name: str, encode: Callable[[Iterable[Sample]], Iterable[bytes]]) -> Any:  # noqa: ANN401
    """Return a function that writes one file and opens it."""
    return lambda folder, posts: open_source(_write(folder / name, encode(posts)))


def write_zip(name: str, member: str, encode: Callable[[Iterable[Sample]], Iterable[bytes]]) -> Any:  # noqa: ANN401
    """Return a function that writes one file of a zip and opens it."""

    def write(folder: Path, posts: Iterable[Sample]) -> Source:
        with (
            zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as archive,
            archive.open(member, "w") as stream,
        ):
            stream.writelines(encode(posts))
        return open_source(folder / name)

    return write


def tar_gz(path: Path, members: dict[str, bytes]) -> Path:
    """Write a tar.gz."""
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def _mastodon_tar(folder: Path, posts: Iterable[Sample]) -> Source:
    content = b"".join(_outbox(posts))
    return open_source(tar_gz(folder / "a.tar.gz", {"outbox.json": content, "media/a.png": b"\0"}))


def _x_folder(folder: Path, posts: Iterable[Sample]) -> Source:
    _write(folder / "data" / "tweets.js", _tweets(posts))
    return open_source(folder)


def _grailbird(folder: Path, posts: Iterable[Sample]) -> Source:
    months = joined("Grailbird.data.tweets_2012_05 = \n ", map(tweet, posts), "")
    _write(folder / "data" / "js" / "tweets" / "2012_05.js", months)
    return open_source(folder)


def _csv(posts: Iterable[Sample]) -> Iterator[bytes]:
    for number, post in enumerate([None, *posts]):
        stream = io.StringIO()
        values = list(row(Sample(0, ""))) if post is None else list(row(post).values())
        if number or post is None:
            csv.writer(stream).writerow(values)
        yield stream.getvalue().encode()


def _parquet(folder: Path, posts: Iterable[Sample]) -> Source:
    rows = [row(post) for post in posts]
    pl.DataFrame(rows or {"text": []}).write_parquet(folder / "p.parquet")
    return open_source(folder / "p.parquet")


def _txt(posts: Iterable[Sample]) -> Iterator[bytes]:
    return (post.text.replace("\n", " ").encode() + b"\n" for post in posts)


def _jsonl(posts: Iterable[Sample]) -> Iterator[bytes]:
    return (json.dumps(row(post)).encode() + b"\n" for post in posts)


_BOTH = frozenset({"original", "reply"})
_DATED = '{"meta": {"n": 1}, "tags": ["a"], "posts": '

CASES = [
    Case("x tweets.js", write_file("tweets.js", _tweets), "tweets.js"),
    Case("x zip", write_zip("a.zip", "data/tweets.js", _tweets), "a.zip"),
    Case("x folder", _x_folder, "data/tweets.js"),
    Case("grailbird", _grailbird, "data/js/tweets/2012_05.js"),
    Case("grailbird's table", write_zip("a.zip", "tweets.csv", _csv), "a.zip", escapes=False),
    Case("mastodon outbox.json", write_file("outbox.json", _outbox), "outbox.json"),
    Case("mastodon zip", write_zip("a.zip", "outbox.json", _outbox), "a.zip"),
    Case("mastodon tar.gz", _mastodon_tar, "a.tar.gz"),
    Case("telegram", write_file("result.json", _chat), "result.json", kinds=_BOTH, langs=False),
    Case("json", write_file("p.json", lambda posts: joined("", map(row, posts), "\n")), "p.json"),
    Case(
        "json in an object",
        write_file("p.json", lambda posts: joined(_DATED, map(row, posts), "}")),
        "p.json",
    ),
    Case("jsonl", write_file("p.jsonl", _jsonl), "p.jsonl"),
    Case("csv", write_file("p.csv", _csv), "p.csv", escapes=False),
    Case("parquet", _parquet, "p.parquet", escapes=False),
    Case(
        "txt",
        write_file("p.txt", _txt),
        "p.txt",
        kinds=frozenset({"original"}),
        times=False,
        langs=False,
        escapes=False,
    ),
]
