"""Write notebooks/huggingtweets.ipynb: take the cells from notebooks/text and run them.

    python scripts/notebook.py             # what `make notebook` does, a few minutes
    python scripts/notebook.py --check     # only check that text and notebook agree

The notebook runs in a temporary folder, which is deleted with its bots.
"""

from __future__ import annotations

import argparse
import base64
import sys
import tempfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jupytext
import nbformat
from nbclient import NotebookClient
from PIL import Image

from huggingtweets.storage import files

if TYPE_CHECKING:
    from nbformat import NotebookNode

FOLDER = Path(__file__).parent.parent / "notebooks"
TEXT = FOLDER / "text" / "huggingtweets.py"
NOTEBOOK = FOLDER / "huggingtweets.ipynb"
_CELL_SECONDS = 600


def from_text() -> NotebookNode:
    """Return the notebook of the text file, without outputs."""
    notebook: NotebookNode = jupytext.read(TEXT)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:02}"  # stable ids keep diffs small
    return notebook


def with_parameters(notebook: NotebookNode, code: str) -> NotebookNode:
    """Insert a cell after the one tagged ``parameters``, as papermill does."""
    position = next(
        number
        for number, cell in enumerate(notebook.cells)
        if "parameters" in cell.metadata.get("tags", ())
    )
    notebook.cells.insert(position + 1, nbformat.v4.new_code_cell(code))
    return notebook


def execute(notebook: NotebookNode, folder: Path) -> NotebookNode:
    """Run all cells in ``folder``.

    Raises:
        CellExecutionError: a cell failed.
    """
    client = NotebookClient(
        notebook,
        timeout=_CELL_SECONDS,
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
    )
    client.execute()
    return notebook


def same_text(first: NotebookNode, second: NotebookNode) -> bool:
    """Return whether two notebooks have the same cells, ignoring outputs."""

    def cells(notebook: NotebookNode) -> list[tuple[Any, ...]]:
        return [
            (cell.cell_type, cell.source, tuple(cell.metadata.get("tags", ())))
            for cell in notebook.cells
        ]

    return cells(first) == cells(second)


def tidy(notebook: NotebookNode, folder: Path) -> NotebookNode:
    """Remove what depends on the machine, and reduce the size of images."""
    notebook.metadata.pop("language_info", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = _merge_streams(cell.outputs)
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "image/png" in data:
                data.pop("text/plain", None)
                data["image/png"] = _reduce_colours(data["image/png"])
            for texts in (output, data):
                for kind in ("text", "text/plain", "text/html", "text/markdown"):
                    if kind in texts:
                        texts[kind] = texts[kind].replace(f"{folder}/", "")
    return notebook


def _merge_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Merge consecutive outputs of the same stream."""
    merged: list[NotebookNode] = []
    for output in outputs:
        previous = merged[-1] if merged else {}
        if output.output_type == "stream" and output.get("name") == previous.get("name"):
            merged[-1].text += output.text
        else:
            merged.append(output)
    return merged


def _reduce_colours(png: str) -> str:
    """Reduce a PNG to 128 colours, a third of the bytes without a visible difference."""
    buffer = BytesIO()
    picture = Image.open(BytesIO(base64.b64decode(png))).convert("RGB")
    picture.quantize(128).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def main() -> None:
    """Write or check the notebook."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare text and notebook")
    if parser.parse_args().check:
        agree = NOTEBOOK.is_file() and same_text(from_text(), nbformat.read(NOTEBOOK, 4))
        sys.exit(None if agree else f"{NOTEBOOK} differs from {TEXT}. Run: make notebook")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _link_docs(folder)
        notebook = tidy(execute(from_text(), folder), folder)
    files.write_text(NOTEBOOK, nbformat.writes(notebook) + "\n")
    print(f"{NOTEBOOK}: {NOTEBOOK.stat().st_size / 1e3:,.0f} kB", file=sys.stderr)


def _link_docs(folder: Path) -> None:
    """Link docs/ next to the notebook, where it looks for the recorded sweep."""
    (folder / "docs").symlink_to(FOLDER.parent / "docs")


if __name__ == "__main__":
    main()
