"""``python -m huggingtweets.track RUN``: track a run that another process is working on.

That process holds the other end of standard input, which ends when the process does.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path

from huggingtweets.errors import HuggingTweetsError
from huggingtweets.storage.run_folder import RunFolder
from huggingtweets.track.sync import send

_SECONDS_BETWEEN_LOOKS = 2.0
_SECONDS_TO_END = 600.0
_SECONDS_FOR_ANOTHER = 60.0


def main() -> int:
    """Track until the run has ended; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m huggingtweets.track")
    parser.add_argument("run", type=Path)
    parser.add_argument("--to", required=True)
    parser.add_argument("--raw-artifacts", action=argparse.BooleanOptionalAction)
    asked = parser.parse_args()
    with suppress(OSError, AttributeError):  # none on Windows
        os.nice(19)  # the training goes first
    ended = _end_of_input()
    try:
        message = send(
            RunFolder(asked.run),
            asked.to,
            lambda: ended.wait(_SECONDS_BETWEEN_LOOKS),
            raw=asked.raw_artifacts,
            wait=_SECONDS_FOR_ANOTHER,
        )
    except HuggingTweetsError as error:
        print(error, file=sys.stderr)
        return 1
    print(message)
    return 0


def _end_of_input() -> threading.Event:
    """Is set once standard input has ended; this process then has some minutes left."""
    ended = threading.Event()

    def watch() -> None:
        with suppress(OSError):
            while os.read(0, 1):
                pass
        ended.set()
        last = threading.Timer(_SECONDS_TO_END, os._exit, [1])
        last.daemon = True
        last.start()

    threading.Thread(target=watch, daemon=True).start()
    return ended


if __name__ == "__main__":
    sys.exit(main())
