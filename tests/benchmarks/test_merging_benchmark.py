"""The study of merging, whole and small: it stops, resumes, and writes its table and picture."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl
from tests.helpers.posts import made_up_posts

from benchmarks import merging

if TYPE_CHECKING:
    from pathlib import Path


def test_quick_study_resumes_and_writes_table_and_picture(tmp_path: Path, tiny_base: Path) -> None:
    for number, author in enumerate(("ann", "ben")):
        file = tmp_path / "bench" / f"{author}.parquet"
        file.parent.mkdir(exist_ok=True)
        posts = made_up_posts(90, number)
        table = pl.DataFrame({"author": author, "id": map(str, range(90)), "text": posts})
        table.write_parquet(file)
    page, picture, results = (tmp_path / name for name in ("page.md", "curve.svg", "found.json"))
    page.write_text(f"# Study\n\n{merging.BEGIN}\n{merging.END}\n", "utf-8")
    options = ["--quick", "--seeds", "1", "--authors", "ann+ben", "--base", str(tiny_base)]
    options += ["--data", str(tmp_path), "--json", str(results), "--out", str(tmp_path / "bots")]
    assert merging.main(options) == 0
    found = json.loads(results.read_text("utf-8"))
    assert [point["name"] for point in found["found"]] == ["linear", "blend", "both"]
    done = found["found"]
    found["found"] = done[:1]
    results.write_text(json.dumps(found), "utf-8")
    assert merging.main([*options, "--markdown", str(page), "--plot", str(picture)]) == 0
    again = json.loads(results.read_text("utf-8"))["found"]
    assert [point["bits"] for point in again] == [point["bits"] for point in done]
    assert "| trained on both |" in page.read_text("utf-8")
    assert picture.read_text("utf-8").startswith("<svg")


def test_authors_for_final_figures_and_single_authors_are_refused(tmp_path: Path) -> None:
    assert merging.main(["--authors", "NASA"]) == 2
    assert merging.main(["--authors", "SenSanders+NASA", "--data", str(tmp_path)]) == 2
