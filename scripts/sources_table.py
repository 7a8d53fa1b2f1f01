"""Write the table in ``docs/sources.md`` from the behaviour of the contract suite's sources.

    python scripts/sources_table.py [--check]

With ``--check``, nothing is written; the exit status is 1 if the table is out of date.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, get_args

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # tests/ is not installed

from tests.sources.cases import samples
from tests.sources.network_cases import ALL_CASES

from huggingtweets.data.posts import Kind

if TYPE_CHECKING:
    from tests.sources.cases import Case

PAGE = Path(__file__).resolve().parents[1] / "docs" / "sources.md"
_TABLE = re.compile(r"(?<=<!-- sources:begin -->\n).*(?=<!-- sources:end -->)", re.DOTALL)
_POSTS = 24
_HEADINGS = (
    *("source", "posts", "kinds", "times", "languages", "stable ids"),
    *("constant memory", "goes on", "asks for new only"),
)


def main(arguments: list[str] | None = None) -> int:
    """Write the table, or check it; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args(arguments).check
    text = PAGE.read_text("utf-8")
    new = _TABLE.sub(lambda _: f"\n{table()}\n", text)
    if check and new != text:
        print(f"{PAGE} is out of date. Run: python scripts/sources_table.py", file=sys.stderr)
        return 1
    if new != text:
        PAGE.write_text(new, "utf-8")
    return 0


def table() -> str:
    """Return the table as Markdown."""
    rows = [_HEADINGS, ("---",) * len(_HEADINGS), *map(_row, ALL_CASES)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _row(case: Case) -> tuple[str, ...]:
    with tempfile.TemporaryDirectory() as folder, case.running():
        source = case.write(Path(folder), samples(_POSTS))
        posts = list(source.posts())
        stable = list(source.posts()) == posts
    kinds = {post.kind for post in posts}
    return (
        case.name,
        f"{len(posts)} of {_POSTS}",
        ", ".join(kind for kind in get_args(Kind) if kind in kinds),
        _yes(all(post.created_at for post in posts)),
        _yes(all(post.lang for post in posts)),
        _yes(stable),
        _yes(case.streams),
        *_resuming(case),
    )


def _resuming(case: Case) -> tuple[str, str]:
    """Return the cells for continuing a download and for fetching only new posts."""
    if case.network is None:
        return "–", "–"
    paged = _yes(case.network.page is not None)
    return paged, paged


def _yes(value: bool) -> str:
    return "yes" if value else "no"


if __name__ == "__main__":
    sys.exit(main())
