"""Fine-tuning GPT-2 small: tokens per second, memory, hardware utilisation, also on a GPU.

Each side trains one epoch on the same posts. Tokens exclude padding, and the rate is measured from
the end of the first step to the end of the last; startup and compilation are reported separately.
The evaluations of ``fit`` before the first step and after the last are not in the rate; checkpoints
are, because a user waits for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.speed_plan import (
    Plan,
    Runs,
    compared,
    in_turn,
    not_run,
    stamped,
    times_more,
    times_sooner,
)
from benchmarks.speed_results import Result
from benchmarks.speed_tables import number

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.speed_process import Answer, Task

OURS, CLASSIC, SFT = (
    "benchmarks.ours.training",
    "benchmarks.peers.trainer_classic",
    "benchmarks.peers.sft",
)


def on_cpu(plan: Plan) -> list[Result]:
    """The rows of the family ``training``."""
    task = _task(plan, "cpu", plan.sizes.tokens)
    runs = in_turn(
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
        compared(f"training-{peer}", runs, ("ours", peer), _rate, times_more)
        for peer in ("classic", "sft", "sft-plain")
    ]
    if _is_emulated(runs):
        for row in rows[1:]:
            row.holds = False
            row.notes.append("bf16 is emulated on this machine, so the goal can't be judged on it")
    rows += [_of_hardware(runs), _memory(runs)]
    if not runs.why_not("ours"):
        rows[0].notes.append(_warm_up(runs, ("ours", "classic")))
    return rows


def on_gpu(plan: Plan) -> list[Result]:
    """The row of the family ``gpu``: seconds from the start to the last step, all counted."""
    if not plan.prepared["machine"]["gpu"]:
        return [not_run("gpu", "not run: no GPU")]
    task = _task(plan, "cuda", plan.sizes.gpu_tokens)
    runs = in_turn(plan, {"ours": (OURS, task), "classic": (CLASSIC, task)})
    row = compared("gpu", runs, ("ours", "classic"), _seconds, times_sooner)
    if not row.why_not:
        row.notes.append(_warm_up(runs, ("ours", "classic")))
    return [row]


def _task(plan: Plan, device: str, tokens: int) -> Task:
    file = plan.folder / f"posts-{tokens}.json"
    asked = {
        "what": "posts",
        "sources": [str(source) for source in plan.sources],
        "tokens": tokens,
        "base": plan.prepared["base"],
        "file": str(file),
    }
    plan.needed("benchmarks.speed_prepare", asked)
    return {
        "base": plan.prepared["base"],
        "posts": str(file),
        "device": device,
        "epochs": 1,
        "seconds": plan.seconds,
    }


def _rate(answer: Answer) -> float:
    return float(answer["tokens_per_second"])


def _seconds(answer: Answer) -> float:
    return float(answer["seconds"])


def _of_hardware(runs: Runs) -> Result:
    """The rate of training as operations, beside that of matrix products alone."""
    row = Result(
        "training-matmul",
        runs={"hardware": runs.answers["hardware"]},  # ours are in the first row
        sides=("ours", "hardware"),
        busy=runs.busy,
    )
    row.why_not = runs.why_not("ours") or runs.why_not("hardware")
    if row.why_not:
        return stamped(row)
    row.ours = runs.median("ours", lambda a: 6 * a["parameters"] * a["tokens_per_second"]) / 1e9
    rates = {name: runs.median("hardware", _in(name)) / 1e9 for name in ("bf16", "fp32")}
    # where bfloat16 is emulated its rate is no limit to anything
    row.theirs = max(rates.values())
    row.value = row.ours / row.theirs
    told = ", ".join(f"{name} {number(rate)}" for name, rate in rates.items())
    used = runs.answers["ours"][0]["precision"]
    row.notes.append(f"matrix products alone, GFLOP/s: {told}; we train in {used} here")
    return stamped(row)


def _in(precision: str) -> Callable[[Answer], float]:
    return lambda answer: float(answer[precision])


def _is_emulated(runs: Runs) -> bool:
    """Whether bfloat16 is slower than fp32 here, so that nobody would turn it on."""
    if runs.why_not("hardware"):
        return False
    return runs.median("hardware", _in("bf16")) < runs.median("hardware", _in("fp32"))


def _memory(runs: Runs) -> Result:
    row = compared(
        "training-memory",
        runs,
        ("ours", "classic"),
        lambda answer: float(answer["peak_mb"]),
        times_more,
    )
    row.runs = {}  # those of the first row
    return row


def _warm_up(runs: Runs, names: tuple[str, ...]) -> str:
    """Seconds to the end of the first step, which rates leave out, and how much was trained."""
    told = []
    for name in names:
        if runs.why_not(name):
            continue
        first = runs.answers[name][0]
        seconds = runs.median(name, lambda answer: answer["warm_up_seconds"])
        told.append(
            f"{name} {seconds:.3g} ({first['steps']:,} steps, {first['tokens']:,} tokens in all)"
        )
    return f"seconds to the end of the first step: {', '.join(told)}"
