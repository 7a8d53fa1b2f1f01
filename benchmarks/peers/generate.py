"""``model.generate`` of transformers in fp32, ten posts in one batch, sampled as our bots are."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from benchmarks.speed_process import answer

if TYPE_CHECKING:
    from benchmarks.speed_process import Answer, Task

# Bots' defaults; top_k is 50 by default in transformers, which would be another distribution.
SAMPLING = {"do_sample": True, "temperature": 0.7, "top_p": 0.9, "top_k": 0}


def measure(task: Task) -> Answer:
    """Posts of ``task["tokens"]`` tokens, so many rounds after one that warms up."""
    model, tokenizer = load(task["base"], task["device"])
    start = separator(tokenizer, model)
    seconds = []
    for _ in range(task["rounds"] + 1):
        started = time.perf_counter()
        ids = draw(model, start, task["tokens"], task["posts"])
        tokenizer.batch_decode(ids, skip_special_tokens=True)
        seconds.append(time.perf_counter() - started)
    return {"warm_up_seconds": seconds[0], "seconds": seconds[1:]}


def load(base: str, device: str) -> tuple[Any, Any]:
    """Model and tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True)
    model: Any = AutoModelForCausalLM.from_pretrained(
        base, dtype=torch.float32, local_files_only=True
    )
    return model.to(device).eval(), tokenizer


def separator(tokenizer: Any, model: Any) -> Any:  # noqa: ANN401 - of transformers
    """A batch of one row that holds the end-of-text token, which a post begins with."""
    import torch

    return torch.tensor([[tokenizer.eos_token_id]], device=model.device)


def draw(model: Any, start: Any, tokens: int, posts: int) -> Any:  # noqa: ANN401 - of transformers
    """Rows of token ids."""
    return model.generate(
        start,
        attention_mask=start.new_ones(start.shape),
        max_new_tokens=tokens,
        num_return_sequences=posts,
        **SAMPLING,
    )


if __name__ == "__main__":
    answer(measure)
