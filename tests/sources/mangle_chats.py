"""Generate malformed exports of chats and of Meta."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

from tests.sources.cases import Sample
from tests.sources.chat_cases import (
    SLACK_USERS,
    discord_author,
    discord_message,
    discord_row,
    facebook_post,
    imessage_block,
    instagram_comment,
    instagram_post,
    meta_message,
    signal_cli_line,
    sigtop_message,
    slack_message,
    whatsapp,
)
from tests.sources.mangle import damaged, dumps, encoded
from tests.sources.mangle_exports import changed, some_items

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

_ZIPPED: dict[str, Callable[[Random], object]] = {
    "messages/c123456789012345678/messages.json": lambda r: some_items(r, discord_row),
    "general/2021-02-03.json": lambda r: some_items(
        r, lambda s: slack_message(s, subtype="me_message", edited={})
    ),
    "media/posts_1.json": lambda r: some_items(r, instagram_post),
    "comments/post_comments_1.json": lambda r: some_items(r, instagram_comment),
    "posts/your_posts_1.json": lambda r: some_items(r, facebook_post),
    "threads/threads_and_replies.json": lambda r: {
        "text_post_app_text_posts": some_items(r, instagram_post)
    },
    "users.json": lambda r: [changed(r, user) for user in SLACK_USERS],
    "account/user.json": lambda r: changed(r, {"id": "7", "username": "ada"}),
    "profile_information/profile_information.json": lambda r: changed(
        r, {"profile_v2": {"name": {"full_name": "Ada"}}}
    ),
}


def mangled_chat(random: Random) -> tuple[str, bytes]:
    """Return the name and content of a mangled export."""
    kind = random.choice([_zipped, _zipped, _document, _text])
    name, content = kind(random)
    return name, damaged(random, content) if random.random() < 0.3 else content


def _zipped(random: Random) -> tuple[str, bytes]:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for member in random.sample(sorted(_ZIPPED), 4):
            archive.writestr(member, encoded(random, dumps(_ZIPPED[member](random))))
    return "a.zip", stream.getvalue()


def _document(random: Random) -> tuple[str, bytes]:
    author = changed(random, discord_author("7", "ada", "Ada"))
    channel: dict[str, Any] = {"guild": {"id": "1"}, "channel": changed(random, {"id": "3"})}
    channel |= {"messages": some_items(random, lambda s: discord_message(s, author=author))}
    name, document = random.choice(
        [
            ("c.json", channel),
            ("c.json", some_items(random, sigtop_message)),
            ("m.json", {"participants": [], "messages": some_items(random, meta_message)}),
            ("s.jsonl", changed(random, signal_cli_line(Sample(1, "hello")))),
        ]
    )
    return name, encoded(random, dumps(document))


def _text(random: Random) -> tuple[str, bytes]:
    posts = [Sample(number, f"words {number}") for number in range(5)]
    if random.random() < 0.5:
        text = "".join(imessage_block(post, random.choice(["Me", "Bob", ""])) for post in posts)
    else:
        text = b"".join(whatsapp(posts)).decode()
    for mark in random.sample([":", "\n", "[", ",", " ", "Me", "Feb"], 2):
        text = text.replace(
            mark, random.choice(["", mark * 2, "\u200e", "99"]), random.randrange(4)
        )
    return random.choice(["_chat.txt", "i.txt"]), encoded(random, text)
