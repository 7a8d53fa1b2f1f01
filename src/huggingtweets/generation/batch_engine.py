"""Sample many posts together: a batch of rows costs little more than one row.

Every row has its own beginning, settings and random numbers. Rows join at any step and leave when
they end. They are aligned at their newest token: a shorter row is padded on the left, the padding
is masked, and positions count from the row's own beginning. A row's probabilities are therefore
those it has alone, up to rounding, and its random numbers depend only on its seed and its number.

Models with sliding windows or a recurrent state can't mask padding. Their rows must begin with the
same tokens, at the same step.

Rows of bots with one base (:mod:`huggingtweets.nn.multi_adapter`) share a batch too.
"""

from __future__ import annotations

import inspect
import random
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import torch

from huggingtweets.errors import BotError
from huggingtweets.generation.copy_index import ends_endlessly
from huggingtweets.nn import multi_adapter
from huggingtweets.nn.kv_cache import PreallocatedCacheLayer, cat_right_aligned, preallocate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from huggingtweets.data import batching
    from huggingtweets.generation.sampling import Sampling
    from huggingtweets.generation.token_rules import TokenRules
    from huggingtweets.nn.language_model import LanguageModel
    from huggingtweets.nn.multi_adapter import Slot

MAX_ROWS = 512
_CACHE_BYTES = 640e6  # keys and values of all rows
_TOKENS = 100  # of a long post
_LENGTH_CHECK_STEPS = 8
_NUCLEUS_TRIES = 8
"""Tokens sampled outside the nucleus before the vocabulary is sorted after all."""
_PADDING_COLUMNS = 8  # common to all rows before they are cut off
_ENDED_SHARE = 0.1  # of the rows, which are computed in vain until they are removed


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a row ends before its post does, and what is recorded of its tokens.

    Attributes:
        most_tokens: sampled tokens after which it ends.
        stops: texts before which it ends; never empty ones.
        stops_after: characters at its beginning in which ``stops`` aren't looked for.
        top: how many of the likeliest tokens to record beside each sampled one; None records none.
    """

    most_tokens: int | None = None
    stops: tuple[str, ...] = ()
    stops_after: int = 0
    top: int | None = None

    def stop_in(self, text: str) -> int | None:
        """Return where the first of ``stops`` begins in a text, or None."""
        found = [text.find(stop, self.stops_after) for stop in self.stops]
        return min((at for at in found if at >= 0), default=None)


_NO_LIMITS = Limits()

Ending = Literal["", "separator", "stop", "length"]
"""Why a row ended: the model ended the post, a text of ``stops``, or any length."""

Scores = tuple[tuple[int, float], ...]
"""The sampled token with its log-probability, then the likeliest ones. The probabilities are the
model's own, before temperature and nucleus."""


@dataclass(eq=False, slots=True)
class Row:
    """A post that is being written.

    Attributes:
        start: the tokens it begins with, the separator first.
        sampling: its settings; the seed is not used.
        rng: its own random numbers.
        owner: any object of the caller's.
        context: tokens read before ``start`` that are not part of the post.
        limits: that a program sets; posts for people have none.
        slot: of its bot's adapter, where bots share a base.
        rules: which tokens may come next; None allows all.
        tail: the end of its text, for ``rules``.
        tokens: the post so far, without the separator.
        steps: tokens sampled so far.
        ended: whether it is finished.
        ending: why it is.
        scores: of the sampled tokens, if they are recorded.
    """

    start: batching.Row
    sampling: Sampling
    rng: random.Random
    owner: Any
    context: Sequence[int] = ()
    limits: Limits = _NO_LIMITS
    slot: Slot | None = None
    rules: TokenRules | None = None
    tail: str = ""
    tokens: list[int] = field(default_factory=list)
    steps: int = 0
    ended: bool = False
    ending: Ending = ""
    scores: list[Scores] = field(default_factory=list)

    @property
    def beginning(self) -> tuple[int, ...]:
        """All tokens that are read before the first new one."""
        return (*self.context, *self.start)

    @property
    def temperature(self) -> float:
        """Temperature of the next token."""
        chosen = self.sampling.temperature
        return self.rules.temperature(chosen, self.tail) if self.rules else chosen


class DamagedBotError(BotError):
    """A bot's logits are not finite.

    Args:
        rows: of this bot.
    """

    def __init__(self, rows: Sequence[Row] = ()) -> None:
        super().__init__(
            "The bot's weights are damaged: its output is not a number. Train it again."
        )
        self.rows = rows


def row_rng(seed: int, number: int) -> random.Random:
    """Return the random numbers of row ``number`` of a request with this seed."""
    return random.Random(f"{seed}/{number}")


