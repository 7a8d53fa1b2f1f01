"""One base for many bots: rows of different adapters in one batch.

A small bot is W' = W + scale * B A in some linear layers (:mod:`huggingtweets.nn.adapters`). Here
nothing is folded. A layer computes x W^T once for all rows, and adds x A^T B^T row by row, each row
with its own A and B, as in Punica (Chen et al. 2023, arXiv 2310.18547) and S-LoRA (Sheng et al.
2023, arXiv 2311.03285).

On a CPU the low-rank part is two weighted sums of table rows: x A^T is the sum of A's columns
weighted by x, and (x A^T) B^T that of B's rows. ``embedding_bag`` computes such sums with each
row's own indices into one table of all adapters, so nothing is gathered or copied. For 50 rows of
50 adapters of SmolLM2 (rank 16, bfloat16, one core of an EPYC with AVX-512) that takes 29 ms a
token beside 39 ms of the base's layers; batched products (``bmm``) take 62 to 88 ms and a loop over
the adapters 335 ms. An adapter with a dozen tokens in the batch is faster as two products.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import torch
from torch.nn.functional import embedding_bag

from huggingtweets.nn import adapters
from huggingtweets.nn.model_folder import UnusableModelError
from huggingtweets.nn.quantization import Fp16Linear, Int8Linear

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from transformers import PreTrainedModel

    from huggingtweets.nn.adapters import Adapter
    from huggingtweets.nn.language_model import LanguageModel

_TOKENS_FOR_PRODUCTS = 12
"""Tokens of one adapter in a batch from which two matrix products are faster than weighted sums."""

_ONE_INPUT = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
"""Layers beside each other that read the same input: their A are multiplied together."""


_SUMMING_DEVICES = ("cpu",)
"""Where weighted sums are faster than copying the matrices of a batch to multiply by them."""


class Slot:
    """A place for one adapter. It is free again as soon as nobody refers to this object.

    Attributes:
        number: of the place, from 0.
    """

    __slots__ = ("__weakref__", "number")

    def __init__(self, number: int, free: deque[int]) -> None:
        self.number = number
        weakref.finalize(self, free.append, number).atexit = False


class SharedBase:
    """A base and room for adapters beside it.

    Args:
        lm: the base; its linear layers are replaced in place. Any precision, 8 bits included.
        rank: largest rank of an adapter; those of a lower rank take as much room.
        slots: most adapters at a time. Memory is taken as adapters come.

    Attributes:
        lm: the base.
        slots: most adapters at a time.
        slot_bytes: memory of one adapter.
    """

    def __init__(self, lm: LanguageModel, rank: int, slots: int) -> None:
        self.lm, self.slots, self._rank = lm, slots, rank
        self.slot_bytes = adapter_bytes(lm, rank)
        self._free = deque(range(slots))
        self._most_used = 0
        self._active = _Active()
        room = _Room(rank, slots, next(lm.model.parameters()).dtype, lm.device)
        self._tables: dict[str, tuple[_Inputs, _Outputs]] = {}
        for names in _groups(lm.model):
            shapes = {name: _shape(lm.model.get_submodule(name)) for name in names}
            inputs = _Inputs(next(iter(shapes.values()))[1], len(names), room)
            for part, (name, (outputs, _)) in enumerate(shapes.items()):
                table = _Outputs(outputs, part, room)
                self._tables[name] = inputs, table
                layer = lm.model.get_submodule(name)
                lm.model.set_submodule(name, AdaptedLayer(layer, inputs, table, self._active))

    @property
    def nbytes(self) -> int:
        """Memory of all slots that were ever used; a free one keeps its memory for the next."""
        return self._most_used * self.slot_bytes

    @property
    def has_room(self) -> bool:
        """Whether a slot is free."""
        return bool(self._free)

    def add(self, adapter: Adapter) -> Slot | None:
        """Copy an adapter into a free slot; None if there is none.

        Raises:
            UnusableModelError: it doesn't fit the base, or has more than low-rank pairs.
        """
        self._check(adapter)
        try:
            slot = Slot(self._free.popleft(), self._free)
        except IndexError:
            return None
        self._most_used = max(self._most_used, slot.number + 1)
        for name, (inputs, outputs) in self._tables.items():
            pair = adapter.pairs.get(name)
            if pair is not None:
                inputs.write(slot.number, outputs.part, pair[0])
                outputs.write(slot.number, pair[1].float() * adapter.scale)
            else:  # memory that another adapter may have left
                inputs.clear(slot.number, outputs.part)
                outputs.clear(slot.number)
        return slot

    def model(self, slot: Slot) -> LanguageModel:
        """Return the bot of an adapter: a model like any other, which shares the base."""
        return replace(self.lm, model=cast("PreTrainedModel", AdaptedModel(self, slot)))

    @contextmanager
    def rows(self, slots: Sequence[Slot], length: int) -> Iterator[None]:
        """Let this thread's forward passes add the adapters of these slots.

        Args:
            slots: of each row of the batch.
            length: tokens of each row.
        """
        self._active.plan = _Plan([slot.number for slot in slots], length, self.lm.device)
        try:
            yield
        finally:
            self._active.plan = None

    def _check(self, adapter: Adapter) -> None:
        if adapter.full:
            raise UnusableModelError(
                "it replaces whole layers (train --adapter top), which can't share a batch; serve "
                "it by itself, or shrink it: huggingtweets shrink"
            )
        if adapter.rank > self._rank:
            raise UnusableModelError(f"its rank {adapter.rank} is over {self._rank}")
        for name, (a, b) in adapter.pairs.items():
            if name not in self._tables:
                raise UnusableModelError(f"its base {self.lm.source} has no linear layer {name}")
            inputs, outputs = self._tables[name]
            if (b.shape[0], a.shape[1]) != (outputs.size, inputs.size):
                raise UnusableModelError(
                    f"{name} is {b.shape[0]}x{a.shape[1]} in it, but {outputs.size}x{inputs.size} "
                    f"in its base {self.lm.source}"
                )


class AdaptedModel(torch.nn.Module):
    """One bot of a shared base, as a model of its own.

    Args:
        shared: the base.
        slot: of the bot's adapter.
    """

    def __init__(self, shared: SharedBase, slot: Slot) -> None:
        super().__init__()
        self.shared, self.slot = shared, slot
        self.base = cast("torch.nn.Module", shared.lm.model)
        self.config = shared.lm.model.config

    def get_output_embeddings(self) -> Any:  # noqa: ANN401 - transformers' own
        """The layer that makes the logits, which no adapter changes."""
        return self.shared.lm.model.get_output_embeddings()

    def forward(  # noqa: PLR0917 - transformers' own
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Any = None,  # noqa: ANN401 - transformers' caches share no typed base
        use_cache: bool = False,
        logits_to_keep: int = 0,
    ) -> Any:  # noqa: ANN401 - transformers' own
        """Compute as transformers' causal language models do; all rows are of this bot."""
        with self.shared.rows([self.slot] * input_ids.shape[0], input_ids.shape[1]):
            return self.base(
                input_ids=input_ids,
                attention_mask=attention_mask,
                position_ids=position_ids,
                past_key_values=past_key_values,
                use_cache=use_cache,
                logits_to_keep=logits_to_keep,
            )


