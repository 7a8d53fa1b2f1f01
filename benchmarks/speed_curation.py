"""Speed of curating a million short posts, against the same steps with ``datasets``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.speed_plan import Plan, compared, in_turn, times_sooner
from benchmarks.speed_process import answer

if TYPE_CHECKING:
    from benchmarks.speed_process import Answer, Task
    from benchmarks.speed_results import Result

NAMES = ("ours", "datasets")


def rows(plan: Plan) -> list[Result]:
    """The row of the family ``curation``; both sides read the same file, which is not timed."""
    file = plan.folder / "posts.parquet"
    plan.needed(
        "benchmarks.speed_curation", {"file": str(file), "posts": plan.sizes.curation_posts}
    )
    task = {"file": str(file)}
    runs = in_turn(
        plan,
        {
            "ours": ("benchmarks.ours.curate", task),
            "datasets": ("benchmarks.peers.datasets_map", task),
        },
    )
    row = compared("curation", runs, NAMES, lambda told: float(told["seconds"]), times_sooner)
    if not row.why_not:
        kept = [f"{name} {runs.answers[name][0]['kept']:,}" for name in NAMES]
        row.notes.append(
            f"of {plan.sizes.curation_posts:,} posts kept: {', '.join(kept)}; ours drops "
            "near-duplicates and repairs encoding as well"
        )
    return [row]


def measure(task: Task) -> Answer:
    """Write the posts: those of ``benchmarks/curation.py``."""
    from benchmarks import curation

    curation.write_posts(Path(task["file"]), task["posts"], curation.CORPUS)
    return {}


if __name__ == "__main__":
    answer(measure)
