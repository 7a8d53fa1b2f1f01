"""Random generated posts side by side, and the results for a base's card."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import likeness_tables as tables
from benchmarks import markers
from huggingtweets.errors import InputError
from huggingtweets.storage import files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.likeness_results import Result, Results

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
_LAST_HEADING = "## What it must not be used for"
_CARD_COLUMNS = ("author", "posts", "base", "bot", "compressor, each post alone", "gain", "copied")
_WARNING = (
    "Written by AI bots: **nobody named here said or wrote any of this**, and most of it is untrue."
)
_HOW = (
    "The first posts of seed 0, without selection: ten that begin with the prompt *My dream is*, "
    "ten without a prompt. The Markov chain takes no prompt. **(copy)** marks posts that the copy "
    "rule catches; when a bot is used, such posts are replaced."
)


def samples(all_results: Sequence[Results], authors: Sequence[str]) -> str:
    """A Markdown document of unpicked posts: those of each base's bot, then the Markov chain's.

    Args:
        all_results: of one base each; the Markov chain's posts are those of the first.
        authors: who is shown; those without a result are left out.
    """
    parts = ["# Unpicked posts", _WARNING, _HOW, *_tables(all_results, authors)]
    return "\n\n".join(parts) + "\n"


def put_card(file: Path, all_results: Sequence[Results], authors: Sequence[str]) -> None:
    """Put the first base's results into its card, unpicked posts included.

    Args:
        file: the card, as ``pretrain`` writes it.
        all_results: the base's own, then others that its posts are shown beside.
        authors: whose posts are shown.

    Raises:
        InputError: the file can't be read or isn't such a card.
    """
    try:
        text = file.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"{file} can't be read, so no results can be put there.") from error
    if BEGIN not in text:
        if text.count(_LAST_HEADING) != 1:
            raise InputError(f"{file} is no card of a base: it lacks {_LAST_HEADING!r}.")
        place = f"## Results\n\n{BEGIN}\n{END}\n\n{_LAST_HEADING}"
        files.write_text(file, text.replace(_LAST_HEADING, place))
    own = all_results[0]
    parts = [tables.described(own), _short_table(own), tables.NOTES, "### Unpicked posts"]
    parts += [_WARNING, _HOW, *_tables(all_results, authors)]
    markers.put(file, BEGIN, END, "\n\n".join(parts))


def _short_table(results: Results) -> str:
    """The columns that tell of the base, without those of speed and of the classifier."""
    titles = ["author", *(column.title for column in tables.COLUMNS)]
    chosen = [titles.index(title) for title in _CARD_COLUMNS]
    lines = [*tables.head().split("\n"), *map(tables.row, results.reports)]
    lines += tables.medians(results.reports)
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return "\n".join("| " + " | ".join(row[i] for i in chosen) + " |" for row in cells)


def _tables(all_results: Sequence[Results], authors: Sequence[str]) -> list[str]:
    """A table an author, each in a section that opens with a click where that works."""
    names = [Path(results.setup.base["name"] or "base").name for results in all_results]
    found = []
    for author in authors:
        mine = [_of(results, author) for results in all_results]
        if mine[0] is not None:
            found.append(_table(mine[0].name, names, mine))
    return found


def _of(results: Results, author: str) -> Result | None:
    return next((result for result in results.reports if author in result.report.authors), None)


def _table(author: str, names: Sequence[str], found: Sequence[Result | None]) -> str:
    columns = [list(result.samples.get("bot", ())) if result else [] for result in found]
    columns.append(list(found[0].samples.get("markov", ())) if found[0] else [])
    longest = max(map(len, columns))
    rows = [
        " | ".join(_cell(column[i]) if i < len(column) else "–" for column in columns)
        for i in range(longest)
    ]
    heads = [*(f"bot from `{name}`" for name in names), "Markov chain"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", *(f"| {r} |" for r in rows)]
    summary = f"<details><summary>{html.escape(author)}</summary>"
    return "\n\n".join([summary, "\n".join(lines), "</details>"])


def _cell(post: Mapping[str, Any]) -> str:
    return _escaped(post["text"]) + (" **(copy)**" if post.get("copied") else "")


def _escaped(text: str) -> str:
    """One line in which nothing is taken for Markdown or HTML."""
    return re.sub(r"([\\`*_{}\[\]<>#|~&])", r"\\\1", " ".join(text.split()))
