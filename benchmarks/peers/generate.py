"""transformers' ``model.generate`` in fp32: posts in one batch, with our bots' sampling."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from benchmarks.speed_process import run_task

if TYPE_CHECKING:
    from benchmarks.speed_process import Task, TaskResult

# Our bots' defaults. transformers' default top_k of 50 would change the distribution.
SAMPLING = {"do_sample": True, "temperature": 0.7, "top_p": 0.9, "top_k": 0}


def measure(task: Task) -> TaskResult:
    """Generate posts of ``task["tokens"]`` tokens; the first round is a warm-up."""
    model, tokenizer = load(task["base"], task["device"])
    start = separator(tokenizer, model)
    seconds = []
    for _ in range(task["rounds"] + 1):
        started = time.perf_counter()
        ids = sample(model, start, task["tokens"], task["posts"])
        tokenizer.batch_decode(ids, skip_special_tokens=True)
        seconds.append(time.perf_counter() - started)
    return {"warm_up_seconds": seconds[0], "seconds": seconds[1:]}


def load(base: str, device: str) -> tuple[Any, Any]:
    """Load the model and its tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True)
    model: Any = AutoModelForCausalLM.from_pretrained(
        base, dtype=torch.float32, local_files_only=True
    )
    return model.to(device).eval(), tokenizer


def separator(tokenizer: Any, model: Any) -> Any:  # noqa: ANN401 - of transformers
    """Return a batch of one row: the end-of-text token that a post begins with."""
    import torch

    return torch.tensor([[tokenizer.eos_token_id]], device=model.device)


def sample(model: Any, start: Any, tokens: int, posts: int) -> Any:  # noqa: ANN401 - of transformers
    """Return rows of sampled token ids."""
    return model.generate(
        start,
        attention_mask=start.new_ones(start.shape),
        max_new_tokens=tokens,
        num_return_sequences=posts,
        **SAMPLING,
    )


if __name__ == "__main__":
    run_task(measure)
