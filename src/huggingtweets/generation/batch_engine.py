"""Rows of different posts drawn together from one bot: many requests cost little more than one.

:class:`~huggingtweets.generation.writer.Writer` draws posts with one beginning. Here every row has
its own beginning, temperature, length and random numbers; rows join at any step and leave when they
end.

Rows are aligned at their newest token: shorter ones have empty places on the left, which attention
doesn't look at, and positions are counted from each row's own beginning. So a row's probabilities
are those it would have alone, up to rounding. Its random numbers depend on its request's seed and
its number there only, so the company it is in changes nothing.
"""

from __future__ import annotations

import inspect
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from huggingtweets.generation.writer import cut_at_word, is_long_enough

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch

    from huggingtweets.data import batching
    from huggingtweets.generation.writer import Sampling
    from huggingtweets.nn.language_model import LanguageModel

_LIKELIEST = 128
"""Tokens among which the nucleus is looked for first: a whole sort takes ten times as long."""
_EMPTY_COLUMNS = 8  # on the left of all rows before they are cut off
_ROOM = 32  # tokens by which a cache grows
_ENDED_SHARE = 0.1  # of the rows, that go on being computed in vain


@dataclass(eq=False, slots=True)
class Row:
    """A post under way.

    Attributes:
        start: the tokens it begins with, the separator first.
        sampling: how it is drawn; its seed is not looked at.
        chance: its own random numbers.
        owner: whatever the caller wants to find again.
        tokens: so far, without the separator.
        steps: tokens drawn.
        ended: nothing more is drawn.
    """

    start: batching.Row
    sampling: Sampling
    chance: random.Random
    owner: Any
    tokens: list[int] = field(default_factory=list)
    steps: int = 0
    ended: bool = False


def chance_of(seed: int, number: int) -> random.Random:
    """The random numbers of the ``number``-th row of a request."""
    return random.Random(f"{seed}/{number}")


def supports_batching(lm: LanguageModel) -> bool:
    """Whether rows of unlike length can be drawn together: every layer must attend to all tokens.

    Models with sliding windows or a running state can't leave out empty places in the same way.
    """
    config = lm.model.config.get_text_config()
    kinds = getattr(config, "layer_types", None)
    window = getattr(config, "sliding_window", None)
    whole = set(kinds) <= {"full_attention"} if kinds else not window
    takes = inspect.signature(lm.model.forward).parameters
    return whole and "position_ids" in takes and "attention_mask" in takes


