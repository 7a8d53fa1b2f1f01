"""Read the sources of a fleet and make a prepared run folder of each author."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from huggingtweets.errors import HuggingTweetsError, InputError, Interrupted, OptedOutError
from huggingtweets.events import counted
from huggingtweets.fleet.sources import by_author
from huggingtweets.pipeline import preparing
from huggingtweets.privacy import opt_out
from huggingtweets.storage import run_folder
from huggingtweets.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from huggingtweets.fleet.progress import Board
    from huggingtweets.fleet.settings import FleetSettings
    from huggingtweets.fleet.sources import FleetSource
    from huggingtweets.nn import language_model
    from huggingtweets.sources import CountLeftOut
    from huggingtweets.storage.fleets import FleetFolder
    from huggingtweets.training import Interrupt


def author_hash(author: str) -> str:
    """Return how ``fleet.json`` remembers a forgotten author without the name."""
    name = author.removeprefix("@").casefold()
    return hashlib.sha256(name.encode(errors="replace")).hexdigest()


@dataclass
class Preparation:
    """Prepares the runs of a fleet.

    Attributes:
        fleet: the folder.
        settings: of all bots.
        base: the loaded base and its digest.
        board: gets the state of every author.
        interrupt: handler of Ctrl-C.
    """

    fleet: FleetFolder
    settings: FleetSettings
    base: tuple[language_model.LanguageModel, str]
    board: Board
    interrupt: Interrupt

    def prepare(self, sources: Sequence[FleetSource]) -> None:
        """Prepare every author of the sources who has no run folder yet.

        Raises:
            Interrupted: stopped by the user.
        """
        values = self.fleet.settings()
        read: dict[str, dict[str, str]] = values.get("read", {})
        forgotten = set(values.get("forgotten", ()))
        for source in sources:
            self.board.update(source.label)
        for source in sources:
            if self.interrupt.requested:
                raise Interrupted("Stopped.")
            known = read.get(source.key)
            if known and all(self._is_prepared(name) for name in known.values()):
                self.board.remove(source.label)
                for author, name in known.items():
                    self._show(author, name)
                continue
            if source.author and author_hash(source.author) in forgotten:
                self._skip_forgotten(source.label)
                continue
            if (names := self._read(source, forgotten)) is not None:
                with self.fleet.updating_settings() as saved:
                    saved.setdefault("read", {})[source.key] = names

    def _is_prepared(self, name: str) -> bool:
        return RunFolder(self.fleet.authors / name).record_file.is_file()

    def _read(self, source: FleetSource, forgotten: set[str]) -> dict[str, str] | None:
        """Prepare a source's authors; return their run folders, None to read it again next time."""
        try:
            posts, read = source.read(lambda: self.interrupt.requested)
        except Interrupted:
            raise
        except OptedOutError as error:
            self.board.update(
                source.label, f"{source.label}: skipped", state="skipped", reason=str(error)
            )
            return None
        except HuggingTweetsError as error:
            self._fail(source.label, source.label, str(error))
            return None
        self.board.remove(source.label)
        names, is_complete = {}, True
        for author, table in by_author(posts).items():
            if isinstance(table, OptedOutError):
                self.board.update(author, f"{author}: skipped", state="skipped", reason=str(table))
                is_complete = False
            elif author_hash(author) in forgotten:
                self._skip_forgotten(author)
                is_complete = False
            elif (name := self._prepare(source, author, table, read)) is not None:
                names[author] = name
            else:
                is_complete = False
        return names if is_complete else None

    def _prepare(
        self, source: FleetSource, author: str, posts: pl.DataFrame, read: CountLeftOut
    ) -> str | None:
        """Make an author's run folder unless it is there; None if that fails."""
        name = self._name(author)
        run = RunFolder(self.fleet.authors / name)
        try:
            if not run.record_file.is_file():
                options = self.settings.train_options(source, author, name, self.fleet.authors)
                preparing.prepare(
                    source.source, posts, options, self.base, read=read, newest=self.settings.posts
                )
            elif run.record().config["sources"] != [source.source]:
                raise InputError(
                    f"{author} is in this fleet already, from {run.record().config['sources'][0]}. "
                    "An author has one bot: join the files, or take one out."
                )
        except HuggingTweetsError as error:
            self._fail(
                f"{author} in {source.source}" if run.path.exists() else author, author, str(error)
            )
            return None
        self._show(author, name)
        return name

    def _name(self, author: str) -> str:
        """Return the name of an author's run folder; authors with equal names get a suffix."""
        name = run_folder.folder_name([author])
        run = RunFolder(self.fleet.authors / name)
        with_hash = f"{name[:70]}-{author_hash(author)[:6]}"
        if (self.fleet.authors / with_hash).exists():
            return with_hash
        is_others = run.record_file.is_file() and author not in run.record().authors
        return with_hash if is_others else name

    def _show(self, author: str, name: str) -> None:
        """Show a prepared or finished author."""
        run = RunFolder(self.fleet.authors / name)
        record = run.record()
        try:
            opt_out.check_run(record)
        except OptedOutError as error:
            line = f"{author}: skipped"
            shown = {"author": record.shown(author), "name": name, "reason": str(error)}
            self.board.update(name, line, state="skipped", **shown)
            return
        train = run.table("kept").filter(split="train")["text"]
        values: dict[str, Any] = {"posts": len(train)}
        values["characters"] = int(train.str.len_chars().sum())
        if record.state == "done" and not record.forgotten:
            values |= finished(run)
        line = f"{author}: {counted(len(train), 'post')}" if record.state != "done" else ""
        self.board.update(name, line, author=record.shown(author), name=name, **values)

    def _skip_forgotten(self, author: str) -> None:
        reason = "It was removed with fleet forget; make its bot in another fleet if you want it."
        self.board.update(author, f"{author}: skipped", state="skipped", reason=reason)

    def _fail(self, key: str, author: str, reason: str) -> None:
        self.board.update(
            key, f"{author}: failed: {reason}", author=author, state="failed", reason=reason
        )


def finished(run: RunFolder) -> dict[str, Any]:
    """Return what is shown of a finished author."""
    record = run.record()
    return {
        "state": "done",
        "reason": "",
        "bits_per_byte": run.held_out_bits_per_byte(),
        "seconds": round(sum(record.seconds.values()), 1),
    }
