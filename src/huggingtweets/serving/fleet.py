"""A folder of small bots of one base, opened on demand.

The base is in memory once. An adapter is read when its bot is asked for, with the bot's own copy
index, and dropped when others need the memory, the least recently used first. A bot that is
writing stays until it has finished.
"""

from __future__ import annotations

import gc
import json
import threading
import time
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from huggingtweets.errors import BotError, InputError
from huggingtweets.generation import bots
from huggingtweets.generation.bots import Bot
from huggingtweets.generation.copy_index import CopyIndex
from huggingtweets.nn import devices, language_model
from huggingtweets.nn.model_folder import UnusableModelError
from huggingtweets.privacy import masking, opt_out
from huggingtweets.serving.batch_scheduler import BusyError
from huggingtweets.serving.bot_cache import CachedBot, Key, index_bytes, key_of
from huggingtweets.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from huggingtweets.nn.adapters import Adapter
    from huggingtweets.nn.multi_adapter import SharedBase, Slot
    from huggingtweets.serving.schemas import Settings

_ADAPTERS_SHARE = 0.8
"""Of the memory for bots; copy indices have the rest."""

_DROPS_BEFORE_TRIM = 8

_WAIT_SECONDS = 20.0
"""How long a request waits while all adapters in memory are writing."""


@dataclass(frozen=True, slots=True)
class Member:
    """A bot of a fleet.

    Attributes:
        folder: with its adapter.
        run: its run folder, if there is one.
        base: what its base is called.
        rank: of its adapter.
        created: when it was made, in seconds since 1970.
    """

    folder: Path
    run: RunFolder | None
    base: str
    rank: int
    created: int


