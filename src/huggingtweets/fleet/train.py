"""Train a fleet: a bot for each author, on one worker or many.

    sources → read, curate, split (here) → train, measure (workers) → one page about all (here)

The folder is the state. A driver that is killed goes on where it was: finished authors stay, an
unfinished one continues from its checkpoint or starts again. The bots don't depend on the workers:
each has one thread and its own seed, and no setting is chosen by time.
"""

from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from huggingtweets.errors import HuggingTweetsError, InputError, Interrupted, StorageError
from huggingtweets.events import counted
from huggingtweets.fleet import page, pool
from huggingtweets.fleet.preparing import Preparation, finished
from huggingtweets.fleet.progress import Board, FleetProgress
from huggingtweets.fleet.settings import DEFAULT_OUT, FleetSettings
from huggingtweets.fleet.sources import FleetSource, read_sources
from huggingtweets.nn import language_model
from huggingtweets.pipeline import small_bots
from huggingtweets.storage import files
from huggingtweets.storage.fleets import FleetFolder
from huggingtweets.storage.run_folder import RunFolder
from huggingtweets.training import Interrupt, layers
from huggingtweets.workers import WorkerDied

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from huggingtweets.fleet.job import Answer
    from huggingtweets.fleet.pool import FleetWorkers
    from huggingtweets.fleet.progress import Tell

_MOST_DEATHS = 3  # of workers with one author
_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class FleetOptions:
    """Options of :func:`train`.

    Attributes:
        given: settings that the user chose, by the names of :class:`FleetSettings`; others are the
            fleet's, or the defaults of a new one.
        reading: options of reading for sources that a manifest says nothing about.
        workers: ``local`` for one on each core, ``local:N``, ``ray`` or ``ray://HOST:PORT``.
        out: folder of the fleet.
    """

    given: dict[str, Any] = field(default_factory=dict)
    reading: FleetSource | None = None
    workers: str = "local"
    out: Path = DEFAULT_OUT


def train(
    specs: Sequence[str | Path],
    options: FleetOptions | None = None,
    tell: Tell = lambda _progress, _line: None,
    interrupt: Interrupt | None = None,
) -> FleetProgress:
    """Make a fleet, or continue the one in ``options.out``.

    Args:
        specs: sources and manifests; empty to continue with those it has.
        options: options of the fleet.
        tell: called after each change.
        interrupt: handler of Ctrl-C.

    Returns:
        The state of every author; some may have failed.

    Raises:
        InputError: an option or manifest can't be used; nothing was written.
        TrainingError: the workers can't train.
        Interrupted: stopped by the user; the same call continues.
    """
    options, interrupt = options or FleetOptions(), interrupt or Interrupt()
    pool.check(options.workers)
    sources = read_sources(specs, options.reading)
    fleet = FleetFolder(options.out)
    settings = _settings(fleet, options, sources)
    base = language_model.load(settings.base)
    _check_base(fleet, settings, base)
    # before anything is written, as nobody may answer at the cluster's address
    workers, line = pool.open_workers(options.workers, fleet, settings, base.parameters)
    with closing(workers):
        _open(fleet, settings, base.digest(), sources)
        with files.locked(fleet.path), interrupt.watching():
            fleet.remove_unused()
            sources = [FleetSource(**values) for values in fleet.settings()["sources"]]
            board = Board(fleet, tell)
            session = _Session(fleet, board, interrupt, workers)
            board.progress.workers = workers.count
            board.tell(line, now=True)
            prepare = Preparation(fleet, settings, (base, base.digest()), board, interrupt).prepare
            try:
                prepare(sources)
                session.run()
                page.write(fleet, board.progress)
                board.progress.stage = "finished"
            except (Interrupted, KeyboardInterrupt) as error:
                raise Interrupted("Stopped.", fleet.path) from error
            finally:
                if board.progress.stage != "finished":
                    board.progress.stop()
                board.tell(now=True)
            return board.progress


def _settings(
    fleet: FleetFolder, options: FleetOptions, sources: Sequence[FleetSource]
) -> FleetSettings:
    """Return the settings of an existing or a new fleet.

    Raises:
        InputError: a new fleet has no source, or an option differs from the fleet's.
    """
    if not fleet.settings_file.is_file():
        if not sources:
            raise InputError(
                f"{fleet.path} has no fleet yet. Name the SOURCES of a new one, or a manifest."
            )
        if fleet.path.exists() and any(fleet.path.iterdir()):
            raise StorageError(f"{fleet.path} exists and is not a fleet. Choose another --out.")
        return FleetSettings(**options.given).resolved()
    saved = FleetSettings.from_json(fleet.settings())
    wanted = replace(saved, **options.given)
    wanted = replace(wanted.resolved(), device=wanted.device, precision=wanted.precision)
    changed = [name for name in options.given if getattr(wanted, name) != getattr(saved, name)]
    if changed:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in changed)
        raise InputError(
            f"{fleet.path} was started with another {names}. All bots of a fleet share them: leave "
            "them out to continue it, or choose another --out."
        )
    return saved


