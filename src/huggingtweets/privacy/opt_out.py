"""The list of people who asked not to be imitated, checked before posts are read or published.

.. code-block:: text

    # CONFIG/opt-out.txt: one handle per line, in any case; it applies to all networks
    @name
    name.bsky.social
    @user@instance
    x:name                  a network prefix is ignored
    sha256:1f3c…            of the handle in lower case without @, for a list without names
"""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from huggingtweets.errors import InputError, OptedOutError
from huggingtweets.storage import files
from huggingtweets.storage.user_dirs import config_folder, locked_config_dir

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from huggingtweets.storage.run_folder import RunRecord

_NETWORK = re.compile(r"^(?:bsky|bluesky|x|twitter|mastodon):", re.IGNORECASE)
_COMMENT = re.compile(r"(?:^|\s)#")
_PART = "[^\\s,;:@/\ud800-\udfff]{1,253}"  # no lone surrogates, as in names that aren't UTF-8
_HANDLE = re.compile(rf"{_PART}(?:@{_PART}(?::\d{{1,5}})?)?|did(?::{_PART})+")
_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_CARD_AUTHORS = re.compile(r"^.*held-out posts of (@.+)$", re.MULTILINE)
_EXAMPLES = "@name, name.bsky.social, @user@instance or sha256:HASH"


@dataclass(frozen=True, slots=True)
class OptOut:
    """The opt-out list.

    Attributes:
        entries: handles and ``sha256:…``, in lower case.
    """

    entries: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.entries)

    def contains(self, handle: str) -> bool:
        """Return whether the handle is on the list, by name or by hash."""
        name = _normalize_handle(handle)
        return bool(self.entries) and (name in self.entries or _hash(name) in self.entries)

    def check(self, handles: Iterable[str], what: str = "these posts are") -> None:
        """Check that none of the handles is on the list.

        Args:
            handles: of authors.
            what: is not used if one is; for the message.

        Raises:
            OptedOutError: one is.
        """
        for handle in handles:
            if self.contains(handle):
                raise OptedOutError(
                    f"@{_NETWORK.sub('', handle)[:100].removeprefix('@')} asked not to be imitated "
                    f"(see the opt-out list {list_file()}), so {what} not used."
                )

    def names_in(self, record: RunRecord) -> list[str]:
        """Return the authors and accounts of a run that are on the list."""
        return [handle for handle in _handles_of(record) if self.contains(handle)]

    def fingerprint(self) -> str:
        """Return a hash that changes with the list and reveals none of its entries."""
        return hashlib.sha256("\n".join(sorted(self.entries)).encode()).hexdigest()[:16]


NOBODY = OptOut()
"""An empty list."""


def list_file() -> Path:
    """Return the path of the list; it may not exist."""
    return config_folder() / "opt-out.txt"


def load() -> OptOut:
    """Read the list.

    Raises:
        InputError: it can't be read, or a line is not a handle.
    """
    entries = set()
    for number, line in enumerate(_lines(), start=1):
        entry = _entry(line)
        if entry is None:
            raise InputError(
                f"Line {number} of {list_file()} is not a handle ({line[:80]!r}); "
                f"write {_EXAMPLES}."
            )
        entries.add(entry)
    return OptOut(frozenset(entries - {""}))


def check(handles: Iterable[str]) -> None:
    """Load the list and check that none of the handles is on it.

    Raises:
        OptedOutError: one is.
        InputError: the list can't be read.
    """
    load().check(handles)


def check_run(record: RunRecord) -> None:
    """Check that nobody whose posts an existing bot has learnt is on the list.

    Raises:
        OptedOutError: somebody is.
        InputError: the list can't be read.
    """
    load().check(_handles_of(record), "this bot is")


def check_card(bot: Path) -> None:
    """Check a bot folder without its run: nobody whom its card names is on the list.

    Raises:
        OptedOutError: somebody is.
        InputError: the list can't be read.
    """
    with suppress(OSError, UnicodeDecodeError):
        card = (bot / "README.md").read_text("utf-8")
        for authors in _CARD_AUTHORS.findall(card):
            load().check(re.findall(r"@([^\s'\"&]+)", authors), "this bot is")


def _handles_of(record: RunRecord) -> Iterator[str]:
    """Yield the handles of a run's authors, and of its accounts, as ``--as`` renames an author."""
    yield from record.authors
    for source in map(str, record.config.get("sources", ())):
        _, is_page, address = source.partition("://")
        if is_page:
            host, *parts = address.split("/")
            for name in (part.lstrip("@") for part in parts if part not in ("", "profile")):
                yield from (name, f"{name}@{host}")
        elif source.startswith("@") or _NETWORK.match(source):
            yield source


def add(handles: Sequence[str], *, hashed: bool = False) -> list[str]:
    """Add handles to the list.

    Args:
        handles: to add; those already on the list are ignored.
        hashed: write only hashes, and replace existing entries of these handles by hashes.

    Returns:
        The new entries.

    Raises:
        InputError: one is not a handle; nothing was written.
        StorageError: the list can't be written.
    """
    entries = [_new_entry(handle, hashed=hashed) for handle in handles]
    with locked_config_dir():
        lines, before = _lines(), load()
        if hashed:
            unhashed = {_normalize_handle(handle) for handle in handles} - set(entries)
            lines = [line for line in lines if _entry(line) not in unhashed]
        remaining = OptOut(frozenset(entry for line in lines if (entry := _entry(line))))
        # A handle whose hash is listed counts as listed, so its name is not written.
        new = [entry for entry in dict.fromkeys(entries) if not remaining.contains(entry)]
        if new or remaining != before:
            text = "".join(f"{line}\n" for line in [*lines, *map(_format, new)])
            files.write_text(list_file(), text, files.mode_of(list_file()))
    return new


def _new_entry(handle: str, *, hashed: bool) -> str:
    """Return the entry for a handle; hashes accept any name, even one with spaces."""
    if hashed and _normalize_handle(handle) and not _HASH.fullmatch(handle.lower()):
        return _hash(_normalize_handle(handle))
    entry = _entry(handle)
    if not entry:
        raise InputError(f"{handle[:80]!r} is not a handle; give {_EXAMPLES}.")
    return entry


def _lines() -> list[str]:
    try:
        return list_file().read_text("utf-8-sig").splitlines()
    except FileNotFoundError:
        return []
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError(f"Line {line} of {list_file()} is not UTF-8; save it as UTF-8.") from error
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"The opt-out list {list_file()} can't be read: {reason}.") from error


def _entry(line: str) -> str | None:
    """Return a line's entry in lower case; "" for comments and empty lines, None if invalid."""
    text = _COMMENT.split(line, maxsplit=1)[0].strip()
    if not text or _HASH.fullmatch(text.lower()):
        return text.lower()
    name = _normalize_handle(text)
    return name if _HANDLE.fullmatch(name) else None


def _normalize_handle(handle: str) -> str:
    """Return a handle without network and @, in lower case."""
    return _NETWORK.sub("", handle.strip()).removeprefix("@").lower()


def _hash(name: str) -> str:
    return "sha256:" + hashlib.sha256(name.encode(errors="replace")).hexdigest()


def _format(entry: str) -> str:
    """Format an entry as people write it."""
    return entry if ":" in entry or "." in entry.partition("@")[0] else f"@{entry}"
