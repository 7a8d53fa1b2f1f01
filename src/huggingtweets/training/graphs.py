"""Whole training steps replayed as CUDA graphs.

A step of GPT-2 small over 512 tokens has about 800 kernels, most of which a GPU finishes before
Python can launch the next one. A graph launches all of them at once, from the loss to the update.
A graph fits one batch shape, so batches are padded to a few shapes. One graph runs at a time, so
all graphs share one memory pool; only their inputs and outputs are separate.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name

from huggingtweets.data import batching
from huggingtweets.data.batching import Batch
from huggingtweets.nn import attention, cross_entropy, likelihood

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from transformers import PreTrainedModel

    from huggingtweets.data.batching import Row
    from huggingtweets.nn.devices import ComputeDevice
    from huggingtweets.training.recipe import Recipe
    from huggingtweets.training.weights import Weights

Shape = tuple[int, int]

_WIDTH_MULTIPLE, _ROWS_MULTIPLE = 16, 4
"""A padded batch's width is a multiple of the first. If it has more rows than usual, their number
is a multiple of the second."""

_MIN_USES = 3
"""A shape that occurs less often in a training isn't captured."""


def usable(
    machine: ComputeDevice, recipe: Recipe, model: PreTrainedModel, *, compiled: bool
) -> bool:
    """Whether steps can be replayed: on CUDA, with model code that is known to support it."""
    config = model.config
    return (
        machine.device == "cuda"
        and recipe.rows == "posts"
        and not compiled
        and cross_entropy.has_plain_head(model)
        and config._attn_implementation == "sdpa"  # noqa: SLF001 - there is no public name
        and not getattr(config, "sliding_window", None)  # that would need a mask
    )


def padded_shape(shape: Sequence[int], budget: int, longest: int) -> Shape:
    """Padded (rows, width) of a batch.

    Args:
        shape: the batch's rows and width.
        budget: maximum positions in a batch, including padding to its longest row.
        longest: the model's context.
    """
    rows, width = shape
    padded_width = batching.padded_width(width, _WIDTH_MULTIPLE, longest)
    usual_rows = max(1, budget // padded_width)
    if rows > usual_rows:
        usual_rows = batching.round_up(rows, _ROWS_MULTIPLE)
    return usual_rows, padded_width


def padded(batch: Batch, budget: int, longest: int) -> Batch:
    """Pad a batch on the right and at the bottom with positions that don't count.

    See :func:`padded_shape`.
    """
    rows, width = batch.inputs.shape
    padded_rows, padded_width = padded_shape((rows, width), budget, longest)
    padding = (0, padded_width - width, 0, padded_rows - rows)
    labels = F.pad(batch.labels, padding, value=batching.IGNORED)
    return Batch(F.pad(batch.inputs, padding), labels, batch.tokens)


class CudaGraphStepper:
    """Takes training steps and replays frequent batch shapes as CUDA graphs.

    Args:
        weights: the model's weights, on a CUDA device.
        budget: maximum positions in a batch.
        longest: the model's context.
        batches: batches of the whole training, to count their shapes.
        say: called with a message if graphs don't work.
    """

    def __init__(
        self,
        weights: Weights,
        budget: int,
        longest: int,
        batches: Iterator[list[Row]],
        say: Callable[[str], None],
    ) -> None:
        self.weights, self.budget, self.longest, self.say = weights, budget, longest, say
        shapes = ((len(rows), max(map(len, rows)) - 1) for rows in batches)
        self.total_uses = Counter(padded_shape(shape, budget, longest) for shape in shapes)
        self.uses: Counter[Shape] = Counter()
        self.enabled = True
        self.graphs: dict[Shape, tuple[torch.cuda.CUDAGraph, Batch]] = {}
        self.device = weights.model.device
        # launched and captured steps share a stream, as torch's documentation requires
        self.stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        self.pool = torch.cuda.graph_pool_handle()
        # outside the pool, whose memory other graphs overwrite
        self.tokens = torch.ones((), device=self.device)
        self.loss = torch.zeros((), device=self.device)

    def step(self, batch: Batch, learning_rate: float) -> float:
        """Update the weights and return the batch's mean loss before the update, in nats."""
        batch = padded(batch, self.budget, self.longest)
        current = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            self.tokens.fill_(batch.tokens)
            self.weights.set_rate(learning_rate)
            self._replay_or_compute(batch)
        current.wait_stream(self.stream)
        return self.loss.item()

    def _replay_or_compute(self, batch: Batch) -> None:
        rows, width = batch.inputs.shape
        shape = (rows, width)
        self.uses[shape] += 1
        if self.enabled and self.uses[shape] > 1 and self.total_uses[shape] >= _MIN_USES:
            if shape not in self.graphs:
                self._try_to_capture(shape)
            if shape in self.graphs:
                graph, static = self.graphs[shape]
                static.inputs.copy_(batch.inputs, non_blocking=True)
                static.labels.copy_(batch.labels, non_blocking=True)
                graph.replay()
                return
        self._compute(batch)  # the model's code moves the tensors to the device

    def _compute(self, batch: Batch) -> None:
        """Run a whole step, launched or captured; nothing in it may wait for the device."""
        model = self.weights.model
        self.weights.layers.train()
        with attention.use_causal_attention(model, "cuda"):
            loss = likelihood.negative_log_likelihood(model, batch) / self.tokens
        loss.backward()  # type: ignore[no-untyped-call]
        self.loss.copy_(loss.detach())
        self.weights.apply()

    def _try_to_capture(self, shape: Shape) -> None:
        generator = torch.cuda.default_generators[self.device.index or 0]
        before = generator.clone_state()
        try:
            self.graphs[shape] = self._capture(shape)
        except Exception as error:  # noqa: BLE001 - after any error, steps can be launched
            self.enabled = False
            self.graphs.clear()
            generator.graphsafe_set_state(before)  # the capture may have stopped halfway
            self.weights.drop_gradients()
            reason = (str(error).splitlines() or [""])[0] or type(error).__name__
            self.say(f"CUDA graphs are disabled because capturing a step failed: {reason}")

    def _capture(self, shape: Shape) -> tuple[torch.cuda.CUDAGraph, Batch]:
        """Capture a step without running it; return the graph and its input tensors."""
        inputs, labels = torch.zeros(2, *shape, dtype=torch.long, device=self.device).unbind()
        static = Batch(inputs, labels, 0)
        graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize(self.device)
        with self.weights.capturable():
            # torch.cuda.graph would empty the allocator's cache for every graph
            graph.capture_begin(pool=self.pool)
            try:
                self._compute(static)
            finally:
                graph.capture_end()
        return graph, static