class BatchEngine:
    """The rows of one bot.

    Args:
        lm: the bot; :func:`supports_batching` must say yes.
    """

    def __init__(self, lm: LanguageModel) -> None:
        self.lm = lm
        self.rows: list[Row] = []
        self._cache: Any = None
        self._logits: torch.Tensor  # (rows, vocabulary), of the next token
        self._seen: torch.Tensor  # (rows, time), 1 where there is a token
        self._place: torch.Tensor  # (rows,), position of the next token

    def add(self, rows: Sequence[Row]) -> None:
        """Let rows join; their beginnings are read at once."""
        import torch

        if not rows:
            return
        width = max(len(row.start) for row in rows)
        ids = torch.full((len(rows), width), self.lm.separator)
        seen = torch.zeros(len(rows), width, dtype=torch.long)
        for i, row in enumerate(rows):
            row.tokens = list(row.start[1:])
            ids[i, width - len(row.start) :] = torch.tensor(row.start)
            seen[i, width - len(row.start) :] = 1
        ids, seen = ids.to(self.lm.device), seen.to(self.lm.device)
        positions = (seen.cumsum(-1) - 1).clamp(min=0)
        cache = _new_cache()
        logits = self._forward(ids, seen, positions, cache)
        place = seen.sum(-1)
        if self.rows:
            self._logits = torch.cat([self._logits, logits])
            self._place = torch.cat([self._place, place])
            self._seen = _joined(self._seen, seen, dim=1)
            for mine, theirs in zip(self._cache.layers, cache.layers, strict=True):
                mine.join(theirs)
        else:
            self._logits, self._place, self._seen, self._cache = logits, place, seen, cache
        self.rows += rows

    def step(self) -> list[tuple[Row, str]]:
        """Draw a token of every row; returns those that ended, with their text."""
        tokens = draw(self._logits, self.rows)
        ended = []
        for row, token in zip(self.rows, tokens.tolist(), strict=True):
            if row.ended:
                continue
            row.steps += 1
            if token != self.lm.separator:
                row.tokens.append(token)
            if token == self.lm.separator or self._is_long_enough(row):
                row.ended = True
                ended.append((row, self._text(row)))
        going = self._going()
        if self._should_leave(len(going)):
            tokens = tokens[going]
            self._keep(going)
        if self.rows:
            self._read(tokens)
        return ended

    def drop(self, unwanted: Callable[[Row], bool]) -> None:
        """Let rows leave before they have ended."""
        for row in self.rows:
            row.ended = row.ended or unwanted(row)
        going = self._going()
        if self._should_leave(len(going)):
            if going:
                self._logits = self._logits[going]
            self._keep(going)

    def _going(self) -> list[int]:
        return [i for i, row in enumerate(self.rows) if not row.ended]

    def _should_leave(self, going: int) -> bool:
        """Whether it is time to take ended rows out: that copies the cache, so not for each one."""
        return bool(self.rows) and going <= (1 - _ENDED_SHARE) * len(self.rows)

    def _read(self, tokens: torch.Tensor) -> None:
        import torch

        new = torch.ones_like(self._seen[:, :1])
        self._seen = torch.cat([self._seen, new], dim=1)
        positions = self._place[:, None]
        self._logits = self._forward(tokens[:, None], self._seen, positions, self._cache)
        self._place = self._place + 1

    def _forward(
        self, ids: torch.Tensor, seen: torch.Tensor, positions: torch.Tensor, cache: object
    ) -> torch.Tensor:
        import torch

        with torch.inference_mode():
            out = self.lm.model(
                input_ids=ids,
                attention_mask=seen,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                **_LAST_ONLY if _takes_last_only(self.lm) else {},
            )
            return cast("torch.Tensor", out.logits)[:, -1].float()

    def _keep(self, going: list[int]) -> None:
        """Go on with these rows only."""
        import torch

        self.rows = [self.rows[i] for i in going]
        if not self.rows:
            self._cache = None  # the memory goes back
            return
        kept = torch.tensor(going, device=self.lm.device)
        self._seen, self._place = self._seen[kept], self._place[kept]
        empty = int(self._seen.argmax(dim=1).min())  # columns where no row has a token
        empty = empty if empty >= _EMPTY_COLUMNS else 0
        self._seen = self._seen[:, empty:]
        for layer in self._cache.layers:
            layer.keep(kept, empty)

    def _is_long_enough(self, row: Row) -> bool:
        most = row.sampling.max_chars
        return is_long_enough(self.lm, row.tokens, row.steps, most, self.lm.context)

    def _text(self, row: Row) -> str:
        prompt = len(self.lm.decode(row.start[1:]))
        return cut_at_word(self.lm.decode(row.tokens), row.sampling.max_chars, after=prompt)


_LAST_ONLY = {"logits_to_keep": 1}


def _takes_last_only(lm: LanguageModel) -> bool:
    return "logits_to_keep" in inspect.signature(lm.model.forward).parameters


def draw(logits: torch.Tensor, rows: Sequence[Row]) -> torch.Tensor:
    """Draw one token a row, as :func:`~huggingtweets.generation.writer.sample`, by its own chance.

    Args:
        logits: (rows, vocabulary).
        rows: how each is drawn.

    Returns:
        Token ids, (rows,).
    """
    import torch

    def column(values: list[float]) -> torch.Tensor:
        return torch.tensor(values, device=logits.device, dtype=torch.float64).float()[:, None]

    temperature = column([max(row.sampling.temperature, 1e-30) for row in rows])
    top_p = column([row.sampling.top_p for row in rows])
    chance = column([row.chance.random() for row in rows])
    likeliest, order = logits.topk(min(_LIKELIEST, logits.shape[-1]), dim=-1)
    # in place, as there may be four million numbers; unnormalised, the highest is 1
    mass = (logits - likeliest[:, :1]).div_(temperature).exp_()
    total = mass.sum(-1, keepdim=True)
    ordered = ((likeliest - likeliest[:, :1]) / temperature).exp() / total
    tokens = _from_nucleus(ordered, order, top_p, chance)
    wide = (ordered.sum(-1) < top_p[:, 0]).nonzero()[:, 0]  # where the nucleus is larger
    if len(wide):
        ordered, order = (mass[wide] / total[wide]).sort(dim=-1, descending=True)
        tokens[wide] = _from_nucleus(ordered, order, top_p[wide], chance[wide])
    return tokens


