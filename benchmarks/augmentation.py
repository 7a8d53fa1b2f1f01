"""Whether varying the posts in training helps, and whether more so the fewer posts there are.

    python benchmarks/augmentation.py --json docs/research/augmentation.json \
        --markdown docs/research/augmentation.md

Compares the choices of ``train --augment`` at 100, 300, 1,000 and 3,000 posts. ``longer`` is a
control: no augmentation, but twice the epochs, as an adversarial step and paraphrases also cost
twice the time. Epochs and the way back to the base are chosen on validation posts; the table is
measured on later ones.
"""

from __future__ import annotations

import statistics
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # benchmarks/ is not installed

from benchmarks import studies
from huggingtweets import augmentation
from huggingtweets.errors import InputError
from huggingtweets.nn import devices, language_model
from huggingtweets.training import RECIPES

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from benchmarks.studies import Author, Cell

    from huggingtweets.nn.devices import ComputeDevice

POSTS = (100, 300, 1000, 3000)
KINDS = ("none", "longer", "noise", "adversarial", "paraphrase")
_KEYS = ("author", "seed", "posts", "augment", "strength")
_COLUMNS = (
    ("bits per byte", "bits_per_byte", 3),
    ("authorship", "authorship", 3),
    ("copied", "copied", 3),
    ("longest run", "longest_run", 1),
    ("distinct-2", "distinct_2", 3),
    ("paraphrases", "paraphrases", 0),
    ("seconds", "seconds", 0),
)


def cell_of(
    chosen: argparse.Namespace,
    author: Author,
    machine: ComputeDevice,
    *,
    posts: int,
    augment: str,
    strength: float,
    seed: int,
) -> Cell:
    """Train one bot and measure it."""
    recipe = RECIPES["fast"].changed(augment_strength=strength)
    if augment == "longer":
        recipe = recipe.changed(epochs=2 * recipe.epochs)
    else:
        recipe = recipe.changed(augment=augment)
    base = language_model.load(chosen.base, attention=recipe.attention(machine.device))
    train = author.train[-posts:]
    added: list[str] = []
    if augment == "paraphrase":
        by_author = {author.name: train}
        added = augmentation.rewritten(base, by_author, machine, seed=seed)[author.name]
    result = studies.train(base, [*train, *added], author, recipe, machine, seed=seed)
    measured = studies.measure(base, train, author, machine, seed=seed, generated=chosen.generated)
    return {
        "seconds": round(result.seconds, 1),
        "epochs": result.history[-1]["epoch"],
        "way": result.way,
        "paraphrases": len(added) if augment == "paraphrase" else None,
    } | measured


def table(cells: Sequence[Cell]) -> str:
    """Mean and spread of each measure, and the mean difference to no augmentation, in Markdown.

    The difference is taken within an author and a seed; its spread says whether it is more than
    chance.
    """
    plain = {(c["author"], c["seed"], c["posts"]): c for c in cells if c["augment"] == "none"}
    groups: dict[tuple[int, str, float], list[Cell]] = {}
    for cell in cells:
        if (cell["author"], cell["seed"], cell["posts"]) in plain:
            key = (cell["posts"], cell["augment"], cell["strength"])
            groups.setdefault(key, []).append(cell)
    rows = []
    for (posts, augment, strength), group in sorted(groups.items(), key=_order):
        changes = [
            c["bits_per_byte"] - plain[c["author"], c["seed"], posts]["bits_per_byte"]
            for c in group
        ]
        name = f"`{augment}`" if augment != "longer" else "control: twice the epochs"
        rows.append(
            [
                f"{posts:,}",
                name + (f" × {strength:g}" if strength != 1.0 else ""),
                str(len(group)),
                "–" if augment == "none" else _signed(changes),
                *(studies.summary((c[key] for c in group), digits) for _, key, digits in _COLUMNS),
            ]
        )
    head = ["posts", "augment", "bots", "change in bits per byte", *(c[0] for c in _COLUMNS)]
    return studies.ran(cells) + "\n\n" + studies.markdown(head, rows)


def _order(item: tuple[tuple[int, str, float], list[Cell]]) -> tuple[int, int, float]:
    posts, augment, strength = item[0]
    return posts, KINDS.index(augment), strength


def _signed(changes: Sequence[float]) -> str:
    """Mean change with its sign, and the sample standard deviation."""
    spread = f" ± {statistics.stdev(changes):.3f}" if len(changes) > 1 else ""
    return f"{statistics.fmean(changes):+.3f}{spread}".replace("-", "−")


def run(chosen: argparse.Namespace) -> None:
    """Measure what is missing, then write the table."""
    studies.check_document(chosen.markdown)
    sources = studies.sources_of(chosen)
    setting = {"study": "augmentation", "base": chosen.base}
    setting |= {"held_out": chosen.held_out, "generated": chosen.generated}
    cells = studies.Cells(chosen.json, None if chosen.render else setting, _KEYS)
    if not chosen.render:
        measure_all(chosen, cells, sources)
    if not cells.cells:
        raise InputError("There is nothing to show: no cell is measured.")
    studies.write_table(chosen.markdown, table(cells.cells))


def measure_all(chosen: argparse.Namespace, cells: studies.Cells, sources: Sequence[Path]) -> None:
    """Measure the cells that are missing, few posts first, as those take the least time."""
    machine = devices.select_device(None, RECIPES["fast"].precision)
    authors = [studies.read_author(source, chosen.held_out) for source in sources]
    for posts in sorted(chosen.posts):
        for seed in range(chosen.seeds):
            for author in authors:
                if len(author.train) < posts and posts != min(chosen.posts):
                    continue  # it would repeat what fewer posts gave
                for augment in chosen.augment:
                    varies = augment in ("noise", "adversarial")
                    for strength in chosen.strengths if varies else [1.0]:
                        setting = {"posts": posts, "augment": augment, "strength": strength}
                        one = partial(cell_of, chosen, author, machine, seed=seed, **setting)
                        cells.need(one, author=author.name, seed=seed, **setting)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is the program's."""
    options = studies.parser(__doc__)
    add = options.add_argument
    add("--posts", nargs="+", type=int, default=list(POSTS), help="training posts, the newest")
    add("--augment", nargs="+", choices=KINDS, default=list(KINDS))
    add("--strengths", nargs="+", type=float, default=[1.0], help="factors on noise and step")
    chosen = options.parse_args(arguments)
    if chosen.quick:
        chosen.seeds, chosen.posts = 1, [studies.QUICK_POSTS]
        chosen.held_out, chosen.generated = 20, 20
    return studies.exit_status(lambda: run(chosen))


if __name__ == "__main__":
    sys.exit(main())