class Fleet:
    """The bots of a folder.

    Args:
        folder: of run folders or bot folders, or with such folders in ``authors/``.
        memory: bytes for the base, the adapters and the copy indices.
        to_others: whether other people are served, so bots that are out of date are refused.
        device: see :func:`huggingtweets.generation.bots.open_bot`.
        precision: likewise.

    Attributes:
        members: the bots by name, in order.
        warnings: folders that are not served, one sentence each.

    Raises:
        InputError: there are no small bots, or they have different bases.
        BaseModelError: the base can't be loaded.
    """

    def __init__(
        self,
        folder: Path,
        memory: float,
        *,
        to_others: bool = False,
        device: str | None = None,
        precision: str | None = None,
    ) -> None:
        self.warnings: list[str] = []
        self.members = dict(self._find(folder))
        if not self.members:
            raise InputError(
                f"{folder} has no small bots. Train some with: huggingtweets fleet train; or make "
                "one of a finished bot with: huggingtweets shrink"
            )
        self._base = _one_base(folder, self.members)
        self._memory, self._to_others = memory, to_others
        self._shared, self._digest = self._load_base(device, precision)
        self._open: OrderedDict[Key, CachedBot] = OrderedDict()
        self._alive: weakref.WeakValueDictionary[Key, CachedBot] = weakref.WeakValueDictionary()
        self._lock = threading.Lock()
        self._dropped = 0
        self._opening = [threading.Lock() for _ in range(16)]

    @property
    def in_memory(self) -> int:
        """Number of bots in memory."""
        return len(self._open)

    @property
    def size(self) -> int:
        """Estimated bytes of the base, the adapters and the copy indices."""
        from huggingtweets.nn.quantization import bytes_of_weights

        base = sum(bytes_of_weights(self._shared.lm.model).values())
        alive = list(self._alive.values())  # dropped ones that are still writing, too
        return base + self._shared.nbytes + sum(bot.overhead for bot in alive)

    def open(self, name: str) -> CachedBot:
        """Return a bot, read from disk unless it is in memory.

        Raises:
            BotError: it is damaged, has another base, is not there any more, or is out of date and
                others are served.
            OptedOutError: its author asked not to be imitated.
            BusyError: the memory is full of bots that are writing.
        """
        member = self.members[name]
        self._check_allowed(member)
        key = key_of(member.run) if member.run else _key_of_folder(member)
        with self._opening[hash(key) % len(self._opening)]:  # so that no bot is read twice
            bot = self._alive.get(key)
            if bot is None:

                def read() -> CachedBot:
                    return self._read(name, member, key)

                bot = member.run.read_steadily(read) if member.run else read()
            with self._lock:
                self._alive[key] = self._open[key] = bot
                self._open.move_to_end(key)
                self._evict_over_limit()
        return bot

    def name_of(self, run: RunFolder) -> str | None:
        """Return the name of the bot with this run folder, or None."""
        member = self.members.get(run.path.name)
        return run.path.name if member and member.run == run else None

    def _check_allowed(self, member: Member) -> None:
        if member.run is None:
            opt_out.check_card(member.folder)
            return
        opt_out.check_run(member.run.record())
        if self._to_others:
            member.run.check_up_to_date()

    def _read(self, name: str, member: Member, key: Key) -> CachedBot:
        from huggingtweets.nn import adapters

        try:
            adapter = adapters.read(member.folder)
            if adapter.base_digest and adapter.base_digest != self._digest:
                raise UnusableModelError(  # noqa: TRY301 - a reason like the others
                    f"it was made for other weights of {self._base} than those on this machine"
                )
            slot = self._place(adapter)
        except UnusableModelError as error:
            raise BotError(f"The bot {name} can't be used: {error}.") from error
        index = CopyIndex(bots.training_posts(member.run)) if member.run else None
        mask = masking.level_of(member.run.record().config) if member.run else "personal"
        warning = member.run.staleness_warning() if member.run else None
        bot = Bot(self._shared.model(slot), index, warning=warning, mask=mask)
        return CachedBot(key, bot, index_bytes(bot), base=(f"\0{self._base}", 0, 0))

    def _place(self, adapter: Adapter) -> Slot:
        """Copy an adapter into a free slot; drop other bots, or wait, until there is one."""
        deadline = time.monotonic() + _WAIT_SECONDS
        while True:
            with self._lock:
                slot = self._shared.add(adapter)
                while slot is None and self._open:
                    self._drop_oldest()
                    slot = self._shared.add(adapter)
            if slot is not None:
                return slot
            gc.collect()  # requests that were left unfinished contain reference cycles
            if self._shared.has_room:
                continue
            if time.monotonic() > deadline:
                raise BusyError(
                    f"The memory has room for {self._shared.slots} bots, and all are writing; try "
                    "again in a moment."
                )
            time.sleep(0.1)

    def _evict_over_limit(self) -> None:
        while self.size > self._memory and len(self._open) > 1:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        self._open.popitem(last=False)
        self._dropped += 1
        if self._dropped % _DROPS_BEFORE_TRIM == 0:
            devices.trim_heap()  # glibc keeps the freed pages of copy indices

    def _load_base(self, device: str | None, precision: str | None) -> tuple[SharedBase, str]:
        from huggingtweets.nn import multi_adapter, quantization

        machine = devices.select_device(device, precision)
        lm = language_model.load(self._base)
        digest = lm.digest()
        lm = lm.to(machine)
        if precision is None:
            lm = quantization.for_generation(lm)
        rank = max(member.rank for member in self.members.values())
        base_bytes = sum(quantization.bytes_of_weights(lm.model).values())
        room = _ADAPTERS_SHARE * (self._memory - base_bytes)
        slots = int(room // multi_adapter.adapter_bytes(lm, rank))
        return multi_adapter.SharedBase(lm, rank, max(1, min(slots, len(self.members)))), digest

    def _find(self, folder: Path) -> Iterator[tuple[str, Member]]:
        """Yield the bots of a folder by name."""
        if not folder.is_dir():
            raise InputError(f"There is no folder {folder}.")
        for path in sorted(runs_of(folder).iterdir()):
            run = RunFolder(path) if RunFolder(path).record_file.is_file() else None
            bot = run.bot if run else path
            if not path.is_dir() or path.name.startswith("."):
                continue
            try:
                found = _member(bot, run)
            except UnusableModelError as error:
                self.warnings.append(f"{path.name} is not served: {error}")
                continue
            if found is not None:
                yield path.name, found


def runs_of(folder: Path) -> Path:
    """Return where the run folders or bot folders of a fleet are."""
    authors = folder / "authors"
    return authors if authors.is_dir() else folder


def _member(folder: Path, run: RunFolder | None) -> Member | None:
    """Return the bot of a folder; None if there is none.

    Raises:
        UnusableModelError: it is a whole model, or damaged.
    """
    from huggingtweets.nn import adapters

    if not adapters.is_adapter(folder):
        if (folder / "config.json").is_file():
            raise UnusableModelError(
                "it is a whole model; make a small bot of it with: huggingtweets shrink"
            )
        return None
    try:
        config = json.loads((folder / adapters.CONFIG).read_text("utf-8"))
        base, rank = str(config["base_model_name_or_path"]), int(config["r"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UnusableModelError(f"its {adapters.CONFIG} is damaged") from error
    if not 1 <= rank <= adapters.MAX_RANK:
        raise UnusableModelError(f"its {adapters.CONFIG} has the rank {rank}")
    return Member(folder, run, base, rank, int((folder / adapters.CONFIG).stat().st_mtime))


def _one_base(folder: Path, members: dict[str, Member]) -> str:
    by_base = {member.base: name for name, member in reversed(members.items())}
    if len(by_base) > 1:
        (one, first), (other, second), *_ = sorted(by_base.items())
        raise InputError(
            f"The bots in {folder} have different bases ({first}: {one}, {second}: {other}), but a "
            "server keeps one base for all; put them into two folders and serve each by itself."
        )
    return next(iter(by_base))


def _key_of_folder(member: Member) -> Key:
    try:
        return str(member.folder), member.folder.stat().st_mtime_ns, 0
    except OSError as error:
        raise BotError(f"The bot folder {member.folder} is not there any more.") from error


def fleet_of(settings: Settings) -> Fleet | None:
    """Return the fleet that a server's settings name, if they do.

    Raises:
        InputError: it has no small bots, or they have different bases.
        BaseModelError: the base can't be loaded.
    """
    return Fleet(settings.fleet, settings.memory_gb * 1e9) if settings.fleet else None