def _from_nucleus(
    ordered: torch.Tensor, order: torch.Tensor, top_p: torch.Tensor, chance: torch.Tensor
) -> torch.Tensor:
    """Draw from the likeliest tokens that together have ``top_p`` of the probability.

    Args:
        ordered: probabilities, the highest first, (rows, tokens).
        order: their tokens.
        top_p: (rows, 1).
        chance: a random number from 0 to 1 for each row, (rows, 1).
    """
    summed = ordered.cumsum(-1)
    # a token stays while the mass before it is under top_p, so the first always does
    inside = ordered.masked_fill(summed - ordered >= top_p, 0.0).cumsum(-1)
    at = (inside <= chance * inside[:, -1:]).sum(-1, keepdim=True)
    last = (inside < inside[:, -1:]).sum(-1, keepdim=True)  # of the nucleus, against rounding
    return order.gather(-1, at.minimum(last))[:, 0]


def _new_cache() -> Any:  # noqa: ANN401 - made with a class that needs transformers
    from transformers.cache_utils import DynamicCache

    cache = DynamicCache()
    cache.layer_class_to_replicate = _layer_class()
    return cache


def _joined(one: torch.Tensor, other: torch.Tensor, dim: int) -> torch.Tensor:
    """Rows of both, the shorter ones with zeros on the left of dimension ``dim``."""
    import torch

    length = max(one.shape[dim], other.shape[dim])

    def filled(tensor: torch.Tensor) -> torch.Tensor:
        missing = length - tensor.shape[dim]
        after = (0, 0) * (tensor.dim() - 1 - dim)
        return torch.nn.functional.pad(tensor, (*after, missing, 0)) if missing else tensor

    return torch.cat([filled(one), filled(other)])


_classes: list[type] = []


def _layer_class() -> type:
    """The class of a layer's cache; made on first use, as it needs transformers."""
    if _classes:
        return _classes[0]
    from transformers.cache_utils import DynamicLayer

    class Roomy(DynamicLayer):
        """Keys and values, (rows, heads, time, size), with room for some more tokens.

        transformers' own copies all of it for every token.
        """

        room: tuple[Any, Any] | None = None

        def update(self, key_states: Any, value_states: Any, *_: Any, **__: Any) -> Any:  # noqa: ANN401 - as in transformers
            if not self.is_initialized:
                self.lazy_initialization(key_states, value_states)
                self.keys, self.values, self.room = key_states, value_states, None
                return key_states, value_states
            assert self.keys is not None and self.values is not None  # noqa: S101
            length = self.keys.shape[-2]
            new = length + key_states.shape[-2]
            if self.room is None or self.room[0].shape[-2] < new:
                self.room = (_widened(self.keys, new), _widened(self.values, new))
            self.room[0][:, :, length:new] = key_states
            self.room[1][:, :, length:new] = value_states
            self.keys, self.values = self.room[0][:, :, :new], self.room[1][:, :, :new]
            return self.keys, self.values

        def join(self, other: Roomy) -> None:
            """Take the rows of another."""
            assert self.keys is not None and self.values is not None  # noqa: S101
            assert other.keys is not None and other.values is not None  # noqa: S101
            self.keys = _joined(self.keys, other.keys, dim=2)
            self.values = _joined(self.values, other.values, dim=2)
            self.room = None

        def keep(self, rows: Any, empty: int) -> None:  # noqa: ANN401
            """Go on with these rows, without ``empty`` places on the left."""
            assert self.keys is not None and self.values is not None  # noqa: S101
            length = self.keys.shape[-2] - empty
            keys, values = self.room or (self.keys, self.values)
            # with what room is left, so that it isn't copied again
            self.room = (keys[:, :, empty:][rows], values[:, :, empty:][rows])
            self.keys, self.values = self.room[0][:, :, :length], self.room[1][:, :, :length]

    _classes.append(Roomy)
    return Roomy


def _widened(tensor: torch.Tensor, length: int) -> torch.Tensor:
    rows, heads, now, size = tensor.shape
    wide = tensor.new_empty(rows, heads, length + _ROOM, size)
    wide[:, :, :now] = tensor
    return wide
