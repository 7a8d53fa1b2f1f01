"""Read "Download your information" of Instagram, Threads and Facebook in JSON.

Posts, reels, threads and comments are read from the zip, its folder or a single file. Messages are
private and are opened only if the user names whose to read (``--from``). Stories, archived posts,
groups, likes and everything else stay closed.

These files hold UTF-8 bytes as if each were a character (Ã and © for é), which is mended.
Names of files and fields as in the exports of 2020 to 2025 that the documentation of Waultar and of
port (Utrecht University's data donation scripts) describes.
"""

from __future__ import annotations

import re
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from huggingtweets.data.posts import Post
from huggingtweets.errors import SourceError
from huggingtweets.sources._archive_reader import display_path, open_archive, read_text
from huggingtweets.sources._fields import (
    as_dict,
    as_list,
    author_from_filename,
    hashed_id,
    is_set,
    parse_name,
    parse_text,
    parse_time,
)
from huggingtweets.sources._json_tree import ITEM, tree_values
from huggingtweets.sources.chats.export import (
    DELETED,
    MEDIA,
    SYSTEM,
    ChatExport,
    Message,
    Person,
)
from huggingtweets.sources.chats.folders import open_folder
from huggingtweets.sources.chats.names import spoken

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from huggingtweets.data.posts import Kind
    from huggingtweets.sources._archive_reader import ArchiveReader
    from huggingtweets.sources.reading import ReadOptions

IN_GROUPS = "in groups"

_TOP = r"(?:[^/]+/){0,3}"
_INSTAGRAM = re.compile(
    rf"{_TOP}(?:(?:content|media)/(?:posts_\d+|reels)|threads/threads_and_replies"
    r"|comments/(?:post_comments(?:_\d+)?|reels_comments))\.json"
)
_FACEBOOK = re.compile(
    rf"{_TOP}(?:posts/your_posts(?:__check_ins__photos_and_videos)?(?:_\d+)?"
    r"|(?:comments|comments_and_reactions)/comments)\.json"
)
_MESSAGES = re.compile(
    rf"{_TOP}messages/(?:inbox|archived_threads|filtered_threads|message_requests|e2ee_cutover)/"
    r"([^/]+)/message_(\d+)\.json"
)
_PROFILE = re.compile(
    rf"{_TOP}(?:personal_information|profile_information)/"
    r"(?:personal_information|profile_information)\.json"
)
_HTML = re.compile(
    rf"{_TOP}(?:(?:content|media)/posts_\d+|posts/your_posts[^/]*|comments/[^/]*comments[^/]*"
    r"|threads/threads_and_replies|comments_and_reactions/comments)\.html"
)
_EXPORT_NAME = re.compile(
    r"(?:instagram|facebook|threads)-(.+?)(?:-\d{4}-\d{2}-\d{2}.*)?", re.ASCII
)
_LISTS = frozenset(
    {"text_post_app_text_posts", "ig_reels_media", "comments_reels_comments"}
    | {"comments_media_comments", "comments_v2", "comments"}
)
"""Fields whose list holds posts or comments; older and some other files are a list themselves."""

# What the networks write in a sender's name, after the name or "You"; in English only.
_IS_MEDIA = re.compile(r" sent an attachment\.")
_IS_SYSTEM = re.compile(
    r" (?:started|missed|joined) (?:a|your|the) (?:video |audio |group )?(?:call|chat)\b.*"
    r"| (?:named the group|changed the (?:theme|group photo))\b.*"
    r"| set the (?:nickname|quick reaction)\b.*"
    r"|(?: added .{1,80} to the group| left the group| liked a message)\.?"
)
_REACTION = re.compile(r"Liked a message|Reacted .{1,20} to your message\s*")
_MEDIA_FIELDS = ("photos", "videos", "audio_files", "gifs", "sticker", "files", "share", "media")


