"""A finished run folder, made in no time: nothing in it was trained."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from huggingtweets.storage import run_folder
from huggingtweets.storage.run_folder import RunFolder, RunRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

OLD_RUN = Path(__file__).parent.parent / "fixtures" / "run-v1"


def finished_run(out: Path, posts: Sequence[str], name: str = "me") -> RunFolder:
    """A run of one author: 20 steps, three measurements, a report and a bot."""
    record = RunRecord(
        name=name,
        authors=["ann"],
        config={
            "base": "pocket",
            "seed": 7,
            "sources": ["/home/ann/ann.csv", "bsky:ann"],
            "out": "/home/ann/runs",
            "recipe": {"name": "fast", "epochs": 2},
        },
        counts={"downloaded": len(posts), "retweets": 1, "kept": len(posts) - 1},
        counts_by_author={"ann": {"downloaded": len(posts)}},
        versions={"python": "3.11.0", "torch": "2.13.0"},
        machine={"device": "cpu", "cores": 2},
        seconds={"train": 1.5},
        result={"best": 1.5, "steps": 20, "tokens": 4000, "stopped_early": False},
    )
    tables = {"posts": pl.DataFrame({"text": posts}), "kept": pl.DataFrame({"text": posts[1:]})}
    made = run_folder.create(out, record, tables)
    shutil.copytree(OLD_RUN / "report", made.path / "report")
    made.bot.mkdir()
    (made.bot / "config.json").write_text("{}")
    (made.bot / "model.safetensors").write_bytes(b"weights of " + name.encode())
    for event in training_events():
        made.append_event(event)
    record.state = "done"
    made.save(record)
    return made


def training_events() -> list[dict[str, Any]]:
    """20 steps, measured before them, after the tenth and at the end."""
    events: list[dict[str, Any]] = [_measured(0, 2.5)]
    for step in range(1, 21):
        values = {"loss": 5 - step / 10, "learning_rate": 0.001 / step, "tokens_per_second": 900.0}
        use = {"cores": 1.9, "memory_mb": 700.0}
        events.append({"stage": "train", "done": step, "total": 20, "epoch": 1, **values, **use})
        if step % 10 == 0:
            events.append(_measured(step, 2.5 - step / 20))
    return [*events, {"stage": "evaluate", "done": 5, "total": 5}]


def _measured(step: int, bits: float) -> dict[str, Any]:
    post = {"prompt": "My dream is", "post": f"My dream is post {step}.", "novelty": 0.75}
    return {
        "stage": "train",
        "done": step,
        "total": 20,
        "epoch": 1,
        "held_out_bits_per_byte": bits,
        "samples": [post, post | {"post": f"My dream is another {step}."}],
    }


def report_of(made: RunFolder) -> Any:  # noqa: ANN401 - JSON
    """Its likeness report."""
    return json.loads(made.report_json.read_text("utf-8"))