def adapter_bytes(lm: LanguageModel, rank: int) -> int:
    """Return the memory of an adapter of all linear layers of a base in its precision."""
    names = [name for group in _groups(lm.model) for name in group]
    numbers = sum(rank * sum(_shape(lm.model.get_submodule(name))) for name in names)
    return numbers * next(lm.model.parameters()).element_size()


def shared_base(lm: LanguageModel) -> SharedBase | None:
    """Return the base that a bot shares with others, or None for a bot with its own weights."""
    model: object = lm.model
    return model.shared if isinstance(model, AdaptedModel) else None


def slot_of(lm: LanguageModel) -> Slot | None:
    """Return the slot of a bot's adapter, or None for a bot with its own weights."""
    model: object = lm.model
    return model.slot if isinstance(model, AdaptedModel) else None


class AdaptedLayer(torch.nn.Module):
    """A linear layer of the base that adds each row's adapter.

    Args:
        layer: the base's.
        inputs: table of A.
        outputs: table of B.
        active: which rows have which adapter.
    """

    def __init__(
        self, layer: torch.nn.Module, inputs: _Inputs, outputs: _Outputs, active: _Active
    ) -> None:
        super().__init__()
        self.layer = layer
        self._inputs, self._outputs, self._active = inputs, outputs, active

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the layer's outputs, (..., outputs), for inputs, (..., inputs)."""
        result: torch.Tensor = self.layer(x)
        plan = self._active.plan
        if plan is None or not self._outputs.is_used:
            return result
        low = plan.low(x, self._inputs)
        self._outputs.add_to(result.flatten(0, -2), low, plan)  # a view: layers' outputs are whole
        return result


