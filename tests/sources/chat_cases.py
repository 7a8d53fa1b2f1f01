"""The cases of exports of chats and of Meta for the contract suite.

Field names and line forms are those that the networks or the exporters write; each reader's module
names its source. All people are made up.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

from tests.sources.cases import Case, Sample, joined, write_file, write_zip

from huggingtweets.sources import ReadOptions, open_source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from huggingtweets.sources import Source


def whatsapp(posts: Iterable[Sample]) -> Iterator[bytes]:
    """Yield a chat as an iPhone exports it."""
    for sample in posts:
        yield f"[{sample.time:%d.%m.%y, %H:%M:%S}] Ada L: {sample.text}\n".encode()


def discord_row(sample: Sample) -> dict[str, Any]:
    """Return a message of a data package."""
    stamp = f"{sample.time:%Y-%m-%d %H:%M:%S}"
    fields = {"ID": 10**18 + sample.number, "Timestamp": stamp, "Contents": sample.text}
    return fields | {"Attachments": ""}


def discord_message(sample: Sample, **fields: object) -> dict[str, Any]:
    """Return a message of DiscordChatExporter."""
    reply = {"messageId": "5", "channelId": "3", "guildId": "1"}
    return {
        "id": str(10**18 + sample.number),
        "type": "Reply" if sample.kind == "reply" else "Default",
        "timestamp": sample.time.isoformat(),
        "timestampEdited": None,
        "callEndedTimestamp": None,
        "isPinned": False,
        "content": sample.text,
        "author": discord_author("7", "ada", "Ada L"),
        "attachments": [],
        "embeds": [],
        "stickers": [],
        "reactions": [],
        "mentions": [],
        **({"reference": reply} if sample.kind == "reply" else {}),
        **fields,
    }


def discord_author(user_id: str, name: str, nickname: str, *, is_bot: bool = False) -> Any:  # noqa: ANN401
    """Return the author of a message of DiscordChatExporter."""
    names = {"id": user_id, "name": name, "discriminator": "0000", "nickname": nickname}
    return names | {"color": None, "isBot": is_bot, "roles": [], "avatarUrl": "https://a.example"}


DISCORD_HEAD = (
    '{"guild": {"id": "1", "name": "Club", "iconUrl": ""}, "channel": {"id": "3", "type": '
    '"GuildTextChat", "categoryId": "2", "category": "Text", "name": "general", "topic": null}, '
    '"dateRange": {"after": null, "before": null}, "exportedAt": "2024-01-01T00:00:00+00:00", '
    '"messages": '
)


def slack_message(sample: Sample, **fields: object) -> dict[str, Any]:
    """Return a message of a Slack export."""
    text = sample.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    reply = {"thread_ts": "1600000000.000100", "parent_user_id": "U02"}
    return {
        "client_msg_id": f"c-{sample.number}",
        "type": "message",
        "user": "U01",
        "text": text,
        "ts": f"{int(sample.time.timestamp())}.000000",
        "team": "T01",
        **(reply if sample.kind == "reply" else {}),
        **fields,
    }


SLACK_USERS = [
    {
        "id": "U01",
        "team_id": "T01",
        "name": "ada",
        "real_name": "Ada L",
        "profile": {"display_name": "ada.l", "real_name": "Ada L"},
    },
    {"id": "U02", "name": "bob", "profile": {"display_name": "", "real_name": "Bob Miller"}},
]


def sigtop_message(sample: Sample, **fields: object) -> dict[str, Any]:
    """Return a message of sigtop: as Signal Desktop stores it."""
    stamp = int(sample.time.timestamp() * 1000)
    return {
        "id": f"5f0c-{sample.number}",
        "type": "outgoing",
        "conversationId": "c0ffee",
        "body": sample.text,
        "sent_at": stamp,
        "timestamp": stamp,
        "received_at": stamp,
        "source": "+4915550000001",
        "sourceServiceId": "9d-ada",
        "attachments": [],
        "quote": {"id": stamp, "text": "x"} if sample.kind == "reply" else None,
        **fields,
    }


def signal_cli_line(sample: Sample) -> dict[str, Any]:
    """Return an envelope of signal-cli with a message from another device of the owner."""
    stamp = int(sample.time.timestamp() * 1000)
    quote = {"quote": {"id": stamp, "text": "x"}} if sample.kind == "reply" else {}
    sent = {"destination": "+4915550000002", "timestamp": stamp, "message": sample.text, **quote}
    envelope: dict[str, Any] = {
        "source": "+4915550000001",
        "sourceUuid": "9d-ada",
        "sourceName": "Ada L",
    }
    envelope |= {"timestamp": stamp, "syncMessage": {"sentMessage": sent}}
    return {"envelope": envelope, "account": "+4915550000001"}


def imessage_block(sample: Sample, who: str = "Me") -> str:
    """Return a message of imessage-exporter."""
    time = sample.time
    hour = f"{time.hour % 12 or 12:>2}"
    stamp = f"{time:%b %d, %Y} {hour}:{time:%M:%S} {time:%p}"
    reply = "This message responded to an earlier message.\n" if sample.kind == "reply" else ""
    return f"{stamp} (Read by them after 5 seconds)\n{who}\n{sample.text}\n{reply}\n"


def mojibake(text: str) -> str:
    """Return a text as Meta writes it."""
    return text.encode("utf-8", "surrogatepass").decode("latin-1")


def instagram_post(sample: Sample) -> dict[str, Any]:
    """Return a post of Instagram with one picture, or a thread."""
    stamp = int(sample.time.timestamp())
    picture = {"uri": "media/a.jpg", "creation_timestamp": stamp, "title": mojibake(sample.text)}
    return {"media": [picture | {"text_app_post": {"is_reply": sample.kind == "reply"}}]}


def instagram_comment(sample: Sample) -> dict[str, Any]:
    """Return a comment of Instagram."""
    strings = {
        "Comment": {"value": mojibake(sample.text)},
        "Media Owner": {"value": "bob_m"},
        "Time": {"timestamp": int(sample.time.timestamp())},
    }
    return {"media_list_data": [{"uri": ""}], "string_map_data": strings}


def facebook_post(sample: Sample) -> dict[str, Any]:
    """Return a post of Facebook."""
    stamp = int(sample.time.timestamp())
    data = [{"post": mojibake(sample.text)}, {"update_timestamp": stamp}]
    return {"timestamp": stamp, "data": data, "title": "Ada L updated her status."}


def meta_message(sample: Sample, **fields: object) -> dict[str, Any]:
    """Return a message of Instagram or Facebook."""
    stamp = int(sample.time.timestamp() * 1000)
    text = {"sender_name": "Ada L", "timestamp_ms": stamp, "content": mojibake(sample.text)}
    return text | {"is_geoblocked_for_viewer": False} | fields


def _package_json(posts: Iterable[Sample]) -> Iterator[bytes]:
    return joined("", map(discord_row, posts), "")


def _package_csv(posts: Iterable[Sample]) -> Iterator[bytes]:
    yield b"ID,Timestamp,Contents,Attachments\n"
    for post in posts:
        stream = io.StringIO()
        csv.writer(stream).writerow(discord_row(post).values())
        yield stream.getvalue().encode()


def _slack(folder: Path, posts: Iterable[Sample]) -> Source:
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("users.json", json.dumps(SLACK_USERS))
        archive.writestr("channels.json", "[]")
        with archive.open("general/2021-02-03.json", "w") as stream:
            stream.writelines(joined("", map(slack_message, posts), ""))
    return open_source(folder / "a.zip")


def _meta_messages(folder: Path, posts: Iterable[Sample]) -> Source:
    name = "your_instagram_activity/messages/inbox/bob_1/message_1.json"
    head = '{"participants": [{"name": "Ada L"}, {"name": "Bob M"}], "messages": '
    newest_first = list(map(meta_message, posts))[::-1]
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, b"".join(joined(head, newest_first, "}")))
    return open_source(folder / "a.zip", ReadOptions(speaker="Ada L"))


_THREADS = '{"text_post_app_text_posts": '
_REPLIES = frozenset({"original", "reply"})
_NO_LANG: Any = {"langs": False, "kinds": _REPLIES}
_PLAIN: Any = {"langs": False, "kinds": frozenset({"original"})}
_TEXT: Any = {"escapes": False}
_CHANNEL = "messages/c123456789012345678/messages"

CHAT_CASES = [
    Case("whatsapp", write_file("_chat.txt", whatsapp), "_chat.txt", **_PLAIN, **_TEXT),
    Case("whatsapp zip", write_zip("a.zip", "_chat.txt", whatsapp), "a.zip", **_PLAIN, **_TEXT),
    Case(
        "discord package",
        write_zip("a.zip", f"{_CHANNEL}.json", _package_json),
        "a.zip",
        **_PLAIN,
    ),
    Case(
        "discord package before 2024",
        write_zip("a.zip", f"{_CHANNEL}.csv", _package_csv),
        "a.zip",
        **_PLAIN,
        **_TEXT,
    ),
    Case(
        "DiscordChatExporter",
        write_file("c.json", lambda posts: joined(DISCORD_HEAD, map(discord_message, posts), "}")),
        "c.json",
        **_NO_LANG,
    ),
    Case("slack", _slack, "a.zip", **_NO_LANG),
    Case(
        "sigtop",
        write_file("s.json", lambda posts: joined("", map(sigtop_message, posts), "\n")),
        "s.json",
        **_NO_LANG,
    ),
    Case(
        "signal-cli",
        write_file(
            "s.jsonl",
            lambda posts: (json.dumps(signal_cli_line(post)).encode() + b"\n" for post in posts),
        ),
        "s.jsonl",
        **_NO_LANG,
    ),
    Case(
        "imessage-exporter",
        write_file("i.txt", lambda posts: (imessage_block(post).encode() for post in posts)),
        "i.txt",
        **_NO_LANG,
        **_TEXT,
    ),
    Case(
        "instagram",
        write_zip(
            "a.zip",
            "your_instagram_activity/media/posts_1.json",
            lambda posts: joined("", map(instagram_post, posts), ""),
        ),
        "a.zip",
        **_NO_LANG,
    ),
    Case(
        "threads",
        write_zip(
            "a.zip",
            "your_instagram_activity/threads/threads_and_replies.json",
            lambda posts: joined(_THREADS, map(instagram_post, posts), "}"),
        ),
        "a.zip",
        **_NO_LANG,
    ),
    Case(
        "facebook",
        write_zip(
            "a.zip",
            "your_facebook_activity/posts/your_posts__check_ins__photos_and_videos_1.json",
            lambda posts: joined("", map(facebook_post, posts), ""),
        ),
        "a.zip",
        **_PLAIN,
    ),
    Case("instagram messages", _meta_messages, "a.zip", **_PLAIN, streams=False),
]