@dataclass(frozen=True, slots=True)
class MetaExport:
    """The posts and comments of an export's owner, file by file.

    Attributes:
        path: the zip, its folder, or one file of it.
        reading: how to read it; with ``speaker``, that person's messages too.
        left_out: number of records that were left out at the last reading, by reason.
    """

    path: Path
    reading: ReadOptions
    left_out: Counter[str] = field(default_factory=Counter, compare=False)
    has_speakers: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """Return ``instagram`` (which Threads belongs to), ``facebook``, or that of messages."""
        if self.reading.speaker is not None:
            return MetaMessages.name
        with closing(_open(self.path)) as archive:
            return network(archive.names())

    def posts(self) -> Iterator[Post]:
        """Yield every post, thread and comment, and the messages of the person that was named."""
        self.left_out.clear()
        found = False
        with closing(_open(self.path)) as archive:
            names = archive.names()
            source = network(names) if self.reading.speaker is None else MetaMessages.name
            profiles = [name for name in names if _PROFILE.fullmatch(name)]
            parts = sorted(name for name in names if is_posts(name)) or (
                [self.path.name] if self.path.is_file() and self.path.name in names else []
            )
            archive.check([*parts, *profiles])
            author = self.reading.author or self._owner(archive, profiles)
            for part in parts:
                for post in self._part(archive, part, author, source):
                    found = True
                    yield post
            has_messages = any(_MESSAGES.fullmatch(name) for name in names)
        if self.reading.speaker is not None:
            if not has_messages:
                raise SourceError(
                    f"{self.path} holds no messages, so --from has nothing to read; leave it out."
                )
            messages = MetaMessages(self.path, self.reading)
            yield from messages.posts_by(author)
            self.left_out.update(messages.left_out)
        elif not found:
            raise SourceError(_nothing(self.path, has_messages=has_messages))

    def _part(self, archive: ArchiveReader, part: str, author: str, source: str) -> Iterator[Post]:
        where = display_path(self.path, part)
        last, repeated = "", 0
        for path, item in tree_values(read_text(archive, part, where), where, _is_list):
            if path[-1] != ITEM or not isinstance(item, dict):
                continue
            text, stamp, kind, reason = _fields(item)
            if reason:
                self.left_out[reason] += 1
                continue
            text = mended(parse_text(text, where))
            key = f"{kind} {stamp} {text}"
            repeated = repeated + 1 if key == last else 0
            last = key
            yield Post(
                author=author,
                # The same in a later export, which has more posts before this one.
                id=hashed_id(repeated, key),
                text=text,
                created_at=parse_time(stamp),
                kind=kind,
                source=source,
            )

    def _owner(self, archive: ArchiveReader, profiles: list[str]) -> str:
        """Return the handle of Instagram or the name of Facebook, or that in the file's name."""
        for profile in profiles:
            where = display_path(self.path, profile)
            for path, value in tree_values(
                read_text(archive, profile, where), where, lambda _path, _bracket: False
            ):
                if name := _profile_name(path[0], value):
                    return name
        match = _EXPORT_NAME.fullmatch(self.path.stem)
        return match[1] if match else author_from_filename(self.path)


class MetaMessages(ChatExport):
    """The messages of one person in the chats of an export, or in one ``message_1.json``."""

    __slots__ = ()
    name: ClassVar[str] = "meta-messages"

    def messages(self) -> Iterator[Message]:
        """Yield every message, oldest first; a file has the newest first and 10,000 at most."""
        with closing(_open(self.path)) as archive:
            names = archive.names()
            parts = sorted(filter(_MESSAGES.fullmatch, names), key=_chat_and_number)
            parts = parts or ([self.path.name] if self.path.name in names else [])
            archive.check(parts)
            for part in parts:
                match = _MESSAGES.fullmatch(part)
                where = display_path(self.path, part)
                tree = tree_values(read_text(archive, part, where), where, _is_messages)
                newest_first = [item for path, item in tree if path == ("messages", ITEM)]
                times: Counter[str] = Counter()
                for item in reversed(newest_first):
                    if isinstance(item, dict):
                        yield self._message(item, match[1] if match else "", times)

    def posts_by(self, author: str) -> Iterator[Post]:
        """Yield the posts under the name of the export's owner."""
        return (replace(post, author=author) for post in self.posts())

    def _message(self, item: Mapping[str, object], chat: str, times: Counter[str]) -> Message:
        name = spoken(
            mended(parse_name(item.get("sender_name")) or parse_name(item.get("senderName")) or ""),
            fold=False,
        )
        text = mended(parse_text(item.get("content") or item.get("text"), str(self.path)))
        stamp = str(item.get("timestamp_ms") or item.get("timestamp") or "")
        times[stamp] += 1
        has_media = any(is_set(item.get(name)) for name in _MEDIA_FIELDS)
        action = text.removeprefix("You" if text.startswith("You ") else name)
        reason = ""
        if is_set(item.get("is_unsent")) or is_set(item.get("isUnsent")):
            reason = DELETED
        elif (has_media and not text) or _IS_MEDIA.fullmatch(action):
            reason = MEDIA
        elif not name or "call_duration" in item or _is_system(action, text):
            reason = SYSTEM
        return Message(
            person=Person(name, name) if name else None,
            text="" if reason else text,
            time=parse_time(stamp),
            chat=chat,
            id=hashed_id(times[stamp], f"{stamp}{name}{text}"),
            left_out=reason,
        )


def is_posts(name: str) -> bool:
    """Return whether a file of an export holds posts or comments."""
    return bool(_INSTAGRAM.fullmatch(name) or _FACEBOOK.fullmatch(name))


