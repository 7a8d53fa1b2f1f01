"""Records of networks and scrapers in many spellings: who may read them, and who wrote them."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from huggingtweets.errors import SourceError
from huggingtweets.sources import ReadOptions, open_source, read_posts, unwrap
from huggingtweets.sources._post_kind import is_public, parse_kind, reason_to_leave_out
from huggingtweets.sources._row_text import row_text

if TYPE_CHECKING:
    from pathlib import Path

ACCOUNT = {"id": "7", "username": "oda", "acct": "oda", "url": "https://isle.example/@oda"}
TIME = "2023-01-01T00:00:00Z"


def _status(number: int, **fields: object) -> dict[str, Any]:
    return {
        "id": str(number),
        "created_at": TIME,
        "visibility": "public",
        "content": f"<p>words of {number}</p>",
        "account": ACCOUNT,
        "reblog": None,
    } | fields


def _note(number: int, **fields: object) -> dict[str, Any]:
    return {
        "id": f"n{number}",
        "text": f"words of {number}",
        "createdAt": TIME,
        "replyId": None,
        "renoteId": None,
        "visibility": "public",
        "visibleUserIds": [],
        "localOnly": False,
    } | fields


def _tweet(number: int, **fields: object) -> dict[str, Any]:
    return {"id": str(10**18 + number), "text": f"words of {number}", "created_at": TIME} | fields


def _item(number: int, **fields: object) -> dict[str, Any]:
    view = {
        "uri": f"at://did:plc:zz/app.bsky.feed.post/3k{number}",
        "author": {"did": "did:plc:zz", "handle": "oda.example"},
        "record": {"$type": "app.bsky.feed.post", "text": f"words of {number}", "createdAt": TIME},
    }
    return {"post": view | fields}


BOOST = _status(9, reblog=_status(8, account={"acct": "bram@reef.example"}))
REPOST = {
    "post": _item(9, uri="at://did:plc:qq/app.bsky.feed.post/3kq", author={"handle": "b.example"})[
        "post"
    ],
    "reason": {"$type": "app.bsky.feed.defs#reasonRepost", "by": {"handle": "oda.example"}},
}
ACTIVITY = {
    "type": "Create",
    "actor": "https://isle.example/users/oda",
    "to": ["as:Public"],
    "object": {"type": "Note", "id": "https://isle.example/1", "content": "<p>words of 1</p>"},
}


def _read(path: Path, document: object, **options: Any) -> tuple[list[str], int, dict[str, int]]:  # noqa: ANN401
    """Return the own texts, the number of reposts, and what was left out."""
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    source = open_source(path, ReadOptions(**options))
    posts = list(source.posts())
    own = [post.text for post in posts if post.kind != "repost"]
    return own, len(posts) - len(own), dict(unwrap(source).left_out)  # type: ignore[attr-defined]


def _lines(*records: object) -> str:
    return "\n".join(map(json.dumps, records))


STATUSES = [
    _status(1),
    _status(2, visibility="unlisted"),
    BOOST,
    *(_status(3, visibility=name) for name in ("private", "direct", "limited", "local", "list:5")),
    _status(4, visibility=None),
    _status(5, local_only=True),
]
FEED = [_item(1), _item(2), REPOST]


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("p.json", STATUSES),
        ("p.jsonl", _lines(*STATUSES)),
        ("p.jsonl", _lines(STATUSES[:3], STATUSES[3:])),  # a page a line
        ("p.jsonl", _lines({"statuses": STATUSES})),
        ("p.json", [STATUSES[:3], STATUSES[3:]]),
        ("p.json", {"favourites": [_status(20)], "statuses": STATUSES, "mentions": [_status(21)]}),
        ("p.json", {"data": {"statuses": STATUSES}}),
    ],
)
def test_statuses_in_lists_lines_and_pages(tmp_path: Path, name: str, document: object) -> None:
    own, reposts, left_out = _read(tmp_path / name, document)
    assert own == ["words of 1", "words of 2"]
    assert (reposts, left_out) == (1, {"not public": 7})


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("p.json", {"feed": FEED, "cursor": "x"}),
        ("p.json", FEED),
        ("p.jsonl", _lines(*FEED)),
        ("p.json", [{"feed": FEED[:1], "cursor": "x"}, {"feed": FEED[1:]}]),
        ("p.jsonl", _lines({"feed": FEED[:1]}, {"feed": []}, {"feed": FEED[1:]})),
        ("p.json", {"data": {"feed": FEED}}),
    ],
)
def test_feeds_of_bluesky_in_lists_lines_and_pages(
    tmp_path: Path, name: str, document: object
) -> None:
    assert _read(tmp_path / name, document) == (["words of 1", "words of 2"], 1, {})


def test_notes_of_misskey(tmp_path: Path) -> None:
    notes = [
        _note(1),
        _note(2, visibility="home"),
        _note(3, visibility="followers"),
        _note(4, visibility="specified"),
        _note(5, visibility=None),
        _note(6, visibleUserIds=["9x"]),
        _note(7, text=None, renoteId="q"),
        _note(8, renoteId="q"),
        _note(9, replyId="z"),
    ]
    own, reposts, left_out = _read(tmp_path / "p.json", notes)
    assert own == [f"words of {number}" for number in (1, 2, 8, 9)]
    assert (reposts, left_out) == (1, {"not public": 4})


def test_activities_without_an_archive(tmp_path: Path) -> None:
    secret = ACTIVITY | {"to": ["https://isle.example/users/oda/followers"]}
    lines = _lines(ACTIVITY, secret, {"type": "Like", "actor": "x", "object": "y"})
    assert _read(tmp_path / "p.jsonl", lines) == (
        ["words of 1"],
        0,
        {"not public": 1, "other records": 1},
    )


def test_messages_of_a_stream_that_are_no_posts(tmp_path: Path) -> None:
    lines = _lines({"delete": {"status": {"id": 5}}}, _tweet(1), {"limit": {"track": 9}})
    assert _read(tmp_path / "p.jsonl", lines) == (["words of 1"], 0, {"other records": 2})


def test_posts_of_other_people_in_a_thread_are_left_out(tmp_path: Path) -> None:
    other = {"acct": "bram@reef.example"}
    thread = [_status(1), _status(2, account=other), _status(3)]
    own, _, left_out = _read(tmp_path / "p.json", thread)
    assert own == ["words of 1", "words of 3"]
    assert left_out == {"of other people": 1}
    # Nobody wrote most of them: a file of several authors.
    own, _, left_out = _read(tmp_path / "q.json", thread[:2])
    assert (len(own), left_out) == (2, {})


@pytest.mark.parametrize(
    "record",
    [
        _status(1, account=ACCOUNT | {"noindex": True}),
        _status(1, account=ACCOUNT | {"locked": True}),
        _item(1, author={"handle": "oda", "labels": [{"val": "!no-unauthenticated"}]}),
    ],
)
def test_whoever_asks_not_to_be_read_by_programs_is_not(
    tmp_path: Path, record: dict[str, Any]
) -> None:
    with pytest.raises(SourceError, match="--i-am-the-author"):
        _read(tmp_path / "p.json", [record])
    assert _read(tmp_path / "p.json", [record], i_am_the_author=True)[0] == ["words of 1"]


def test_pages_of_x_name_their_users_apart(tmp_path: Path) -> None:
    users = {"users": [{"id": "55", "username": "oda"}, {"id": "66", "username": "bram"}]}
    retweet = _tweet(2, author_id="55", referenced_tweets=[{"type": "retweeted", "id": "9"}])
    quoted = {"tweets": [_tweet(9, author_id="66")]}
    page = {"includes": users | quoted, "data": [_tweet(1, author_id="55"), retweet]}
    assert _read(tmp_path / "p.jsonl", _lines(page, page | {"data": []})) == (["words of 1"], 1, {})
    (tmp_path / "p.json").write_text(json.dumps(page))
    assert read_posts([tmp_path / "p.json"])["author"].unique().to_list() == ["oda"]
    streamed = {"data": _tweet(1, author_id="66"), "includes": users, "matching_rules": []}
    (tmp_path / "s.jsonl").write_text(json.dumps(streamed))
    assert read_posts([tmp_path / "s.jsonl"])["author"].to_list() == ["bram"]


def test_the_last_version_of_an_edited_post_or_the_newest_there_is(tmp_path: Path) -> None:
    ids = [str(10**18 + number) for number in (1, 2, 3)]
    versions = [_tweet(number, edit_history_tweet_ids=ids) for number in (1, 2, 3)]
    old = {"older versions of edited posts": 2}
    assert _read(tmp_path / "p.jsonl", _lines(*versions)) == (["words of 3"], 0, old)
    assert _read(tmp_path / "p.jsonl", _lines(*reversed(versions))) == (["words of 3"], 0, old)
    own, _, left_out = _read(tmp_path / "p.jsonl", _lines(*versions[:2]))
    assert own == ["words of 2"]
    assert left_out == {"older versions of edited posts": 1}


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"isRetweet": True}, "repost"),
        ({"is-retweet": "TRUE"}, "repost"),
        ({"Is Retweet": 1}, "repost"),
        ({"retweet": "True"}, "repost"),
        ({"retweet": "False"}, "original"),
        ({"retweet": 1}, "original"),  # one repost
        ({"retweet": {"id": "5"}}, "repost"),
        ({"retweetedTweet": {"id": 5}}, "repost"),
        ({"retweetedTweet": None}, "original"),
        ({"retweeted_status_id": "-1"}, "original"),
        ({"retweeted_status_id": float("nan")}, "original"),
        ({"retweeted_status_id": "8.9e+17"}, "repost"),
        ({"retweeted": True}, "original"),  # what the reader of the timeline did
        ({"reblog": ""}, "original"),
        ({"reblog": "109770000000000003"}, "repost"),
        ({"renoteId": "9k"}, "quote"),
        ({"user_rt": "bram"}, "repost"),
        ({"boostedPost": {"id": 5}}, "repost"),
        ({"forwarded_from": None}, "repost"),
        ({"referenced_tweets": "[{'type': 'retweeted', 'id': '5'}]"}, "repost"),
        ({"referenced_tweets": "[<ReferencedTweet id=5 type=replied_to>]"}, "reply"),
        ({"referenced_tweets.retweeted.id": "5"}, "repost"),
        ({"type": "Retweet"}, "repost"),
        ({"media_type": "REPOST_FACADE"}, "repost"),
        ({"reason.$type": "app.bsky.feed.defs#reasonRepost"}, "repost"),
        ({"Message Type": "Retweet"}, "repost"),
        ({"reposted_from": "bram"}, "repost"),
        ({"crosspost_parent": "t3_z"}, "repost"),
        ({"saved_from": "Bram"}, "repost"),
        ({"author": "oda", "original_author": "bram"}, "repost"),
        ({"author": "oda", "original_author": "@Oda"}, "original"),
        ({"category": "boats"}, "original"),
        ({"reply_to": "[]"}, "original"),
        ({"quotedTweet": {"id": 5}}, "quote"),
    ],
)
def test_the_kind_is_told_in_many_spellings(fields: dict[str, object], kind: str) -> None:
    assert parse_kind("some words", fields) == kind


@pytest.mark.parametrize(
    ("text", "is_repost"),
    [
        ("RT @bram: words", True),
        ("RT: @bram words", True),
        ("rt @bram: words", True),
        ("MT @bram words", True),
        ('"@bram: words" so true', True),
        ("“@bram: words” so true", True),
        ("via @bram: words", True),
        ("RT by @oda: words", True),
        ("Repost from @bram: words", True),
        ("@bram: no, my words", False),
        ("RTs appreciated @bram", False),
        ("nice picture via @bram", False),
        ('"to be" said @bram', False),
        ("mt. everest @bram", False),
    ],
)
def test_reposts_from_before_networks_marked_them(text: str, is_repost: bool) -> None:
    assert (parse_kind(text, {}) == "repost") == is_repost


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"visibility": "Public"}, None),
        ({"visibility": "Visibility.PRIVATE"}, "not public"),
        ({"Visibility": "VISIBILITY_FOLLOWERS_ONLY"}, "not public"),
        ({"visibility": "something new"}, "not public"),
        ({"visibility": ""}, None),
        ({"visibility": 0}, None),
        ({"visibility": 3.0}, "not public"),
        ({"visibility": "10.5"}, None),  # kilometres
        ({"privacy": {"value": "EVERYONE"}}, None),
        ({"privacy": {"value": "ALL_FRIENDS"}}, "not public"),
        ({"audience": "Only me"}, "not public"),
        ({"audience": "sailors"}, None),
        ({"status": "draft"}, "not public"),
        ({"isPrivate": "yes"}, "not public"),
        ({"is_private": "0"}, None),
        ({"public": "false"}, "not public"),
        ({"published": "False"}, "not public"),
        ({"published": "2023-01-03"}, None),
        ({"audience": "only_paid"}, "not public"),
        ({"author": "[deleted]"}, "deleted"),
        ({"role": "assistant"}, "of other people"),
        ({"role": "user"}, None),
        ({"public": None}, None),
        ({"user": {"screen_name": "oda", "protected": True}}, "not public"),
        ({"promoted": True}, "promoted"),
        ({"promotedMetadata": {}}, None),
        ({"is_deleted": 1}, "deleted"),
    ],
)
def test_who_may_read_a_row_is_told_in_many_spellings(
    fields: dict[str, object], reason: str | None
) -> None:
    assert reason_to_leave_out({"text": "some words"} | fields) == reason


def test_an_audience_of_several() -> None:
    assert is_public(
        ["https://isle.example/followers", "https://www.w3.org/ns/activitystreams#Public"]
    )
    assert not is_public(["followers"])


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"text": "cut te… https://t.co/a", "full_text": None}, "cut te… https://t.co/a"),
        ({"text": "cut te…", "fullText": "cut text, whole"}, "cut text, whole"),
        ({"text": "cut", "extended_tweet": {"full_text": "cut text, whole"}}, "cut text, whole"),
        ({"text": "@a cut te…", "full_text": "cut text, whole"}, "cut text, whole"),
        ({"text": "R&amp;D is", "full_text": "R&D is whole"}, "R&D is whole"),
        ({"text": "c…", "note_tweet": "{'text': 'cut and whole'}"}, "cut and whole"),
        ({"text": "c…", "note_tweet": '{"text": "cut and whole"}'}, "cut and whole"),
        ({"text": "mine", "full_text": "some other, longer words"}, "mine"),
        ({"text": "b'caf\\xc3\\xa9'"}, "café"),
        ({"text": 'b"it\\xe2\\x80\\x99s"'}, "it’s"),
        ({"text": "['one', \"two\"]"}, "one two"),
        ({"text": "u'one'"}, "one"),
        ({"text": "b'caf\\xe9'"}, "café"),
        ({"text": "b''"}, ""),
        ({"text": "so true RT @bram: words of others"}, "so true"),
        ({"text": "so true (RT @bram: words of others)"}, "so true"),
        ({"text": "please RT @bram's picture"}, "please RT @bram's picture"),
        ({"text": "b'ok' and b'no'"}, "b'ok' and b'no'"),
        ({"text": "[citation needed]"}, "[citation needed]"),
        ({"text": "<p>1 &lt; 2</p><p>b</p>"}, "1 < 2\n\nb"),
        ({"text": "<3 you > me"}, "<3 you > me"),
    ],
)
def test_the_whole_text_of_a_row(fields: dict[str, object], text: str) -> None:
    assert row_text(fields, "a test") == text


def test_an_archive_in_two_zips_has_one_author(tmp_path: Path) -> None:
    for number, name in enumerate(("a.zip", "b.zip")):
        tweet = {"id_str": str(10**18 + number), "full_text": f"words of {number}"}
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            part = f"data/tweets{'-part1' * number}.js"
            archive.writestr(
                part, f"window.YTD.tweets.part{number} = {json.dumps([{'tweet': tweet}])}"
            )
            if number == 0:
                account = json.dumps([{"account": {"username": "oda"}}])
                archive.writestr("data/account.js", f"window.YTD.account.part0 = {account}")
    posts = read_posts([tmp_path / "b.zip", tmp_path / "a.zip"])
    assert posts["author"].to_list() == ["oda", "oda"]
    assert read_posts([tmp_path / "b.zip"])["author"].to_list() == ["b"]


def test_a_scrape_of_one_account_leaves_out_who_else_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "dataset.json"
    bram = {"userName": "bram"}
    rows = [
        {"text": "words of oda", "author": {"userName": "oda"}},
        {"text": "words of oda again", "author": {"userName": "oda"}},
        {"text": "words of bram", "author": bram},
        {"text": "passed on", "author": bram, "isRetweet": True},
        {"noResults": True},
    ]
    path.write_text(json.dumps(rows))
    source = unwrap(open_source(path))
    posts = list(source.posts())
    assert [(post.author, post.kind) for post in posts[:3]] == [
        *[("oda", "original")] * 2,
        ("oda", "repost"),
    ]
    assert posts[3].text == ""
    assert source.left_out == {"of other people": 1}  # type: ignore[attr-defined]
