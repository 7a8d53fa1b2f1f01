"""The folder of a fleet: many authors' runs, each file stored once under its SHA-256.

.. code-block:: text

    FLEET/
      fleet.json             the settings that all bots share; hashes of forgotten authors
      progress.json          the state of each author, for the terminal and the web app
      index.html             the authors side by side, and who failed
      authors/NAME/          the run folder of an author, like any other
      authors/NAME.json      the files of a finished run with their SHA-256
      objects/sha256/ab/...  those files; they never change
      workers.log

Files of a run are links to objects where the file system has hard links, so nothing takes space
twice, and what authors share (the tokenizer) is stored once. This program replaces files and never
writes into them, so a link changes neither the object nor other authors' runs; only
``events.jsonl`` grows and is copied. A run is stored again each time its lock is released.

A copy of ``fleet.json``, ``authors/*.json`` and ``objects`` is a copy of the fleet: objects that
have arrived needn't be sent again, and :meth:`FleetFolder.repair` makes the run folders of them.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from huggingtweets.errors import BotError
from huggingtweets.storage import files

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMAT = 1
SETTINGS = "fleet.json"
AUTHORS = "authors"

_NOT_STORED = ("checkpoint", "track", "versions")
_GROWING = "events.jsonl"
_DIGEST = frozenset("0123456789abcdef")


@dataclass(frozen=True)
class Stored:
    """What is stored of an author's run.

    Attributes:
        authors: of the run.
        files: SHA-256 and number of bytes of each file, by its path in the run folder.
        format: version of the file format.
    """

    authors: list[str]
    files: dict[str, tuple[str, int]]
    format: int = FORMAT

    @property
    def weights(self) -> str | None:
        """SHA-256 of the bot's weights, which two equal trainings share."""
        for name in ("bot/adapter_model.safetensors", "bot/model.safetensors"):
            if name in self.files:
                return self.files[name][0]
        return None


@dataclass
class Check:
    """The result of a check of a fleet.

    Attributes:
        authors: number of authors whose runs are stored.
        objects: number of objects.
        bytes: of the objects.
        damaged: for each author with damage, one clause for each damaged file.
        changed: for each author, files in the run folder that differ from what is stored.
        repaired: number of files restored.
        unused: number of objects that belong to no author, removed.
    """

    authors: int = 0
    objects: int = 0
    bytes: int = 0
    damaged: dict[str, list[str]] = field(default_factory=dict)
    changed: dict[str, list[str]] = field(default_factory=dict)
    repaired: int = 0
    unused: int = 0


