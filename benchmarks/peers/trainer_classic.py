"""The original HuggingTweets recipe on ``transformers.Trainer``, as in its notebook.

For each of 4 epochs, all posts are shuffled, joined by the end-of-text token and cut into blocks of
the model's context, at most 1,024 tokens. One block a step, fp32, learning rate 1.37e-4 with cosine
decay and no warm-up, no gradient accumulation. It neither saves nor logs, which only favours it.
"""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.peers.steps import step_times, summarize
from benchmarks.speed_process import run_task

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.speed_process import Task, TaskResult

EPOCHS = 4
BLOCK = 1024


def measure(task: Task) -> TaskResult:
    """Train on ``task["posts"]``; measure the held-out loss ``task["points"]`` times meanwhile."""
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
            num_train_epochs=1,  # the data already repeats for each epoch of the recipe
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
    return summarize(times, curve=bool(task.get("points")))


def blocks(
    posts: list[list[int]], separator: int, size: int, epochs: int
) -> list[dict[str, list[int]]]:
    """Return the notebook's data: all posts shuffled for each epoch, cut into full blocks."""
    rng = random.Random(0)
    rows = []
    for _ in range(epochs):
        rng.shuffle(posts)
        stream = [separator] + [token for post in posts for token in (*post, separator)]
        cut = [stream[i : i + size] for i in range(0, len(stream) - size + 1, size)] or [stream]
        rows += [{"input_ids": block, "labels": block} for block in cut]
    return rows


def held_out_loss(
    model: Any,  # noqa: ANN401 - a model of transformers
    tokenizer: Any,  # noqa: ANN401
    posts: list[str],
    context: int,
) -> Callable[[], float]:
    """Return a function that measures held-out bits per byte with the same code as ours."""

    def loss() -> float:
        from huggingtweets.data import batching
        from huggingtweets.nn import likelihood

        encoded = tokenizer(posts, add_special_tokens=False)["input_ids"]
        rows = batching.make_rows(encoded, tokenizer.eos_token_id, context)
        return likelihood.nats_to_bits_per_byte(likelihood.summed_nats(model, rows), posts)

    return loss


if __name__ == "__main__":
    run_task(measure)
