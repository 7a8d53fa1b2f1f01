"""A synthetic X archive of any size, made from the words of the bundled NASA posts.

It contains what real archives contain: several parts, indented JSON with all fields of X, links,
replies, retweets, damaged and repeated posts, truncated long posts with the file of their full
text, the account, and private messages, which must not be opened.
"""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING

from huggingtweets.sample import sample_path
from huggingtweets.sources import read_posts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PART = 100_000
"""Tweets per part, about 200 MB."""

NOTE_EVERY = 300
MESSAGES = "data/direct-messages.js"
MESSAGES_MB = 300
_FIRST = datetime(2009, 3, 1, tzinfo=UTC)
_RECENT = 5_000  # texts that may be repeated
_EMOJI = ("😀", "🚀", "👩🏽‍🚀", "🇳🇱", "❤️")
_KIND = (
    '"in_reply_to_status_id_str" : "{0}",\n      "in_reply_to_user_id" : "7{1}",\n      '
    '"in_reply_to_status_id" : "{0}",\n      "in_reply_to_screen_name" : "someone{1}",\n      '
    '"in_reply_to_user_id_str" : "7{1}",\n      '
)
_URL = """{{
            "url" : "{0}",
            "expanded_url" : "https://www.example.org/news/{1}/a-longer-address-of-a-page",
            "display_url" : "example.org/news/{1}/a-l…",
            "indices" : [
              "{2}",
              "{3}"
            ]
          }}"""
_MENTION = """{{
            "name" : "Someone {0}",
            "screen_name" : "someone{0}",
            "indices" : [
              "0",
              "9"
            ],
            "id_str" : "7{0}",
            "id" : "7{0}"
          }}"""
_TWEET = """  {{
    "tweet" : {{
      "edit_info" : {{
        "initial" : {{
          "editTweetIds" : [
            "{id}"
          ],
          "editableUntil" : "{until}",
          "editsRemaining" : "5",
          "isEditEligible" : true
        }}
      }},
      "retweeted" : false,
      "source" : "<a href=\\"https://mobile.twitter.com\\" rel=\\"nofollow\\">Twitter Web App</a>",
      "entities" : {{
        "user_mentions" : [{mentions}],
        "urls" : [{urls}],
        "symbols" : [ ],
        "hashtags" : [ ]
      }},
      "display_text_range" : [
        "0",
        "{length}"
      ],
      "favorite_count" : "{likes}",
      "id_str" : "{id}",
      {reply}"truncated" : false,
      "retweet_count" : "{shares}",
      "id" : "{id}",
      "possibly_sensitive" : false,
      "created_at" : "{time}",
      "favorited" : false,
      "full_text" : {text},
      "lang" : "en"
    }}
  }}"""


@dataclass
class _Writer:
    """Generates random texts from the words of the bundled posts."""

    random: Random = field(default_factory=lambda: Random(1))
    notes: list[tuple[str, str]] = field(default_factory=list)  # time and text
    _recent: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        texts = read_posts([sample_path()])["text"]
        counted = Counter(w for text in texts for w in text.split() if not w.startswith("http"))
        self._words = list(counted)
        total = 0
        self._weights = [total := total + count for count in counted.values()]

    def words(self, count: int) -> str:
        """Return random words, common ones more often."""
        return " ".join(self.random.choices(self._words, cum_weights=self._weights, k=count))

    def tweet(self, number: int) -> str:
        """Return the JSON of a tweet."""
        moment = _FIRST + timedelta(seconds=500 * number)
        link = f"https://t.co/{self.random.getrandbits(50):010x}" if number % 5 < 2 else ""
        reply = self.random.random() < 0.25
        text = self._text(number, moment)
        text = f"{'@someone ' * reply}{text}{' ' * bool(link)}{link}"
        start = len(text) - len(link)
        return _TWEET.format(
            id=10**17 + number * 1_000_003,
            until=f"{moment:%Y-%m-%dT%H:%M:%S}.000Z",
            mentions=f" {_MENTION.format(number % 97)} " if reply else " ",
            urls=f" {_URL.format(link, number, start, len(text))} " if link else " ",
            length=len(text),
            likes=self.random.randrange(3000),
            shares=self.random.randrange(300),
            reply=_KIND.format(10**16 + number, number % 97) if reply else "",
            time=f"{moment:%a %b %d %H:%M:%S} +0000 {moment.year}",
            text=json.dumps(text, ensure_ascii=False),
        )

    def _text(self, number: int, moment: datetime) -> str:
        """Return a random text; some repeat an earlier one, some are a truncated long one."""
        chance = self.random.random()
        if number % NOTE_EVERY == 0:
            long = f"{self.words(120)} {number}"
            self.notes.append((f"{moment:%Y-%m-%dT%H:%M:%S}.000Z", long))
            return f"{long[:270]}… https://t.co/{number:010x}"
        if self._recent and chance < 0.05:
            return self.random.choice(self._recent) + ("" if chance < 0.03 else " indeed")
        text = self.words(
            self.random.randrange(1, 5) if chance < 0.10 else self.random.randint(5, 35)
        )
        if chance > 0.98:
            text = text.replace("&amp;", "&").encode().decode("cp1252", errors="ignore")
        elif chance > 0.93:
            text = f"{text} {self.random.choice(_EMOJI)}"
        elif chance > 0.81:
            text = f"RT @someone: {text}"
        if len(self._recent) < _RECENT:
            self._recent.append(text)
        else:
            self._recent[number % _RECENT] = text
        return text


def make_archive(path: Path, posts: int) -> None:
    """Write the zip to a temporary file, then rename it."""
    writer = _Writer()
    unfinished = path.with_suffix(".part")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
        for part, first in enumerate(range(0, posts, PART)):
            name = f"tweets-part{part}" if part else "tweets"
            items = (writer.tweet(number) for number in range(first, min(posts, first + PART)))
            _add(archive, f"data/{name}.js", f"window.YTD.tweets.part{part} = [\n", items)
        notes = (_note(*note) for note in writer.notes)
        _add(archive, "data/note-tweet.js", "window.YTD.note_tweet.part0 = [\n", notes)
        account = json.dumps({"account": {"username": "made_up", "accountId": "7"}}, indent=2)
        _add(archive, "data/account.js", "window.YTD.account.part0 = [\n", iter([account]))
        with archive.open(MESSAGES, "w") as stream:
            block = f"not even JavaScript \0 {writer.words(160_000)}".encode()[: 10**6]
            for _ in range(MESSAGES_MB):
                stream.write(block)
    unfinished.replace(path)


def _add(archive: zipfile.ZipFile, name: str, head: str, items: Iterator[str]) -> None:
    with archive.open(name, "w", force_zip64=True) as stream:
        stream.write(head.encode())
        for number, item in enumerate(items):
            stream.write((",\n" if number else "").encode() + item.encode())
        stream.write(b"\n]\n")


def _note(moment: str, text: str) -> str:
    """Return the JSON of a long post. As in most archives, no id links it to its tweet."""
    core = {"styletags": [], "urls": [], "text": text, "mentions": [], "hashtags": []}
    note = {
        "noteTweetId": "1",
        "updatedAt": moment,
        "lifecycle": {"value": "Live", "name": "Live"},
        "createdAt": moment,
        "core": core,
    }
    return json.dumps({"noteTweet": note}, indent=2, ensure_ascii=False)
