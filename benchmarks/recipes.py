"""Compare recipes on the same authors, to test whether the result of a sweep generalises.

    python benchmarks/recipes.py --posts 300 --json recipes.json A.parquet B.parquet

Each author's newest posts are held out, and each recipe trains the same base on the rest. The
default recipes are ``classic``, ``fast`` and ``fast`` before the sweep. Rows that are in the JSON
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
    """A recipe from its name, or from ``NAME:field=value,...``, which changes ``fast``.

    Raises:
        InputError: there is no such recipe or field.
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
    """One recipe on one author."""
    where = devices.select_device(None, recipe.precision)
    job = Job(posts.author, asdict(recipe), base, 0, where.device, where.precision)
    return {"author": posts.author, "recipe": asdict(recipe), **train_author(posts, job).as_json()}


def by_author(table: pl.DataFrame) -> list[AuthorPosts]:
    """The posts of a table of :func:`read_authors`."""
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
    """Bits per byte of every author after every recipe, and what they come to together."""
    authors = list(dict.fromkeys(row["author"] for row in rows))
    found = {(row["author"], row["recipe"]["name"]): row for row in rows}
    lines = [
        "| author | base | " + " | ".join(f"`{recipe.name}`" for recipe in recipes) + " |",
        "|---|---:" + "|---:" * len(recipes) + "|",
    ]
    for author in authors:
        mine = [found[author, recipe.name] for recipe in recipes]
        base = mine[0]["history"][0]["held_out_bits_per_byte"]
        values = " | ".join(f"{row['bits_per_byte']:.3f}" for row in mine)
        lines.append(f"| {author} | {base:.3f} | {values} |")
    columns = [[found[a, r.name]["bits_per_byte"] for a in authors] for r in recipes]
    bases = [found[a, recipes[0].name]["history"][0]["held_out_bits_per_byte"] for a in authors]
    for name, how in (("mean", statistics.fmean), ("mean + 1 std", objective.robust)):
        values = " | ".join(f"{how(column):.3f}" for column in columns)
        lines.append(f"| {name} | {how(bases):.3f} | {values} |")
    seconds = (statistics.median(found[a, r.name]["seconds"] for a in authors) for r in recipes)
    lines.append("| median seconds | | " + " | ".join(f"{s:.0f}" for s in seconds) + " |")
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("authors", nargs="+", metavar="SOURCE")
    parser.add_argument("--recipe", action="append", help="classic, fast, before or NAME:field=v")
    parser.add_argument("--posts", type=int, help="newest training posts of each (all)")
    parser.add_argument("--holdout", type=float, default=0.2)
    parser.add_argument("--base", default="pocket")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep results there")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="put the table there")
    return parser.parse_args()


def main() -> None:
    """Measure what is missing, then print the table."""
    wanted = arguments()
    recipes = [recipe_of(text) for text in wanted.recipe or ("classic", "before", "fast")]
    kept = read_authors(wanted.authors, holdout=wanted.holdout, newest=wanted.posts)
    setting = {"posts": wanted.posts, "holdout": wanted.holdout, "base": wanted.base}
    rows: list[dict[str, Any]] = []
    if wanted.json and wanted.json.exists():
        before = json.loads(wanted.json.read_text("utf-8"))
        rows = before["rows"] if before["setting"] == setting else []
    if wanted.markdown:
        markers.check(wanted.markdown, BEGIN, END)
    for posts in by_author(kept):
        for recipe in recipes:
            if any((r["author"], r["recipe"]) == (posts.author, asdict(recipe)) for r in rows):
                continue
            row = measure(posts, recipe, wanted.base)
            rows.append(row)
            print(posts.author, recipe.name, row["bits_per_byte"], flush=True)
            if wanted.json:
                files.write_json(wanted.json, {"setting": setting, "rows": rows})
    table = as_table(rows, recipes)
    print(table)
    if wanted.markdown:
        markers.put(wanted.markdown, BEGIN, END, table)


if __name__ == "__main__":
    try:
        main()
    except HuggingTweetsError as error:
        sys.exit(f"recipes: {error}")