def rows_at_once(lm: LanguageModel) -> int:
    """Return how many rows a batch may have: those whose keys and values fit into 640 MB.

    Larger batches are faster: 200 posts in one batch take half the time of four batches.
    """
    a_token = sum(map(_bytes_of_a_token, getattr(lm.model, "models", [lm.model])))
    return max(1, min(MAX_ROWS, int(_CACHE_BYTES / (a_token * _TOKENS))))


def _bytes_of_a_token(model: Any) -> int:  # noqa: ANN401 - configurations share no typed base
    """Bytes of one token's keys and values in all layers."""
    config = model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    each = next(model.parameters()).element_size()
    return int(2 * config.num_hidden_layers * heads * size * each)


def supports_padding(lm: LanguageModel) -> bool:
    """Whether rows of different lengths can share a batch: every layer attends to all tokens."""
    config = lm.model.config.get_text_config()
    kinds = getattr(config, "layer_types", None)
    window = getattr(config, "sliding_window", None)
    whole = set(kinds) <= {"full_attention"} if kinds else not window
    takes = inspect.signature(lm.model.forward).parameters
    return whole and "position_ids" in takes and "attention_mask" in takes


class BatchEngine:
    """Rows of one model, or of bots that share a base.

    Args:
        lm: the model, or any of the bots.
    """

    def __init__(self, lm: LanguageModel) -> None:
        self._shared = multi_adapter.shared_base(lm)
        self.lm = lm = self._shared.lm if self._shared else lm
        self.rows: list[Row] = []
        self.supports_padding = supports_padding(lm)
        takes = inspect.signature(lm.model.forward).parameters
        self._last_only = {"logits_to_keep": 1} if "logits_to_keep" in takes else {}
        self._cache: Any = None
        self._logits: torch.Tensor  # (rows, vocabulary) of the next token
        self._mask: torch.Tensor  # (rows, time), 0 for padding
        self._position: torch.Tensor  # (rows,), of the next token

    def count_joinable(self, rows: Sequence[Row]) -> int:
        """Return how many of these rows, from the first on, can join now."""
        if self.supports_padding:
            return len(rows)
        if self.rows or not rows:
            return 0
        first = rows[0].beginning
        different = (i for i, row in enumerate(rows) if row.beginning != first)
        return next(different, len(rows))

    def add(self, rows: Sequence[Row]) -> None:
        """Let rows join. Each different beginning is read once."""
        if not rows:
            return
        for row in rows:
            row.tokens = list(row.start[1:])
            if row.rules:
                row.tail = row.rules.tail(self.lm.decode(row.tokens))
        beginnings = {(row.slot, row.beginning): row for row in rows}
        index = {beginning: i for i, beginning in enumerate(beginnings)}
        logits, cache, mask, position = self._read_beginnings(list(beginnings.values()))
        if len(beginnings) < len(rows):
            numbers = [index[row.slot, row.beginning] for row in rows]
            chosen = torch.tensor(numbers, device=self.lm.device)
            logits, mask, position = logits[chosen], mask[chosen], position[chosen]
            cache.batch_select_indices(chosen)
        preallocate(cache)
        if self.rows:
            self._logits = torch.cat([self._logits, logits])
            self._position = torch.cat([self._position, position])
            self._mask = cat_right_aligned(self._mask, mask, dim=1)
            for mine, theirs in zip(self._cache.layers, cache.layers, strict=True):
                mine.join(theirs)
        else:
            self._logits, self._cache, self._mask, self._position = logits, cache, mask, position
        self.rows += rows

    def step(self) -> list[tuple[Row, str]]:
        """Sample one token for every row and return the rows that ended, with their text.

        Raises:
            DamagedBotError: a bot's logits are not finite. No token was sampled.
        """
        self._check_finite()
        scores = _log_probabilities(self._logits, self.rows)
        self._restrict()
        tokens = sample(self._logits, self.rows)
        ended = []
        for row, token in zip(self.rows, tokens.tolist(), strict=True):
            if row.ended:
                continue
            row.steps += 1
            if token != self.lm.separator:
                row.tokens.append(token)
                if row.rules:
                    row.tail = row.rules.tail(row.tail, token)
                if row in scores:
                    row.scores.append(_scores(scores[row], token, row.limits.top))
            row.ending = "separator" if token == self.lm.separator else self._early_ending(row)
            if row.ending:
                row.ended = True
                ended.append((row, self._text(row)))
        running = self._running()
        if self._should_remove_ended(len(running)):
            tokens = tokens[running]
            self._keep(running)
        if self.rows:
            self._read_tokens(tokens)
        return ended

    def drop(self, unwanted: Callable[[Row], bool]) -> None:
        """Remove rows before they have ended."""
        for row in self.rows:
            row.ended = row.ended or unwanted(row)
        running = self._running()
        if self._should_remove_ended(len(running)):
            if running:
                self._logits = self._logits[running]
            self._keep(running)

    def _restrict(self) -> None:
        with torch.inference_mode():
            for logits, row in zip(self._logits, self.rows, strict=True):
                if row.rules and not row.ended:
                    row.rules.restrict(logits, row.tail)

    def _check_finite(self) -> None:
        """Find rows of damaged bots among those of others, before they spend random numbers.

        The rows of one model are checked where they are sampled, which is quicker.
        """
        if self._shared is None or (is_finite := self._logits.isfinite().all(-1)).all():
            return
        self._logits[~is_finite] = 0  # until they are removed
        checked = zip(self.rows, is_finite.tolist(), strict=True)
        if damaged := [row for row, fine in checked if not (fine or row.ended)]:
            raise DamagedBotError(damaged)

    def _read_beginnings(
        self, rows: Sequence[Row]
    ) -> tuple[torch.Tensor, Any, torch.Tensor, torch.Tensor]:
        """Logits, cache, mask and next position after the beginning of each row."""
        beginnings = [row.beginning for row in rows]
        width = max(map(len, beginnings))
        ids = torch.full((len(beginnings), width), self.lm.separator)
        mask = torch.zeros(len(beginnings), width, dtype=torch.long)
        for i, beginning in enumerate(beginnings):
            ids[i, width - len(beginning) :] = torch.tensor(beginning)
            mask[i, width - len(beginning) :] = 1
        ids, mask = ids.to(self.lm.device), mask.to(self.lm.device)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        logits, cache = self._forward(ids, mask, positions, None, rows)
        return logits, cache, mask, mask.sum(-1)

    def _read_tokens(self, tokens: torch.Tensor) -> None:
        self._mask = torch.cat([self._mask, torch.ones_like(self._mask[:, :1])], dim=1)
        positions = self._position[:, None]
        self._logits, self._cache = self._forward(
            tokens[:, None], self._mask, positions, self._cache, self.rows
        )
        self._position = self._position + 1

    def _forward(
        self,
        ids: torch.Tensor,
        mask: torch.Tensor,
        positions: torch.Tensor,
        cache: object,
        rows: Sequence[Row],
    ) -> tuple[torch.Tensor, Any]:
        """Logits of the next token, (rows, vocabulary) in fp32, and the cache."""
        padded = {} if mask.all() else {"attention_mask": mask, "position_ids": positions}
        with torch.inference_mode(), self._adapters(rows, ids.shape[1]):
            out = self.lm.model(
                input_ids=ids, past_key_values=cache, use_cache=True, **padded, **self._last_only
            )
            return out.logits[:, -1].float(), out.past_key_values

    def _adapters(self, rows: Sequence[Row], length: int) -> AbstractContextManager[None]:
        if self._shared is None:
            return nullcontext()
        return self._shared.rows([row.slot for row in rows if row.slot], length)

    def _running(self) -> list[int]:
        return [i for i, row in enumerate(self.rows) if not row.ended]

    def _should_remove_ended(self, running: int) -> bool:
        """Whether enough rows have ended. Removing copies the cache, so not for each one."""
        return bool(self.rows) and running <= (1 - _ENDED_SHARE) * len(self.rows)

    def _keep(self, running: list[int]) -> None:
        self.rows = [self.rows[i] for i in running]
        if not self.rows:
            self._cache = None  # the memory goes back
            return
        kept = torch.tensor(running, device=self.lm.device)
        self._mask, self._position = self._mask[kept], self._position[kept]
        padding = int(self._mask.argmax(dim=1).min())  # columns where no row has a token
        padding = padding if padding >= _PADDING_COLUMNS else 0
        self._mask = self._mask[:, padding:]
        for layer in self._cache.layers:
            if isinstance(layer, PreallocatedCacheLayer):
                layer.keep(kept, padding)
            else:
                layer.batch_select_indices(kept)

    def _early_ending(self, row: Row) -> Ending:
        """Whether a row reached a limit, the model's context, or its text the maximum length.

        A word that doesn't end, such as a number of a hundred digits, ends the row too. Decoding
        takes time, so the text is checked at every eighth token.
        """
        limits = row.limits
        text = ""
        if limits.stops:
            text = self.lm.decode(row.tokens)
            if limits.stop_in(text) is not None:
                return "stop"
        if len(row.context) + len(row.tokens) + 1 >= self.lm.context:
            return "length"
        if limits.most_tokens is not None and row.steps >= limits.most_tokens:
            return "length"
        if row.steps % _LENGTH_CHECK_STEPS:
            return ""
        text = text or self.lm.decode(row.tokens)
        if ends_endlessly(text) and not ends_endlessly(self.lm.decode(row.start[1:])):
            return "length"
        return "length" if len(text) > row.sampling.max_chars else ""

    def _text(self, row: Row) -> str:
        prompt = len(self.lm.decode(row.start[1:]))
        text = self.lm.decode(row.tokens)
        if row.ending == "stop":
            text = text[: row.limits.stop_in(text)]
        return cut_at_word(text, row.sampling.max_chars, after=prompt)


