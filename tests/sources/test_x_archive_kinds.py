"""Long tweets next to their truncated versions, and archives from before 2019."""

from __future__ import annotations

import json
import tracemalloc
import zipfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from huggingtweets.errors import SourceError
from huggingtweets.sources import _long_tweets, open_source, read_posts

FIXTURES = Path(__file__).parents[1] / "fixtures" / "posts"
LONG = "A long story about a lantern & a kite, told slowly. " * 12 + "The end."
CUT = LONG.replace("&", "&amp;")[:270] + "… https://t.co/abc"
TIME = "Wed Feb 08 15:12:34 +0000 2023"


def _tweet(number: int = 1, **fields: object) -> dict[str, Any]:
    tweet = {"id_str": str(number), "full_text": CUT, "created_at": TIME} | fields
    return {"tweet": tweet}


def _js(name: str, items: object) -> str:
    return f"window.YTD.{name}.part0 = {json.dumps(items)}"


def _by_time(text: str = LONG, time: str = "2023-02-08T15:12:34.000Z") -> dict[str, Any]:
    return {"noteTweet": {"noteTweetId": "77", "createdAt": time, "core": {"text": text}}}


def _by_id(number: int, text: str = LONG) -> dict[str, Any]:
    results = {"text": text, "entitySet": {"urls": []}}
    return {"noteTweet": {"noteTweetId": "5", "tweetId": str(number), "noteTweetResults": results}}


def _texts(folder: Path, tweets: list[Any], *notes: object) -> list[str]:
    (folder / "tweets.js").write_text(_js("tweets", tweets))
    (folder / "note-tweet.js").write_text(_js("note_tweet", notes))
    return [post.text for post in open_source(folder / "tweets.js").posts()]


@pytest.mark.parametrize(
    "note",
    [
        _by_time(),
        _by_time(time="2023-02-08T15:12:33.700Z"),
        _by_id(1),
        {"noteTweet": {"tweetId": "1", "noteTweetContents": {"text": LONG}}},
    ],
)
def test_a_long_post_replaces_its_cut_version(tmp_path: Path, note: dict[str, Any]) -> None:
    assert _texts(tmp_path, [_tweet()], note) == [LONG]


@pytest.mark.parametrize(
    "note",
    [
        _by_time("Quite another long story, of the same second. " * 10),
        _by_time(time="2023-02-08T15:12:40.000Z"),
        _by_id(2),
        _by_time(""),
        {"noteTweet": 5},
        {"noteTweet": {"core": {"text": {"text": LONG}}, "createdAt": []}},
        {"noteTweet": {"core": {"core": {"core": {}}}}},
        {"dmConversation": {"text": LONG}},
        None,
    ],
)
def test_other_notes_leave_the_tweet_unchanged(tmp_path: Path, note: object) -> None:
    assert _texts(tmp_path, [_tweet()], note) == [CUT]


def test_mentions_and_links_may_differ(tmp_path: Path) -> None:
    reply = _tweet(full_text="@ada @bob see https://t.co/a for a story… https://t.co/b")
    other = _tweet(2, full_text="A lantern https://t.co/c burns all night and https://t.co/d")
    long = (
        "see https://long.example/x for a story " * 9,
        "A lantern https://long.example/y burns all night and day. " * 5,
    )
    assert _texts(tmp_path, [reply, other], *map(_by_time, long)) == list(long)
    short = _tweet(full_text="see https://t.co/a")
    assert _texts(tmp_path, [short], _by_time(long[0])) == ["see https://t.co/a"]


def test_a_retweet_of_a_long_post_stays(tmp_path: Path) -> None:
    assert _texts(tmp_path, [_tweet(full_text=f"RT @me: {CUT}")], _by_id(1))[0].startswith("RT")


