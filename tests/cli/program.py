"""Run the command line and return its exit code and output."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from huggingtweets.cli import main
from huggingtweets.sample import sample_path

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = [sys.executable, "-m", "huggingtweets"]


@dataclass(frozen=True)
class Outcome:
    """The result of one call of the program."""

    code: int
    out: str
    err: str

    def refused(self, *words: str) -> bool:
        """Whether bad input was refused: exit code 2 and one message on stderr."""
        assert self.code == 2, (self.code, self.err)
        assert "Traceback" not in self.out + self.err
        assert self.err.startswith("huggingtweets: ")
        assert self.err.count("\n") == 1, self.err
        missing = [word for word in words if word not in self.err]
        assert not missing, (missing, self.err)
        return True


class CommandLine:
    """Calls the program in this process, which saves importing torch each time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *args: str | Path) -> Outcome:
        self._monkeypatch.setattr(sys, "argv", ["huggingtweets", *map(str, args)])
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        printed = self._capsys.readouterr()
        assert isinstance(stopped.value.code, int)
        return Outcome(stopped.value.code, printed.out, printed.err)


Process = Callable[..., Outcome]


def contents(folder: Path) -> dict[str, bytes]:
    """All files in a folder with their contents."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def as_the_demo(run: Path) -> None:
    """Put a run in the demo's place, with the sample as its source."""
    record = json.loads((run / "run.json").read_text("utf-8"))
    record["config"]["sources"] = [str(sample_path())]
    (run / "run.json").write_text(json.dumps(record), "utf-8")
    run.rename("runs/demo")
