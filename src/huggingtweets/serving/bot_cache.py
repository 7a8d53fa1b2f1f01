"""Bots that are open: the least recently used are closed when memory runs short.

Weights that two of them have alike, such as layers of their base that weren't trained, are held
once: an opened bot costs what differs.
"""

from __future__ import annotations

import ctypes
import gc
import platform
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from huggingtweets.generation import bots

if TYPE_CHECKING:
    from collections.abc import Iterable

    import torch

    from huggingtweets.generation.bots import Bot
    from huggingtweets.storage.run_folder import RunFolder

_INDEX_BYTES = 12
"""That a character of the posts takes in an index: its text, its words' numbers and places."""

Key = tuple[str, int, int]


@dataclass(frozen=True, eq=False)
class CachedBot:
    """A bot, and what it takes.

    Attributes:
        key: the run's path, and when its weights and posts were written.
        bot: ready to write.
        rest: bytes beside its weights, as estimated.
    """

    key: Key
    bot: Bot
    rest: int

    def weights(self) -> Iterable[torch.Tensor]:
        """Its weights, those in 8 bits left out."""
        return self.bot.model.model.parameters()


class BotCache:
    """At most so many bytes of bots.

    Args:
        memory: bytes of weights and indices, as estimated; a single larger bot is open alone.
    """

    def __init__(self, memory: float) -> None:
        self._memory = memory
        self._open: OrderedDict[Key, CachedBot] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._open)

    @property
    def size(self) -> int:
        """Bytes that all of them take, as estimated; weights in the same memory count once."""
        held = {w.data_ptr(): w.nbytes for one in self._open.values() for w in one.weights()}
        return sum(held.values()) + sum(one.rest for one in self._open.values())

    def open(self, run: RunFolder) -> CachedBot:
        """The bot of a run, opened if it isn't open.

        Raises:
            BotError: there is none yet, or not a whole one.
        """
        key = _key(run)
        with self._lock:  # one is opened after the other, each only once
            found = self._open.get(key)
            if found is None:
                self._close_older(key)
                self._make_room(coming=_on_disk(run))
                bot = bots.open_bot(run.path)
                found = CachedBot(key, bot, _rest(bot, _on_disk(run)))
                _share(found, self._open.values())
                self._open[key] = found
                self._make_room(keep=1)  # it may be larger than its file
            self._open.move_to_end(key)
            return found

    def close(self, run: RunFolder) -> None:
        """Forget a bot, as it is changed or deleted."""
        with self._lock:
            self._close_older(_key(run))
            self._open.pop(_key(run), None)

    def _close_older(self, key: Key) -> None:
        """Forget what the same run held before it was trained again."""
        for old in [one for one in self._open if one[0] == key[0] and one != key]:
            del self._open[old]

    def _make_room(self, coming: int = 0, keep: int = 0) -> None:
        """Close the least recently used until there is room for so many bytes more."""
        before = len(self._open)
        while self.size + coming > self._memory and len(self._open) > keep:
            self._open.popitem(last=False)
        if len(self._open) < before:
            _give_back()


def _key(run: RunFolder) -> Key:
    def written(path: str) -> int:
        try:
            return (run.path / path).stat().st_mtime_ns
        except OSError:
            return 0

    return str(run.path), written("bot"), written("data/kept.parquet")


def _on_disk(run: RunFolder) -> int:
    return sum(file.stat().st_size for file in run.bot.glob("*.safetensors"))


def _rest(bot: Bot, on_disk: int) -> int:
    """Bytes of the index, and of weights in 8 bits, which can't be counted: those on disk."""
    weights = sum(w.nbytes for w in bot.model.model.parameters())
    posts = bot.index.posts if bot.index else ()
    return max(0, on_disk - weights) + _INDEX_BYTES * sum(map(len, posts))


def _share(opened: CachedBot, others: Iterable[CachedBot]) -> None:
    """Put weights that another bot has just alike into its memory."""
    import torch

    known: dict[tuple[object, ...], torch.Tensor] = {}
    for other in others:
        known.update((_looks(weight), weight) for weight in other.weights())
    for weight in opened.weights():
        alike = known.get(_looks(weight))
        if alike is not None and torch.equal(alike, weight):
            weight.data = alike.data


def _looks(weight: torch.Tensor) -> tuple[object, ...]:
    """What weights that are alike have in common, and others hardly ever."""
    return weight.shape, weight.dtype, weight.device, tuple(weight.flatten()[:16].tolist())


def _give_back() -> None:
    """Give back what closed bots leave: models hold themselves in cycles, glibc holds pages."""
    gc.collect()
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
