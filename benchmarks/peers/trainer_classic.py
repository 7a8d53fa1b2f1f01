"""The original HuggingTweets recipe on ``transformers.Trainer``, as its notebook had it.

All posts are shuffled anew for each of 4 epochs, joined by the end-of-text token and cut into
blocks of the model's context, 1,024 at most; one block a step, fp32, learning rate 1.37e-4 on a
cosine without warm-up, no accumulation. It neither saves nor logs, which costs it nothing.
"""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.peers.steps import answer_of, step_times
from benchmarks.speed_process import answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.speed_process import Answer, Task

EPOCHS = 4
BLOCK = 1024


def measure(task: Task) -> Answer:
    """Train on ``task["posts"]``; with ``points``, note the held-out loss on the way."""
    import torch
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        Trainer,
        TrainingArguments,
        default_data_collator,
    )

    posts = json.loads(Path(task["posts"]).read_text("utf-8"))
    tokenizer = AutoTokenizer.from_pretrained(task["base"], local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(
        task["base"], dtype=torch.float32, local_files_only=True
    )
    context = min(BLOCK, model.config.max_position_embeddings)
    loss = held_out_loss(model, tokenizer, posts["held_out"], context)
    times = step_times(loss, task.get("points", 0), task.get("seconds"))
    encoded = tokenizer(posts["train"], add_special_tokens=False)["input_ids"]
    data = blocks(encoded, tokenizer.eos_token_id, context, task.get("epochs", EPOCHS))
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingArguments(
            output_dir=folder,
            num_train_epochs=1,  # those of the recipe are in the data
            per_device_train_batch_size=1,
            gradient_accumulation_steps=1,
            learning_rate=1.37e-4,
            lr_scheduler_type="cosine",
            warmup_steps=0,
            use_cpu=task["device"] == "cpu",
            save_strategy="no",
            logging_strategy="no",
            include_num_input_tokens_seen="all",
            report_to="none",
            disable_tqdm=True,
            seed=0,
        )
        trainer = Trainer(
            model=model,
            args=settings,
            train_dataset=data,
            data_collator=default_data_collator,
            callbacks=[times],
        )
        trainer.train()
    return answer_of(times, curve=bool(task.get("points")))


def blocks(
    posts: list[list[int]], separator: int, size: int, epochs: int
) -> list[dict[str, list[int]]]:
    """The notebook's data: a shuffle of all posts for each epoch, cut into full blocks."""
    shuffles = random.Random(0)
    found = []
    for _ in range(epochs):
        shuffles.shuffle(posts)
        stream = [separator] + [token for post in posts for token in (*post, separator)]
        cuts = [stream[i : i + size] for i in range(0, len(stream) - size + 1, size)] or [stream]
        found += [{"input_ids": cut, "labels": cut} for cut in cuts]
    return found


def held_out_loss(
    model: Any,  # noqa: ANN401 - a model of transformers
    tokenizer: Any,  # noqa: ANN401
    posts: list[str],
    context: int,
) -> Callable[[], float]:
    """Bits per byte of held-out posts, by the same code and rules as ours."""

    def loss() -> float:
        from huggingtweets.data import batching
        from huggingtweets.nn import likelihood

        encoded = tokenizer(posts, add_special_tokens=False)["input_ids"]
        rows = batching.make_rows(encoded, tokenizer.eos_token_id, context)
        return likelihood.nats_to_bits_per_byte(likelihood.summed_nats(model, rows), posts)

    return loss


if __name__ == "__main__":
    answer(measure)
