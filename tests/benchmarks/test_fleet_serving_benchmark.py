"""The benchmark of served fleets, small: it makes bots, and compares them with each alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.helpers.fleets import write_fleet

from benchmarks import fleet_serving
from huggingtweets.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_bots_are_made_opened_and_compared(
    tmp_path: Path, tiny_base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunFolder(write_fleet(tmp_path / "made", tiny_base, ["ann"]) / "ann")
    made = fleet_serving.make_fleet(run, tmp_path / "fleet", 3)
    assert made.rank == 4
    names = sorted(path.name for path in (tmp_path / "fleet").iterdir())
    assert names == ["author0000", "author0001", "author0002"]
    fleet_serving.measure_opening(tmp_path / "fleet", names, 1e9)
    fleet_serving.compare(tmp_path / "fleet", names)
    printed = capsys.readouterr().out
    assert "opening a bot, files not in the page cache: " in printed
    assert "fp32: 12 of 12 posts of 3 bots equal to each bot's alone" in printed
