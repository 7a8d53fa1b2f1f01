"""Generate malformed archives and files for the tests and the fuzz benchmark.

Each function takes a ``random.Random``: a seeded one in the benchmark, Hypothesis's own in the
tests, which can then shrink failures. About a third of the archives are still readable, so both
outcomes are tested.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from random import Random

# Not expressible by json.dumps, so put into its output.
_RAW = {
    '"<huge>"': "9" * 5_000,
    '"<float>"': "1e99999",
    '"<deep>"': "[" * 3_000 + "]" * 3_000,
    '"<surrogate>"': '"a\\ud83d b"',
    '"<nul>"': '"a\\u0000b"',
    '"<nan>"': "NaN",
}
WILD: tuple[Any, ...] = (
    *(mark.strip('"') for mark in _RAW),
    *(None, True, False, 0, -1, 7, 2**63, 1.5, "", " ", "@", "0", "\u202emohP", "😀" * 40),
    *([], {}, [[[]]], {"a": {"b": []}}, ["text"], {"screen_name": 5}, {"screen_name": None}),
    *("Mon Xyz 99 99:99:99 +9999 0000", "Wed Oct 31 24:00:00 -2359 0001", "9999-12-31T23:59-14:00"),
    *("99999999999999999", "x" * 150_000, "RT @", "../../etc/passwd", "\x1b[31m"),
)
_MEMBER_NAMES = (
    *("data/tweet.js", "data/tweets-part1.js", "tweets.js", "x/data/tweets.js", "data\\tweets.js"),
    *("../data/tweets.js", "/data/tweets.js", "C:/data/tweets.js", "data/like.js", "data/", "é"),
)


def good_tweet(number: int) -> dict[str, Any]:
    """Return a tweet as X writes it."""
    return {
        "retweeted": False,
        "id_str": str(1000 + number),
        "id": str(1000 + number),
        "created_at": "Wed Oct 10 20:19:24 +0000 2018",
        "full_text": f"Tweet number {number}, naïve &amp; 😀",
        "lang": "en",
        "entities": {"urls": [], "user_mentions": [{"screen_name": "b", "indices": ["0", "2"]}]},
        "in_reply_to_status_id_str": "77",
        "user": {"screen_name": "someone"},
    }


def mangled_archive(random: Random) -> tuple[str, bytes]:
    """Return the name and content of a mangled zip or ``tweets.js``."""
    tweets = encoded(random, _assigned(random, "tweets", _items(random)))
    if random.random() < 0.4:
        return "tweets.js", damaged(random, tweets) if random.random() < 0.3 else tweets
    packed = _zip_of_table(random) if random.random() < 0.15 else _zip(random, tweets)
    return "archive.zip", damaged(random, packed) if random.random() < 0.3 else packed


def mangled_file(random: Random) -> tuple[str, bytes]:
    """Return the name and content of a mangled csv, jsonl, parquet or txt file."""
    rows = [_flat(random, number) for number in range(random.randrange(5))]
    ending = random.choice(["csv", "jsonl", "parquet", "txt"])
    if ending == "jsonl":
        content = encoded(random, "\n".join(dumps(row) for row in rows))
    elif ending == "txt":
        content = encoded(random, "\n".join(str(row.get("text")) for row in rows))
    elif ending == "csv":
        content = encoded(random, _csv(random, rows))
    else:
        stream = io.BytesIO()
        texts = [{name: str(value)[:1000] for name, value in row.items()} for row in rows]
        pl.DataFrame(texts or {"text": []}).write_parquet(stream)
        content = stream.getvalue()
    return f"posts.{ending}", damaged(random, content) if random.random() < 0.4 else content


def _items(random: Random) -> object:
    if random.random() < 0.05:
        return random.choice(WILD)
    items: list[Any] = []
    for number in range(random.randrange(6)):
        tweet = good_tweet(number)
        for _ in range(random.choice([0, 0, 1, 3])):
            name = random.choice(list(tweet))
            if random.random() < 0.3:
                del tweet[name]
            else:
                tweet[name] = random.choice(WILD)
        wrapping = random.random()
        if wrapping < 0.8:
            items.append({"tweet": tweet})
        elif wrapping < 0.95:
            items.append(tweet)
        else:
            items.append(random.choice([{"like": {"fullText": "no"}}, random.choice(WILD)]))
    return items


def _notes(random: Random) -> list[Any]:
    """Return long posts, some of the good tweets."""
    notes: list[Any] = []
    for number in range(random.randrange(4)):
        text = f"Tweet number {number}, naïve & 😀, and so on"
        note: dict[str, Any] = {"createdAt": "2018-10-10T20:19:24.000Z", "core": {"text": text}}
        if random.random() < 0.5:
            note["tweetId"] = str(1000 + number)
        if random.random() < 0.4:
            note[random.choice(list(note))] = random.choice(WILD)
        notes.append({"noteTweet": note} if random.random() < 0.9 else random.choice(WILD))
    return notes


def _flat(random: Random, number: int) -> dict[str, Any]:
    row = good_tweet(number)
    row["text"] = row.pop("full_text")
    for name in random.sample(list(row), random.choice([0, 0, 1, 4])):
        row[name] = random.choice(WILD)
    if random.random() < 0.1:
        row.pop("text")
    return row


def _csv(random: Random, rows: list[dict[str, Any]]) -> str:
    stream = io.StringIO()
    names = list(rows[0]) if rows else ["text"]
    writer = csv.DictWriter(stream, names, extrasaction="ignore", quoting=csv.QUOTE_ALL)
    if random.random() < 0.5:
        writer = csv.DictWriter(stream, names, extrasaction="ignore")
    if random.random() < 0.9:
        writer.writeheader()
    writer.writerows(rows)
    text = stream.getvalue()
    return text.replace('"', "", 1) if random.random() < 0.2 else text


def dumps(value: object) -> str:
    """Return JSON with values that json.dumps can't write."""
    text = json.dumps(value, ensure_ascii=False)
    for mark, raw in _RAW.items():
        text = text.replace(mark, raw)
    return text


