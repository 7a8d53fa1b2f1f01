"""A running app in its own process."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 900.0
"""Seconds to wait for anything, as the machine may be busy."""


@dataclass
class App:
    """A server in its own process.

    Attributes:
        out: its runs folder.
        base: that its bots are trained from.
        more: optionally the password and ``share``.
        address: such as ``http://127.0.0.1:12345``.
    """

    out: Path
    base: Path
    more: tuple[str, ...] = ()
    address: str = ""
    _process: subprocess.Popen[str] | None = field(default=None, repr=False)

    def start(self) -> App:
        command = [sys.executable, "-m", "tests.web.program", str(self.out), str(self.base)]
        with self._log_file.open("a") as log:
            self._process = subprocess.Popen(
                [*command, *self.more], cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()
        until(lambda: _answers(f"{self.address}/ui/alive"))
        return self

    def kill(self) -> None:
        """Kill the server, as a power cut would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._close()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._close()

    def log(self) -> str:
        return self._log_file.read_text("utf-8")

    @property
    def _log_file(self) -> Path:
        return self.out.parent / f"{self.out.name}.log"

    def _close(self) -> None:
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()


def until(condition: Callable[[], Any]) -> Any:  # noqa: ANN401 - the condition's value
    """Poll until the condition is true, and return its value."""
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.2)
    return value


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False
