"""The state of a server: its folder, its threads, and which runs a visitor may use."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from huggingtweets import pipeline
from huggingtweets.privacy import opt_out
from huggingtweets.serving.batch_scheduler import BatchScheduler
from huggingtweets.serving.bot_cache import BotCache
from huggingtweets.serving.bot_views import GallerySummaries
from huggingtweets.serving.explorations import Explorations
from huggingtweets.serving.fleet import fleet_of
from huggingtweets.serving.preview_turns import PreviewTurns
from huggingtweets.serving.quizzes import Quizzes
from huggingtweets.serving.rate_limit import RateLimit
from huggingtweets.serving.trainings import Trainings
from huggingtweets.serving.watchdog import Watchdog
from huggingtweets.serving.workspaces import Workspaces
from huggingtweets.storage import files

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from huggingtweets.serving.schemas import Settings, SourcePreview, TrainingRequest
    from huggingtweets.serving.workspaces import RunAccess
    from huggingtweets.storage.run_folder import RunFolder

_SECONDS_BETWEEN_CLEAN_UPS = 3600.0


class ServerState:
    """What a server keeps while it runs.

    Args:
        settings: of the server.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._workspaces = Workspaces(settings)
        self._watchdog = Watchdog()
        self._trainings = Trainings(settings, self._workspaces, self._watchdog)
        self.open_bots = BotCache(settings.memory_gb * 1e9, fleet_of(settings))
        self._scheduler = BatchScheduler(self._watchdog)
        self._quizzes = Quizzes(pipeline.add_human)
        self._rate = RateLimit(settings.requests_a_minute)
        self._previews: OrderedDict[tuple[str, TrainingRequest], SourcePreview] = OrderedDict()
        self._favourites_lock = threading.Lock()
        self._preview_turns = PreviewTurns(each=1 if settings.shared else None)
        self._explorations = Explorations(self._preview_turns)
        self._summaries = GallerySummaries()
        self._cleaned_up_at = 0.0

    def start(self) -> None:
        """Requeue unfinished trainings; start the worker processes and the batch scheduler.

        Raises:
            StorageError: another server uses the same folder.
        """
        home = self._workspaces.home
        with files.wrap_os_errors(home):
            files.make_folder(home)
            files.make_private(home)
        self._home_lock = files.locked(home)
        self._home_lock.__enter__()
        self._trainings.requeue_unfinished()
        self._clean_up()
        self._scheduler.start()
        self._trainings.start()

    def stop(self) -> None:
        """Stop the server. Running trainings are saved and continue at the next start."""
        self._trainings.stop()
        self._scheduler.stop()
        self._home_lock.__exit__(None, None, None)

    @property
    def home(self) -> Path:
        """``OUT/.app``, with the server's own files."""
        return self._workspaces.home

    def secret(self) -> bytes:
        """The server's permanent 32-byte key for signing cookies."""
        return self._workspaces.secret()

    def _usable_run(self, visitor: str, name: str) -> RunAccess:
        """A run that a visitor may use: opted-out authors are blocked, and out of date for others.

        Raises:
            BotError: there is no such run, or it is another visitor's and out of date.
            OptedOutError: an author asked not to be imitated.
        """
        access = self._workspaces.visible_run(visitor, name)
        with self._redact_paths(visitor):
            opt_out.check_run(access.run.record())
            if not access.mine:
                access.run.check_up_to_date()
        return access

    def _own_bot(self, visitor: str, name: str) -> RunFolder:
        """A run of the visitor's own whose authors didn't opt out."""
        self._workspaces.own_run(visitor, name)
        return self._usable_run(visitor, name).run

    def _clean_up(self) -> None:
        """Remove abandoned uploads and exports, at most once an hour."""
        now = time.monotonic()
        if self._cleaned_up_at and now - self._cleaned_up_at < _SECONDS_BETWEEN_CLEAN_UPS:
            return
        self._cleaned_up_at = now
        self._workspaces.received.clean_up(self._trainings.sources_in_use())

    def _redact_paths(self, visitor: str) -> AbstractContextManager[None]:
        return self._workspaces.redact_paths(visitor)
