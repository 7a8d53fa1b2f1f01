"""Child processes that end when this process does."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class ChildProcess:
    """One of our modules, running in a process of its own.

    The child reads its standard input, a pipe. The pipe closes when this process ends, however that
    happens; the child takes that as the request to stop. Ctrl-C in the terminal does not reach it.

    Args:
        module: the dotted name of the module to run.
        arguments: its command line.
        log: open file for its standard error, and for its standard output unless ``talks``.
        talks: whether its standard output is a pipe for :meth:`ask`.
        environment: variables that are added to this process's.

    Raises:
        OSError: the process can't be started.
    """

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        log: IO[bytes] | IO[str],
        *,
        talks: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            # -P keeps the current folder off the import path
            [sys.executable, "-P", "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if talks else log,
            stderr=log,
            text=True,
            encoding="utf-8",
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code; None while the process runs."""
        return self._process.poll()

    def ask(self, line: str) -> str | None:
        """Write a line and return the line the child answers; None when it has died."""
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: S101
        with suppress(OSError):  # a pipe that the other side has closed
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
            return answer if answer.endswith("\n") else None
        return None

    def request_stop(self) -> None:
        """Close the pipes, which tells the child to stop."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def wait(self, seconds: float) -> int | None:
        """Wait for the end and return the exit code; None when the child still runs."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> int:
        """Kill the process if it still runs and return its exit code."""
        self._process.kill()
        return self._process.wait()
