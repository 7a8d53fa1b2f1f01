"""Profile our training step: the seconds of each kind of operation."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.speed_process import run_task

from huggingtweets.data import batching
from huggingtweets.nn import devices, dropout, language_model, likelihood
from huggingtweets.training import RECIPES
from huggingtweets.training.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.speed_process import Task, TaskResult

    from huggingtweets.data.batching import Batch

KINDS: dict[str, tuple[str, ...]] = {
    "matrix products": ("aten::mm", "aten::addmm", "aten::addmm_", "aten::bmm", "aten::baddbmm"),
    "optimizer": ("aten::_fused_adamw_",),
    "clipping gradients": ("aten::linalg_vector_norm", "aten::_foreach_mul_", "aten::stack"),
    "dropout": ("aten::random_", "aten::bernoulli_", "aten::ge", "aten::where", "aten::div_"),
    "activations": ("aten::gelu", "aten::gelu_backward", "aten::silu", "aten::silu_backward"),
    "softmax and loss": (
        "aten::_log_softmax",
        "aten::exp",
        "aten::_softmax",
        "aten::_softmax_backward_data",
        "aten::gather",
        "aten::scatter_add_",
    ),
    "norms": (
        "aten::native_layer_norm",
        "aten::native_layer_norm_backward",
        "aten::rsqrt",
        "aten::mean",
    ),
    "filling and copying memory": (
        "aten::fill_",
        "aten::copy_",
        "aten::cat",
        "aten::index_select",
        "aten::embedding_dense_backward",
    ),
    "sums and scaling": (
        "aten::add",
        "aten::add_",
        "aten::mul",
        "aten::mul_",
        "aten::sum",
        "aten::sub_",
    ),
}
"""torch operations by purpose; all others are summed as ``the rest``."""


def measure(task: Task) -> TaskResult:
    """Return the seconds per step of each kind, and of a step without the profiler."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    devices.tune_allocator()
    torch.manual_seed(0)
    device = devices.select_device("cpu")
    base = language_model.load(task["base"], attention=RECIPES["fast"].attention("cpu"))
    recipe = RECIPES["fast"].for_base(base.width)
    dropout.replace_dropout(base.model)
    weights = Weights(base.model, device, recipe)
    posts = json.loads(Path(task["posts"]).read_text("utf-8"))["train"]
    batches = _batches(base, posts, padded=device.keeps_kernels)
    step = _train_step(weights)
    warm_up, steps = batches[:2], batches[2 : 2 + task["steps"]]
    for batch in warm_up:
        step(batch)
    seconds = _seconds(step, steps)
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        _seconds(step, steps)
    spent = {e.key: e.self_cpu_time_total / 1e6 / len(steps) for e in profiler.key_averages()}
    return {
        "kinds": by_kind(spent),
        "seconds": seconds / len(steps),
        "tokens": sum(batch.tokens for batch in steps) / len(steps),
        "parameters": base.parameters,
        "precision": device.precision,
        "matmul_flops": devices.matmul_flops(device),
        "cores": device.cores,
        "processor": device.processor,
    }


def by_kind(spent: dict[str, float]) -> dict[str, float]:
    """Sum the seconds of each operation by kind."""
    kinds = {kind: sum(spent.get(name, 0.0) for name in names) for kind, names in KINDS.items()}
    return kinds | {"the rest": sum(spent.values()) - sum(kinds.values())}


def _batches(base: language_model.LanguageModel, posts: list[str], *, padded: bool) -> list[Batch]:
    rows = batching.make_rows(base.encode_all(posts), base.separator, base.context)
    order = batching.epoch_order([[len(row) - 1 for row in rows]], 0, 0)
    budget, multiple = RECIPES["fast"].for_base(base.width).batch_tokens, batching.WIDTH_MULTIPLE
    groups = batching.batches_by_length(rows, order, budget, 0, 0, multiple=multiple)
    chosen = ([rows[i] for i in group] for group in groups)
    return [batching.training_batch(c, base.context, padded=padded) for c in chosen]


def _train_step(weights: Weights) -> Callable[[Batch], Any]:
    """Return the step that :func:`huggingtweets.training.fit` runs on a batch."""

    def step(batch: Batch) -> float:
        weights.model.train()
        loss = likelihood.negative_log_likelihood(weights.model, batch) / batch.tokens
        loss.backward()  # type: ignore[no-untyped-call]
        weights.update(1e-4)
        return loss.item()

    return step


def _seconds(step: Callable[[Batch], Any], batches: list[Batch]) -> float:
    started = time.perf_counter()
    for batch in batches:
        step(batch)
    return time.perf_counter() - started


if __name__ == "__main__":
    run_task(measure)
