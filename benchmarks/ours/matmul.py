"""The hardware's side of training: how fast it multiplies matrices and does nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.speed_process import answer

from huggingtweets.nn import devices

if TYPE_CHECKING:
    from benchmarks.speed_process import Answer, Task


def measure(task: Task) -> Answer:
    """Operations a second in both precisions, and the one that a training takes."""
    where = devices.select_device(task["device"])
    rates = {
        precision: devices.matmul_flops(replace(where, precision=precision), task["size"])
        for precision in ("bf16", "fp32")
    }
    return {**rates, "precision": where.precision}


if __name__ == "__main__":
    answer(measure)
