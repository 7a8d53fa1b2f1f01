"""Training time: within one step, and by number of posts, weights and cores.

    python benchmarks/speed_cost.py --json docs/lab/speed-cost.json
    python benchmarks/speed_cost.py --step smollm2-posts

It profiles a step of GPT-2 small with torch's profiler. Then it trains bots with the ``fast``
recipe on increasing numbers of posts, on bases of several sizes, and on one core and all cores,
each in its own process. It prints both tables as Markdown and writes the plot beside the JSON file.
With ``--step`` it only profiles a step of another base.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # benchmarks/ is not installed

from benchmarks.speed import CACHE, DATA
from benchmarks.speed_tables import number

from benchmarks import speed_process
from huggingtweets.nn import language_model
from huggingtweets.plots import style
from huggingtweets.storage import files

if TYPE_CHECKING:
    import altair as alt
    from benchmarks.speed_process import Task, TaskResult

OURS, STEP, PREPARE = "benchmarks.ours.training", "benchmarks.ours.step", "benchmarks.speed_prepare"
POSTS = (250, 500, 1_000, 2_000, 4_000)
WIDTHS = (256, 768)
"""Hidden sizes of models like the embedded base, with random weights."""
TOKENS = 8_192
FIRST_POSTS = 400
"""Posts for ``--step``; enough for all its steps."""
_BLUE = "#0969da"
STEPS = 8


def main() -> None:
    """Measure, print the tables and write the plot."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", 1)[0])
    add = parser.add_argument
    add("--json", type=Path, help="save the numbers here, and the plot beside it as SVG")
    add("--cores", type=int, default=2)
    add("--cache", type=Path, default=CACHE, help="folder for random weights (%(default)s)")
    add("--step", metavar="BASE", help="only profile a step of this base, and write no file")
    add("sources", nargs="*", type=Path, default=sorted(DATA.glob("demo/NASA.parquet")))
    chosen = parser.parse_args()
    if not chosen.sources:
        parser.error("name a table of posts")
    with tempfile.TemporaryDirectory() as folder:
        if chosen.step:
            step = profile_step(chosen.step, chosen.sources, chosen.cores, Path(folder))
            print(step_table(step, chosen.step))
            return
        results = measure(chosen.sources, chosen.cores, chosen.cache, Path(folder))
    print(step_table(results["step"], "GPT-2 small"), cost_table(results["cost"]), sep="\n\n")
    if chosen.json:
        files.write_text(chosen.json, json.dumps(results, indent=2) + "\n")
        svg = style.svg(plot(results["cost"]), style.ON_WHITE)
        files.write_text(chosen.json.with_suffix(".svg"), svg)


def measure(sources: list[Path], cores: int, cache: Path, folder: Path) -> dict[str, Any]:
    """Return the profile of a step, and one row of cost for each training."""
    prepared = run_checked(PREPARE, {"what": "models", "cache": str(cache), "tiny": False}, cores)
    gpt2, pocket = prepared["base"], prepared["pocket"]
    read = {"what": "posts", "sources": [str(source) for source in sources], "base": gpt2}
    few = read | {"tokens": TOKENS, "file": str(folder / "few.json")}
    run_checked(PREPARE, few, cores)
    step = run_checked(STEP, {"base": gpt2, "posts": few["file"], "steps": STEPS}, cores)

    def train(base: str, file: str, cores: int) -> TaskResult:
        task = {"base": base, "posts": file, "device": "cpu", "epochs": 1}
        result = run_checked(OURS, task, cores)
        names = ("tokens", "seconds", "tokens_per_second", "parameters", "peak_mb")
        row = {name: result[name] for name in names} | {"cores": cores}
        print(row, file=sys.stderr, flush=True)
        return row

    cost = []
    for count in POSTS:
        subset = read | {"first_posts": count, "file": str(folder / "subset.json")}
        size = run_checked(PREPARE, subset, cores)["train"]
        cost.append({"panel": "posts", "posts": size} | train(pocket, subset["file"], cores))
    bases = [pocket, *(_random_base(width, folder) for width in WIDTHS), gpt2]
    cost += [{"panel": "weights"} | train(base, few["file"], cores) for base in bases]
    for used_cores in range(1, cores + 1):
        for base in (pocket, gpt2):
            cost.append({"panel": "cores"} | train(base, few["file"], used_cores))
    return {"step": step, "cost": cost}


def profile_step(base: str, sources: list[Path], cores: int, folder: Path) -> TaskResult:
    """Profile steps of a base on the first posts of the sources."""
    read = {"what": "posts", "sources": [str(source) for source in sources]}
    few = read | {"first_posts": FIRST_POSTS, "file": str(folder / "few.json")}
    run_checked(PREPARE, few, cores)
    return run_checked(STEP, {"base": base, "posts": few["file"], "steps": STEPS}, cores)