def _assigned(random: Random, name: str, value: object) -> str:
    head = f"window.YTD.{name}.part0 = "
    heads = [head] * 40 + ["", "var x=", "window.YTD", "= =", "[]" + head]
    tails = [""] * 40 + [";", "\n", "]", ",", "; alert(1)", "[1]"]
    text = random.choice(heads) + dumps(value) + random.choice(tails)
    if random.random() < 0.08:
        text = text[: random.randrange(len(text) + 1)]
    if random.random() < 0.08:
        place = random.randrange(len(text) + 1)
        text = text[:place] + random.choice('"{}[],:\\\n\t=\u2028') + text[place:]
    return text


def encoded(random: Random, text: str) -> bytes:
    """Return the text in UTF-8, mostly."""
    encoding = random.choice(["utf-8"] * 20 + ["utf-8-sig", "utf-16", "latin-1"])
    return text.encode(encoding, "replace")


def _zip(random: Random, tweets: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        account: Any = {"account": {"username": "someone"}}
        if random.random() < 0.2:
            account = random.choice([random.choice(WILD), {"account": random.choice(WILD)}])
        if random.random() < 0.9:
            archive.writestr("data/account.js", _assigned(random, "account", [account]))
        odd = random.random() < 0.2
        info = zipfile.ZipInfo(random.choice(_MEMBER_NAMES) if odd else "data/tweets.js")
        methods = [zipfile.ZIP_DEFLATED] * 20 + [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2]
        info.compress_type = random.choice(methods)
        info.external_attr = (0o120777 if random.random() < 0.03 else 0o644) << 16
        archive.writestr(info, tweets)
        if random.random() < 0.3:
            notes = encoded(random, _assigned(random, "note_tweet", _notes(random)))
            archive.writestr("data/note-tweet.js", notes)
    return stream.getvalue()


def _zip_of_table(random: Random) -> bytes:
    """Return an archive from before 2019 with only its ``tweets.csv``."""
    rows = [_flat(random, number) for number in range(random.randrange(5))]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        name = random.choice(["tweets.csv"] * 4 + ["a/tweets.csv", "a/b/tweets.csv"])
        archive.writestr(name, encoded(random, _csv(random, rows)))
        if random.random() < 0.3:
            details = _assigned(random, "details", {"screen_name": random.choice(WILD)})
            archive.writestr("data/js/user_details.js", details.encode("utf-8", "replace"))
    return stream.getvalue()


def damaged(random: Random, content: bytes) -> bytes:
    """Return the content with some bytes changed, or truncated."""
    data = bytearray(content)
    for _ in range(random.choice([1, 1, 2, 8])):
        place = random.randrange(len(data) + 1)
        # Half of the damage near the end, where a zip and a Parquet file keep their directories.
        if random.random() < 0.5:
            place = max(0, len(data) - random.randrange(1, 200))
        way = random.choice(["flip", "flip", "insert", "delete", "truncate"])
        if way == "flip" and place < len(data):
            data[place] ^= 1 << random.randrange(8)
        elif way == "insert":
            data[place:place] = bytes(random.randrange(256) for _ in range(random.randrange(1, 9)))
        elif way == "delete":
            del data[place : place + random.randrange(1, 30)]
        elif way == "truncate":
            del data[place:]
    return bytes(data)
