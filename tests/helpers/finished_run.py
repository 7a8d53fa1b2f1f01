"""A finished run folder for tests, made without training."""

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
    """Create a run of one author: 20 steps, three measurements, a report and a bot."""
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
    run = run_folder.create(out, record, tables)
    shutil.copytree(OLD_RUN / "report", run.path / "report")
    run.bot.mkdir()
    (run.bot / "config.json").write_text("{}")
    (run.bot / "model.safetensors").write_bytes(b"weights of " + name.encode())
    for event in training_events():
        run.append_event(event)
    record.state = "done"
    run.save(record)
    return run


def training_events() -> list[dict[str, Any]]:
    """Return the events of 20 steps, with held-out losses at steps 0, 10 and 20."""
    events: list[dict[str, Any]] = [_held_out_event(0, 2.5)]
    for step in range(1, 21):
        values = {"loss": 5 - step / 10, "learning_rate": 0.001 / step, "tokens_per_second": 900.0}
        use = {"cores": 1.9, "memory_mb": 700.0}
        events.append({"stage": "train", "done": step, "total": 20, "epoch": 1, **values, **use})
        if step % 10 == 0:
            events.append(_held_out_event(step, 2.5 - step / 20))
    return [*events, {"stage": "evaluate", "done": 5, "total": 5}]


def _held_out_event(step: int, bits: float) -> dict[str, Any]:
    post = {"prompt": "My dream is", "post": f"My dream is post {step}.", "novelty": 0.75}
    return {
        "stage": "train",
        "done": step,
        "total": 20,
        "epoch": 1,
        "held_out_bits_per_byte": bits,
        "samples": [post, post | {"post": f"My dream is another {step}."}],
    }


def report_of(run: RunFolder) -> Any:  # noqa: ANN401 - JSON
    """Read the run's likeness report."""
    return json.loads(run.report_json.read_text("utf-8"))
