"""Whose files are where; the only place that turns what a visitor names into a path.

.. code-block:: text

    OUT/                          the runs folder
      .app/                       what the server keeps; list_runs passes it over
        secret                    to sign cookies with
        queue.db  jobs/           trainings, see jobs.py
        uploads/ exports/         of the only visitor, alone: files sent, zips to be fetched
        visitors/ID/              of each visitor, shared: runs/ uploads/ exports/

A visitor's bot is called by its folder's name. A bot of somebody else, where the gallery is
shared, is called ``NAME~TAG``, where the tag says whose it is and can't be turned back into an id.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from huggingtweets.errors import BotError, InputError, SourceError
from huggingtweets.sample import sample_path
from huggingtweets.serving.schemas import LOCAL_USER, SAMPLE
from huggingtweets.storage import files, run_folder
from huggingtweets.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from huggingtweets.serving.schemas import Settings

NAME = re.compile(r"[\w][\w.+-]{0,99}")
_VISITOR = re.compile(r"[A-Za-z0-9_-]{16,64}")
_FOREIGN = re.compile(r"(?P<name>[\w][\w.+-]{0,99})~(?P<tag>[0-9a-f]{12})")
_ACCOUNT = re.compile(r"(@|did:|(x|twitter|bsky|bluesky|mastodon|hf|https?):).+", re.IGNORECASE)
_PUBLIC = re.compile(
    r"(@|did:|(bsky|bluesky|mastodon):|https://(?!(www\.|mobile\.)?(x|twitter)\.com\b)).+",
    re.IGNORECASE,
)
_ENDINGS = (".zip", ".js", ".tar.gz", ".tgz", ".csv", ".json", ".jsonl", ".parquet", ".txt")
_SERVER = "server"  # the owner of what is in OUT itself
_HOURS_KEPT = 24.0
"""An upload that nothing was made from, or an export that was never fetched."""


@dataclass(frozen=True, slots=True)
class RunAccess:
    """A run, and whether it is the visitor's own."""

    run: RunFolder
    mine: bool


