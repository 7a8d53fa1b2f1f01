"""Pre-training in 8 bits and in fp32, the same weights on the same rows, step by step in turn.

    python benchmarks/eight_bit.py --data runs/base/work/data [--base BASE] [--steps 70]

``--data`` is what ``huggingtweets pretrain --encode-only`` made; its longest corpus is read.
Printed are tokens a second, the mean training loss, and the loss of rows that neither has seen, in
fp32 for both. The rate falls from ``--learning-rate`` to 0.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingtweets import machine, models
from huggingtweets.pretraining import PRESETS, eight_bit
from huggingtweets.pretraining.optimizers import Optimizers

if TYPE_CHECKING:
    import torch

_PART = 4
"""Rows computed at once: 1,024 tokens stay in the cache."""


def main() -> None:
    """Train both, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--base", default=models.POCKET)
    parser.add_argument("--steps", type=int, default=70)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    chosen = parser.parse_args()
    machine.tune_allocator()
    ways = [_Way(chosen.base, wanted=wanted) for wanted in (False, True)]
    preset = PRESETS["pocket"]
    step = preset.batch_tokens // preset.row
    rows = _rows(chosen.data, preset.row, (chosen.steps + 4) * step)
    for number in range(chosen.steps):
        some = rows[number * step : (number + 1) * step]
        for way in ways:
            way.step(some, chosen.learning_rate * (1 - number / chosen.steps))
    print("| products in | tokens/s | training loss, nats a token | loss of unseen rows |")
    print("|---|---:|---:|---:|")
    for way, name in zip(ways, ("fp32", "8 bits"), strict=True):
        speed = preset.batch_tokens / statistics.median(way.seconds)
        unseen = way.unseen(rows[chosen.steps * step :])
        print(f"| {name} | {speed:,.0f} | {statistics.mean(way.losses):.4f} | {unseen:.4f} |")


class _Way:
    """One of the two trainings."""

    def __init__(self, base: str, *, wanted: bool) -> None:
        import torch

        self.model = copy.deepcopy(models.load(base).model).float().train()
        self.wanted = wanted
        self.optimizers = Optimizers(self.model, PRESETS["pocket"], machine.choose_machine("cpu"))
        self.loss = torch.compile(self._loss)
        self.losses: list[float] = []
        self.seconds: list[float] = []

    def step(self, rows: torch.Tensor, rate: float) -> None:
        """Train on some rows; the seconds of compiling hardly move a median."""
        import torch

        started = time.perf_counter()
        total = 0.0
        with eight_bit.products(self.model, wanted=self.wanted):
            for part in torch.split(rows, _PART):
                loss = self.loss(part[:, :-1], part[:, 1:]) * (len(part) / len(rows))
                loss.backward()
                total += float(loss.detach())
            self.optimizers.step(rate)
        self.losses.append(total)
        self.seconds.append(time.perf_counter() - started)

    def unseen(self, rows: torch.Tensor) -> float:
        """Mean loss in fp32."""
        import torch

        self.model.eval()
        with torch.no_grad():
            parts = torch.split(rows, 8)
            return statistics.mean(float(self._loss(r[:, :-1], r[:, 1:])) for r in parts)

    def _loss(self, inputs: torch.Tensor, labels: torch.Tensor) -> Any:  # noqa: ANN401 - a scalar
        import torch.nn.functional as F  # noqa: N812 - its usual name

        logits = self.model(input_ids=inputs, use_cache=False).logits
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten())


def _rows(data: Path, length: int, count: int) -> torch.Tensor:
    """Some rows of the longest corpus, (count, length + 1)."""
    import numpy as np
    import torch

    file = max(data.glob("*.u16"), key=lambda one: one.stat().st_size)
    tokens = np.fromfile(file, dtype=np.uint16).astype(np.int64)
    rows = torch.from_numpy(tokens[: len(tokens) // (length + 1) * (length + 1)])
    rows = rows.view(-1, length + 1)
    return rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:count]]


if __name__ == "__main__":
    main()
