"""The bots that a server for programs serves, by name."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from huggingtweets.data.hashtags import place_in
from huggingtweets.errors import BotError, HuggingTweetsError, InputError
from huggingtweets.generation import bots
from huggingtweets.generation.completions import CompletionRequest, HandedOver, Part
from huggingtweets.privacy import opt_out
from huggingtweets.serving.batch_scheduler import BatchScheduler, Queued
from huggingtweets.serving.bot_cache import BotCache, CachedBot
from huggingtweets.serving.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from huggingtweets.generation.completions import Wanted
    from huggingtweets.generation.sampling import Sampling
    from huggingtweets.serving.batch_scheduler import Sink
    from huggingtweets.serving.fleet import Fleet
    from huggingtweets.storage.run_folder import RunFolder


class QueuedCompletions(CompletionRequest, Queued):
    """Completions of one prompt whose parts go to another thread."""


@dataclass(frozen=True, slots=True)
class _Served:
    """A bot as the user named it.

    Attributes:
        run: its run folder, whose bot is opened again after it was trained again.
        opened: the bot, if it has no run folder.
    """

    run: RunFolder | None
    opened: CachedBot | None


class BotNames:
    """The names of served bots.

    Attributes:
        created: the bots' names, each with the time it was made, in seconds since 1970.
        fleet: names of the bots that are counted together.
        warnings: of the bots, one sentence each.
        stopping: whether no new requests are taken.
        retried: orders that were sent to another replica because theirs ended.
    """

    def __init__(self) -> None:
        self.created: dict[str, int] = {}
        self.fleet: frozenset[str] = frozenset()
        self.warnings: list[str] = []
        self.stopping = False
        self.retried = 0
        self._names: dict[str, str] = {}  # by their names in lower case

    def add_name(self, name: str, created: int) -> None:
        """Add a bot.

        Raises:
            InputError: another has this name.
        """
        if name.casefold() in self._names:
            raise InputError(
                f"Two bots are named {name}, and clients choose them by name; rename a folder."
            )
        self._names[name.casefold()] = name
        self.created[name] = created

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
        names = list(self.created)
        if len(names) <= most:
            return ", ".join(names)
        return f"{len(names):,} bots, such as {', '.join(names[:3])} (GET /v1/models lists them)"

    def label(self, name: str) -> str:
        """Return the name under which a bot is counted: a fleet's bots are counted together."""
        return "fleet" if name in self.fleet else name


@dataclass(frozen=True)
class ServiceOptions:
    """What is served, and with how much memory; see :class:`CompletionService`.

    Attributes:
        bots: run folders, bot folders, Hub ids or built-in bases.
        fleet: a folder of small bots of one base, or None.
        memory_gb: memory for bots.
        to_others: whether other people can reach the server.
        precision: of the fleet, or None for the fastest.
    """

    bots: tuple[str, ...] = ()
    fleet: Path | None = None
    memory_gb: float = 2.0
    to_others: bool = False
    precision: str | None = None

    def open(self) -> CompletionService:
        """Open the bots.

        Raises:
            InputError: a bot can't be used.
        """
        from huggingtweets.serving.fleet import Fleet

        memory, to_others = self.memory_gb, self.to_others
        fleet = None
        if self.fleet:
            fleet = Fleet(self.fleet, memory * 1e9, to_others=to_others, precision=self.precision)
        return CompletionService(self.bots, memory_gb=memory, to_others=to_others, fleet=fleet)


@dataclass(frozen=True)
class Order:
    """Completions that a client wants of one bot.

    Attributes:
        name: of the bot.
        prompts: what posts begin with. Completions are numbered through all prompts.
        sampling: settings.
        wanted: how many completions of each prompt, and their limits.
        client: who asks; clients take turns.
        handed_over: what the client already has, by the number of the completion.
        hashtag: of the author that each post shall have; empty for none.
    """

    name: str
    prompts: tuple[str, ...]
    sampling: Sampling
    wanted: Wanted
    client: str = ""
    handed_over: Mapping[int, HandedOver] = field(default_factory=dict)
    hashtag: str = ""


class Asked(Protocol):
    """Completions of one prompt that are being written, here or elsewhere."""

    copies: int
    loops: int
    masked: int
    abandoned: bool

    @property
    def prompt_tokens(self) -> int:
        """Number of tokens of the prompt."""

    @property
    def shown_prompt(self) -> str:
        """The beginning of each post as its tokens say it."""

    def unfinished(self) -> list[Part]:
        """Return the ends of the completions that ran out of tries."""


