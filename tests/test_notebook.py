"""The notebook runs completely and agrees with its text."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING

import nbformat
import pytest
from scripts import notebook

from huggingtweets.storage.run_folder import list_runs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nbformat import NotebookNode

POSTS = 150


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The notebook's working directory: a folder with a recorded sweep, as in a clone."""
    made = tmp_path_factory.mktemp("notebook")
    importance = {"learning_rate": 0.6, "epochs": 0.3, "batch_tokens": 0.1}
    (made / "docs" / "lab").mkdir(parents=True)
    (made / "docs" / "lab" / "sweep.json").write_text(
        json.dumps(
            {"importance": {"random_forest": importance, "fanova": importance}, "trials": [{}] * 7}
        )
    )
    return made


@pytest.fixture(scope="module")
def executed(folder: Path, tiny_base: Path) -> Iterator[NotebookNode]:
    """The whole notebook on few posts, for one epoch and with a tiny base.

    The committed outputs are of the default base (``make notebook``).
    """
    short = notebook.with_parameters(notebook.from_text(), f"NEWEST = {POSTS}\nEPOCHS = 1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HUGGINGTWEETS_BASE", str(tiny_base))
        yield notebook.tidy(notebook.execute(short, folder), folder)


def outputs(made: NotebookNode) -> list[NotebookNode]:
    return [output for cell in made.cells for output in cell.get("outputs", ())]


def printed(made: NotebookNode) -> str:
    return "".join(output.text for output in outputs(made) if output.output_type == "stream")


def pictures(made: NotebookNode) -> list[bytes]:
    found = (output.get("data", {}).get("image/png") for output in outputs(made))
    return [base64.b64decode(picture) for picture in found if picture]


@pytest.mark.timeout(900)  # two bots
def test_notebook_runs(executed: NotebookNode, folder: Path) -> None:
    text = printed(executed)
    assert f"{POSTS} posts, " in text
    assert len(re.findall(r"step +\d+: \d\.\d{3} bits per held-out byte", text)) == 2
    assert "bits per byte  " in text
    assert text.count("• ") == 12
    assert len(re.findall(r"@NASA(?:_answering)?: \d\.\d\d bits per byte, \d+ posts", text)) == 2
    assert "7 trials" in text
    for name in ("model.safetensors", "README.md", "predictions.png"):
        assert name in text
    assert not [output for output in outputs(executed) if output.get("name") == "stderr"], text
    one, both = list_runs(folder / "runs")
    assert one.record().counts["downloaded"] == POSTS
    assert one.record().config["recipe"]["epochs"] == 1
    assert set(both.record().authors) == {"NASA", "NASA_answering"}


@pytest.mark.timeout(900)
def test_notebook_has_plots_and_picture(executed: NotebookNode) -> None:
    drawn = pictures(executed)
    assert len(drawn) == 7
    assert all(picture.startswith(b"\x89PNG") and len(picture) > 2_000 for picture in drawn)


@pytest.mark.timeout(900)
def test_notebook_has_no_local_paths(executed: NotebookNode, folder: Path) -> None:
    assert str(folder) not in nbformat.writes(executed)


def test_notebook_and_text_agree() -> None:
    committed = nbformat.read(notebook.NOTEBOOK, 4)
    assert notebook.same_text(committed, notebook.from_text()), "run: make notebook"
    nbformat.validate(committed)


def test_notebook_has_outputs_and_is_small() -> None:
    committed = nbformat.read(notebook.NOTEBOOK, 4)
    assert len(pictures(committed)) >= 6
    assert "bits per byte" in printed(committed)
    assert not [output for output in outputs(committed) if output.output_type == "error"]
    assert notebook.NOTEBOOK.stat().st_size < 1_000_000


def test_changed_text_is_detected() -> None:
    first, second = notebook.from_text(), notebook.from_text()
    assert notebook.same_text(first, second)
    second.cells[3].source += "\n"
    assert not notebook.same_text(first, second)
