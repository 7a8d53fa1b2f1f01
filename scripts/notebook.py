"""Write notebooks/huggingtweets.ipynb anew: cells from notebooks/text, outputs by running them.

    python scripts/notebook.py             # what `make notebook` does, a few minutes
    python scripts/notebook.py --check     # only say whether text and notebook agree

The notebook runs in a temporary folder, so it leaves no bot behind.
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
    """The notebook as its text says, without outputs."""
    notebook: NotebookNode = jupytext.read(TEXT)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:02}"  # the same each time, so that diffs read
    return notebook


def with_parameters(notebook: NotebookNode, code: str) -> NotebookNode:
    """Put a cell behind the one tagged ``parameters``, as papermill does."""
    at = next(
        number
        for number, cell in enumerate(notebook.cells)
        if "parameters" in cell.metadata.get("tags", ())
    )
    notebook.cells.insert(at + 1, nbformat.v4.new_code_cell(code))
    return notebook


def execute(notebook: NotebookNode, folder: Path) -> NotebookNode:
    """Run all cells in a folder.

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
    """Whether two notebooks have the same cells, outputs aside."""

    def cells(notebook: NotebookNode) -> list[tuple[Any, ...]]:
        return [
            (cell.cell_type, cell.source, tuple(cell.metadata.get("tags", ())))
            for cell in notebook.cells
        ]

    return cells(first) == cells(second)


def tidy(notebook: NotebookNode, folder: Path) -> NotebookNode:
    """Take out what differs from machine to machine, and make pictures small."""
    notebook.metadata.pop("language_info", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = _joined(cell.outputs)
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "image/png" in data:
                data.pop("text/plain", None)
                data["image/png"] = _fewer_colours(data["image/png"])
            for texts in (output, data):
                for kind in ("text", "text/plain", "text/html", "text/markdown"):
                    if kind in texts:
                        texts[kind] = texts[kind].replace(f"{folder}/", "")
    return notebook


def _joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """What was printed as one output, though it came line by line."""
    joined: list[NotebookNode] = []
    for output in outputs:
        before = joined[-1] if joined else {}
        if output.output_type == "stream" and output.get("name") == before.get("name"):
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


def _fewer_colours(png: str) -> str:
    """A picture in 128 colours, which takes a third of the bytes and looks the same."""
    made = BytesIO()
    picture = Image.open(BytesIO(base64.b64decode(png))).convert("RGB")
    picture.quantize(128).save(made, "PNG", optimize=True)
    return base64.b64encode(made.getvalue()).decode()


def main() -> None:
    """Write the notebook, or check it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare text and notebook")
    if parser.parse_args().check:
        agree = NOTEBOOK.is_file() and same_text(from_text(), nbformat.read(NOTEBOOK, 4))
        sys.exit(None if agree else f"{NOTEBOOK} is not what {TEXT} says; run: make notebook")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _link_docs(folder)
        made = tidy(execute(from_text(), folder), folder)
    files.write_text(NOTEBOOK, nbformat.writes(made) + "\n")
    print(f"{NOTEBOOK}: {NOTEBOOK.stat().st_size / 1e3:,.0f} kB", file=sys.stderr)


def _link_docs(folder: Path) -> None:
    """The recorded sweep is looked for in the folders above the notebook."""
    (folder / "docs").symlink_to(FOLDER.parent / "docs")


if __name__ == "__main__":
    main()