class Workspaces:
    """The folders of a server."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.out = settings.out.absolute()
        self.home = self.out / ".app"

    # -- whose ---------------------------------------------------------------------------------

    def check_visitor(self, visitor: str) -> None:
        """Refuse what is no visitor's id.

        Raises:
            InputError: it isn't one.
        """
        fine = _VISITOR.fullmatch(visitor) if self.settings.shared else visitor == LOCAL_USER
        if not fine:
            raise InputError("This browser isn't known here; load the page again.")

    def runs(self, visitor: str) -> Path:
        """The runs folder of a visitor; it may not be there yet."""
        self.check_visitor(visitor)
        if not self.settings.shared:
            return self.out
        return self.home / "visitors" / visitor / "runs"

    def uploads(self, visitor: str) -> Path:
        """Where a visitor's files are kept until a bot is made of them."""
        return self._belongings(visitor) / "uploads"

    def exports(self, visitor: str, name: str) -> Path:
        """Where the zips of a visitor's bot are kept until they are fetched."""
        self.run_path(visitor, name)
        return self._belongings(visitor) / "exports" / name

    def _belongings(self, visitor: str) -> Path:
        self.check_visitor(visitor)
        return self.home / "visitors" / visitor if self.settings.shared else self.home

    def run_path(self, visitor: str, name: str) -> Path:
        """Where a visitor's run of this name is or would be.

        Raises:
            BotError: the name can't be a run's.
        """
        if not NAME.fullmatch(name):
            raise BotError(_no_bot(name))
        return self.runs(visitor) / name

    def own_run(self, visitor: str, name: str) -> RunFolder:
        """A run of the visitor's own.

        Raises:
            BotError: there is none of this name, whether or not others have one.
        """
        found = RunFolder(self.run_path(visitor, name))
        if not found.record_file.is_file():
            raise BotError(_no_bot(name))
        return found

    def visible_run(self, visitor: str, name: str) -> RunAccess:
        """A run that a visitor may look at and play with.

        Raises:
            BotError: there is none of this name for this visitor.
        """
        foreign = _FOREIGN.fullmatch(name)
        if foreign is None:
            return RunAccess(self.own_run(visitor, name), mine=True)
        self.check_visitor(visitor)
        for owner, folder in self._others(visitor):
            if secrets.compare_digest(self._tag(owner), foreign["tag"]):
                found = RunFolder(folder / foreign["name"])
                if found.record_file.is_file() and found.record().state == "done":
                    return RunAccess(found, mine=False)
        raise BotError(_no_bot(name))

    def visible_runs(self, visitor: str) -> Iterator[tuple[str, RunAccess]]:
        """What a visitor calls each bot, and where it is: the newest first, own ones before."""
        for found in reversed(run_folder.list_runs(self.runs(visitor))):
            yield found.path.name, RunAccess(found, mine=True)
        for owner, folder in self._others(visitor):
            for found in reversed(run_folder.list_runs(folder)):
                yield f"{found.path.name}~{self._tag(owner)}", RunAccess(found, mine=False)

    def _others(self, visitor: str) -> Iterator[tuple[str, Path]]:
        if not (self.settings.shared and self.settings.share_gallery):
            return
        yield _SERVER, self.out
        for folder in sorted((self.home / "visitors").glob("*/runs")):
            if folder.parent.name != visitor and _VISITOR.fullmatch(folder.parent.name):
                yield folder.parent.name, folder

    def _tag(self, owner: str) -> str:
        return hashlib.sha256(self.secret() + owner.encode()).hexdigest()[:12]

    def secret(self) -> bytes:
        """32 random bytes that only this server knows, made on first use."""
        file = self.home / "secret"
        if not file.is_file():
            with files.wrap_os_errors(file):
                self.home.mkdir(parents=True, exist_ok=True)
                temporary = file.with_name(f"secret.{os.getpid()}.new")
                handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                with os.fdopen(handle, "wb") as opened:
                    opened.write(secrets.token_bytes(32))
                try:
                    os.link(temporary, file)  # which of two servers at once comes first stays
                except FileExistsError:
                    pass
                finally:
                    temporary.unlink()
        return file.read_bytes()

    # -- sources -------------------------------------------------------------------------------

    def sources(self, visitor: str, given: tuple[str, ...]) -> list[str | Path]:
        """What the pipeline reads for the sources of an order.

        Raises:
            SourceError: one is neither the sample, nor an account, nor an upload of this visitor.
        """
        return [self._source(visitor, source.strip()) for source in given]

    def _source(self, visitor: str, source: str) -> str | Path:
        if source == SAMPLE:
            return sample_path()
        if _ACCOUNT.fullmatch(source) and not Path(source[:200]).exists():
            if self.settings.shared and not _PUBLIC.fullmatch(source):
                raise SourceError(
                    f"{source[:80]} would be read with the server owner's token; give an account "
                    "on Bluesky or Mastodon, or the archive of an account."
                )
            return source
        path = Path(source)
        if _is_under(path, self.uploads(visitor)) and path.is_file() and not path.is_symlink():
            return path
        raise SourceError(
            f"There is no upload {path.name[:80]!r} of yours here (any more); add the file again, "
            "or name an account such as bsky:NAME or mastodon:@NAME@SERVER."
        )

    def keep_upload(self, visitor: str, file: Path, name: str) -> Path:
        """Move a file into a visitor's uploads, under a safe name.

        Raises:
            InputError: it is too large, of no kind that is read, or there is no room for it.
        """
        safe = _safe(name)
        if not safe.lower().endswith(_ENDINGS):
            raise InputError(f"{safe} is of no kind that is read here; give {_ENDINGS_TOLD}.")
        with files.wrap_os_errors(Path(safe)):
            size = file.stat().st_size
            self._check_size(safe, size)
            folder = self.uploads(visitor) / secrets.token_hex(8)
            folder.mkdir(parents=True)
            kept = folder / safe
            shutil.move(file, kept)
            kept.chmod(0o600)
        return kept

    def _check_size(self, name: str, size: int) -> None:
        limit = self.settings.max_upload_mb
        if size > limit * 1e6:
            raise InputError(
                f"{name} has {size / 1e6:,.0f} MB and this server takes at most {limit:,.0f}; take "
                "the media out of the archive, or start the server with a higher --max-upload-mb."
            )
        there = sum(
            file.stat().st_size for folder in self._all_uploads() for file in folder.glob("*/*")
        )
        if there + size > self.settings.total_uploads_mb * 1e6:
            raise InputError("There is no room for another file on this server now; try later.")

    def forget_upload(self, file: Path) -> None:
        """Remove an upload and its folder."""
        if any(_is_under(file, folder) for folder in self._all_uploads()):
            shutil.rmtree(file.parent, ignore_errors=True)

    def sweep(self, in_use: set[Path]) -> None:
        """Remove old uploads that nothing unfinished is made from, and exports nobody fetched."""
        oldest = time.time() - 3600 * _HOURS_KEPT
        exports = [folder.with_name("exports") for folder in self._all_uploads()]
        folders = [*self._all_uploads(), *exports]
        for folder in (entry for each in folders if each.is_dir() for entry in each.iterdir()):
            used = any(file.parent == folder for file in in_use)
            if not used and folder.stat().st_mtime < oldest:
                shutil.rmtree(folder, ignore_errors=True)

    def _all_uploads(self) -> list[Path]:
        return [self.home / "uploads", *(self.home / "visitors").glob("*/uploads")]

    def without_paths(self, text: str) -> str:
        """A sentence in which files are called by their names alone."""
        return re.sub(rf"{re.escape(str(self.out))}(/[^\s:;,'\"]+/|/)?", "", text)


_ENDINGS_TOLD = "an archive (.zip, .tar.gz, tweets.js), .csv, .json, .jsonl, .parquet or .txt"


def _is_under(file: Path, folder: Path) -> bool:
    """Whether a path is ``folder/RANDOM/FILE``, told by its parts alone: no link leads out."""
    return ".." not in file.parts and file.parent.parent == folder


def _safe(name: str) -> str:
    """A file name without folders or odd characters, of at most 100 characters, ending kept."""
    last = re.split(r"[/\\]", name)[-1]
    plain = re.sub(r"[^\w.+-]+", "_", last).strip("._") or "posts"
    return plain if len(plain) <= 100 else plain[:80] + plain[-20:]


def _no_bot(name: str) -> str:
    return f"There is no bot {name[:100]!r} here."