@dataclass(frozen=True)
class FleetFolder:
    """A fleet on disk; all paths derive from ``path``."""

    path: Path

    @property
    def settings_file(self) -> Path:
        """``fleet.json``."""
        return self.path / SETTINGS

    @property
    def progress_file(self) -> Path:
        """``progress.json``."""
        return self.path / "progress.json"

    @property
    def page(self) -> Path:
        """The page that compares the authors."""
        return self.path / "index.html"

    @property
    def log(self) -> Path:
        """What the workers wrote to their standard error."""
        return self.path / "workers.log"

    @property
    def authors(self) -> Path:
        """The folder of the run folders."""
        return self.path / AUTHORS

    @property
    def objects(self) -> Path:
        """The folder of the stored files."""
        return self.path / "objects"

    def settings(self) -> dict[str, Any]:
        """Read ``fleet.json``.

        Raises:
            BotError: there is no fleet, or the file is damaged or from a newer version.
        """
        try:
            values = files.read_json(self.settings_file)
            if values["format"] > FORMAT:
                raise BotError(f"{self.path} was made by a newer huggingtweets. Upgrade it.")
        except (FileNotFoundError, NotADirectoryError) as error:
            raise BotError(
                f"{self.path} is not a fleet: it has no {SETTINGS}. Make one with: "
                "huggingtweets fleet train"
            ) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BotError(f"{self.settings_file} is damaged. Restore it from a copy.") from error
        return dict(values)

    def save_settings(self, values: dict[str, Any]) -> None:
        """Write ``fleet.json`` atomically."""
        with files.wrap_os_errors(self.path):
            files.make_folder(self.authors)
            files.make_folder(self.objects)
        files.write_json(self.settings_file, {"format": FORMAT} | values)

    @contextmanager
    def updating_settings(self) -> Iterator[dict[str, Any]]:
        """Yield the settings to change, while no other process changes them, and write them."""
        with files.waiting_for(self.objects):
            values = self.settings()
            yield values
            self.save_settings(values)

    # -- what is stored --------------------------------------------------------------------------

    def stored_file(self, name: str) -> Path:
        """The file that lists what is stored of a run."""
        return self.authors / f"{name}.json"

    def names(self) -> list[str]:
        """The names of the stored runs, in alphabetical order."""
        return sorted(file.stem for file in self.authors.glob("[!.]*.json"))

    def stored(self, name: str) -> Stored:
        """Read what is stored of a run.

        Raises:
            BotError: nothing is, or the list is damaged.
        """
        file = self.stored_file(name)
        try:
            values = files.read_json(file)
            listed = {
                str(path): (_checked_digest(digest), int(size))
                for path, (digest, size) in values["files"].items()
                if not _leaves_folder(path)
            }
            return Stored([str(author) for author in values["authors"]], listed, values["format"])
        except FileNotFoundError as error:
            raise BotError(f"{self.path} has no finished author {name!r}.") from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BotError(f"{file} is damaged. Restore it from a copy of the fleet.") from error

    def object_file(self, digest: str) -> Path:
        """The path of an object."""
        return self.objects / "sha256" / digest[:2] / digest

    def store(self, name: str) -> None:
        """Store the run folder of an author as it is now, and remove what nobody needs any more.

        Raises:
            StorageError: the fleet can't be written.
        """
        run = self.authors / name
        with files.wrap_os_errors(run), files.waiting_for(self.objects):
            if not (run / "run.json").is_file():
                return
            before = self.stored(name).files if self.stored_file(name).is_file() else {}
            listed = {path: self._store(run / path, before.get(path)) for path in _files_of(run)}
            if listed != before:
                record = files.read_json(run / "run.json")
                stored = Stored(list(map(str, record["authors"])), listed)
                files.write_json(self.stored_file(name), asdict(stored))
            if {digest for digest, _ in before.values()} - {d for d, _ in listed.values()}:
                with suppress(BotError):  # another author's damaged list doesn't concern this one
                    self._remove_unused()

    def drop(self, name: str) -> None:
        """Remove what is stored of an author, whose run folder was deleted."""
        with files.waiting_for(self.objects):
            files.remove(self.stored_file(name))
            self._remove_unused()

    def remove_unused(self) -> int:
        """Remove objects that belong to no stored run, as after a crash; return their number."""
        with files.waiting_for(self.objects):
            return self._remove_unused()

    def _store(self, file: Path, before: tuple[str, int] | None) -> tuple[str, int]:
        """Store a file unless it is, make it a link to its object, and return digest and size."""
        if before and _same_file(file, self.object_file(before[0])):
            return before
        digest, size = sha256(file), file.stat().st_size
        target = self.object_file(digest)
        if not target.is_file() or sha256(target) != digest:
            _link(file, target, copy=file.name == _GROWING)
        elif file.name != _GROWING and (before is None or before[0] != digest):
            _link(target, file)
        return digest, size

    def _remove_unused(self) -> int:
        used = {digest for name in self.names() for digest, _ in self.stored(name).files.values()}
        unused = [file for file in _objects(self.objects) if file.name not in used]
        for file in unused:
            files.remove(file)
        return len(unused)

    # -- checking --------------------------------------------------------------------------------

    def check(self, *, repair: bool = False) -> Check:
        """Compare every object with its SHA-256, and every run folder with its objects.

        Args:
            repair: restore what is damaged, missing or changed from the other of the two, and
                remove objects that belong to no author.

        Raises:
            BotError: there is no fleet.
            StorageError: the fleet can't be written.
        """
        self.settings()
        with files.wrap_os_errors(self.path), files.waiting_for(self.objects):
            result, sound = Check(), _Digests()
            for name in self.names():
                result.authors += 1
                try:
                    stored = self.stored(name)
                except BotError as error:
                    result.damaged[name] = [str(error).rstrip(".")]
                    continue
                for path, (digest, _) in stored.files.items():
                    self._check_file(name, path, digest, result, sound, repair=repair)
            if repair and not result.damaged:
                result.unused = self._remove_unused()
            objects = list(_objects(self.objects))
            result.objects = len(objects)
            result.bytes = sum(file.stat().st_size for file in objects)
        return result

    def _check_file(
        self,
        name: str,
        path: str,
        digest: str,
        result: Check,
        sound: _Digests,
        *,
        repair: bool,
    ) -> None:
        target, file = self.object_file(digest), self.authors / name / path
        is_stored, is_there = sound.is_sound(target, digest), sound.is_sound(file, digest)
        if is_stored and (is_there or (file.name == _GROWING and file.is_file())):
            return
        if repair and (is_stored or is_there):
            source, wanted = (target, file) if is_stored else (file, target)
            _link(source, wanted, copy=file.name == _GROWING)
            sound.forget(wanted)
            result.repaired += 1
        elif not is_stored:
            lost = "is missing" if not target.exists() else "is damaged"
            advice = "" if is_there else " and so is its copy in the run folder"
            result.damaged.setdefault(name, []).append(f"{path} {lost}{advice}")
        else:
            result.changed.setdefault(name, []).append(path)


