"""The real training, from a file of posts to the record, against committed numbers.

When a change is meant to move them, put the numbers that the failed test shows into golden.json.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.helpers.posts import made_up_posts, write_csv

from huggingtweets import pipeline
from huggingtweets.pipeline import TrainOptions
from huggingtweets.training import RECIPES

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("recipe", "base", "learning_rate"),
    [("fast", "tiny_base", 1e-2), ("fast", "dropout_base", 1e-2), ("classic", "tiny_base", None)],
)
def test_held_out_loss_falls_as_it_did(
    recipe: str,
    base: str,
    learning_rate: float | None,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    options = TrainOptions(
        base=str(request.getfixturevalue(base)),
        recipe=RECIPES[recipe].changed(learning_rate=learning_rate),
        out=tmp_path,
        seed=20,
        device="cpu",
        precision="fp32",
    )
    source = write_csv(tmp_path / "ann.csv", "ann", made_up_posts(200))
    result = pipeline.train([source], options).record().result
    measured = [point["held_out_bits_per_byte"] for point in result["history"]]
    expected = GOLDEN[f"{recipe} {base}"]
    assert measured == pytest.approx(expected["held_out_bits_per_byte"], rel=1e-3)
    assert (result["steps"], result["tokens"]) == (expected["steps"], expected["tokens"])
