"""TRL's ``SFTTrainer`` with packing and bf16, as its documentation sets it up, on a CPU.

It keeps the defaults of its configuration, including gradient checkpointing. A task can switch that
off with ``checkpointing``, which is faster and takes more memory. One packed row of 1,024 tokens is
a step. The default joins eight of them into one row of 8,192, and attention without a flash kernel
would span all of it, so one row is faster here.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.peers.steps import step_times, summarize
from benchmarks.speed_process import run_task

if TYPE_CHECKING:
    from benchmarks.speed_process import Task, TaskResult


def measure(task: Task) -> TaskResult:
    """Train ``task["base"]`` on ``task["posts"]`` for one epoch."""
    from datasets import Dataset, disable_progress_bars
    from transformers import AutoConfig
    from trl import SFTConfig, SFTTrainer

    disable_progress_bars()
    posts = json.loads(Path(task["posts"]).read_text("utf-8"))["train"]
    context = AutoConfig.from_pretrained(task["base"]).max_position_embeddings
    times = step_times(lambda: 0.0, 0, task.get("seconds"))
    with tempfile.TemporaryDirectory() as folder:
        settings = SFTConfig(
            output_dir=folder,
            packing=True,
            max_length=min(1024, context),
            bf16=True,
            use_cpu=True,
            **({} if task["checkpointing"] else {"gradient_checkpointing": False}),
            per_device_train_batch_size=1,
            num_train_epochs=1,
            save_strategy="no",
            include_num_input_tokens_seen="all",
            report_to="none",
            disable_tqdm=True,
        )
        trainer = SFTTrainer(
            model=task["base"],
            args=settings,
            train_dataset=Dataset.from_dict({"text": posts}),
            callbacks=[times],
        )
        trainer.train()
    return summarize(times)


if __name__ == "__main__":
    run_task(measure)
