"""Stream posts from JSON: one object per line (``.jsonl``) or a list of objects (``.json``)."""

from __future__ import annotations

import json
from contextlib import closing
from functools import lru_cache
from typing import TYPE_CHECKING

from huggingtweets.errors import SourceError
from huggingtweets.sources._columns import check_number, find_columns, known_columns
from huggingtweets.sources._fields import as_dict, as_list, parse_name
from huggingtweets.sources._json_reader import DECODER, JsonReader
from huggingtweets.sources._json_tree import ITEM, LISTS, PAGES, opening_bracket, tree_values
from huggingtweets.sources._network_rows import is_network_record, network_row
from huggingtweets.sources._text import decode_utf8, file_chunks, lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Literal

    from huggingtweets.sources._zip_member import Member

    Rows = Iterator[tuple[int, dict[str, object]]]

_AROUND = frozenset(
    {"data", "result", "response", "payload", "body", "outbox", "first", "last", "timeline", "page"}
)
"""Names of objects around the list of posts."""

_PAGES = (
    *("data", "feed", "records", "orderedItems", "items", "statuses", "notes", "posts", "tweets"),
    *("results", "toots", "timeline"),
)
"""Names of lists of posts in a page of an interface."""

_WRAPPERS = (
    *("tweet", "data", "status", "node", "_source", "doc", "result", "tweet_results"),
    "response",  # of Tumblr's interface
)
"""Names under which an item holds its post: archives of X, its interfaces, Elasticsearch."""

_OF_OTHERS = frozenset(
    {
        *("favourites", "favorites", "likes", "bookmarks", "mentions", "notifications", "blocks"),
        *("mutes", "followers", "following", "users", "includes", "direct_messages", "dms"),
    }
)
"""Names of lists in an export with what others wrote."""

_TWEETS = ("tweets", ITEM)  # ntscraper puts threads beside them, as lists
_MAX_DEPTH = 4
POSITIONS = 10**9
"""More than the lines of any file, so that positions in pages are unique."""

_TELEGRAM = frozenset({"personal_information", "chats", "left_chats"})
MAX_LINE_CHARS = 1_000_000
"""More than a post's limit, because a line of JSON holds more than the text."""


