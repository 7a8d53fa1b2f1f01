"""Training time: within one step, and by number of posts, weights and cores.

    python benchmarks/speed_cost.py --json docs/lab/speed-cost.json

A step of GPT-2 small is profiled with torch's profiler. Then bots are trained with the ``fast``
recipe on increasing numbers of posts, on bases of three sizes, on one core and on all, each in its
own process. Prints both tables as Markdown and writes the plot beside the JSON file.
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
    from benchmarks.speed_process import Answer, Task

OURS, STEP, PREPARE = "benchmarks.ours.training", "benchmarks.ours.step", "benchmarks.speed_prepare"
POSTS = (250, 500, 1_000, 2_000, 4_000)
WIDTHS = (256, 768)
"""Of models of the embedded base's kind and depth, with random weights."""
TOKENS = 8_192
_BLUE = "#0969da"
STEPS = 8


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", 1)[0])
    add = parser.add_argument
    add("--json", type=Path, help="numbers there, the plot beside it as SVG")
    add("--cores", type=int, default=2)
    add("--cache", type=Path, default=CACHE, help="keeps the made-up weights (%(default)s)")
    add("sources", nargs="*", type=Path, default=sorted(DATA.glob("demo/NASA.parquet")))
    chosen = parser.parse_args()
    if not chosen.sources:
        parser.error("name a table of posts")
    with tempfile.TemporaryDirectory() as folder:
        found = measure(chosen.sources, chosen.cores, chosen.cache, Path(folder))
    print(step_table(found["step"]), cost_table(found["cost"]), sep="\n\n")
    if chosen.json:
        files.write_text(chosen.json, json.dumps(found, indent=2) + "\n")
        drawn = style.svg(picture(found["cost"]), style.ON_WHITE)
        files.write_text(chosen.json.with_suffix(".svg"), drawn)


def measure(sources: list[Path], cores: int, cache: Path, folder: Path) -> dict[str, Any]:
    """The step taken apart, and a row of cost for each training."""
    asked = {"what": "models", "cache": str(cache), "tiny": False}
    prepared = answered(PREPARE, asked, cores)
    gpt2, pocket = prepared["base"], prepared["pocket"]
    read = {"what": "posts", "sources": [str(source) for source in sources], "base": gpt2}
    few = read | {"tokens": TOKENS, "file": str(folder / "few.json")}
    answered(PREPARE, few, cores)
    step = answered(STEP, {"base": gpt2, "posts": few["file"], "steps": STEPS}, cores)

    def trained(base: str, file: str, cores: int) -> Answer:
        task = {"base": base, "posts": file, "device": "cpu", "epochs": 1}
        found = answered(OURS, task, cores)
        names = ("tokens", "seconds", "tokens_per_second", "parameters", "peak_mb")
        row = {name: found[name] for name in names} | {"cores": cores}
        print(row, file=sys.stderr, flush=True)
        return row

    cost = []
    for first in POSTS:
        some = read | {"first_posts": first, "file": str(folder / "some.json")}
        size = answered(PREPARE, some, cores)["train"]
        cost.append({"panel": "posts", "posts": size} | trained(pocket, some["file"], cores))
    bases = [pocket, *(_widened(width, folder) for width in WIDTHS), gpt2]
    cost += [{"panel": "weights"} | trained(base, few["file"], cores) for base in bases]
    for some_cores in range(1, cores + 1):
        for base in (pocket, gpt2):
            cost.append({"panel": "cores"} | trained(base, few["file"], some_cores))
    return {"step": step, "cost": cost}


def answered(module: str, task: Task, cores: int) -> Answer:
    """What a process answers.

    Raises:
        SystemExit: it failed.
    """
    found = speed_process.run(module, task, cores)
    if why := found.get("failed") or found.get("missing"):
        raise SystemExit(str(why))
    return found


