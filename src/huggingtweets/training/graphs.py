"""Whole training steps replayed as CUDA graphs.

A step of GPT-2 small over 512 tokens is some 800 kernels, most of which a GPU finishes sooner than
Python can launch the next. A graph launches all of them at once, from the loss to the update. It
holds for one shape of batch, so batches are padded to one of a few. All of a graph's memory but
what goes in and out is shared with the other graphs, as one runs at a time.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from huggingtweets.data import batching
from huggingtweets.data.batching import Batch
from huggingtweets.nn import attention, cross_entropy, likelihood

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import torch
    from transformers import PreTrainedModel

    from huggingtweets.data.batching import Row
    from huggingtweets.nn.devices import ComputeDevice
    from huggingtweets.training.recipe import Recipe
    from huggingtweets.training.weights import Weights

Shape = tuple[int, int]

_WIDTHS, _ROWS = 16, 4
"""What a batch's width and, over the usual number, its rows are multiples of."""

_WORTH_IT = 3
"""Times that a shape comes in a training from which on a graph of it pays."""


def usable(
    machine: ComputeDevice, recipe: Recipe, model: PreTrainedModel, *, compiled: bool
) -> bool:
    """Whether steps can be replayed: on CUDA, with models whose code is known to be fit for it."""
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
    """Rows and width that a batch of a shape is padded to.

    Args:
        shape: of the batch, rows and width.
        budget: positions in a batch at most, its own padding included.
        longest: the model's context.
    """
    rows, width = shape
    wide = max(width, min(-(-width // _WIDTHS) * _WIDTHS, longest))
    usual = max(1, budget // wide)
    return (usual if rows <= usual else -(-rows // _ROWS) * _ROWS), wide


def padded(batch: Batch, budget: int, longest: int) -> Batch:
    """The batch with positions that don't count on the right and below; see padded_shape."""
    import torch.nn.functional as F  # noqa: N812 - its usual name

    rows, width = batch.inputs.shape
    high, wide = padded_shape((rows, width), budget, longest)
    room = (0, wide - width, 0, high - rows)
    inputs, labels = batch.inputs, batch.labels
    return Batch(F.pad(inputs, room), F.pad(labels, room, value=batching.IGNORED), batch.tokens)


class CudaGraphStepper:
    """Takes training steps, those of shapes that come often as CUDA graphs.

    Args:
        weights: of the model, on a CUDA device.
        budget: positions in a batch at most.
        longest: the model's context.
        batches: of the whole training, to tell which shapes pay.
        say: is told where graphs don't work.
    """

    def __init__(
        self,
        weights: Weights,
        budget: int,
        longest: int,
        batches: Iterator[list[Row]],
        say: Callable[[str], None],
    ) -> None:
        import torch

        self.weights, self.budget, self.longest, self.say = weights, budget, longest, say
        shapes = ((len(rows), max(map(len, rows)) - 1) for rows in batches)
        self.expected = Counter(padded_shape(shape, budget, longest) for shape in shapes)
        self.seen: Counter[Shape] = Counter()
        self.works = True
        self.graphs: dict[Shape, tuple[torch.cuda.CUDAGraph, Batch]] = {}
        self.device = weights.model.device
        # what is launched anew and what is captured share a stream, as torch's docs want it
        self.stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        self.pool = torch.cuda.graph_pool_handle()
        # of no graph's memory: others write over that
        self.tokens = torch.ones((), device=self.device)
        self.loss = torch.zeros((), device=self.device)

    def step(self, batch: Batch, learning_rate: float) -> float:
        """Update the weights; returns the mean loss of the batch before that, in nats."""
        import torch

        batch = padded(batch, self.budget, self.longest)
        here = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(here)
        with torch.cuda.stream(self.stream):
            self.tokens.fill_(batch.tokens)
            self.weights.set_rate(learning_rate)
            self._launch(batch)
        here.wait_stream(self.stream)
        return self.loss.item()

    def _launch(self, batch: Batch) -> None:
        rows, width = batch.inputs.shape
        shape = (rows, width)
        self.seen[shape] += 1
        if self.works and self.seen[shape] > 1 and self.expected[shape] >= _WORTH_IT:
            if shape not in self.graphs:
                self._try_to_capture(shape)
            if shape in self.graphs:
                graph, static = self.graphs[shape]
                static.inputs.copy_(batch.inputs, non_blocking=True)
                static.labels.copy_(batch.labels, non_blocking=True)
                graph.replay()
                return
        self._compute(batch)  # whose tensors are moved where they are used

    def _compute(self, batch: Batch) -> None:
        """A whole step, launched or captured; nothing in it may wait for the device."""
        model = self.weights.model
        self.weights.layers.train()
        with attention.use_causal_attention(model, "cuda"):
            loss = likelihood.negative_log_likelihood(model, batch) / self.tokens
        loss.backward()  # type: ignore[no-untyped-call]
        self.loss.copy_(loss.detach())
        self.weights.apply()

    def _try_to_capture(self, shape: Shape) -> None:
        import torch

        generator = torch.cuda.default_generators[self.device.index or 0]
        before = generator.clone_state()
        try:
            self.graphs[shape] = self._capture(shape)
        except Exception as error:  # noqa: BLE001 - whatever it is, steps can be launched anew
            self.works = False
            self.graphs.clear()
            generator.graphsafe_set_state(before)  # may have been left in mid-capture
            self.weights.drop_gradients()
            why = (str(error).splitlines() or [""])[0]
            self.say(f"steps aren't replayed as CUDA graphs here: {why or type(error).__name__}")

    def _capture(self, shape: Shape) -> tuple[torch.cuda.CUDAGraph, Batch]:
        """A graph of a step, which isn't taken, and the tensors that it reads its batch from."""
        import torch

        inputs, labels = torch.zeros(2, *shape, dtype=torch.long, device=self.device).unbind()
        static = Batch(inputs, labels, 0)
        graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize(self.device)
        with self.weights.capturable():
            # torch.cuda.graph would empty the allocator's cache each time
            graph.capture_begin(pool=self.pool)
            try:
                self._compute(static)
            finally:
                graph.capture_end()
        return graph, static
