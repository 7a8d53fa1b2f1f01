"""The table of exports, small: it resumes and writes into its page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.helpers.posts import made_up_posts
from tests.helpers.runs import finished_run

from benchmarks import export

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_table_is_made_of_the_measurements(
    tmp_path: Path, tiny_base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import polars as pl

    run = finished_run(tmp_path / "nasa", tiny_base)
    table = pl.DataFrame({"author": "NASA", "text": made_up_posts(4), "split": "held_out"})
    run.replace_table("kept", table)
    page, results = tmp_path / "page.md", tmp_path / "found.json"
    page.write_text(f"{export.BEGIN}\n{export.END}\n", "utf-8")
    options = [str(run.path), "--quick", "--json", str(results), "--markdown", str(page)]
    export.main(options)
    rows = json.loads(results.read_text("utf-8"))["rows"]
    assert [(row["model"], row["kind"], row["retokenized"]) for row in rows] == [
        ("nasa", "q8_0", 0)
    ]
    assert rows[0]["divergence"] < 1e-3
    assert "| nasa | q8_0 |" in page.read_text("utf-8")
    capsys.readouterr()
    export.main(options)
    assert "{" not in capsys.readouterr().out  # nothing was measured again