def _log_probabilities(logits: torch.Tensor, rows: Sequence[Row]) -> dict[Row, torch.Tensor]:
    """Log-probabilities of the next token, (vocabulary,), for the rows that record them."""
    wanted = [i for i, row in enumerate(rows) if row.limits.top is not None and not row.ended]
    if not wanted:
        return {}
    return dict(zip([rows[i] for i in wanted], logits[wanted].log_softmax(-1), strict=True))


def _scores(log_probabilities: torch.Tensor, token: int, top: int | None) -> Scores:
    best = log_probabilities.topk(min(top or 0, len(log_probabilities)))
    likeliest = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return (token, float(log_probabilities[token])), *likeliest


def sample(logits: torch.Tensor, rows: Sequence[Row]) -> torch.Tensor:
    """Sample one token a row with the row's temperature, nucleus and random numbers.

    Sampling again until a token is in the nucleus keeps the nucleus's proportions. It reads the
    vocabulary a few times, where sorting it takes as long as the rest of a small model's step.

    Args:
        logits: (rows, vocabulary) in fp32; overwritten.
        rows: one for each row of ``logits``.

    Returns:
        Token ids, (rows,).

    Raises:
        DamagedBotError: a logit is not finite.
    """

    def column(values: Sequence[float]) -> torch.Tensor:
        return torch.tensor(values, device=logits.device, dtype=torch.float64).float()[:, None]

    def chances(some: Sequence[Row]) -> torch.Tensor:
        return column([row.rng.random() for row in some])

    temperature = column([max(row.temperature, 1e-30) for row in rows])
    top_p = column([row.sampling.top_p for row in rows])
    # the highest becomes 0, so that a temperature near 0 gives no infinity
    below = logits - logits.amax(dim=-1, keepdim=True)
    probabilities = below.div_(temperature).softmax(dim=-1)
    tokens = _sample_from(probabilities, chances(rows))
    left = _outside_nucleus(probabilities, tokens, top_p).nonzero()[:, 0]
    for _ in range(_NUCLEUS_TRIES):
        if not len(left):
            return tokens
        again = probabilities[left]
        tokens[left] = _sample_from(again, chances([rows[i] for i in left.tolist()]))
        left = left[_outside_nucleus(again, tokens[left], top_p[left])]
    if len(left):
        nucleus = _nucleus(probabilities[left], top_p[left])
        tokens[left] = _sample_from(nucleus, chances([rows[i] for i in left.tolist()]))
    return tokens


