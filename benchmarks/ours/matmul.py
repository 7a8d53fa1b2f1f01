"""The hardware limit of training: the rate of matrix products alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.speed_process import run_task

from huggingtweets.nn import devices

if TYPE_CHECKING:
    from benchmarks.speed_process import Task, TaskResult


def measure(task: Task) -> TaskResult:
    """Return FLOP/s in bf16 and fp32, and the precision that training uses here."""
    device = devices.select_device(task["device"])
    rates = {
        precision: devices.matmul_flops(replace(device, precision=precision), task["size"])
        for precision in ("bf16", "fp32")
    }
    return {**rates, "precision": device.precision}


if __name__ == "__main__":
    run_task(measure)