def _check_base(
    fleet: FleetFolder, settings: FleetSettings, base: language_model.LanguageModel
) -> None:
    """Raise an error if no author's bot could be trained from the base."""
    layers.check(base.model, settings.recipe.layers or 0)
    if settings.recipe.adapter != "none":
        small_bots.check_base(settings.base, base, settings.recipe)
    if fleet.settings_file.is_file() and fleet.settings().get("base_digest") != base.digest():
        raise InputError(
            f"The base of {fleet.path} has changed since it was started. Restore it, or choose "
            "another --out."
        )


def _open(
    fleet: FleetFolder, settings: FleetSettings, digest: str, sources: Sequence[FleetSource]
) -> None:
    """Create the folder, or add new sources to it."""
    if not fleet.settings_file.is_file():
        fleet.save_settings({"base_digest": digest, "sources": []} | settings.as_json())
    with fleet.updating_settings() as values:
        known = {FleetSource(**source).key for source in values["sources"]}
        values["sources"] += [asdict(s) for s in sources if s.key not in known]


class _Session:
    """Trains the prepared authors of a fleet on workers, the longest first."""

    def __init__(
        self,
        fleet: FleetFolder,
        board: Board,
        interrupt: Interrupt,
        workers: FleetWorkers,
    ) -> None:
        self.fleet, self.board = fleet, board
        self.interrupt, self.workers = interrupt, workers
        self.active: dict[Future[Answer], str] = {}

    def run(self) -> None:
        """Train until all are finished or have failed.

        Raises:
            Interrupted: stopped by the user.
            TrainingError: no worker can train.
        """
        progress = self.board.progress
        progress.stage = "training"
        # Largest first: a long training that starts last would leave the other cores idle.
        waiting = sorted(progress.in_state("waiting"), key=lambda a: (a.characters, a.name))
        while waiting or self.active:
            if self.interrupt.requested:
                raise Interrupted("Stopped.")
            progress.workers = self.workers.count
            while waiting and len(self.active) < self.workers.count:
                self._start(waiting.pop().name)
            done, _ = wait(self.active, _POLL_SECONDS, return_when=FIRST_COMPLETED)
            for future in done:
                self._handle(self.active.pop(future), future)
            self.board.tell()

    def _start(self, name: str) -> None:
        if self._was_removed(name):
            return
        author = self.board.progress.authors[name].author
        try:
            future = self.workers.submit(name, author)
        except (HuggingTweetsError, OSError) as error:
            self._fail(name, str(error))
            return
        self.active[future] = name
        self.board.update(name, state="running", started=time.time())

    def _handle(self, name: str, future: Future[Answer]) -> None:
        author = self.board.progress.authors[name]
        try:
            answer = future.result()
        except WorkerDied as error:
            attempts = author.attempts + 1
            if attempts >= _MOST_DEATHS:
                self._fail(name, f"{error}, {counted(attempts, 'time')}", attempts=attempts)
                return
            self.board.update(name, f"{author.author}: {error}; trying again", attempts=attempts)
            self._start(name)
        except InputError as error:  # the finished run can't be stored here
            self._fail(name, str(error))
        else:
            self._finish(name, answer)

    def _was_removed(self, name: str) -> bool:
        """Whether ``fleet forget`` or ``delete`` removed an author meanwhile."""
        if RunFolder(self.fleet.authors / name).record_file.is_file():
            return False
        self.board.remove(name)
        return True

    def _finish(self, name: str, answer: Answer) -> None:
        author = self.board.progress.authors[name]
        if answer["skipped"]:
            line = f"{author.author}: skipped"
            self.board.update(name, line, state="skipped", reason=answer["skipped"])
        elif answer["failed"]:
            self._fail(name, answer["failed"])
        elif not self._was_removed(name):
            run = RunFolder(self.fleet.authors / name)
            values = finished(run)
            bits, took = values["bits_per_byte"], values["seconds"]
            line = f"{author.author}: {bits:.3f} bits per byte, {took:,.0f} s"
            self.board.update(name, line, **values)

    def _fail(self, name: str, reason: str, **values: Any) -> None:  # noqa: ANN401 - fields
        author = self.board.progress.authors[name].author
        self.board.update(
            name, f"{author}: failed: {reason}", state="failed", reason=reason, **values
        )
