"""Split what `uv pip compile` wrote into the lock files: split_lock.py LOCK TORCH_SHA256 FOLDER."""

from __future__ import annotations

import re
import sys
from pathlib import Path

HEAD = "# Made by `make lock`; don't edit.\n"
CUDA = re.compile(r"(nvidia|cuda|triton)[-=]")


def main(lock: Path, torch_hashes: Path, folder: Path) -> None:
    """Write requirements.lock and requirements-cuda.lock into ``folder``."""
    entries = re.split(r"^(?=\S)", lock.read_text("utf-8"), flags=re.MULTILINE)[1:]
    common, cuda = [], []
    for entry in entries:
        if CUDA.match(entry):
            # one line that any Linux takes: only its torch decides whether they are needed
            cuda.append(re.sub(r" ; .*? \\$", " \\\\", entry, count=1, flags=re.MULTILINE))
        elif entry.startswith("torch=="):
            common.append(with_hashes(entry, torch_hashes.read_text("utf-8").split()))
        else:
            common.append(entry)
    (folder / "requirements.lock").write_text(HEAD + "".join(common), "utf-8")
    (folder / "requirements-cuda.lock").write_text(HEAD + "".join(cuda), "utf-8")


def with_hashes(entry: str, more: list[str]) -> str:
    """A requirement that accepts the files with these SHA-256 hashes as well."""
    head, *hashes = [line.strip(" \\") for line in entry.strip().splitlines()]
    hashes = sorted({*hashes, *(f"--hash=sha256:{value}" for value in more)})
    return " \\\n    ".join([head, *hashes]) + "\n"


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
