"""The bots that a server for programs serves, by name."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from huggingtweets.errors import BotError, HuggingTweetsError, InputError
from huggingtweets.generation import bots
from huggingtweets.generation.completions import CompletionRequest
from huggingtweets.privacy import opt_out
from huggingtweets.serving.batch_scheduler import BatchScheduler, Queued
from huggingtweets.serving.bot_cache import BotCache, CachedBot
from huggingtweets.serving.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from huggingtweets.generation.completions import Wanted
    from huggingtweets.generation.sampling import Sampling
    from huggingtweets.serving.batch_scheduler import Sink
    from huggingtweets.serving.fleet import Fleet
    from huggingtweets.storage.run_folder import RunFolder


class QueuedCompletions(CompletionRequest, Queued):
    """Completions of one prompt whose parts go to another thread."""


@dataclass(frozen=True, slots=True)
class _Served:
    """A bot as the user named it, or of the fleet, which knows more about it.

    Attributes:
        run: its run folder, whose bot is opened again after it was trained again.
        opened: the bot, if it has no run folder.
    """

    run: RunFolder | None
    opened: CachedBot | None
    created: int


class CompletionService:
    """Opens bots and lets them write for programs.

    Args:
        specs: run folders, bot folders, Hub ids or built-in bases.
        memory_gb: memory for the weights and copy indices of bots with a run folder. Those used
            longest ago are closed when it runs short, and opened again when they are asked for.
        to_others: whether other people can reach the server, so bots that are out of date may not
            be served.
        fleet: small bots that share one base and one batch; they have the memory for themselves.

    Attributes:
        warnings: of the bots, one sentence each.

    Raises:
        InputError: a bot doesn't exist, may not be used, or two have the same name.
    """

    def __init__(
        self,
        specs: Sequence[str],
        *,
        memory_gb: float = 2.0,
        to_others: bool = False,
        fleet: Fleet | None = None,
    ) -> None:
        self._watchdog = Watchdog()
        self._scheduler = BatchScheduler(self._watchdog)
        self._cache = BotCache(memory_gb * 1e9)
        self._to_others = to_others
        self._bots: dict[str, _Served] = {}
        self._names: dict[str, str] = {}  # by their names in lower case
        self._fleet = fleet
        self.warnings: list[str] = []
        self.stopping = False
        for name, member in fleet.members.items() if fleet else ():
            self._name(name)
            self._bots[name] = _Served(None, None, member.created)
        for spec in specs:
            self._add(spec)
        if fleet:
            self.warnings += fleet.warnings

    def _add(self, spec: str) -> None:
        run = bots.find_run(spec)
        name = run.path.absolute().name if run else _name_of(spec)
        self._name(name)
        if run is None:
            opened = CachedBot((f"\0{name}", 0, 0), bots.open_bot(spec), 0)
            self._bots[name] = _Served(None, opened, int(time.time()))
        else:
            self._bots[name] = _Served(run, None, int(run.record_file.stat().st_mtime))
            opened = self._open(name)
        if opened.bot.warning:
            self.warnings.append(f"{name} is {opened.bot.warning}")

    def _name(self, name: str) -> None:
        if name.casefold() in self._names:
            raise InputError(
                f"Two bots are named {name}, and clients choose them by name; rename a folder."
            )
        self._names[name.casefold()] = name

    @property
    def created(self) -> dict[str, int]:
        """The bots' names, each with the time it was made, in seconds since 1970."""
        return {name: bot.created for name, bot in self._bots.items()}

    @property
    def waiting(self) -> int:
        """Number of posts that wait for a place in a batch."""
        return self._scheduler.waiting

    def find(self, name: str) -> str:
        """Return the name of the bot that a client means; upper and lower case count as equal.

        Raises:
            BotError: there is no such bot.
        """
        found = self._names.get(name.casefold())
        if found is None:
            raise BotError(f"This server has no model {name[:100]!r}; it has {self.describe()}.")
        return found

    def describe(self, most: int = 20) -> str:
        """Return the bots' names for people; of many, the first ones and their number."""
        names = list(self._bots)
        if len(names) <= most:
            return ", ".join(names)
        return f"{len(names):,} bots, such as {', '.join(names[:3])} (GET /v1/models lists them)"

    def label(self, name: str) -> str:
        """Return the name under which a bot is counted: a fleet's bots are counted together."""
        return "fleet" if self._fleet and name in self._fleet.members else name

    def start(self) -> None:
        """Start the generation thread."""
        self._scheduler.start()

    def stop(self) -> None:
        """Stop it; what is unfinished ends with an error."""
        self.stopping = True
        self._scheduler.stop()

    def submit(
        self,
        name: str,
        prompts: Sequence[str],
        sampling: Sampling,
        wanted: Wanted,
        sink: Sink,
        *,
        client: str = "",
    ) -> list[QueuedCompletions]:
        """Queue completions, whose parts go to ``sink``; None comes after each prompt's last one.

        Args:
            name: of the bot.
            prompts: what posts begin with. Completions are numbered through all prompts.
            sampling: settings.
            wanted: how many completions of each prompt, and their limits.
            sink: takes the parts, an error, or None.
            client: who asks; clients take turns.

        Raises:
            BotError: there is no such bot.
            InputError: a prompt is too long, or the server is busy or stopping.
        """
        opened = self._open(name)
        requests = []
        for number, prompt in enumerate(prompts):
            request = QueuedCompletions(
                opened.bot, prompt, sampling, wanted, first=number * wanted.n, client=client
            )
            request.bot, request.posts = opened, sink
            requests.append(request)
        for request in requests:
            try:
                self._scheduler.submit(request)
            except HuggingTweetsError:
                abandon(requests)
                raise
        return requests

    def _open(self, name: str) -> CachedBot:
        name = self.find(name)
        if self._fleet and name in self._fleet.members:
            return self._fleet.open(name)
        bot = self._bots[name]
        if bot.run is None:
            assert bot.opened is not None  # noqa: S101 - one of the two is set
            return bot.opened
        opt_out.check_run(bot.run.record())
        if self._to_others:
            bot.run.check_up_to_date()
        return self._cache.open(bot.run)


def abandon(requests: Sequence[Queued]) -> None:
    """Tell the generation thread that nobody reads these any more."""
    for request in requests:
        request.abandoned = True


def _name_of(spec: str) -> str:
    path = Path(spec).expanduser()
    return path.absolute().name if path.exists() else spec
