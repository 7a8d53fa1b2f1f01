"""Bases side by side: how well their bots write, and what they cost.

    python benchmarks/models.py --json docs/research/models.json --markdown docs/research/models.md

Each base is trained on the same newest posts of each author with the default recipe, in a process
of its own, whose peak memory is measured. A base that can't be had (no hub, weights not on this
machine, too large for it) is left out of the table, and named below it with the reason. The same
command measures it where it can be had, and goes on from ``--json``. ``--bases`` takes built-in
bases, Hub ids, and ``NAME=FOLDER`` for a folder.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # benchmarks/ is not installed

from benchmarks import speed_process, studies
from huggingtweets.errors import InputError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from benchmarks.studies import Cell

BASES = (
    *("pocket", "smollm2", "smollm2-posts"),
    *("distilgpt2", "gpt2", "ibm-granite/granite-4.0-350m-base", "Qwen/Qwen3-0.6B"),
)
"""Built-in ones, then those of the Hub by size. Granite 4.0 Nano (October 2025) is the newest."""

SHOWN = 10
"""Unpicked posts of each base."""

_KEYS = ("author", "seed", "base")
_COLUMNS = (
    ("bits per byte", "bits_per_byte", 3),
    ("untouched", "untouched", 3),
    ("authorship", "authorship", 2),
    ("copied", "copied", 3),
    ("seconds to train", "seconds", 0),
    (f"to write {SHOWN} posts", "write_seconds", 1),
    ("peak memory, MB", "peak_mb", 0),
)


def parse_base(text: str) -> tuple[str, str]:
    """Return the name of a base in the table, and what to load."""
    name, equals, folder = text.partition("=")
    return (name, folder) if equals else (text, text)


def cell_of(chosen: argparse.Namespace, source: Path, model: str, *, seed: int) -> Cell:
    """Train one base in its own process and measure it; or say why that isn't possible."""
    task = {
        "model": model,
        "source": str(source.absolute()),
        "seed": seed,
        "shown": SHOWN,
        **{name: getattr(chosen, name) for name in ("posts", "held_out", "generated")},
    }
    run = speed_process.run_here if chosen.here else speed_process.run
    result = run("benchmarks.ours.model", task)
    if reason := result.get("missing") or result.get("failed"):
        return {"missing": reason}
    return result


def run(chosen: argparse.Namespace) -> None:
    """Measure what is missing, then write the table."""
    studies.check_document(chosen.markdown)
    sources = studies.sources_of(chosen)
    setting = {"study": "models", "posts": chosen.posts}
    setting |= {"held_out": chosen.held_out, "generated": chosen.generated}
    cells = studies.Cells(chosen.json, None if chosen.render else setting, _KEYS)
    if not chosen.render:
        measure_all(chosen, cells, sources)
    if not any("bits_per_byte" in cell for cell in cells.cells):
        reasons = "; ".join(f"{cell['base']}: {cell['missing']}" for cell in cells.cells)
        raise InputError(f"There is nothing to show: no cell is measured. {reasons}".strip())
    studies.write_table(chosen.markdown, table(cells.cells))


def measure_all(chosen: argparse.Namespace, cells: studies.Cells, sources: Sequence[Path]) -> None:
    """Measure the cells that are missing, small bases first; try again what couldn't be had."""
    cells.cells = [cell for cell in cells.cells if "missing" not in cell]
    unusable: set[str] = set()
    for seed in range(chosen.seeds):
        for source in sources:
            for name, model in map(parse_base, chosen.bases):
                if name in unusable:
                    continue
                one = partial(cell_of, chosen, source, model, seed=seed)
                found = cells.need(one, author=source.stem, seed=seed, base=name)
                if "missing" in found:
                    unusable.add(name)


def table(cells: Sequence[Cell]) -> str:
    """One row for each base that was measured, the reasons of the others, and unpicked posts."""
    measured = [cell for cell in cells if "bits_per_byte" in cell]
    bases = dict.fromkeys(cell["base"] for cell in measured)
    groups = {base: [cell for cell in measured if cell["base"] == base] for base in bases}
    rows = [
        [
            f"`{base}`",
            f"{group[0]['parameters'] / 1e6:.0f} M",
            str(len(group)),
            *(studies.summary((c[key] for c in group), digits) for _, key, digits in _COLUMNS),
        ]
        for base, group in groups.items()
    ]
    head = ["base", "weights", "bots", *(name for name, _, _ in _COLUMNS)]
    missing = {cell["base"]: cell["missing"] for cell in cells if "missing" in cell}
    left_out = "\n".join(
        f"- `{base}`: {reason.split('. ')[0].rstrip('.')}." for base, reason in missing.items()
    )
    return "\n\n".join(
        [
            studies.ran(measured),
            studies.markdown(head, rows),
            *([f"Left out:\n\n{left_out}"] if missing else []),
            *(_posts(base, group[0]) for base, group in groups.items()),
        ]
    )


def _posts(base: str, cell: Cell) -> str:
    posts = "\n".join(f"- {' '.join(post.split())}" for post in cell["shown"])
    title = f"{base}, {cell['author']}'s bot: {len(cell['shown'])} unpicked posts"
    return f"<details><summary>{title}</summary>\n\n{posts}\n\n</details>"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is the program's."""
    options = studies.parser(__doc__, base=False)
    add = options.add_argument
    add("--bases", nargs="+", metavar="BASE", default=list(BASES), help="what to compare")
    add("--posts", type=int, default=1000, help="training posts, the newest (%(default)s)")
    add("--here", action="store_true", help="in this process, for tests: memory isn't the base's")
    chosen = options.parse_args(arguments)
    if chosen.quick:
        chosen.seeds, chosen.posts = 1, studies.QUICK_POSTS
        chosen.held_out, chosen.generated = 20, 20
    return studies.exit_status(lambda: run(chosen))


if __name__ == "__main__":
    sys.exit(main())
