"""The visitors' folders. Only this module turns a name from a visitor into a path.

.. code-block:: text

    OUT/                          the runs folder
      .app/                       the server's own files; list_runs skips it
        secret                    key for signing cookies
        jobs/                     the training queue, see jobs.py
        uploads/ exports/         received files and zips, on a server for one person
        visitors/ID/              runs/ uploads/ exports/ of a visitor, on a shared server

A visitor's own bot is named after its folder. In a shared gallery another visitor's bot is named
``NAME~TAG``; the tag identifies its owner without revealing the owner's id.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from huggingtweets.errors import BotError, HuggingTweetsError, InputError, SourceError
from huggingtweets.sample import sample_path
from huggingtweets.serving.fleet import runs_of
from huggingtweets.serving.schemas import LOCAL_USER, SAMPLE
from huggingtweets.serving.uploads import Uploads, find_upload, is_upload
from huggingtweets.storage import files, run_folder
from huggingtweets.storage.places import APP
from huggingtweets.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from huggingtweets.serving.schemas import Settings

NAME = re.compile(r"[\w][\w.+-]{0,99}")
_VISITOR = re.compile(r"[A-Za-z0-9_-]{16,64}")
_FOREIGN = re.compile(r"(?P<name>[\w][\w.+-]{0,99})~(?P<tag>[0-9a-f]{12})")
_ACCOUNT = re.compile(r"(@|did:|(x|twitter|bsky|bluesky|mastodon|hf|https?):).+", re.IGNORECASE)
_PUBLIC = re.compile(
    r"(@|did:|(bsky|bluesky|mastodon):"
    r"|https://(?!(www\.|mobile\.)?(x|twitter)\.com\b|(www\.)?(huggingface|hf)\.co\b)).+",
    re.IGNORECASE,
)
_FLEET = "fleet"
_SERVER = "server"  # owner of the runs in OUT itself
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class RunAccess:
    """A run and whether it is the visitor's own."""

    run: RunFolder
    mine: bool