def _sample_from(probabilities: torch.Tensor, chances: torch.Tensor) -> torch.Tensor:
    """Sample one token a row, (rows,), by where ``chances``, (rows, 1) from 0 to 1, fall."""
    summed = probabilities.cumsum(-1)
    whole = summed[:, -1:].contiguous()
    if not whole.isfinite().all():
        raise DamagedBotError
    at = torch.searchsorted(summed, chances * whole, right=True)
    last = torch.searchsorted(summed, whole)  # the last token with a probability, for rounding
    return at.minimum(last)[:, 0]


def _outside_nucleus(
    probabilities: torch.Tensor, tokens: torch.Tensor, top_p: torch.Tensor
) -> torch.Tensor:
    """Whether each token, (rows,), is outside its nucleus: likelier ones have ``top_p`` already."""
    own = probabilities.gather(1, tokens[:, None])
    # compared into numbers at once, as a mask would take several times as long
    likelier = torch.gt(probabilities, own, out=torch.empty_like(probabilities))
    mass = likelier.mul_(probabilities).sum(-1, keepdim=True)
    return ((mass >= top_p) & (top_p < 1))[:, 0]


def _nucleus(probabilities: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """Set the probability of all tokens outside the nucleus to 0; by sorting."""
    ordered, order = probabilities.sort(dim=-1, descending=True)
    # a token stays while the mass before it is under top_p, so the first always does
    outside = ordered.cumsum(-1) - ordered >= top_p
    return probabilities.scatter(-1, order, ordered.masked_fill(outside, 0.0))


def cut_at_word(text: str, max_chars: int, after: int = 0) -> str:
    """Cut a text after the last word that fits into ``max_chars``; a single longer word is cut.

    Words that begin in the first ``after`` characters, the prompt, always stay.
    """
    text = text.strip()
    if len(text) <= max_chars:
        return text
    head = text[:max_chars]
    if text[max_chars].isspace() or head[-1].isspace():
        return head.rstrip()
    words = head.rsplit(None, 1)
    return words[0] if len(words) > 1 and len(words[0]) > after else head