def test_parts_and_notes_of_a_zip_and_nothing_else_is_opened(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("data/tweets.js", _js("tweets", [_tweet(1)]))
        archive.writestr("data/tweets-part1.js", _js("tweets", [_tweet(2)]))
        archive.writestr("data/note-tweet.js", _js("note_tweet", [_by_id(1, "one" + LONG)]))
        archive.writestr("data/note-tweet-part1.js", _js("note_tweet", [_by_id(2, "two" + LONG)]))
        for name in ("direct-messages", "like", "deleted-tweets", "deleted-note-tweet", "ad-x"):
            archive.writestr(f"data/{name}.js", "not even JavaScript \0")
    texts = [post.text for post in open_source(tmp_path / "a.zip").posts()]
    assert texts == ["one" + LONG, "two" + LONG]


def test_a_month_of_a_grailbird_archive() -> None:
    posts = list(open_source(FIXTURES / "2012_05.js").posts())
    assert {post.author for post in posts} == {"lildude"}
    assert all(post.created_at and post.created_at.month == 5 for post in posts)
    kinds = Counter(post.kind for post in posts)
    assert kinds["repost"] == sum(post.text.startswith("RT @") for post in posts) > 0
    assert kinds["reply"] > 0
    assert kinds["original"] > 0


def test_a_whole_grailbird_archive(tmp_path: Path) -> None:
    def month(number: int) -> str:
        tweet = {"id": number, "text": f"post {number}", "created_at": "2012-05-06 07:08:09 +0000"}
        return f"Grailbird.data.tweets_2012_05 = \n {json.dumps([tweet])}"

    data = tmp_path / "data" / "js"
    (data / "tweets").mkdir(parents=True)
    (data / "user_details.js").write_text('var user_details =  {"screen_name": "ada", "id": "5"}')
    (data / "tweet_index.js").write_text("var tweet_index = [never \0 opened")
    for name, number in (("2012_11", 11), ("2012_05", 5)):
        (data / "tweets" / f"{name}.js").write_text(month(number))
    (tmp_path / "tweets.csv").write_text(
        '"tweet_id","timestamp","source","text","retweeted_status_id"\n'
        '"5","2012-05-06 07:08:09 +0000","<a href=""x"">web</a>","post 5",""\n'
        '"6","2012-05-06 07:08:09 +0000","web","post of somebody","9"\n'
    )
    posts = list(open_source(tmp_path).posts())
    assert [(post.author, post.id) for post in posts] == [("ada", "5"), ("ada", "11")]
    assert posts[0].created_at == datetime(2012, 5, 6, 7, 8, 9, tzinfo=UTC)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in (*data.glob("*.js"), *data.glob("tweets/*.js")):
            archive.write(path, f"tweets/{path.relative_to(tmp_path)}")
    assert list(open_source(tmp_path / "a.zip").posts()) == posts
    row, repost = open_source(tmp_path / "tweets.csv").posts()
    assert (row.author, row.id, row.text, row.created_at) == (
        *("ada", "5", "post 5"),
        posts[0].created_at,
    )
    assert (row.kind, repost.kind) == ("original", "repost")


_TABLE = '"tweet_id","timestamp","text"\n"5","2012-05-06 07:08:09 +0000","a, post"\n'


@pytest.mark.parametrize("folder", ["", "tweets/"])
def test_a_grailbird_archive_with_only_its_table(tmp_path: Path, folder: str) -> None:
    details = 'var user_details =  {"screen_name": "ada", "id": "5"}'
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(f"{folder}tweets.csv", _TABLE)
        archive.writestr(f"{folder}data/js/user_details.js", details)
    (post,) = open_source(tmp_path / "a.zip").posts()
    assert (post.author, post.id, post.text, post.source) == ("ada", "5", "a, post", "x-archive")
    assert post.created_at == datetime(2012, 5, 6, 7, 8, 9, tzinfo=UTC)


def test_a_folder_with_nothing_but_the_table(tmp_path: Path) -> None:
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada" / "tweets.csv").write_text(_TABLE)
    (post,) = open_source(tmp_path / "ada").posts()
    assert (post.author, post.text) == ("ada", "a, post")
    (tmp_path / "ada" / "tweets.csv").write_text(_TABLE + '"6","","a",b"\n')
    with pytest.raises(SourceError, match=r"^Line 3 of tweets\.csv in .*ada has 4 fields"):
        list(open_source(tmp_path / "ada").posts())


def test_many_long_posts_lie_on_disk(tmp_path: Path) -> None:
    long = "é" * 25_000
    (tmp_path / "tweets.js").write_text(_js("tweets", [_tweet(1999), _tweet(0)]))
    with (tmp_path / "note-tweet.js").open("w") as file:
        file.write("window.YTD.note_tweet.part0 = [")
        items = (_by_id(number, f"{number} {long}") for number in range(2000))
        file.writelines(f"{', ' * (at > 0)}{json.dumps(item)}" for at, item in enumerate(items))
        file.write("]")
    tracemalloc.start()
    texts = [post.text for post in open_source(tmp_path / "tweets.js").posts()]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [text.split()[0] for text in texts] == ["1999", "0"]
    assert peak < 50_000_000  # of 100 MB; the first 32 stay in memory


def test_too_many_long_posts_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_long_tweets, "_MAX_POSTS", 3)
    with pytest.raises(SourceError, match=r"holds over 3 long posts, more than anybody writes"):
        _texts(tmp_path, [_tweet()], *(_by_id(number) for number in range(4)))


def test_too_many_long_posts_of_one_second_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_long_tweets, "_MAX_PER_SECOND", 3)
    note = {"noteTweet": {"createdAt": "2023-06-01T10:00:00.000Z", "core": {"text": "long"}}}
    with pytest.raises(SourceError, match=r"holds over 3 long posts of one second"):
        _texts(tmp_path, [_tweet()], *[note] * 4)


def test_a_broken_user_details(tmp_path: Path) -> None:
    (tmp_path / "js" / "tweets").mkdir(parents=True)
    (tmp_path / "js" / "tweets" / "2012_05.js").write_text("= [{}]")
    (tmp_path / "js" / "user_details.js").write_text("var user_details = [1]")
    with pytest.raises(SourceError, match=r"js/user_details\.js in .* is not a file of an X"):
        list(open_source(tmp_path).posts())


def test_deleted_tweets_are_not_read_whatever_the_file_is_called(tmp_path: Path) -> None:
    (tmp_path / "tweets.js").write_text(_js("deleted_tweets", [_tweet()]))
    with pytest.raises(SourceError, match="not public"):
        read_posts([tmp_path / "tweets.js"])
    (tmp_path / "tweets.js").write_text(_js("tweets", [_tweet(), _tweet(2, deleted_at="x")]))
    assert len(read_posts([tmp_path / "tweets.js"])) == 1
