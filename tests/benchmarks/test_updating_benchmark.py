"""The study of updating month by month, from posts to table and picture, with a tiny base."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl
import pytest
from tests.helpers.posts import made_up_posts

from benchmarks import updating

if TYPE_CHECKING:
    from pathlib import Path

DOCUMENT = "# Study\n\n<!-- study:begin -->\nold\n<!-- study:end -->\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with three months of an author."""
    texts = made_up_posts(180)
    times = pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2024, 4, 1), "12h", eager=True)
    table = pl.DataFrame({"author": "NASA", "text": texts, "created_at": times[: len(texts)]})
    (tmp_path / "demo").mkdir()
    table.write_parquet(tmp_path / "demo" / "NASA.parquet")
    return tmp_path


def test_the_quick_study_follows_every_month_and_goes_on_from_its_file(
    data: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document, file, picture = (data / f"study.{kind}" for kind in ("md", "json", "svg"))
    document.write_text(DOCUMENT, "utf-8")
    command = ["--quick", "--data", str(data), "--base", str(tiny_base), "--json", str(file)]
    command += ["--markdown", str(document), "--plot", str(picture)]
    assert updating.main(command) == 0
    cells = {cell["way"]: cell for cell in json.loads(file.read_text("utf-8"))["cells"]}
    assert list(cells) == list(updating.WAYS)
    months = ["2024-01", "2024-02", "2024-03"]
    assert all([row["month"] for row in cell["months"]] == months for cell in cells.values())
    assert len({cell["months"][0]["first"] for cell in cells.values()}) == 1
    assert cells["never"]["forgotten"] == 0.0
    assert cells["never"]["months"][1]["seconds"] == 0.0
    assert cells["update"]["last"] < cells["never"]["last"]
    text = document.read_text("utf-8")
    assert all(f"`{way}`" in text for way in updating.WAYS)
    assert "posts of the first month" in picture.read_text("utf-8")

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a cell that is stored was trained again")

    monkeypatch.setattr(updating, "fit", refuse)
    assert updating.main([*command, "--render"]) == 0
    assert document.read_text("utf-8") == text


def test_an_author_of_one_month_is_refused(
    data: Path, tiny_base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = data / "demo" / "NASA.parquet"
    pl.read_parquet(file).head(40).write_parquet(file)
    assert updating.main(["--quick", "--data", str(data), "--base", str(tiny_base)]) == 2
    assert "less than two months" in capsys.readouterr().err