def run_checked(module: str, task: Task, cores: int) -> TaskResult:
    """Run a task in a process.

    Raises:
        SystemExit: the task failed.
    """
    result = speed_process.run(module, task, cores)
    if why := result.get("failed") or result.get("missing"):
        raise SystemExit(str(why))
    return result


def _random_base(width: int, folder: Path) -> str:
    """Save a model with the embedded base's depth, this hidden size and random weights."""
    import torch
    from transformers import AutoModelForCausalLM

    base = language_model.load(language_model.POCKET)
    config = copy.deepcopy(base.model.config)
    scale = width / config.hidden_size
    config.hidden_size, config.intermediate_size = width, round(scale * config.intermediate_size)
    config.head_dim = width // config.num_attention_heads
    torch.manual_seed(0)
    wide = AutoModelForCausalLM.from_config(config)
    replace(base, model=wide).save(folder / str(width))
    return str(folder / str(width))


def step_table(step: TaskResult, base: str) -> str:
    """Return the seconds of each kind of operation in a step of a base, in Markdown.

    The profiler itself takes time, so its seconds are scaled to a step without it.
    """
    kinds: dict[str, float] = step["kinds"]
    share = {kind: seconds / sum(kinds.values()) for kind, seconds in kinds.items()}
    flops = 6 * step["parameters"] * step["tokens"]
    rate = flops / step["seconds"]
    matmul_rate = flops / (step["seconds"] * share["matrix products"])
    rows = [
        f"| {kind} | {share[kind] * step['seconds']:.3f} | {share[kind]:.0%} |"
        for kind in sorted(kinds, key=lambda kind: -kinds[kind])
    ]
    return "\n".join(
        [
            f"A step of {step['tokens']:.0f} tokens of {base} takes {step['seconds']:.2f} s "
            f"in {step['precision']} on {step['cores']} cores ({step['processor']}): "
            f"{rate / 1e9:.0f} of the {step['matmul_flops'] / 1e9:.0f} GFLOP/s that matrix "
            f"products alone reach. Within the step they run at {matmul_rate / 1e9:.0f}.",
            "",
            "| kind of operation | seconds | share |",
            "|---|---:|---:|",
            *rows,
        ]
    )


def cost_table(cost: list[dict[str, Any]]) -> str:
    """Return the cost of each training, in Markdown."""
    rows = [
        f"| {row['parameters'] / 1e6:.1f} M | {row['cores']} | {row.get('posts', '')} "
        f"| {row['tokens']:,} | {number(row['seconds'])} | {number(row['tokens_per_second'])} "
        f"| {row['peak_mb']:,.0f} |"
        for row in cost
    ]
    head = "| weights | cores | posts | tokens | seconds | tokens/s | peak MB |"
    return "\n".join([head, "|---:|---:|---:|---:|---:|---:|---:|", *rows])


def plot(cost: list[dict[str, Any]]) -> alt.HConcatChart:
    """Plot seconds by posts, and tokens per second by weights and by cores."""
    import altair as alt

    def panel(name: str, x: alt.X, y: alt.Y) -> alt.Chart:
        values = [
            row | {"millions": row["parameters"] / 1e6, "model": f"{row['parameters'] / 1e6:.0f} M"}
            for row in cost
            if row["panel"] == name
        ]
        chart: alt.Chart = (
            alt.Chart({"values": values})
            .mark_line(point={"size": 60, "color": _BLUE}, color=_BLUE)
            .encode(x=x, y=y)
            .properties(width=230, height=200)
        )
        return chart

    log = alt.Scale(type="log", nice=False, padding=14)
    few_ticks = alt.Axis(tickCount=4)
    rate = alt.Y("tokens_per_second:Q", title="tokens a second", scale=log, axis=few_ticks)
    by_cores = panel("cores", alt.X("cores:O", title="cores", axis=alt.Axis(labelAngle=0)), rate)
    last = alt.datum.cores == max(row["cores"] for row in cost)
    names = by_cores.transform_filter(last).mark_text(align="left", dx=9).encode(text="model:N")
    return alt.hconcat(
        panel(
            "posts",
            alt.X("posts:Q", title="posts, embedded base", axis=few_ticks),
            alt.Y("seconds:Q", title="seconds an epoch", axis=few_ticks),
        ),
        panel(
            "weights", alt.X("millions:Q", title="million weights", scale=log, axis=few_ticks), rate
        ),
        by_cores.encode(detail="model:N") + names,
        spacing=36,
    )


if __name__ == "__main__":
    main()