class Workspaces:
    """The folders of a server."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.out = settings.out.absolute()
        self.home = self.out / APP
        self.received = Uploads(settings, self.home)
        for folder in (self.out, self.home, *(self.home / "visitors").glob("*/runs")):
            files.remove_abandoned(folder)

    # -- visitors and runs ---------------------------------------------------------------------

    def check_visitor(self, visitor: str) -> None:
        """Check that a visitor id is valid.

        Raises:
            InputError: it is not.
        """
        shared = self.settings.shared
        is_valid = _VISITOR.fullmatch(visitor) if shared else visitor == LOCAL_USER
        if not is_valid:
            raise InputError("Your session is invalid; reload the page.")

    def runs(self, visitor: str) -> Path:
        """The runs folder of a visitor, which may not exist yet."""
        self.check_visitor(visitor)
        if not self.settings.shared:
            return self.out
        return self.home / "visitors" / visitor / "runs"

    def uploads(self, visitor: str) -> Path:
        """The folder of a visitor's uploads, which are kept until a bot is trained on them."""
        return self._visitor_folder(visitor) / "uploads"

    def exports(self, visitor: str, name: str) -> Path:
        """The folder of a bot's zips, which are kept until they are downloaded."""
        self.run_path(visitor, name)
        return self._visitor_folder(visitor) / "exports" / name

    def _visitor_folder(self, visitor: str) -> Path:
        self.check_visitor(visitor)
        return self.home / "visitors" / visitor if self.settings.shared else self.home

    def run_path(self, visitor: str, name: str) -> Path:
        """The folder of a visitor's run, which may not exist.

        Raises:
            BotError: the name is not valid.
        """
        if not NAME.fullmatch(name):
            raise BotError(_no_bot(name))
        return self.runs(visitor) / name

    def own_run(self, visitor: str, name: str) -> RunFolder:
        """A run of the visitor's own.

        Raises:
            BotError: the visitor has no run of this name; others may have one.
        """
        run = RunFolder(self.run_path(visitor, name))
        if not run.record_file.is_file():
            raise BotError(_no_bot(name))
        return run

    def visible_run(self, visitor: str, name: str) -> RunAccess:
        """A run that a visitor may view and use.

        Raises:
            BotError: there is no such run, or this visitor may not view it.
        """
        foreign = _FOREIGN.fullmatch(name)
        if foreign is None:
            return RunAccess(self.own_run(visitor, name), mine=True)
        self.check_visitor(visitor)
        for owner, folder in self._others(visitor):
            if secrets.compare_digest(self._tag(owner), foreign["tag"]):
                run = RunFolder(folder / foreign["name"])
                if run.record_file.is_file() and run.record().state == "done":
                    return RunAccess(run, mine=False)
        raise BotError(_no_bot(name))

    def visible_runs(self, visitor: str) -> Iterator[tuple[str, RunAccess]]:
        """Name and run of each visible bot: the visitor's own, then others, each newest first."""
        for run in reversed(run_folder.list_runs(self.runs(visitor))):
            yield run.path.name, RunAccess(run, mine=True)
        for owner, folder in self._others(visitor):
            for run in reversed(run_folder.list_runs(folder)):
                yield f"{run.path.name}~{self._tag(owner)}", RunAccess(run, mine=False)

    def _others(self, visitor: str) -> Iterator[tuple[str, Path]]:
        """Owner id and runs folder of everyone else whose bots this visitor may view."""
        if self.settings.fleet is not None:
            yield _FLEET, runs_of(self.settings.fleet)
        if not (self.settings.shared and self.settings.share_gallery):
            return
        yield _SERVER, self.out
        for folder in sorted((self.home / "visitors").glob("*/runs")):
            if folder.parent.name != visitor and _VISITOR.fullmatch(folder.parent.name):
                yield folder.parent.name, folder

    def _tag(self, owner: str) -> str:
        return hashlib.sha256(self.secret() + owner.encode()).hexdigest()[:12]

    def client_tag(self, client: str) -> str:
        """What files hold in place of a client's address; empty for an empty one."""
        if not client:
            return ""
        return hashlib.blake2b(client.encode(), key=self.secret(), digest_size=8).hexdigest()

    def secret(self) -> bytes:
        """The server's 32-byte secret key, created on first use.

        A file that is too short, as after a full disk, would let everybody sign cookies; it is
        replaced, which logs all visitors out.
        """
        file = self.home / "secret"
        with files.wrap_os_errors(file):
            if (found := _read_secret(file)) is None:
                files.make_folder(self.home)
                handle, temporary = tempfile.mkstemp(
                    dir=self.home, prefix=".secret.", suffix=".tmp"
                )  # as 0600
                try:
                    with os.fdopen(handle, "wb") as opened:
                        opened.write(secrets.token_bytes(_SECRET_BYTES))
                        opened.flush()
                        os.fsync(opened.fileno())
                    if file.is_file():
                        Path(temporary).replace(file)
                    else:
                        with suppress(FileExistsError):  # of two servers the first one wins
                            os.link(temporary, file)
                    found = file.read_bytes()
                finally:
                    Path(temporary).unlink(missing_ok=True)
        return found

    # -- sources -------------------------------------------------------------------------------

    def sources(self, visitor: str, given: tuple[str, ...]) -> list[str | Path]:
        """Turn the sources of a request into what the pipeline reads.

        Raises:
            SourceError: a source is not the sample, a readable account or the visitor's upload.
        """
        return [self._source(visitor, source.strip()) for source in given]

    def _source(self, visitor: str, source: str) -> str | Path:
        if source == SAMPLE:
            return sample_path()
        if _ACCOUNT.fullmatch(source) and not Path(source[:200]).exists():
            if self.settings.shared and not _PUBLIC.fullmatch(source):
                raise SourceError(
                    f"Reading {source[:80]} needs the server owner's token. Use a Bluesky or "
                    "Mastodon account, or upload an archive of the account."
                )
            return source
        if (path := self.upload_file(visitor, source)) is not None:
            return path
        raise SourceError(
            f"There is no upload {Path(source).name[:80]!r}. Add the file again, or name an "
            "account such as bsky:NAME or mastodon:@NAME@SERVER."
        )

    def upload_file(self, visitor: str, source: str) -> Path | None:
        """The visitor's uploaded file that a source names by its id or path, or None."""
        folder, path = self.uploads(visitor), Path(source)
        if not is_upload(path, folder):
            return find_upload(folder, source)
        return path if path.is_file() and not path.is_symlink() else None

    def keep_upload(self, visitor: str, file: Path, name: str) -> Path:
        """Move a file into a visitor's uploads, under a safe name.

        Raises:
            InputError: the file is too large or of an unsupported kind.
            StorageError: there is no room for it.
        """
        with files.wrap_os_errors(Path(file.name)):
            size = file.stat().st_size
        with self.received.reserve(self.uploads(visitor), "", size) as arrivals:
            with arrivals.create(name) as target, file.open("rb") as opened:
                shutil.copyfileobj(opened, target)
            [kept] = arrivals.finish()
        file.unlink()
        return kept

    def without_paths(self, text: str) -> str:
        """Remove the server's folders from a text, keeping file names."""
        return re.sub(rf"{re.escape(str(self.out))}(/[^\s:;,'\"]+/|/)?", "", text)

    @contextmanager
    def redact_paths(self, visitor: str) -> Iterator[None]:
        """Remove the server's folders from error messages for a visitor, keeping file names."""
        self.check_visitor(visitor)
        try:
            yield
        except HuggingTweetsError as error:
            text = self.without_paths(str(error))
            if text == str(error):
                raise
            redacted = type(error)(text)
            vars(redacted).update(vars(error))  # such as the people of a chat
            raise redacted from error


def _read_secret(file: Path) -> bytes | None:
    """The secret in a file, which only its owner may read; None if it is missing or too short."""
    try:
        file.chmod(0o600)
        found = file.read_bytes()
    except FileNotFoundError:
        return None
    return found if len(found) >= _SECRET_BYTES else None


def _no_bot(name: str) -> str:
    return f"There is no bot {name[:100]!r}."