def _widened(width: int, folder: Path) -> str:
    """A model like the embedded base, as deep but so wide, of random weights."""
    import torch
    from transformers import AutoModelForCausalLM

    base = language_model.load(language_model.POCKET)
    config = copy.deepcopy(base.model.config)
    times = width / config.hidden_size
    config.hidden_size, config.intermediate_size = width, round(times * config.intermediate_size)
    config.head_dim = width // config.num_attention_heads
    torch.manual_seed(0)
    wide = AutoModelForCausalLM.from_config(config)
    replace(base, model=wide).save(folder / str(width))
    return str(folder / str(width))


def step_table(step: Answer) -> str:
    """Where a step's time goes, in Markdown.

    The profiler itself takes time, so its seconds are scaled to a step that nobody watches.
    """
    kinds: dict[str, float] = step["kinds"]
    share = {kind: seconds / sum(kinds.values()) for kind, seconds in kinds.items()}
    work = 6 * step["parameters"] * step["tokens"]
    rate = work / step["seconds"]
    alone = work / (step["seconds"] * share["matrix products"])
    rows = [
        f"| {kind} | {share[kind] * step['seconds']:.3f} | {share[kind]:.0%} |"
        for kind in sorted(kinds, key=lambda kind: -kinds[kind])
    ]
    return "\n".join(
        [
            f"A step of {step['tokens']:.0f} tokens of GPT-2 small takes {step['seconds']:.2f} s "
            f"in {step['precision']} on {step['cores']} cores ({step['processor']}): "
            f"{rate / 1e9:.0f} of the {step['matmul_flops'] / 1e9:.0f} GFLOP/s that matrix "
            f"products alone reach. Within the step they run at {alone / 1e9:.0f}.",
            "",
            "| kind of operation | seconds | share |",
            "|---|---:|---:|",
            *rows,
        ]
    )


def cost_table(cost: list[dict[str, Any]]) -> str:
    """What each training took, in Markdown."""
    rows = [
        f"| {row['parameters'] / 1e6:.1f} M | {row['cores']} | {row.get('posts', '')} "
        f"| {row['tokens']:,} | {number(row['seconds'])} | {number(row['tokens_per_second'])} "
        f"| {row['peak_mb']:,.0f} |"
        for row in cost
    ]
    head = "| weights | cores | posts | tokens | seconds | tokens/s | peak MB |"
    return "\n".join([head, "|---:|---:|---:|---:|---:|---:|---:|", *rows])


def picture(cost: list[dict[str, Any]]) -> alt.HConcatChart:
    """Seconds by posts, and tokens a second by weights and by cores."""
    import altair as alt

    def panel(name: str, x: alt.X, y: alt.Y) -> alt.Chart:
        values = [
            row | {"millions": row["parameters"] / 1e6, "model": f"{row['parameters'] / 1e6:.0f} M"}
            for row in cost
            if row["panel"] == name
        ]
        drawn: alt.Chart = (
            alt.Chart({"values": values})
            .mark_line(point={"size": 60, "color": _BLUE}, color=_BLUE)
            .encode(x=x, y=y)
            .properties(width=230, height=200)
        )
        return drawn

    log = alt.Scale(type="log", nice=False, padding=14)
    few = alt.Axis(tickCount=4)
    rate = alt.Y("tokens_per_second:Q", title="tokens a second", scale=log, axis=few)
    by_cores = panel("cores", alt.X("cores:O", title="cores", axis=alt.Axis(labelAngle=0)), rate)
    last = alt.datum.cores == max(row["cores"] for row in cost)
    names = by_cores.transform_filter(last).mark_text(align="left", dx=9).encode(text="model:N")
    return alt.hconcat(
        panel(
            "posts",
            alt.X("posts:Q", title="posts, embedded base", axis=few),
            alt.Y("seconds:Q", title="seconds an epoch", axis=few),
        ),
        panel("weights", alt.X("millions:Q", title="million weights", scale=log, axis=few), rate),
        by_cores.encode(detail="model:N") + names,
        spacing=36,
    )


if __name__ == "__main__":
    main()