def text_lines(path: Path | Member, max_chars: int) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text file with their numbers."""
    with closing(file_chunks(path)) as chunks:
        yield from lines(decode_utf8(chunks, str(path)), str(path), max_chars)


def jsonl_rows(path: Path | Member, text_column: str | None) -> Rows:
    """Read one object, or one page of objects, per line."""
    checked = False
    for number, line in text_lines(path, MAX_LINE_CHARS):
        if not line.strip():
            continue
        value = _json_value(line, number, path)
        for position, row in _rows_in(value, f"Line {number} of {path}", number, text_column):
            if not checked:  # a later line without a text is an empty post
                _check_columns(row, text_column, path)
                checked = True
            yield position, _fields(row, text_column)


def json_rows(path: Path | Member, text_column: str | None) -> Rows:
    """Read the objects of the top-level list, or of the first list inside that holds posts."""
    if _has_an_object_per_line(path):  # as mongoexport, snscrape and twint write it
        yield from jsonl_rows(path, text_column)
        return
    chosen, users = _find_list_of_posts(path, text_column)
    for number, key_path, value in _values(path):
        if key_path in chosen:
            for position, row in _rows_in(
                value, f"Value {number} of {path}", number, text_column, users
            ):
                yield position, _fields(row, text_column)


def _has_an_object_per_line(path: Path | Member) -> bool:
    """Return whether the first line is an object and another one follows."""
    with closing(file_chunks(path)) as chunks:
        head = next(decode_utf8(chunks, str(path)), "")
    first, _, rest = head.lstrip().partition("\n")
    try:
        return rest.lstrip()[:1] == "{" and isinstance(DECODER.decode(first), dict)
    except (ValueError, RecursionError):
        return False


def _find_list_of_posts(
    path: Path | Member, text_column: str | None
) -> tuple[set[tuple[str, ...]], dict[str, object]]:
    """Return the key path of the first list with an object that has a text, and the users.

    X names its users apart from the posts, before or after them.
    """
    columns_without_text: tuple[str, ...] | None = None
    chosen: set[tuple[str, ...]] = set()
    users: dict[str, object] = {}
    for number, key_path, value in _values(path):
        if key_path == ("includes",):
            users |= _users(value)
        if chosen or key_path[0] in _OF_OTHERS:
            continue
        if key_path != (ITEM,) and not (key_path[-1] == ITEM and isinstance(value, dict)):
            continue
        for _, row in _rows_in(value, f"Value {number} of {path}", number, text_column):
            if _has_text(row, text_column):
                chosen = {key_path, ("threads", ITEM)} if key_path == _TWEETS else {key_path}
                if not _needs_users(row):
                    return chosen, users
                break
            columns_without_text = columns_without_text or tuple(row)
    if not chosen:
        if columns_without_text is None:
            raise SourceError(f"{path} holds no posts: it has no list of objects.")
        find_columns(columns_without_text, text_column, path)
    return chosen, users


def _needs_users(row: dict[str, object]) -> bool:
    return "author_id" in row and "author" not in row


def _has_text(row: dict[str, object], text_column: str | None) -> bool:
    if text_column is None and is_network_record(row):
        return True
    return "text" in known_columns(tuple(row), text_column)


def _check_columns(row: dict[str, object], text_column: str | None, path: Path | Member) -> None:
    if not _has_text(row, text_column):
        find_columns(tuple(row), text_column, path)


def _values(path: Path | Member) -> Iterator[tuple[int, tuple[str, ...], object]]:
    with closing(file_chunks(path)) as chunks:
        tree = tree_values(decode_utf8(chunks, str(path)), str(path), _enter)
        for number, (key_path, value) in enumerate(tree, start=1):
            yield number, key_path, value


def _enter(key_path: tuple[str, ...], bracket: str) -> bool:
    """Return whether to look inside: a list of the document, or of an object around it."""
    if bracket == "[":
        return len(key_path) == 1 or (len(key_path) == 2 and key_path[0] in _AROUND)
    return len(key_path) == 1 and key_path[0] in _AROUND


def _rows_in(
    value: object,
    where: str,
    number: int,
    text_column: str | None,
    users: dict[str, object] | None = None,
) -> Iterator[tuple[int, dict[str, object]]]:
    """Yield the objects of a value, which may be a page of them, each with its position."""
    for index, record in enumerate(_records(value, text_column, users or {})):
        yield number + index * POSITIONS, _as_row(record, where)


def _records(
    value: object, text_column: str | None, users: dict[str, object], depth: int = 0
) -> Iterator[object]:
    """Yield the records of a page, and any other value as it is."""
    if isinstance(value, list) and depth <= _MAX_DEPTH:
        for item in value:
            yield from _records(item, text_column, users, depth + 1)
        return
    if not isinstance(value, dict):
        yield value
        return
    if "includes" in value:
        users = users | _users(value["includes"])
    inside = _inside(value, text_column) if depth <= _MAX_DEPTH else None
    if inside is None:
        author = users.get(str(value.get("author_id"))) if users else None
        yield {"author": author} | value if author is not None else value
    else:
        yield from _records(inside, text_column, users, depth + 1)


def _inside(value: dict[str, object], text_column: str | None) -> object:
    """Return what a page or a wrapper holds; None for a record."""
    if text_column is None and is_network_record(value):
        return None
    pages, wrappers, text_name = _around(tuple(value), text_column)
    lists = [items for name in pages if isinstance(items := value[name], list)]
    if found := next((items for items in lists if items and isinstance(items[0], dict)), None):
        return found
    text = value.get(text_name)
    if text is not None and not isinstance(text, dict):
        return None
    if lists and not lists[0]:
        return []  # a page without posts
    return next((value[name] for name in wrappers if isinstance(value[name], dict)), None)


@lru_cache(maxsize=256)
def _around(names: tuple[str, ...], text_column: str | None) -> tuple[list[str], list[str], str]:
    """Return which names may be of a page or a wrapper, and the name of the text, or ""."""
    pages, wrappers = ([name for name in known if name in names] for known in (_PAGES, _WRAPPERS))
    return pages, wrappers, known_columns(names, text_column).get("text", "")


def _users(includes: object) -> dict[str, object]:
    """Return the handles of the users that X lists beside the posts of a page, by their ids."""
    users = (as_dict(user) for user in as_list(as_dict(includes).get("users")))
    return {str(user["id"]): user.get("username") for user in users if "id" in user}


def _fields(row: dict[str, object], text_column: str | None) -> dict[str, object]:
    if text_column is None and (fields := network_row(row)) is not None:
        return fields
    columns = known_columns(tuple(row), text_column)
    fields = {"text": None} | {field: row[name] for field, name in columns.items()}
    by = _by(row, fields) or fields.pop("by", None)
    return fields if by is None else fields | {"by": by}


def _by(row: dict[str, object], fields: dict[str, object]) -> str | None:
    """Return who wrote a record of an interface or a scraper; None in other tables."""
    author = fields.get("author")
    if "author_id" in row:
        return parse_name(row["author_id"])
    is_record = isinstance(author, dict) or "subreddit" in row
    return parse_name(author) if is_record else None


def parse_json_line(line: str, number: int, path: Path | Member) -> dict[str, object]:
    """Read one line of a file as an object.

    Raises:
        SourceError: it is none.
    """
    return _as_row(_json_value(line, number, path), f"Line {number} of {path}")


def _json_value(line: str, number: int, path: Path | Member) -> object:
    try:
        value: object = DECODER.decode(line)
    except json.JSONDecodeError as error:
        raise SourceError(
            f"Line {number} of {path} is invalid JSON (character {error.pos + 1}: {error.msg}); "
            "each line must be one complete object."
        ) from error
    except RecursionError as error:
        raise SourceError(f"Line {number} of {path} is nested too deeply to be a post.") from error
    return value


def _as_row(row: object, where: str) -> dict[str, object]:
    if not isinstance(row, dict):
        raise SourceError(
            f'{where} is not a JSON object; each post must be one, like {{"text": "..."}}.'
        )
    check_number(len(row), where)
    return row


def kind_of_json(path: Path | Member) -> Literal["mastodon", "telegram", "posts"]:
    """Detect what a document holds from the names of its first fields, reading no further."""
    where = str(path)
    with closing(file_chunks(path)) as chunks:
        reader = JsonReader(decode_utf8(chunks, where), where)
        if opening_bracket(reader, where) == "[":
            return "posts"
        reader.skip()
        seen: set[str] = set()
        more = reader.peek() != "}"
        while more:
            name = reader.key()
            if name == "orderedItems":
                return "mastodon"
            if name in _TELEGRAM or (name == "messages" and {"type", "id"} <= seen):
                return "telegram"
            if reader.peek() == "[" and name != "@context":
                return "posts"
            value = as_dict(reader.value())
            if name in PAGES and not LISTS.isdisjoint(value):
                return "mastodon"
            seen.add(name)
            more = reader.next_item("}")
    return "posts"
