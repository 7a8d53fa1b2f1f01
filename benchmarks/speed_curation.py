"""Speed of curating a million short posts, against the same steps with ``datasets``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.speed_plan import Plan, compare, run_alternately, speedup
from benchmarks.speed_process import run_task

if TYPE_CHECKING:
    from benchmarks.speed_process import Task, TaskResult
    from benchmarks.speed_results import Result

NAMES = ("ours", "datasets")


def rows(plan: Plan) -> list[Result]:
    """Measure the row of the family ``curation``; reading the file is not timed."""
    file = plan.folder / "posts.parquet"
    plan.require(
        "benchmarks.speed_curation", {"file": str(file), "posts": plan.sizes.curation_posts}
    )
    task = {"file": str(file)}
    runs = run_alternately(
        plan,
        {
            "ours": ("benchmarks.ours.curate", task),
            "datasets": ("benchmarks.peers.datasets_map", task),
        },
    )
    row = compare("curation", runs, NAMES, lambda result: float(result["seconds"]), speedup)
    if not row.why_not:
        kept = [f"{name} {runs.answers[name][0]['kept']:,}" for name in NAMES]
        row.notes.append(
            f"of {plan.sizes.curation_posts:,} posts kept: {', '.join(kept)}; ours drops "
            "near-duplicates and repairs encoding as well"
        )
    return [row]


def measure(task: Task) -> TaskResult:
    """Write the posts of ``benchmarks/curation.py``."""
    from benchmarks import curation

    curation.write_posts(Path(task["file"]), task["posts"], curation.CORPUS)
    return {}


if __name__ == "__main__":
    run_task(measure)
