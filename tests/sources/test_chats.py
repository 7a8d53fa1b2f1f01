"""What all exports of chats share, on Telegram's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.sources.cases import Sample, message

from huggingtweets.privacy import deleted_posts
from huggingtweets.sources import CountLeftOut, ReadOptions, chats_in, read_posts
from huggingtweets.sources.chats.export import Person
from huggingtweets.sources.chats.names import NameMask
from huggingtweets.sources.in_child import read_posts_in_child

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

    from huggingtweets.events import Event


def _from(name: str, number: int, text: str, seconds: int = 0, **fields: object) -> dict[str, Any]:
    person = {
        "from": name,
        "from_id": f"user-{name}",
        "date_unixtime": str(1_600_000_000 + seconds),
    }
    return message(Sample(number, text)) | person | {"text": text} | fields


def _chat(folder: Path, *messages: object) -> Path:
    chat = {"name": "Us", "type": "private_group", "id": 3, "messages": messages}
    path = folder / "result.json"
    path.write_text(json.dumps(chat))
    return path


def _read(path: Path, **options: Any) -> tuple[pl.DataFrame, dict[str, int]]:  # noqa: ANN401
    counting = CountLeftOut(lambda _: None)
    posts = read_posts([path], ReadOptions(listen=counting, **options))
    return posts, counting.total


def test_what_was_left_out_and_the_posts_add_up_to_the_records(tmp_path: Path) -> None:
    path = _chat(
        tmp_path,
        {"id": 1, "type": "service", "actor": "Ada L", "action": "create_group", "text": ""},
        _from("Ada L", 2, "mine"),
        _from("Bob", 3, "not mine"),
        _from("Ada L", 4, "somebody's", forwarded_from=None),
        _from("Ada L", 5, "a bot's", via_bot="@weather"),
        _from("Bob", 6, "forwarded by another", forwarded_from="Eve"),
        _from("Bob", 7, "not mine either"),
    )
    posts, left_out = _read(path, speaker="ada l")
    assert posts["text"].to_list() == ["mine"]
    assert left_out == {"of other people": 3, "forwarded": 1, "system lines": 1, "of bots": 1}
    assert posts.height + sum(left_out.values()) == 7
    assert chats_in(posts) == ["telegram"]


def test_counts_come_out_of_the_child_process(tmp_path: Path) -> None:
    path = _chat(tmp_path, _from("Ada L", 2, "mine"), _from("Bob", 3, "not mine"))
    events: list[Event] = []
    read_posts_in_child([path], ReadOptions(speaker="Ada L", listen=events.append))
    assert [event.left_out for event in events] == [{"of other people": 1}]


def test_own_messages_within_two_minutes_are_joined_only_if_asked(tmp_path: Path) -> None:
    path = _chat(
        tmp_path,
        _from("Ada L", 1, "first", 0),
        _from("Ada L", 2, "second", 119),
        _from("Ada L", 3, "third", 239),
        _from("Ada L", 4, "too late", 360),
        _from("Bob", 5, "between", 361),
        _from("Ada L", 6, "after that", 362),
    )
    assert _read(path, speaker="Ada L")[0].height == 5
    posts, left_out = _read(path, speaker="Ada L", join=True)
    assert posts["text"].to_list() == ["first\nsecond\nthird", "too late", "after that"]
    assert left_out == {"joined to the message before": 2, "of other people": 1}
    assert posts.height + sum(left_out.values()) == 6


def test_forgetting_one_of_joined_messages_forgets_the_post_and_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUGGINGTWEETS_CONFIG", str(tmp_path / "config"))
    path = _chat(
        tmp_path, _from("Ada", 1, "one"), _from("Ada", 2, "two", 1), _from("Ada", 3, "three", 999)
    )
    one = frozenset({"@ada 3/2"})
    assert _read(path, join=True, forget=one)[0]["text"].to_list() == ["three"]
    joined_id = _read(path, join=True)[0]["id"][0]
    both = frozenset({deleted_posts.stable_id("Ada", joined_id)})
    assert _read(path, forget=both)[0]["text"].to_list() == ["three"]
    assert _read(path, join=True, forget=both)[0]["text"].to_list() == ["three"]


def test_names_of_others_are_masked_unless_kept(tmp_path: Path) -> None:
    path = _chat(
        tmp_path,
        _from("Ada L", 1, "bob told Miller that BOB MILLER met Ada and Eve"),
        _from("Bob Miller", 2, "hi"),
    )
    text = _read(path, speaker="Ada L")[0]["text"][0]
    assert text == "@user told @user that @user met Ada and Eve"  # Eve isn't in the chat
    assert "Miller" in _read(path, speaker="Ada L", keep_names=True)[0]["text"][0]


@pytest.mark.parametrize(
    ("others", "text", "masked"),
    [
        (["Will Rose"], "I will ask Will, Rose rose", "I will ask @user, @user rose"),
        (["Jo"], "Jo jokes", "Jo jokes"),  # too short to be told from other words
        (["bob.the_builder"], "hey @bob.the_builder. ok", "hey @user. ok"),
        (["bob.the_builder"], "bob.the_builder did", "@user did"),
        (["王小明"], "我和王小明去", "我和@user去"),
        (["~ Bob"], "thanks @\u2068~\u202fBob\u2069!", "thanks @user!"),
        (["+49 170 1234567"], "ask @491701234567", "ask @user"),
        (["The Boss (work)"], "the boss is at work", "the @user is at work"),
        (["Ada Byron"], "Ada Byron", "Ada @user"),  # shares the first name with the speaker
        (["José García"], "garcía y José", "@user y @user"),
    ],
)
def test_a_name_is_masked_as_people_write_it(others: list[str], text: str, masked: str) -> None:
    people = [Person(name, name) for name in others]
    assert NameMask.of(Person("Ada L", "Ada L"), people)(text) == masked