class _Active(threading.local):
    """The rows of this thread's forward pass; several threads may compute with one base."""

    plan: _Plan | None = None


class _Plan:
    """Which tokens of a batch have which adapter. Made once for all layers.

    Args:
        slots: number of the slot of each row.
        length: tokens of each row.
        device: of the tables.

    Attributes:
        products: slots with many tokens, and which tokens those are.
        singles: the other tokens, or None if there are none.
    """

    def __init__(self, slots: Sequence[int], length: int, device: torch.device) -> None:
        rows: dict[int, list[int]] = {}
        for row, slot in enumerate(slots):
            rows.setdefault(slot, []).append(row)
        inner = torch.arange(length, device=device)

        def tokens(of: Sequence[int]) -> torch.Tensor | slice:
            if len(of) == len(slots):
                return slice(None)
            if of[-1] - of[0] == len(of) - 1:
                return slice(of[0] * length, (of[-1] + 1) * length)
            return (torch.tensor(of, device=device)[:, None] * length + inner).flatten()

        many = {slot for slot, of in rows.items() if len(of) * length >= _TOKENS_FOR_PRODUCTS}
        self.products = [(slot, tokens(rows[slot])) for slot in rows if slot in many]
        few = [row for row, slot in enumerate(slots) if slot not in many]
        self.singles = tokens(few) if few else None
        self._slots = torch.tensor([slots[row] for row in few], device=device, dtype=torch.int32)
        self._slots = self._slots.repeat_interleave(length)
        self._indices: dict[int, torch.Tensor] = {}
        self._low: dict[_Inputs, tuple[torch.Tensor, torch.Tensor]] = {}

    def multiply_singles(self, x: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        """Return x times the matrix of its slot for each single token.

        Args:
            x: (tokens, inputs).
            table: (slots, inputs, outputs).
        """
        if x.device.type not in _SUMMING_DEVICES:
            return torch.bmm(x[:, None], table[self._slots])[:, 0]
        size = table.shape[1]
        if size not in self._indices:
            inner = torch.arange(size, device=self._slots.device, dtype=torch.int32)
            self._indices[size] = self._slots[:, None] * size + inner
        # everything must be contiguous and of one type for the fast kernel
        return embedding_bag(
            self._indices[size],
            table.flatten(0, 1),
            per_sample_weights=x.contiguous(),
            mode="sum",
        )

    def low(self, x: torch.Tensor, inputs: _Inputs) -> torch.Tensor:
        """Return x A^T, (tokens, ranks of all layers with this input); computed once for them."""
        known = self._low.get(inputs)
        if known is not None and known[0] is x:
            return known[1]
        low = inputs.multiply(x.flatten(0, -2), self)
        self._low[inputs] = x, low
        return low


@dataclass(frozen=True, slots=True)
class _Room:
    """What all tables have in common."""

    rank: int
    slots: int
    dtype: torch.dtype
    device: torch.device

    def table(self, rows: int, size: int) -> torch.Tensor:
        """Return a table, (slots, rows, size). Pages that nothing is written to take no memory."""
        return torch.empty(self.slots, rows, size, dtype=self.dtype, device=self.device)


class _Inputs:
    """A of all adapters, for layers that read the same input: (slots, inputs, layers * rank)."""

    def __init__(self, size: int, parts: int, room: _Room) -> None:
        self.size, self._rank = size, room.rank
        self.weights = room.table(size, parts * room.rank)

    def write(self, slot: int, part: int, a: torch.Tensor) -> None:
        """Store A, (rank, inputs), of the layer ``part``."""
        place = self.weights[slot, :, part * self._rank : (part + 1) * self._rank]
        place[:, len(a) :] = 0
        place[:, : len(a)] = a.T

    def clear(self, slot: int, part: int) -> None:
        """Overwrite what is there, which might not be numbers."""
        self.weights[slot, :, part * self._rank : (part + 1) * self._rank] = 0

    def multiply(self, x: torch.Tensor, plan: _Plan) -> torch.Tensor:
        """Return x A^T for x, (tokens, inputs), each token with its own A."""
        if plan.singles is None and len(plan.products) == 1:
            return x @ self.weights[plan.products[0][0]]
        low = x.new_empty(len(x), self.weights.shape[-1])
        for slot, tokens in plan.products:
            low[tokens] = x[tokens] @ self.weights[slot]
        if plan.singles is not None:
            low[plan.singles] = plan.multiply_singles(x[plan.singles], self.weights)
        return low


class _Outputs:
    """B of all adapters for one layer: (slots, rank, outputs).

    Attributes:
        part: number of the layer among those with its input.
        is_used: whether any adapter ever changed this layer.
    """

    def __init__(self, size: int, part: int, room: _Room) -> None:
        self.size, self.part, self._rank = size, part, room.rank
        self.is_used = False
        self.weights = room.table(room.rank, size)

    def write(self, slot: int, b: torch.Tensor) -> None:
        """Store B, (outputs, rank)."""
        self.is_used = True
        self.weights[slot, b.shape[1] :] = 0
        self.weights[slot, : b.shape[1]] = b.T

    def clear(self, slot: int) -> None:
        """Let the adapter of a slot leave this layer as it is."""
        self.weights[slot] = 0

    def add_to(self, result: torch.Tensor, low: torch.Tensor, plan: _Plan) -> None:
        """Add low B^T to a layer's outputs, (tokens, outputs), in place."""
        low = low[:, self.part * self._rank : (self.part + 1) * self._rank]
        for slot, tokens in plan.products:
            if isinstance(tokens, slice):
                result[tokens].addmm_(low[tokens], self.weights[slot])
            else:
                result[tokens] += low[tokens] @ self.weights[slot]
        if plan.singles is None:
            return
        result[plan.singles] += plan.multiply_singles(low[plan.singles], self.weights)


def _groups(model: PreTrainedModel) -> Iterator[list[str]]:
    """Yield the names of the linear layers, those that read the same input together."""
    head = model.get_output_embeddings()
    found = {
        name: None for name, module in model.named_modules() if _is_linear(module, except_=head)
    }
    for name in found:
        parent, _, attribute = name.rpartition(".")
        alike = next((names for names in _ONE_INPUT if attribute in names), (attribute,))
        group = [f"{parent}.{other}" for other in alike if f"{parent}.{other}" in found]
        if name == group[0]:
            yield group


def _is_linear(module: torch.nn.Module, except_: object) -> bool:
    kinds = torch.nn.Linear, Int8Linear, Fp16Linear
    return (isinstance(module, kinds) or adapters.is_transposed(module)) and module is not except_


def _shape(module: torch.nn.Module) -> tuple[int, int]:
    """Outputs and inputs of a linear layer."""
    if isinstance(module, Int8Linear | Fp16Linear):
        return module.shape
    outputs, inputs = module.get_parameter("weight").shape
    return (inputs, outputs) if adapters.is_transposed(module) else (outputs, inputs)
