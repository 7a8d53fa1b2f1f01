"""transformers' ``model.generate`` in fp32, asked for one token.

Asking for a single token favours it: with a streamer it would take the same step and more.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks.peers.generate import load, sample
from benchmarks.speed_process import run_task

if TYPE_CHECKING:
    from benchmarks.speed_process import Task, TaskResult


def measure(task: Task) -> TaskResult:
    """Time the first token after ``task["prompt"]``; the first round is a warm-up."""
    import torch

    model, tokenizer = load(task["base"], task["device"])
    seconds = []
    for _ in range(task["rounds"] + 1):
        started = time.perf_counter()
        ids = tokenizer(task["prompt"], add_special_tokens=False)["input_ids"]
        start = torch.tensor([[tokenizer.eos_token_id, *ids]], device=model.device)
        tokenizer.decode(sample(model, start, 1, 1)[0])
        seconds.append(time.perf_counter() - started)
    return {"warm_up_seconds": seconds[0], "seconds": seconds[1:]}


if __name__ == "__main__":
    run_task(measure)
