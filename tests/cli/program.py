"""The command line as its users meet it: one call, its exit code and what it printed."""

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

PROGRAM = [sys.executable, "-c", "import huggingtweets.cli as c; c.main()"]


@dataclass(frozen=True)
class Outcome:
    """What one call of the program did."""

    code: int
    out: str
    err: str

    def refused(self, *words: str) -> bool:
        """Whether it is bad input told as it should be: exit 2 and one sentence on stderr."""
        assert self.code == 2, (self.code, self.err)
        assert "Traceback" not in self.out + self.err
        assert self.err.startswith("huggingtweets: ")
        assert self.err.count("\n") == 1, self.err
        missing = [word for word in words if word not in self.err]
        assert not missing, (missing, self.err)
        return True


class CommandLine:
    """Calls the program in this process, which saves loading torch each time."""

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
    """Every file under a folder with what is in it."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def as_the_demo(run: Path) -> None:
    """Put a run where the demo's is, with the sample as its source."""
    record = json.loads((run / "run.json").read_text("utf-8"))
    record["config"]["sources"] = [str(sample_path())]
    (run / "run.json").write_text(json.dumps(record), "utf-8")
    run.rename("runs/demo")
