"""Fine-tuning GPT-2 small: tokens per second, memory, hardware utilisation, also on a GPU.

Each side trains one epoch on the same posts. Tokens exclude padding. The rate is measured from the
end of the first step to the end of the last; startup and compilation are reported separately. The
rate excludes the evaluations of ``fit`` before the first step and after the last. It includes
checkpoints, because a user waits for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.speed_plan import (
    Plan,
    Runs,
    compare,
    not_run,
    ratio,
    run_alternately,
    speedup,
    stamp,
)
from benchmarks.speed_results import Result
from benchmarks.speed_tables import number

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.speed_process import Task, TaskResult

OURS, CLASSIC, SFT = (
    "benchmarks.ours.training",
    "benchmarks.peers.trainer_classic",
    "benchmarks.peers.sft",
)


def on_cpu(plan: Plan) -> list[Result]:
    """Measure the rows of the family ``training``."""
    task = _task(plan, "cpu", plan.sizes.tokens)
    runs = run_alternately(
        plan,
        {
            "hardware": ("benchmarks.ours.matmul", {"device": "cpu", "size": plan.sizes.matmul}),
            "ours": (OURS, task),
            "classic": (CLASSIC, task),
            "sft": (SFT, task | {"checkpointing": True}),
            "sft-plain": (SFT, task | {"checkpointing": False}),
        },
    )
    rows = [
        compare(f"training-{peer}", runs, ("ours", peer), _rate, ratio)
        for peer in ("classic", "sft", "sft-plain")
    ]
    if _is_emulated(runs):
        for row in rows[1:]:
            row.holds = False
            row.notes.append("bf16 is emulated on this machine, so it can't test the goal")
    rows += [_of_hardware(runs), _memory(runs)]
    if not runs.why_not("ours"):
        rows[0].notes.append(_warm_up(runs, ("ours", "classic")))
    return rows


def on_gpu(plan: Plan) -> list[Result]:
    """Measure the row of the family ``gpu``: seconds from the start to the end of the last step."""
    if not plan.prepared["machine"]["gpu"]:
        return [not_run("gpu", "not run: no GPU")]
    task = _task(plan, "cuda", plan.sizes.gpu_tokens)
    runs = run_alternately(plan, {"ours": (OURS, task), "classic": (CLASSIC, task)})
    row = compare("gpu", runs, ("ours", "classic"), _seconds, speedup)
    if not row.why_not:
        row.notes.append(_warm_up(runs, ("ours", "classic")))
    return [row]


def _task(plan: Plan, device: str, tokens: int) -> Task:
    file = plan.folder / f"posts-{tokens}.json"
    posts = {
        "what": "posts",
        "sources": [str(source) for source in plan.sources],
        "tokens": tokens,
        "base": plan.prepared["base"],
        "file": str(file),
    }
    plan.require("benchmarks.speed_prepare", posts)
    return {
        "base": plan.prepared["base"],
        "posts": str(file),
        "device": device,
        "epochs": 1,
        "seconds": plan.seconds,
    }


def _rate(answer: TaskResult) -> float:
    return float(answer["tokens_per_second"])


def _seconds(answer: TaskResult) -> float:
    return float(answer["seconds"])


def _of_hardware(runs: Runs) -> Result:
    """Return the row that compares training FLOP/s with those of matrix products alone."""
    row = Result(
        "training-matmul",
        runs={"hardware": runs.answers["hardware"]},  # our runs are in the first row
        sides=("ours", "hardware"),
        busy=runs.busy,
    )
    row.why_not = runs.why_not("ours") or runs.why_not("hardware")
    if row.why_not:
        return stamp(row)
    row.ours = runs.median("ours", lambda a: 6 * a["parameters"] * a["tokens_per_second"]) / 1e9
    rates = {name: runs.median("hardware", _in(name)) / 1e9 for name in ("bf16", "fp32")}
    # emulated bf16 is slower than fp32, so it isn't the hardware's limit
    row.theirs = max(rates.values())
    row.value = row.ours / row.theirs
    text = ", ".join(f"{name} {number(rate)}" for name, rate in rates.items())
    used = runs.answers["ours"][0]["precision"]
    row.notes.append(f"matrix products alone, GFLOP/s: {text}; we train in {used} here")
    return stamp(row)


def _in(precision: str) -> Callable[[TaskResult], float]:
    return lambda answer: float(answer[precision])


def _is_emulated(runs: Runs) -> bool:
    """Return whether bf16 is slower than fp32 on this machine."""
    if runs.why_not("hardware"):
        return False
    return runs.median("hardware", _in("bf16")) < runs.median("hardware", _in("fp32"))


def _memory(runs: Runs) -> Result:
    row = compare(
        "training-memory",
        runs,
        ("ours", "classic"),
        lambda answer: float(answer["peak_mb"]),
        ratio,
    )
    row.runs = {}  # they are in the first row
    return row


def _warm_up(runs: Runs, names: tuple[str, ...]) -> str:
    """Return a note with the seconds of the first step, which rates exclude, and the totals."""
    parts = []
    for name in names:
        if runs.why_not(name):
            continue
        first = runs.answers[name][0]
        seconds = runs.median(name, lambda answer: answer["warm_up_seconds"])
        parts.append(
            f"{name} {seconds:.3g} ({first['steps']:,} steps, {first['tokens']:,} tokens in all)"
        )
    return f"seconds to the end of the first step: {', '.join(parts)}"
