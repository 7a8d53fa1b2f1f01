"""A cache of open bots that closes the least recently used when memory runs short.

Bots share equal weights, such as layers of their base that were not trained, so another bot costs
only those that differ.
"""

from __future__ import annotations

import ctypes
import gc
import platform
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from huggingtweets.generation import bots
from huggingtweets.nn import bases

if TYPE_CHECKING:
    from collections.abc import Iterable

    import torch

    from huggingtweets.generation.bots import Bot
    from huggingtweets.nn.quantization import Fp16Linear
    from huggingtweets.serving.fleet import Fleet
    from huggingtweets.storage.run_folder import RunFolder

_INDEX_BYTES = 12
"""Memory of a copy index per character of its posts: the text, word ids and positions."""

Key = tuple[str, int, int]


@dataclass(frozen=True, eq=False)
class CachedBot:
    """An open bot and its memory use.

    Attributes:
        key: the run's path and the modification times of its weights and posts.
        bot: the open bot.
        overhead: estimated bytes in addition to its weights.
        base: of bots that share one, and so a batch; None for a bot with its own weights.
    """

    key: Key
    bot: Bot
    overhead: int
    base: Key | None = None

    @property
    def batch(self) -> Key:
        """What bots in one batch have in common."""
        return self.base or self.key

    def weights(self) -> Iterable[torch.Tensor]:
        """The bot's weights, except those in 8 or 16 bits."""
        return self.bot.model.model.parameters()

    def packed(self) -> Iterable[Fp16Linear]:
        """Layers with weights in 16 bits."""
        from huggingtweets.nn.quantization import Fp16Linear

        return (layer for layer in self.bot.model.model.modules() if isinstance(layer, Fp16Linear))


def blended(one: CachedBot, other: CachedBot, share: float) -> CachedBot:
    """Return a bot that mixes two open ones; it has no weights of its own and isn't cached.

    Raises:
        BotError: their tokenizers differ, or one of them can't be mixed.
    """
    name = f"{one.key[0]}\0{other.key[0]}\0{share:g}"
    key = (name, hash(one.key), hash(other.key))
    return CachedBot(key, one.bot.blended(other.bot, share), 0)


class BotCache:
    """An LRU cache of open bots.

    Args:
        memory: limit in estimated bytes of weights and copy indices. A single larger bot is still
            opened.
        fleet: small bots that share their base, with memory of their own.
    """

    def __init__(self, memory: float, fleet: Fleet | None = None) -> None:
        self._memory, self._fleet = memory, fleet
        self._open: OrderedDict[Key, CachedBot] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._open)

    @property
    def size(self) -> int:
        """Estimated bytes of all open bots; shared weights count once."""
        from huggingtweets.nn.quantization import bytes_of_weights

        weights: dict[int, int] = {}
        for bot in self._open.values():
            weights |= bytes_of_weights(bot.bot.model.model)
        return sum(weights.values()) + sum(bot.overhead for bot in self._open.values())

    def open(self, run: RunFolder) -> CachedBot:
        """The bot of a run, opened unless it is in the cache.

        Raises:
            BotError: the bot is missing or incomplete.
        """
        if self._fleet and (name := self._fleet.name_of(run)):
            return self._fleet.open(name)
        key = key_of(run)
        with self._lock:  # so that no bot is opened twice
            cached = self._open.get(key)
            if cached is None:
                self._close_stale(key)
                self._evict(incoming=_size_on_disk(run))
                bot = bots.open_bot(run.path)
                cached = CachedBot(key, bot, index_bytes(bot))
                _share_weights(cached, self._open.values())
                self._open[key] = cached
                self._evict(keep=1)  # it may be larger than its file
            self._open.move_to_end(key)
            return cached

    def close(self, run: RunFolder) -> None:
        """Close the bot of a run, which is about to be deleted."""
        with self._lock:
            self._close_stale(key_of(run))
            self._open.pop(key_of(run), None)

    def _close_stale(self, key: Key) -> None:
        """Close earlier versions of a bot that has been trained again."""
        for stale in [other for other in self._open if other[0] == key[0] and other != key]:
            del self._open[stale]

    def _evict(self, incoming: int = 0, keep: int = 0) -> None:
        """Close the least recently used bots until ``incoming`` more bytes fit."""
        before = len(self._open)
        while self.size + incoming > self._memory and len(self._open) > keep:
            self._open.popitem(last=False)
        if len(self._open) < before:
            _release_memory()


def key_of(run: RunFolder) -> Key:
    """Return what changes when a run's bot or posts are replaced."""

    def modified_at(path: str) -> int:
        try:
            return (run.path / path).stat().st_mtime_ns
        except OSError:
            return 0

    return str(run.path), modified_at("bot"), modified_at("data/kept.parquet")


def _size_on_disk(run: RunFolder) -> int:
    """Bytes of a bot's weights; of a small bot with those of its base, into which it is folded."""
    size = sum(file.stat().st_size for file in run.bot.glob("*.safetensors"))
    if not run.is_small:
        return size
    base = str(run.record().config["base"])
    if base in bases.BUILT_IN:
        return size + 2 * bases.named(base).parameters
    return size + sum(file.stat().st_size for file in Path(base).glob("*.safetensors"))


def index_bytes(bot: Bot) -> int:
    """Estimated bytes of a bot's copy index."""
    return _INDEX_BYTES * sum(map(len, bot.index.posts)) if bot.index else 0


def _share_weights(opened: CachedBot, others: Iterable[CachedBot]) -> None:
    """Replace weights by the equal ones of other bots."""
    import torch

    others = list(others)
    packed = {layer.fingerprint: layer for other in others for layer in other.packed()}
    for layer in opened.packed():
        if alike := packed.get(layer.fingerprint):
            layer.share(alike)

    candidates: dict[tuple[object, ...], torch.Tensor] = {}
    for other in others:
        candidates.update((_fingerprint(weight), weight) for weight in other.weights())
    for weight in opened.weights():
        candidate = candidates.get(_fingerprint(weight))
        if candidate is not None and torch.equal(candidate, weight):
            weight.data = candidate.data


def _fingerprint(weight: torch.Tensor) -> tuple[object, ...]:
    """A cheap key that is the same for equal tensors and rarely the same for others."""
    return weight.shape, weight.dtype, weight.device, tuple(weight.flatten()[:16].tolist())


def _release_memory() -> None:
    """Free closed bots: models contain reference cycles, and glibc keeps freed pages."""
    gc.collect()
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
