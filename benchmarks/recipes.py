"""Compare recipes on the same authors, to test whether the result of a sweep generalises.

    python benchmarks/recipes.py --posts 300 --json recipes.json A.parquet B.parquet

Each author's newest posts are held out, and each recipe trains the same base on the rest. The
default recipes are ``classic``, ``fast`` and ``fast`` before the sweep. Rows already in the JSON
file are not measured again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # benchmarks/ is not installed

from benchmarks import markers
from huggingtweets.errors import HuggingTweetsError, InputError
from huggingtweets.nn import devices
from huggingtweets.storage import files
from huggingtweets.sweep import objective
from huggingtweets.sweep.posts import AuthorPosts, read_authors
from huggingtweets.sweep.trial import Job, train_author
from huggingtweets.training import RECIPES, Recipe

if TYPE_CHECKING:
    import polars as pl

BEFORE = Recipe(
    name="fast before",
    epochs=2,
    learning_rate=1e-3,
    warmup=0.05,
    batch_tokens=1024,
    rows="posts",
    beta2=0.99,
)
"""``fast`` until the sweep of November 2026."""

BEGIN, END = "<!-- recipes:begin -->", "<!-- recipes:end -->"


def recipe_of(text: str) -> Recipe:
    """Return the recipe of this name, or ``fast`` with changes: ``NAME:field=value,...``.

    Raises:
        InputError: unknown recipe or field.
    """
    name, _, changes = text.partition(":")
    if not changes:
        if name == "before":
            return BEFORE
        if name not in RECIPES:
            raise InputError(f"There is no recipe {name!r}; choose {', '.join(RECIPES)}, before.")
        return RECIPES[name]
    try:
        pairs = (pair.split("=") for pair in changes.split(","))
        values = {key: json.loads(value) for key, value in pairs}
    except ValueError as error:
        raise InputError(f"{text!r} must look like NAME:epochs=3,learning_rate=3e-4.") from error
    return RECIPES["fast"].changed(name=name, **values)


def measure(posts: AuthorPosts, recipe: Recipe, base: str) -> dict[str, Any]:
    """Train and measure one recipe on one author."""
    device = devices.select_device(None, recipe.precision)
    job = Job(posts.author, asdict(recipe), base, 0, device.device, device.precision)
    return {"author": posts.author, "recipe": asdict(recipe), **train_author(posts, job).as_json()}


def by_author(table: pl.DataFrame) -> list[AuthorPosts]:
    """Group a table of :func:`read_authors` by author."""
    return [
        AuthorPosts(
            name,
            *(
                table.filter(author=name, split=part)["text"].to_list()
                for part in ("train", "held_out")
            ),
        )
        for name in table["author"].unique(maintain_order=True)
    ]


def as_table(rows: list[dict[str, Any]], recipes: list[Recipe]) -> str:
    """Return bits per byte per author and recipe, with summary rows, in Markdown."""
    authors = list(dict.fromkeys(row["author"] for row in rows))
    by_key = {(row["author"], row["recipe"]["name"]): row for row in rows}
    lines = [
        "| author | base | " + " | ".join(f"`{recipe.name}`" for recipe in recipes) + " |",
        "|---|---:" + "|---:" * len(recipes) + "|",
    ]
    for author in authors:
        author_rows = [by_key[author, recipe.name] for recipe in recipes]
        base = author_rows[0]["history"][0]["held_out_bits_per_byte"]
        values = " | ".join(f"{row['bits_per_byte']:.3f}" for row in author_rows)
        lines.append(f"| {author} | {base:.3f} | {values} |")
    columns = [[by_key[a, r.name]["bits_per_byte"] for a in authors] for r in recipes]
    bases = [by_key[a, recipes[0].name]["history"][0]["held_out_bits_per_byte"] for a in authors]
    for name, aggregate in (("mean", statistics.fmean), ("mean + 1 std", objective.robust)):
        values = " | ".join(f"{aggregate(column):.3f}" for column in columns)
        lines.append(f"| {name} | {aggregate(bases):.3f} | {values} |")
    seconds = (statistics.median(by_key[a, r.name]["seconds"] for a in authors) for r in recipes)
    lines.append("| median seconds | | " + " | ".join(f"{s:.0f}" for s in seconds) + " |")
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("authors", nargs="+", metavar="SOURCE")
    parser.add_argument("--recipe", action="append", help="classic, fast, before or NAME:field=v")
    parser.add_argument("--posts", type=int, help="training posts per author, the newest (all)")
    parser.add_argument("--holdout", type=float, default=0.2)
    parser.add_argument("--base", default="pocket")
    parser.add_argument("--json", type=Path, metavar="FILE", help="read and save results here")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the table between its markers"
    )
    return parser.parse_args()


def main() -> None:
    """Measure the missing rows, then print the table."""
    chosen = arguments()
    recipes = [recipe_of(text) for text in chosen.recipe or ("classic", "before", "fast")]
    kept = read_authors(chosen.authors, holdout=chosen.holdout, newest=chosen.posts)
    setting = {"posts": chosen.posts, "holdout": chosen.holdout, "base": chosen.base}
    rows: list[dict[str, Any]] = []
    if chosen.json and chosen.json.exists():
        saved = json.loads(chosen.json.read_text("utf-8"))
        rows = saved["rows"] if saved["setting"] == setting else []
    if chosen.markdown:
        markers.check(chosen.markdown, BEGIN, END)
    for posts in by_author(kept):
        for recipe in recipes:
            if any((r["author"], r["recipe"]) == (posts.author, asdict(recipe)) for r in rows):
                continue
            row = measure(posts, recipe, chosen.base)
            rows.append(row)
            print(posts.author, recipe.name, row["bits_per_byte"], flush=True)
            if chosen.json:
                files.write_json(chosen.json, {"setting": setting, "rows": rows})
    table = as_table(rows, recipes)
    print(table)
    if chosen.markdown:
        markers.put(chosen.markdown, BEGIN, END, table)


if __name__ == "__main__":
    try:
        main()
    except HuggingTweetsError as error:
        sys.exit(f"recipes: {error}")
