from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from tests.sources.cases import Sample, message

from huggingtweets.errors import SourceError
from huggingtweets.sources import ReadOptions, open_source, read_posts

if TYPE_CHECKING:
    from pathlib import Path

    from huggingtweets.data.posts import Post

ADA = message(Sample(1, "hello from Ada"))
BOB = message(Sample(2, "hello from Bob")) | {"from": "Bob", "from_id": "user8"}


def _write(folder: Path, *messages: object) -> Path:
    chat = {"name": "Bob", "type": "personal_chat", "id": 3, "messages": messages}
    (folder / "result.json").write_text(json.dumps(chat))
    return folder / "result.json"


def _account(folder: Path, *chats: tuple[dict[str, Any], ...], owner: int = 7) -> Path:
    chat_list = [
        {"name": "Bob", "type": "personal_chat", "id": number, "messages": messages}
        for number, messages in enumerate(chats)
    ]
    export = {
        "about": "x",
        "personal_information": {"user_id": owner, "first_name": "Ada"},
        "profile_pictures": [{"date": "2020"}],
        "contacts": {"list": [{"first_name": "Bob"}]},
        "chats": {"about": "x", "list": chat_list},
        "left_chats": {"about": "x", "list": []},
    }
    (folder / "result.json").write_text(json.dumps(export))
    return folder / "result.json"


def _posts(path: Path, **options: Any) -> list[Post]:  # noqa: ANN401
    return list(open_source(path, ReadOptions(**options)).posts())


def _error(path: Path, **options: Any) -> str:  # noqa: ANN401
    with pytest.raises(SourceError) as caught:
        read_posts([path], ReadOptions(**options))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_message_is_a_post(tmp_path: Path) -> None:
    pieces = ["see ", {"type": "link", "text": "https://a.example"}, True, {"text": None}, " 😀"]
    path = _write(tmp_path, ADA, ADA | {"id": 2, "text": pieces, "reply_to_message_id": 1})
    first, second = _posts(path)
    assert (first.author, first.id, first.text, first.kind) == (
        *("Ada L", "3/1"),
        *("hello from Ada", "original"),
    )
    assert first.created_at == datetime(2021, 2, 3, 5, 5, 6, tzinfo=UTC)
    assert (second.text, second.kind) == ("see https://a.example 😀", "reply")
    assert _posts(tmp_path) == [first, second]  # the folder around it


def test_service_and_forwarded_messages_are_left_out(tmp_path: Path) -> None:
    service = {"id": 8, "type": "service", "actor": "Ada L", "action": "pin_message", "text": "x"}
    forwarded = [
        ADA | {name: "Eve"} for name in ("forwarded_from", "forwarded_from_id", "saved_from")
    ]
    assert len(_posts(_write(tmp_path, service, *forwarded, ADA, 5, None))) == 1
    assert "holds no messages" in _error(_write(tmp_path, service, *forwarded))


def test_several_people_need_a_choice(tmp_path: Path) -> None:
    path = _write(tmp_path, ADA, BOB, BOB | {"id": 9})
    assert "several people; choose one with `--from NAME`: Bob (2), Ada L (1)." in _error(path)
    for name in ("bob", "Bob", "user8", "@Bob"):
        assert [post.author for post in _posts(path, speaker=name)] == ["Bob", "Bob"]
    assert [post.author for post in _posts(path, speaker="Ada L", author="ada")] == ["ada"]
    message = _error(path, speaker="Eve")
    assert "has no message from 'Eve'; its people are: Bob (2), Ada L (1)." in message


def test_two_people_of_one_name_are_told_apart_by_id(tmp_path: Path) -> None:
    path = _write(tmp_path, BOB, BOB | {"from_id": "user9", "id": 3}, ADA)
    assert "user8 (1), user9 (1)." in _error(path, speaker="Bob")
    assert [post.id for post in _posts(path, speaker="user9")] == ["3/3"]


def test_a_deleted_account_has_no_name(tmp_path: Path) -> None:
    path = _write(tmp_path, ADA | {"from": None})
    assert [post.author for post in _posts(path)] == ["user7"]


def test_the_owner_of_an_account_export_is_the_author(tmp_path: Path) -> None:
    path = _account(tmp_path, (ADA, BOB), (BOB, ADA | {"text": "in another chat"}))
    posts = _posts(path)
    assert [post.id for post in posts] == ["0/1", "1/1"]  # chats count from 1 each
    assert {post.author for post in posts} == {"Ada L"}
    assert {post.author for post in _posts(path, speaker="Bob")} == {"Bob"}
    assert "choose one with `--from NAME`" in _error(_account(tmp_path, (ADA, BOB), owner=5))


def test_notes_to_oneself_are_left_out_unless_they_are_the_whole_export(tmp_path: Path) -> None:
    path = _account(tmp_path, (ADA,), (ADA,))
    export = json.loads(path.read_text())
    export["chats"]["list"][1]["type"] = "saved_messages"
    path.write_text(json.dumps(export))
    assert [post.id for post in _posts(path)] == ["0/1"]
    path.write_text(json.dumps(export["chats"]["list"][1]))
    assert len(_posts(path)) == 1


def test_a_speaker_needs_a_chat_export(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one two three")
    assert "--from Bob names a person in an export of chats" in _error(
        tmp_path / "a.txt", speaker="Bob"
    )
