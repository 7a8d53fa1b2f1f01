"""Child processes that end when this process does."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def lower_priority(steps: int) -> None:
    """Give other processes precedence over this one, such as the server over its children.

    Args:
        steps: 10 gives it a tenth of a core that another process wants too, 5 a quarter.
    """
    with suppress(AttributeError, OSError):  # Windows has no nice
        os.nice(steps)
    with suppress(OSError):  # Linux may schedule whole sessions, and a child has its own
        Path("/proc/self/autogroup").write_text(str(steps), "ascii")


HUB_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")

_HARMLESS = (
    # the system and the user
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TZ", "TERM"),
    *("TMPDIR", "TEMP", "TMP", "XDG_*", "LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_*"),
    *("SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "USERPROFILE", "HOMEDRIVE"),
    *("HOMEPATH", "APPDATA", "LOCALAPPDATA", "PROGRAMDATA", "NUMBER_OF_PROCESSORS"),
    # Python and its packages
    *("PYTHON*", "VIRTUAL_ENV", "CONDA_PREFIX", "COVERAGE_*", "CC", "CXX", "MALLOC_*"),
    *("OMP_*", "GOMP_*", "KMP_*", "MKL_*", "OPENBLAS_*", "NUMEXPR_*", "ATEN_*", "DNNL_*"),
    *("ONEDNN_*", "POLARS_*", "RAYON_*", "TOKENIZERS_*"),
    *(
        "TORCH*",
        "PYTORCH_*",
        "TRITON_*",
        "CUDA_*",
        "CUBLAS_*",
        "NVIDIA_*",
        "HIP_*",
        "HSA_*",
        "ROC*",
    ),
    # the network; a proxy's address may hold its password, without which nothing is reached
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy"),
    *("all_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
    "CURL_CA_BUNDLE",
    # folders and switches of Hugging Face's packages, and ours
    *("HF_HOME", "HF_HUB_*", "HF_ENDPOINT", "HF_DATASETS_*", "HF_ASSETS_CACHE"),
    *("HUGGINGFACE_HUB_CACHE", "HUGGINGFACE_ASSETS_CACHE", "TRANSFORMERS_*", "TRACKIO_DIR"),
    *("HUGGINGTWEETS_BASE", "HUGGINGTWEETS_BSKY_APPVIEW", "HUGGINGTWEETS_CACHE"),
    *("HUGGINGTWEETS_CONFIG", "HUGGINGTWEETS_DOWNLOADS", "HUGGINGTWEETS_PLC"),
    *("HUGGINGTWEETS_TRACK", "HUGGINGTWEETS_X_API"),
)
"""Patterns of the variables that every child inherits. Passwords and tokens are in none of them."""


def _inherited(more: Sequence[str]) -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if any(fnmatchcase(name, pattern) for pattern in (*_HARMLESS, *more))
    }


class ChildProcess:
    """One of our modules, running in a process of its own.

    The child reads its standard input, a pipe. The pipe closes when this process ends, however that
    happens; the child takes that as the request to stop. Ctrl-C in the terminal does not reach it.

    Args:
        module: the dotted name of the module to run.
        arguments: its command line.
        log: open file for its standard error, and for its standard output unless ``talks``.
        talks: whether its standard output is a pipe for :meth:`ask`.
        environment: variables that are added to the inherited ones.
        inherit: patterns of further variables of this process that the child needs, such as
            ``HF_TOKEN``. Without one it inherits only what is known to hold no secret.

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
        inherit: Sequence[str] = (),
    ) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            # -P keeps the current folder off the import path
            [sys.executable, "-P", "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if talks else log,
            stderr=log,
            text=True,
            encoding="utf-8",
            env={**_inherited(inherit), **(environment or {})},
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

    def send(self, line: str) -> None:
        """Write a line to the child; nothing happens when it has died."""
        assert self._process.stdin is not None  # noqa: S101
        with suppress(OSError):
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()

    def lines(self) -> Iterator[str]:
        """Yield the lines that the child writes, until it ends."""
        assert self._process.stdout is not None  # noqa: S101
        with suppress(OSError, ValueError):  # the pipe was closed
            yield from self._process.stdout

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
