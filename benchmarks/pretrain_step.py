"""Speed of a pre-training step with and without an optimisation, on the same weights and rows.

    python benchmarks/pretrain_step.py attention --data runs/base/work/data
    python benchmarks/pretrain_step.py eight-bit --data runs/base/work/data --steps 70

``attention`` compares blockwise attention with torch's fused kernel, in the machine's fastest
precision; ``eight-bit`` compares int8 matrix products with fp32. ``--data`` is the output of
``huggingtweets pretrain --encode-only``; its longest corpus is used. The table shows tokens per
second, the mean training loss, and the loss of held-out rows (in fp32 for both). The learning rate
falls linearly from ``--learning-rate`` to 0.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingtweets.nn import attention, devices, int8_training, language_model
from huggingtweets.pretraining import PRESETS
from huggingtweets.pretraining.optimizers import Optimizers

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    import torch

_MICRO_BATCH = {"fp32": 4, "bf16": 16}
"""Rows per forward pass, as in ``pretrain``."""

VARIANTS: dict[str, Callable[..., AbstractContextManager[None]]] = {
    "attention": lambda model, *, wanted: attention.use_causal_attention(
        model, "cpu", wanted=wanted
    ),
    "eight-bit": int8_training.int8_matmuls,
}
NAMES = {"attention": ("fused", "blockwise"), "eight-bit": ("fp32", "int8")}


def main() -> None:
    """Train both variants and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=sorted(VARIANTS))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--base", default=language_model.POCKET)
    parser.add_argument("--steps", type=int, default=70)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    chosen = parser.parse_args()
    if not list(chosen.data.glob("*.u16")):
        parser.error(f"{chosen.data} has no encoded corpora; create them with --encode-only")
    devices.tune_allocator()
    device = devices.select_device("cpu", "fp32" if chosen.what == "eight-bit" else None)
    variants = [_Variant(chosen.what, chosen.base, device, wanted=on) for on in (False, True)]
    preset = PRESETS["pocket"]
    batch_rows = preset.batch_tokens // preset.row
    rows = _rows(chosen.data, preset.row, (chosen.steps + 4) * batch_rows)
    for number in range(chosen.steps):
        batch = rows[number * batch_rows : (number + 1) * batch_rows]
        for variant in variants:
            variant.step(batch, chosen.learning_rate * (1 - number / chosen.steps))
    columns = (f"{chosen.what}, {device.precision}", "tokens/s", "training loss, nats per token")
    print(f"| {' | '.join(columns)} | loss of held-out rows |")
    print("|---|---:|---:|---:|")
    for variant, name in zip(variants, NAMES[chosen.what], strict=True):
        speed = preset.batch_tokens / statistics.median(variant.seconds)
        held_out = variant.held_out_loss(rows[chosen.steps * batch_rows :])
        print(f"| {name} | {speed:,.0f} | {statistics.mean(variant.losses):.4f} | {held_out:.4f} |")


class _Variant:
    """One of the two trainings."""

    def __init__(
        self, what: str, base: str, device: devices.ComputeDevice, *, wanted: bool
    ) -> None:
        import torch

        self.what, self.device = what, device
        self.model = copy.deepcopy(language_model.load(base).model).float().train()
        self.wanted = wanted
        self.optimizers = Optimizers(self.model, PRESETS["pocket"], device)
        self.loss = torch.compile(self._loss)
        self.losses: list[float] = []
        self.seconds: list[float] = []

    def step(self, rows: torch.Tensor, rate: float) -> None:
        """Train on one batch. Compiling takes one step, so it hardly changes the median."""
        import torch

        started = time.perf_counter()
        total = 0.0
        with VARIANTS[self.what](self.model, wanted=self.wanted):
            for part in torch.split(rows, _MICRO_BATCH[self.device.precision]):
                loss = self.loss(part[:, :-1], part[:, 1:]) * (len(part) / len(rows))
                loss.backward()
                total += float(loss.detach())
            self.optimizers.step(rate)
        self.losses.append(total)
        self.seconds.append(time.perf_counter() - started)

    def held_out_loss(self, rows: torch.Tensor) -> float:
        """Return the mean loss in fp32."""
        import torch

        self.model.eval()
        with torch.no_grad():
            parts = torch.split(rows, 8)
            return statistics.mean(float(self._loss(r[:, :-1], r[:, 1:])) for r in parts)

    def _loss(self, inputs: torch.Tensor, labels: torch.Tensor) -> Any:  # noqa: ANN401 - a scalar
        import torch
        import torch.nn.functional as F  # noqa: N812 - its usual name

        use_bf16 = self.model.training and self.device.precision == "bf16"
        with torch.autocast("cpu", torch.bfloat16, enabled=use_bf16):
            logits = self.model(input_ids=inputs, use_cache=False).logits
        return F.cross_entropy(logits.float().flatten(0, 1), labels.flatten())


def _rows(data: Path, length: int, count: int) -> torch.Tensor:
    """Return random rows of the longest corpus, shape ``(count, length + 1)``."""
    import numpy as np
    import torch

    file = max(data.glob("*.u16"), key=lambda path: path.stat().st_size)
    tokens = np.fromfile(file, dtype=np.uint16).astype(np.int64)
    rows = torch.from_numpy(tokens[: len(tokens) // (length + 1) * (length + 1)])
    rows = rows.view(-1, length + 1)
    return rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:count]]


if __name__ == "__main__":
    main()
