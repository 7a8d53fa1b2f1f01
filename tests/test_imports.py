from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import huggingtweets

FOLDERS = ("src", "tests", "benchmarks", "scripts")
HEAVY = ["torch", "transformers", "polars", "numpy", "sklearn", "typer.testing"]


@pytest.mark.parametrize(
    "code",
    [
        "import huggingtweets",
        "import huggingtweets.cli\n"
        "sys.argv = ['huggingtweets', 'train', '--help']\n"
        "try: huggingtweets.cli.main()\n"
        "except SystemExit as stop: assert not stop.code",
        "import huggingtweets.cli\n"
        "sys.argv = ['huggingtweets', '--help']\n"
        "try: huggingtweets.cli.main()\n"
        "except SystemExit as stop: assert not stop.code",
    ],
)
def test_heavy_packages_are_imported_lazily(code: str) -> None:
    asked = f"import sys\n{code}\nprint('loaded:', *(n for n in {HEAVY} if n in sys.modules))"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded:"


def test_a_model_loads_without_packages_that_it_does_not_need(tiny_base: Path) -> None:
    code = (
        f"import sys\nfrom huggingtweets.generation import bots\nbots.open_bot({str(tiny_base)!r})"
    )
    unneeded = ["scipy", "sklearn", "huggingtweets.pipeline", "huggingtweets.sources", "altair"]
    asked = f"{code}\nprint('loaded:', *(n for n in {unneeded} if n in sys.modules))"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded:"


@pytest.mark.parametrize("name", huggingtweets.__all__)
def test_every_public_name_exists_with_a_docstring(name: str) -> None:
    value = getattr(huggingtweets, name)
    assert value is not None
    assert name == "RECIPES" or value.__doc__


def test_the_old_name_of_a_generated_post_still_works() -> None:
    assert huggingtweets.NewPost is huggingtweets.GeneratedPost


def test_public_names_are_sorted() -> None:
    assert len(set(huggingtweets.__all__)) == len(huggingtweets.__all__)
    with pytest.raises(AttributeError, match="no attribute 'tweet'"):
        _ = huggingtweets.tweet


def test_no_module_shadows_a_public_function() -> None:
    for module in pkgutil.walk_packages(huggingtweets.__path__, "huggingtweets."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in ("train", "curate", "evaluate", "resume", "open_bot", "list_runs"):
        assert callable(getattr(huggingtweets, name)), name


def test_files_are_short() -> None:
    root = Path(__file__).parents[1]
    files = [file for folder in FOLDERS for file in (root / folder).rglob("*.py")]
    assert len(files) > 200
    lines = {file: len(file.read_text("utf-8").splitlines()) for file in files}
    assert [f"{file}: {count} lines" for file, count in lines.items() if count > 500] == []