class PartQueue:
    """A queue from the generation thread to the event loop; it is the sink of requests."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Part | HuggingTweetsError | None] = asyncio.Queue()

    def put(self, item: Part | HuggingTweetsError | None, /) -> None:
        """Take a part from another thread."""
        with suppress(RuntimeError):  # the server has stopped
            self._loop.call_soon_threadsafe(self._queue.put_nowait, item)

    async def of(self, asked: Sequence[Asked]) -> AsyncIterator[Part]:
        """Yield the parts of requests until the last one ends.

        Raises:
            HuggingTweetsError: a request failed.
        """
        ended = 0
        while ended < len(asked):
            item = await self._queue.get()
            if isinstance(item, HuggingTweetsError):
                raise item
            if item is not None:
                yield item
            else:
                ended += 1
        for request in asked:
            for part in request.unfinished():
                yield part


class CompletionService(BotNames):
    """Opens bots and lets them write for programs.

    Args:
        specs: run folders, bot folders, Hub ids or built-in bases.
        memory_gb: memory for the weights and copy indices of bots with a run folder. Those used
            longest ago are closed when it runs short, and opened again when they are asked for.
        to_others: whether other people can reach the server, so bots that are out of date may not
            be served.
        fleet: small bots that share one base and one batch; they have the memory for themselves.

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
        super().__init__()
        self._watchdog = Watchdog()
        self._scheduler = BatchScheduler(self._watchdog)
        self._cache = BotCache(memory_gb * 1e9)
        self._to_others = to_others
        self._bots: dict[str, _Served] = {}
        self._fleet = fleet
        if fleet:
            self.fleet = frozenset(fleet.members)
            for name, member in fleet.members.items():
                self.add_name(name, member.created)
        for spec in specs:
            self._add(spec)
        if fleet:
            self.warnings += fleet.warnings

    def _add(self, spec: str) -> None:
        run = bots.find_run(spec)
        name = run.path.absolute().name if run else _name_of(spec)
        made = run.record_file.stat().st_mtime if run else time.time()
        self.add_name(name, int(made))
        if run is None:
            opened = CachedBot((f"\0{name}", 0, 0), bots.open_bot(spec), 0)
            self._bots[name] = _Served(None, opened)
        else:
            self._bots[name] = _Served(run, None)
            opened = self._open(name)
        if opened.bot.warning:
            self.warnings.append(f"{name} is {opened.bot.warning}")

    @property
    def waiting(self) -> int:
        """Number of posts that wait for a place in a batch."""
        return self._scheduler.waiting

    def problem(self) -> str | None:
        """Return why no request can be answered now, or None."""
        return "stopping" if self.stopping else None

    def start(self) -> None:
        """Start the generation thread."""
        self._scheduler.start()

    def stop(self) -> None:
        """Stop it; what is unfinished ends with an error."""
        self.stopping = True
        self._scheduler.stop()

    def submit(self, order: Order, sink: Sink) -> Sequence[Asked]:
        """Queue completions, whose parts go to ``sink``; None comes after each prompt's last one.

        Args:
            order: what is wanted.
            sink: takes the parts, an error, or None.

        Returns:
            A request for each prompt that has not ended.

        Raises:
            BotError: there is no such bot.
            InputError: a prompt is too long, the author never used the hashtag, or the server is
                busy or stopping.
        """
        opened = self._open(order.name)
        if order.hashtag:
            order = self._with_hashtag(opened, order, sink)
        requests = []
        n, had = order.wanted.n, order.handed_over
        for number, prompt in enumerate(order.prompts):
            first = number * n
            if all(i in had and had[i].finish for i in range(first, first + n)):
                continue
            request = QueuedCompletions(
                opened.bot, prompt, order.sampling, order.wanted, first=first, client=order.client,
                handed_over=had,
            )  # fmt: skip
            request.bot, request.posts = opened, sink
            requests.append(request)
        for request in requests:
            try:
                self._scheduler.submit(request)
            except HuggingTweetsError:
                abandon(requests)
                raise
        return requests

    def _with_hashtag(self, opened: CachedBot, order: Order, sink: Sink) -> Order:
        """Hand over the beginnings of posts with a hashtag, which are then completed."""
        bot, n = opened.bot, order.wanted.n
        tag = bot.hashtags(2 if self._to_others else 1).find(order.hashtag)
        had = dict(order.handed_over)
        for number, prompt in enumerate(order.prompts):
            new = [i for i in range(number * n, number * n + n) if i not in had]
            if not new or place_in(prompt, tag.key):
                continue
            shown = CompletionRequest(bot, prompt, order.sampling, order.wanted).shown_prompt
            sampling = order.sampling
            if sampling.seed is not None:
                sampling = replace(sampling, seed=sampling.seed + number)
            starts = self._scheduler.tagged_beginnings(
                opened, prompt, len(new), sampling, client=order.client, hashtag=tag
            )
            for i, start in zip(new, starts, strict=True):
                fits = start.startswith(shown) and not (bot.index and bot.index.is_copy(start))
                text = start[len(shown) :] if fits else f"{' ' * bool(shown)}{tag.text}"
                part = Part(i, text, len(bot.model.encode(text)))
                had[i] = HandedOver() + part
                sink.put(part)
        return replace(order, handed_over=had, hashtag="")

    def _open(self, name: str) -> CachedBot:
        name = self.find(name)
        if self._fleet and name in self.fleet:
            return self._fleet.open(name)
        bot = self._bots[name]
        if bot.run is None:
            assert bot.opened is not None  # noqa: S101 - one of the two is set
            return bot.opened
        opt_out.check_run(bot.run.record())
        if self._to_others:
            bot.run.check_up_to_date()
        return self._cache.open(bot.run)


def abandon(requests: Iterable[Asked]) -> None:
    """Tell whoever writes these that nobody reads them any more."""
    for request in requests:
        request.abandoned = True


def _name_of(spec: str) -> str:
    path = Path(spec).expanduser()
    return path.absolute().name if path.exists() else spec
