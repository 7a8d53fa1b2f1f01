"""Those who asked not to be imitated: one list, looked at before posts are read or published.

.. code-block:: text

    # CONFIG/opt-out.txt: one a line, in any case, whichever network it is on
    @name
    name.bsky.social
    @user@instance
    x:name                  the network before it is for the reader
    sha256:1f3c…            of the handle in lower case without its @, so that nobody is named
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from huggingtweets.errors import InputError, OptedOutError
from huggingtweets.storage import files
from huggingtweets.storage.user_dirs import config_folder, locked_config_dir

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_NETWORK = re.compile(r"^(?:bsky|bluesky|x|twitter|mastodon):", re.IGNORECASE)
_COMMENT = re.compile(r"(?:^|\s)#")
_PART = "[^\\s,;:@/\ud800-\udfff]{1,253}"  # no half characters, as of a name that isn't UTF-8
_HANDLE = re.compile(rf"{_PART}(?:@{_PART}(?::\d{{1,5}})?)?|did(?::{_PART})+")
_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_EXAMPLES = "@name, name.bsky.social, @user@instance or sha256:HASH"


@dataclass(frozen=True, slots=True)
class OptOut:
    """The list as it is on disk.

    Attributes:
        entries: handles and ``sha256:…``, in lower case.
    """

    entries: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.entries)

    def names(self, handle: str) -> bool:
        """Whether the one of this handle asked not to be imitated."""
        name = _normalize_handle(handle)
        return bool(self.entries) and (name in self.entries or _hash(name) in self.entries)

    def check(self, handles: Iterable[str]) -> None:
        """Refuse all work on somebody who is on the list.

        Raises:
            OptedOutError: one of them is.
        """
        for handle in handles:
            if self.names(handle):
                raise OptedOutError(
                    f"@{handle[:100].removeprefix('@')} asked not to be imitated, so these posts "
                    f"are not used; the opt-out list {list_file()} says so."
                )

    def fingerprint(self) -> str:
        """Changes with those who are on the list and tells nobody who they are."""
        return hashlib.sha256("\n".join(sorted(self.entries)).encode()).hexdigest()[:16]


NOBODY = OptOut()
"""A list with nobody on it."""


def list_file() -> Path:
    """Where the list is; it need not exist."""
    return config_folder() / "opt-out.txt"


def load() -> OptOut:
    """Read the list.

    Raises:
        InputError: it can't be read, or a line is no handle.
    """
    found = set()
    for number, line in enumerate(_lines(), start=1):
        entry = _entry(line)
        if entry is None:
            raise InputError(
                f"Line {number} of {list_file()} is no handle ({line[:80]!r}); write {_EXAMPLES}."
            )
        found.add(entry)
    return OptOut(frozenset(found - {""}))


def check(handles: Iterable[str]) -> None:
    """Refuse all work on those who asked not to be imitated.

    Raises:
        OptedOutError: one of them is on the list.
        InputError: the list can't be read.
    """
    load().check(handles)


def add(handles: Sequence[str], *, hashed: bool = False) -> list[str]:
    """Put people on the list.

    Args:
        handles: of those to add; one that is there already changes nothing.
        hashed: write down only hashes, also in the place of handles that are there already.

    Returns:
        The new entries.

    Raises:
        InputError: one is no handle; nothing was written.
        StorageError: the list can't be written.
    """
    names = [_given(handle, hashed=hashed) for handle in handles]
    with locked_config_dir():
        lines, before = _lines(), load()
        if hashed:
            named = {_normalize_handle(handle) for handle in handles} - set(names)
            lines = [line for line in lines if _entry(line) not in named]
        left = OptOut(frozenset(entry for line in lines if (entry := _entry(line))))
        # one whose hash is there is on the list, and stays unnamed
        new = [name for name in dict.fromkeys(names) if not left.names(name)]
        if new or left != before:
            text = "".join(f"{line}\n" for line in [*lines, *map(_written, new)])
            files.write_text(list_file(), text)
    return new


def _given(handle: str, *, hashed: bool) -> str:
    """The entry for somebody who is to be added; a hash may be of any name, as one with spaces."""
    if hashed and _normalize_handle(handle) and not _HASH.fullmatch(handle.lower()):
        return _hash(_normalize_handle(handle))
    entry = _entry(handle)
    if not entry:
        raise InputError(f"{handle[:80]!r} is no handle; give {_EXAMPLES}.")
    return entry


def _lines() -> list[str]:
    try:
        return list_file().read_text("utf-8-sig").splitlines()
    except FileNotFoundError:
        return []
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError(f"Line {line} of {list_file()} is not UTF-8; save it as that.") from error
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"The opt-out list {list_file()} can't be read: {reason}.") from error


def _entry(line: str) -> str | None:
    """What a line says, in lower case; "" for a comment or an empty one, None for no handle."""
    text = _COMMENT.split(line, maxsplit=1)[0].strip()
    if not text or _HASH.fullmatch(text.lower()):
        return text.lower()
    name = _normalize_handle(text)
    return name if _HANDLE.fullmatch(name) else None


def _normalize_handle(handle: str) -> str:
    """A handle without network and @, in lower case."""
    return _NETWORK.sub("", handle.strip()).removeprefix("@").lower()


def _hash(name: str) -> str:
    return "sha256:" + hashlib.sha256(name.encode(errors="replace")).hexdigest()


def _written(entry: str) -> str:
    """An entry as people write it."""
    return entry if ":" in entry or "." in entry.partition("@")[0] else f"@{entry}"
