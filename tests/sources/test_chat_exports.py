"""What each export of chats holds besides plain messages; all people are made up."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from tests.sources.cases import Sample, joined
from tests.sources.chat_cases import (
    DISCORD_HEAD,
    SLACK_USERS,
    discord_author,
    discord_message,
    discord_row,
    facebook_post,
    imessage_block,
    instagram_comment,
    instagram_post,
    meta_message,
    mojibake,
    signal_cli_line,
    sigtop_message,
    slack_message,
)

from huggingtweets.errors import SourceError
from huggingtweets.sources import CountLeftOut, ReadOptions, chats_in, read_posts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import polars as pl

ONE, TWO, THREE, FOUR = (Sample(number, f"words of mine {number}") for number in range(1, 5))


def _read(path: Path, **options: Any) -> tuple[pl.DataFrame, dict[str, int]]:  # noqa: ANN401
    counting = CountLeftOut(lambda _: None)
    posts = read_posts([path], ReadOptions(listen=counting, **options))
    return posts, counting.total


def _texts(path: Path, **options: Any) -> list[str]:  # noqa: ANN401
    return _read(path, **options)[0]["text"].to_list()


def _zip(path: Path, files: Mapping[str, object]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            text = content if isinstance(content, str) else json.dumps(content)
            archive.writestr(name, text)
    return path


def _folder(path: Path, files: Mapping[str, object]) -> Path:
    for name, content in files.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


PACKAGE: dict[str, Any] = {
    "README.txt": "hi",
    "account/user.json": {"id": "7", "username": "ada", "global_name": "Ada L"},
    "messages/index.json": {"123456789012345678": "general in Club"},
    "messages/c123456789012345678/channel.json": {"id": "123456789012345678", "type": 0},
    "messages/c123456789012345678/messages.json": [
        discord_row(ONE)
        | {"Contents": "> their words\nhey <@!55> see <#66> <a:wave:77> <t:1600000000:R> 1 < 2"}
    ],
    "messages/c987654321098765432/messages.csv": (
        'ID,Timestamp,Contents,Attachments\n9,2020-05-01 10:00:00.123000+00:00,"a ""b"", c",\n'
    ),
}


def test_a_discord_package_is_read_zipped_and_unpacked(tmp_path: Path) -> None:
    zipped, left_out = _read(_zip(tmp_path / "package.zip", PACKAGE))
    assert zipped["text"].to_list() == ["hey @user see  :wave:  1 < 2", 'a "b", c']
    assert zipped["author"].unique().to_list() == ["ada"]
    assert zipped["created_at"].null_count() == 0
    assert left_out == {}
    assert chats_in(zipped) == ["discord"]
    unpacked, _ = _read(_folder(tmp_path / "package", PACKAGE))
    assert unpacked.equals(zipped)


def test_discord_packages_have_translated_and_capital_folders(tmp_path: Path) -> None:
    files = {"Nachrichten/c123456789012345678/messages.json": [discord_row(ONE)]}
    assert _texts(_zip(tmp_path / "ada.zip", files)) == [ONE.text]
    empty = _zip(tmp_path / "b.zip", {"messages/index.json": {}, "account/user.json": {}})
    with pytest.raises(SourceError, match="data package without messages"):
        _read(empty)


def test_a_channel_of_discord_chat_exporter(tmp_path: Path) -> None:
    bob, bot = discord_author("8", "bobby", "Bob M"), discord_author("9", "b", "B", is_bot=True)
    messages = [
        discord_message(ONE, content="hi @Bob M and <:ok:5>"),
        discord_message(TWO, author=bob),
        discord_message(THREE, author=bot),
        discord_message(FOUR, type="GuildMemberJoin", content="Joined the server."),
        discord_message(FOUR, type="ChannelPinnedMessage", content="Pinned a message."),
        discord_message(FOUR, reference={"type": "Forward", "messageId": "5"}, content=""),
    ]
    path = tmp_path / "c.json"
    path.write_bytes(b"".join(joined(DISCORD_HEAD, messages, ', "messageCount": 6}')))
    with pytest.raises(SourceError, match=r"choose one with `--from NAME`: Ada L \(1\), Bob M"):
        _read(path)
    for name in ("Ada L", "ada", "7", "@ADA"):
        posts, left_out = _read(path, speaker=name)
        assert posts["text"].to_list() == ["hi @user M and :ok:"]
        assert sum(left_out.values()) + posts.height == len(messages)
    assert left_out == {"system lines": 2, "of other people": 1, "of bots": 1, "forwarded": 1}


SLACK: dict[str, Any] = {
    "users.json": SLACK_USERS,
    "channels.json": [{"id": "C01", "name": "general", "members": ["U01", "U02"]}],
    "general/2021-02-03.json": [
        slack_message(
            ONE, text="<@U02> see <https://a.example/x|the page> &amp; <https://b.example>"
        ),
        slack_message(TWO, user="U02"),
        slack_message(THREE, subtype="channel_join", text="<@U01> has joined the channel"),
        slack_message(FOUR, subtype="bot_message", bot_id="B1", username="deploy", user=None),
    ],
    "random/2021-02-04.json": [
        slack_message(TWO, subtype="thread_broadcast", text="ask <#C02|random> or <!here> Bob"),
        slack_message(
            THREE,
            edited={"user": "U01", "ts": "1612400000.000000"},
            text="mail <mailto:a@b.c|a@b.c>",
        ),
        slack_message(FOUR, subtype=[[]], user="U02"),
        slack_message(FOUR, subtype="tombstone", text="This message was deleted."),
        slack_message(FOUR, user="U99", user_profile={"real_name": "Eve A", "name": "eve"}),
    ],
}


def test_a_slack_export(tmp_path: Path) -> None:
    path = _zip(tmp_path / "Club Slack export.zip", SLACK)
    for name in ("ada", "ada.l", "Ada L", "u01"):
        posts, left_out = _read(path, speaker=name)
        assert posts["text"].to_list() == [
            "@user see the page & https://b.example",
            "ask #random or  @user",
            "mail a@b.c",
        ]
    assert left_out == {"of other people": 3, "system lines": 1, "of bots": 1, "deleted": 1}
    with pytest.raises(SourceError, match=r"ada\.l \(3\), Bob Miller \(2\), Eve A \(1\)"):
        _read(path)
    assert _texts(_folder(tmp_path / "export", SLACK), speaker="ada") == posts["text"].to_list()


def test_signal_by_sigtop(tmp_path: Path) -> None:
    other = {"type": "incoming", "source": "+4915550000002", "sourceServiceId": "8c-bob"}
    messages = [
        sigtop_message(ONE),
        sigtop_message(TWO, **other),
        sigtop_message(THREE, type="keychange", body=None),
        sigtop_message(FOUR, deletedForEveryone=True, body=""),
    ]
    path = tmp_path / "Bob (+4915550000002).json"
    path.write_text(json.dumps(messages))
    posts, left_out = _read(path)  # outgoing messages are the owner's
    assert posts["text"].to_list() == [ONE.text]
    assert left_out == {"of other people": 1, "system lines": 1, "deleted": 1}
    assert _texts(path, speaker="8c-bob") == [TWO.text]


def test_signal_by_signal_cli(tmp_path: Path) -> None:
    received = {
        "envelope": {
            "source": "+4915550000002",
            "sourceNumber": "+4915550000002",
            "sourceUuid": "8c-bob",
            "sourceName": "Bob Miller",
            "timestamp": 1_600_000_000_000,
            "dataMessage": {"timestamp": 1_600_000_000_000, "message": "hello Ada"},
        },
        "account": "+4915550000001",
    }
    receipt = {"envelope": {"source": "+4915550000002", "receiptMessage": {"isRead": True}}}
    own = signal_cli_line(Sample(1, "thanks Miller"))
    rpc = {"jsonrpc": "2.0", "method": "receive", "params": own}
    path = tmp_path / "signal.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in (received, receipt, own, rpc)))
    posts, left_out = _read(path)
    assert posts["text"].to_list() == ["thanks @user"]  # the same message twice
    assert posts["author"].to_list() == ["Ada L"]  # not the number, which the card would show
    assert left_out == {"of other people": 1, "system lines": 1}
    assert _texts(path, speaker="Bob Miller") == ["hello @user"]


def test_imessage(tmp_path: Path) -> None:
    text = "".join(
        (
            "May 17, 2022  5:29:42 PM Lena W added Raj P to the conversation.\n\n",
            imessage_block(ONE),
            imessage_block(TWO, "Lena W"),
            imessage_block(Sample(3, "ask Lena\n\ntomorrow", "reply")),
            "    Feb 03, 2021  7:05:07 AM\n    Lena W\n    an answer shown again\n\n",
            imessage_block(Sample(4, "typo\nEdited 15 seconds later: right")),
            imessage_block(Sample(5, "https://a.example/x\nA page's own title\nIts words")),
            imessage_block(Sample(6, "wow\nSent with Slam\nTapbacks:\nLoved by Lena W")),
            imessage_block(Sample(7, "attachments/AB/CD/IMG_1234.HEIC")),
            imessage_block(Sample(8, "Me unsent this message part 5 seconds after sending!")),
        )
    )
    path = tmp_path / "Lena W.txt"
    path.write_text(text)
    posts, left_out = _read(path)
    assert posts["text"].to_list() == [
        *(ONE.text, "ask @user\ntomorrow", "right", "https://a.example/x", "wow"),
    ]
    assert posts["kind"].to_list()[1] == "reply"
    assert left_out == {
        "of other people": 1,
        "system lines": 1,
        "pictures, sounds and files": 1,
        "deleted": 1,
    }
    assert _texts(path, speaker="Lena W") == [TWO.text]


INSTAGRAM: dict[str, Any] = {
    "personal_information/personal_information/personal_information.json": {
        "profile_user": [{"string_map_data": {"Username": {"value": "ada_l"}}}]
    },
    "your_instagram_activity/media/posts_1.json": [
        instagram_post(Sample(1, "café 👋")),
        {"title": "several", "creation_timestamp": 1_600_000_000, "media": [{"uri": "a.jpg"}]},
    ],
    "your_instagram_activity/media/archived_posts.json": {
        "ig_archived_post_media": [instagram_post(Sample(2, "hidden again"))]
    },
    "your_instagram_activity/media/stories.json": {"ig_stories": [{"title": "a story"}]},
    "your_instagram_activity/comments/post_comments_1.json": [instagram_comment(THREE)],
    "your_instagram_activity/comments/reels_comments.json": {
        "comments_reels_comments": [
            {
                "string_map_data": {
                    "Reactie": {"value": "mooi"},
                    "Tijd": {"timestamp": 1_600_000_001},
                }
            }
        ]
    },
    "your_instagram_activity/messages/inbox/bobm_1/message_1.json": {
        "participants": [{"name": "Ada L"}, {"name": mojibake("Bob Müller")}],
        "messages": [
            meta_message(Sample(9, "hallo Müller")),
            meta_message(Sample(8, "private of Bob"), sender_name=mojibake("Bob Müller")),
            meta_message(Sample(7, ""), photos=[{"uri": "a.jpg"}]),
            meta_message(Sample(6, "Liked a message")),
            meta_message(Sample(5, "Ada L sent an attachment."), share={"link": "https://a.b"}),
            meta_message(Sample(4, ""), is_unsent=True),
        ],
        "title": "Bob",
    },
}


def test_an_instagram_export_without_messages_and_with_them(tmp_path: Path) -> None:
    path = _zip(tmp_path / "instagram-ada_l-2024-01-02-abc.zip", INSTAGRAM)
    posts, left_out = _read(path)
    assert sorted(posts["text"]) == sorted(["café 👋", "several", THREE.text, "mooi"])
    assert posts["author"].unique().to_list() == ["ada_l"]
    assert posts["created_at"].null_count() == 0
    assert (chats_in(posts), left_out) == ([], {})
    whole, left_out = _read(path, speaker="ada l")
    assert set(whole["text"]) - set(posts["text"]) == {"hallo @user"}
    assert whole["author"].unique().to_list() == ["ada_l"]
    assert chats_in(whole) == ["meta-messages"]
    assert left_out == {
        "pictures, sounds and files": 2,
        "of other people": 1,
        "system lines": 1,
        "deleted": 1,
    }
    with pytest.raises(SourceError, match=r"its people are: Ada L \(1\), Bob Müller \(1\)"):
        _read(path, speaker="Zoe")
    unpacked = _texts(_folder(tmp_path / "instagram", INSTAGRAM))
    assert sorted(unpacked) == sorted(posts["text"])


def test_a_facebook_export(tmp_path: Path) -> None:
    comment = {"timestamp": 1_600_000_000, "comment": "nice", "author": "Ada L"}
    in_group = comment | {"comment": "only members see it", "group": "Parents"}
    files = {
        "profile_information/profile_information.json": {
            "profile_v2": {"name": {"full_name": mojibake("Ada Löwe")}}
        },
        "your_facebook_activity/posts/your_posts__check_ins__photos_and_videos_1.json": [
            facebook_post(Sample(1, "schöner Tag")),
            {"timestamp": 1_600_000_002, "attachments": [], "title": "Ada shared a memory."},
        ],
        "your_facebook_activity/comments_and_reactions/comments.json": {
            "comments_v2": [
                {"timestamp": 1_600_000_000, "data": [{"comment": comment}], "title": "x"},
                {"timestamp": 1_600_000_000, "data": [{"comment": in_group}], "title": "x"},
            ]
        },
        "your_facebook_activity/groups/your_posts_in_groups.json": {"group_posts_v2": []},
    }
    posts, left_out = _read(_zip(tmp_path / "facebook-ada.zip", files))
    assert sorted(posts["text"]) == ["", "nice", "schöner Tag"]
    assert posts["author"].unique().to_list() == ["Ada Löwe"]
    assert posts["source"].unique().to_list() == ["facebook"]
    assert left_out == {"in groups": 1}


def test_metas_files_alone_and_what_cannot_be_read(tmp_path: Path) -> None:
    single = tmp_path / "posts_1.json"
    single.write_text(json.dumps([instagram_post(Sample(1, "café"))]))
    assert _texts(single) == ["café"]
    chat = tmp_path / "message_1.json"
    chat.write_text(
        json.dumps(INSTAGRAM["your_instagram_activity/messages/inbox/bobm_1/message_1.json"])
    )
    assert _texts(chat, speaker="Bob Müller") == ["private of Bob"]
    with pytest.raises(SourceError, match="choose one with `--from NAME`"):
        _read(chat)
    pages = _zip(tmp_path / "b.zip", {"your_instagram_activity/media/posts_1.html": "<p>"})
    with pytest.raises(SourceError, match=r"holds web pages.*in the format JSON"):
        _read(pages)
    name = "your_instagram_activity/messages/inbox/b_1/message_1.json"
    only = _zip(tmp_path / "c.zip", {name: {"participants": [], "messages": []}})
    with pytest.raises(SourceError, match="those are private"):
        _read(only)
    posts = {"your_instagram_activity/media/posts_1.json": [instagram_post(ONE)]}
    with pytest.raises(SourceError, match="holds no messages, so --from"):
        _read(_zip(tmp_path / "d.zip", posts), speaker="Ada")