def folder_of(run: Path) -> FleetFolder | None:
    """Return the fleet to which a run folder belongs, if any."""
    path = run.absolute()
    if path.parent.name != AUTHORS or not (path.parent.parent / SETTINGS).is_file():
        return None
    return FleetFolder(path.parent.parent)


def store_again(run: Path) -> None:
    """Store a run as it is now, if it belongs to a fleet and is finished or was stored before."""
    fleet = folder_of(run)
    if fleet is None or not (run / "run.json").is_file():
        return
    with suppress(OSError, ValueError, AttributeError):
        is_done = files.read_json(run / "run.json").get("state") == "done"
        if is_done or fleet.stored_file(run.name).is_file():
            fleet.store(run.name)


def sha256(file: Path) -> str:
    """Return the SHA-256 of a file, as hexadecimal digits."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


class _Digests:
    """Whether files have the digests they should; each file is read once."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], str] = {}

    def is_sound(self, file: Path, digest: str) -> bool:
        try:
            status = file.stat()
            key = (status.st_dev, status.st_ino)
            if key not in self._known:
                self._known[key] = sha256(file)
        except OSError:
            return False
        return self._known[key] == digest

    def forget(self, file: Path) -> None:
        """Read a file again that was replaced: another may get its number."""
        with suppress(OSError):
            status = file.stat()
            self._known.pop((status.st_dev, status.st_ino), None)


def _files_of(run: Path) -> Iterator[str]:
    """Yield the paths of a run's files that are stored, relative to its folder."""
    for parent, folders, names in os.walk(run):
        folders[:] = sorted(f for f in folders if f[0] != "." and f not in _NOT_STORED)
        for name in sorted(names):
            if name[0] != ".":
                yield Path(parent, name).relative_to(run).as_posix()


def _objects(folder: Path) -> Iterator[Path]:
    yield from (file for file in folder.glob("sha256/*/*") if file.name[0] != ".")


def _link(source: Path, target: Path, *, copy: bool = False) -> None:
    """Make ``target`` the same file as ``source`` with one rename, or a copy where that fails."""
    files.make_folder(target.parent)
    name = f".{target.name}.{files.writer()}.{secrets.token_hex(4)}.tmp"
    temporary = target.parent / name
    try:
        try:
            if copy:
                raise OSError  # noqa: TRY301 - as on a file system without links
            temporary.hardlink_to(source)
        except OSError:
            shutil.copyfile(source, temporary)
            temporary.chmod(0o600)
            files.sync(temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _checked_digest(value: str) -> str:
    if len(value) != 64 or not _DIGEST.issuperset(value):
        raise ValueError("it is not a SHA-256")
    return value


def _leaves_folder(path: str) -> bool:
    """Whether a path in a list that may be damaged or hostile points out of the run folder."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or not pure.parts:
        raise ValueError("a path leaves the run folder")
    return False
