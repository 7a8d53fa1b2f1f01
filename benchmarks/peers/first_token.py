"""``model.generate`` of transformers in fp32, asked for one token.

With a streamer it would have to wait for the same step; asking for a single token spares it that.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks.peers.generate import draw, load
from benchmarks.speed_process import answer

if TYPE_CHECKING:
    from benchmarks.speed_process import Answer, Task


def measure(task: Task) -> Answer:
    """Seconds to the first token after ``task["prompt"]``, so many rounds after a first one."""
    import torch

    model, tokenizer = load(task["base"], task["device"])
    seconds = []
    for _ in range(task["rounds"] + 1):
        started = time.perf_counter()
        ids = tokenizer(task["prompt"], add_special_tokens=False)["input_ids"]
        start = torch.tensor([[tokenizer.eos_token_id, *ids]], device=model.device)
        tokenizer.decode(draw(model, start, 1, 1)[0])
        seconds.append(time.perf_counter() - started)
    return {"warm_up_seconds": seconds[0], "seconds": seconds[1:]}


if __name__ == "__main__":
    answer(measure)