def is_meta(names: list[str], path: Path) -> bool:
    """Return whether the files of an archive are those of Instagram or Facebook.

    Raises:
        SourceError: they are, but as web pages.
    """
    if any(is_posts(name) or _MESSAGES.fullmatch(name) for name in names):
        return True
    if any(map(_HTML.fullmatch, names)):
        raise SourceError(
            f"{path} holds web pages; ask Instagram, Threads or Facebook for your information in "
            "the format JSON."
        )
    return False


def is_item(names: set[str], item: Mapping[str, object]) -> bool:
    """Return whether a file of posts or comments is recognised by its fields and its first item."""
    if not names.isdisjoint(_LISTS - {"comments"}):
        return True
    if names:
        return False
    strings, media = as_dict(item.get("string_map_data")), as_list(item.get("media"))
    is_post = any("creation_timestamp" in as_dict(part) for part in media)
    is_facebooks = {"timestamp", "data"} <= item.keys() and not {"text", "id"} & item.keys()
    return bool(strings) or is_post or is_facebooks


def network(names: list[str]) -> str:
    """Return the network whose export has these files."""
    single = names[0] if len(names) == 1 else ""
    if single.startswith("your_posts") or single == "comments.json":
        return "facebook"
    if any(_FACEBOOK.fullmatch(name) or "profile_information" in name for name in names):
        return "facebook"
    return "instagram"


def mended(text: str) -> str:
    """Return a text whose UTF-8 bytes stood as one character each."""
    if text.isascii():
        return text
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _open(path: Path) -> ArchiveReader:
    return open_folder(path) if path.is_dir() else open_archive(path)


def _is_list(path: tuple[str, ...], bracket: str) -> bool:
    return bracket == "[" and len(path) == 1 and path[0] in _LISTS


def _is_messages(path: tuple[str, ...], bracket: str) -> bool:
    return path == ("messages",) and bracket == "["


def _is_system(action: str, text: str) -> bool:
    return bool(_IS_SYSTEM.fullmatch(action) or _REACTION.fullmatch(text))


def _chat_and_number(name: str) -> tuple[str, int]:
    """Sort the files of a chat from the oldest, which has the highest number."""
    match = _MESSAGES.fullmatch(name)
    return (match[1], -int(match[2])) if match else (name, 0)


def _fields(item: Mapping[str, object]) -> tuple[object, object, Kind, str]:
    """Return the text, the time and the kind of an item, and why it is left out."""
    if isinstance(strings := item.get("string_map_data"), dict):
        return _instagram_comment(strings)
    if isinstance(item.get("media"), list):
        return _instagram_post(item)
    for part in map(as_dict, as_list(item.get("data"))):
        if isinstance(comment := part.get("comment"), dict):
            stamp = comment.get("timestamp") or item.get("timestamp")
            reason = IN_GROUPS if is_set(comment.get("group")) else ""
            return comment.get("comment"), stamp, "reply", reason
    texts = (part.get("post") for part in map(as_dict, as_list(item.get("data"))))
    text = next((text for text in texts if text), item.get("title") if "media" in item else None)
    return text, item.get("timestamp") or item.get("creation_timestamp"), "original", ""


def _instagram_comment(strings: Mapping[str, object]) -> tuple[object, object, Kind, str]:
    """Return the comment: the first value, and the time; the fields' names are translated."""
    values = [as_dict(value) for value in strings.values()]
    comment = as_dict(strings.get("Comment")) or next(iter(values), {})
    stamps = (value.get("timestamp") for value in values if is_set(value.get("timestamp")))
    return comment.get("value"), next(stamps, None), "reply", ""


def _instagram_post(item: Mapping[str, object]) -> tuple[object, object, Kind, str]:
    """Return a post or a thread; the text of a single picture is with the picture."""
    media = [as_dict(part) for part in as_list(item.get("media"))]
    text = item.get("title") or next((part["title"] for part in media if part.get("title")), None)
    stamps = [item.get("creation_timestamp"), *(part.get("creation_timestamp") for part in media)]
    is_reply = any(is_set(as_dict(part.get("text_app_post")).get("is_reply")) for part in media)
    return text, next(filter(None, stamps), None), "reply" if is_reply else "original", ""


def _profile_name(top: str, value: object) -> str | None:
    if top == "profile_v2":
        name = as_dict(as_dict(value).get("name")).get("full_name")
        return mended(parse_name(name) or "") or None
    if top == "profile_user":
        strings = as_dict(as_dict(next(iter(as_list(value)), None)).get("string_map_data"))
        return mended(parse_name(as_dict(strings.get("Username")).get("value")) or "") or None
    return None


def _nothing(path: Path, *, has_messages: bool) -> str:
    if has_messages:
        return (
            f"{path} holds no posts or comments, only messages; those are private, and are read if "
            "you say whose with `--from NAME`."
        )
    return f"{path} holds no posts or comments."
