r"""The project's speed benchmark: our speed against the tools that a user would use instead.

    python benchmarks/speed.py --json docs/lab/speed.json --markdown docs/performance.md

Our code and the peers run alternately, several times, each measurement in its own process, on the
same posts and weights. The table has medians and ratios. With --json each finished row is saved,
and rows of the same machine, versions and settings are kept: ``--only`` measures one family at a
time, and an interrupted ``loss`` continues after its last author. ``--quick`` tests the whole
command with tiny sizes.

Peers need ``pip install -e '.[bench]'``; a row without its peer or without a GPU says so. The
machine must be idle; the table marks rows measured on a busy machine.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # benchmarks/ is not installed

from benchmarks.speed_plan import QUICK, Plan, PreparationError, Sizes, why_not
from benchmarks.speed_results import CLAIMS, FAMILIES, Results, load_results

from benchmarks import (
    markers,
    speed_curation,
    speed_generation,
    speed_loss,
    speed_process,
    speed_startup,
    speed_tables,
    speed_training,
)
from huggingtweets.errors import HuggingTweetsError, InputError, Interrupted
from huggingtweets.sample import sample_path
from huggingtweets.storage import files

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.speed_plan import Start
    from benchmarks.speed_results import Result

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "huggingtweets-benchmarks"

MEASURES: dict[str, Callable[[Plan], list[Result]]] = {
    "training": speed_training.on_cpu,
    "loss": speed_loss.measure,
    "default": speed_loss.of_default,
    "generation": speed_generation.posts,
    "first-token": speed_generation.first_token,
    "startup": speed_startup.measure,
    "curation": speed_curation.rows,
    "gpu": speed_training.on_gpu,
}


def main(arguments: Sequence[str] | None = None, start: Start = speed_process.run) -> int:
    """Measure, print and save; return 1 if a measurement failed."""
    chosen = _options().parse_args(arguments)
    try:
        results = run(chosen, speed_process.run_here if chosen.here else start)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return Interrupted.exit_code
    except HuggingTweetsError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return int(any("failed" in answer for row in results.rows for answer in _answers(row)))


def run(chosen: argparse.Namespace, start: Start) -> Results:
    """Check all options before the first process starts, then measure.

    Raises:
        InputError: an option or a file is invalid.
    """
    if chosen.markdown:
        markers.check(chosen.markdown, speed_tables.BEGIN, speed_tables.END)
    for name in ("repeats", "authors", "cores", "seconds"):
        value = getattr(chosen, name)
        if value is not None and not value > 0:
            raise InputError(f"--{name} must be above 0, not {value}.")
    if chosen.here and not chosen.quick:
        raise InputError("--here needs --quick, as its timings are not valid.")
    sources = authors(chosen.data, chosen.authors or (1 if chosen.quick else None))
    with tempfile.TemporaryDirectory() as folder:
        plan = make_plan(chosen, start, Path(folder), sources)
        results = load_results(chosen.json, new_results(chosen, plan))

        def save(rows: Sequence[Result]) -> None:
            results.put(rows)
            if chosen.json:
                files.write_json(chosen.json, results.to_json())

        plan = replace(plan, earlier=tuple(results.rows), save=save)
        for family in dict.fromkeys(chosen.only or FAMILIES):
            print(f"{family}:", file=sys.stderr, flush=True)
            save(measure(plan, family))
    claims = [claim for claim in CLAIMS if claim.family in (chosen.only or FAMILIES)]
    names = {claim.name for claim in claims}
    rows = [row for row in results.rows if row.name in names]
    print(f"\n{speed_tables.describe(results)}\n\n{speed_tables.table(rows, claims)}")
    print(f"\n{speed_tables.notes(rows)}")
    if chosen.markdown:
        speed_tables.put_markdown(chosen.markdown, results)
    return results


def measure(plan: Plan, family: str) -> list[Result]:
    """Measure the rows of a family; if its preparation fails, return rows that say so."""
    try:
        return MEASURES[family](plan)
    except PreparationError as error:
        return [error.row(claim.name) for claim in CLAIMS if claim.family == family]


def make_plan(chosen: argparse.Namespace, start: Start, folder: Path, sources: list[Path]) -> Plan:
    """Prepare the weights and return the plan for the options.

    Raises:
        InputError: the weights can't be prepared.
    """
    task = {"what": "models", "cache": str(chosen.cache), "tiny": chosen.quick}
    prepared = start("benchmarks.speed_prepare", task, chosen.cores)
    if why := why_not(prepared):
        raise InputError(f"The weights can't be prepared in {chosen.cache}: {why}")
    sizes = QUICK if chosen.quick else Sizes()
    return Plan(
        start, chosen.repeats, chosen.cores, sizes, prepared, folder, sources, chosen.seconds
    )


def new_results(chosen: argparse.Namespace, plan: Plan) -> Results:
    """Return results without rows, with the settings, machine and versions."""
    setup = {
        "quick": chosen.quick,
        "repeats": chosen.repeats,
        "cores": chosen.cores,
        "seconds": chosen.seconds,
        "authors": [source.name for source in plan.sources],
        "weights": plan.prepared["weights"],
    }
    return Results(setup, plan.prepared["machine"], plan.prepared["versions"])


def authors(data: Path, limit: int | None) -> list[Path]:
    """Return the authors' files, test-only authors first; the bundled sample if there are none."""
    sources = speed_loss.by_preference(list((data / "bench").glob("*.parquet")))
    return (sources or [sample_path()])[:limit]


def _answers(row: Result) -> list[speed_process.TaskResult]:
    return [answer for answers in row.runs.values() for answer in answers]


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--only", nargs="+", choices=FAMILIES, metavar="NAME", help=f"of {', '.join(FAMILIES)}")
    add("--repeats", type=int, default=3, help="repetitions of each side (%(default)s)")
    add("--seconds", type=float, help="stop a peer's training of GPT-2 after this time")
    add("--authors", type=int, help="number of authors to train on (all)")
    add("--cores", type=int, default=2, help="CPU cores for each process (%(default)s)")
    add("--data", type=Path, default=DATA, help="folder with bench/ (%(default)s)")
    add("--cache", type=Path, default=CACHE, help="folder for random weights (%(default)s)")
    add("--json", type=Path, metavar="FILE", help="read and save results here")
    add("--markdown", type=Path, metavar="FILE", help="write the table between its markers")
    add("--quick", action="store_true", help="tiny sizes and one author, as a test")
    add("--here", action="store_true", help="with --quick: run in this process, which is faster")
    return parser


if __name__ == "__main__":
    # Handle SIGTERM like Ctrl-C, so that child processes are stopped too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
