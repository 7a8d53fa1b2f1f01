"""``python -m huggingtweets.track RUN``: track a run that another process is training.

That process holds the other end of standard input, which closes when it exits.
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

_POLL_SECONDS = 2.0
_SECONDS_TO_FINISH = 600.0
_SECONDS_TO_WAIT_FOR_LOCK = 60.0


def main() -> int:
    """Track until the run has ended, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m huggingtweets.track")
    parser.add_argument("run", type=Path)
    parser.add_argument("--to", required=True)
    parser.add_argument("--raw-artifacts", action=argparse.BooleanOptionalAction, default=False)
    args = parser.parse_args()
    os.umask(0o077)  # the trackers' packages write files with posts
    with suppress(OSError, AttributeError):  # Windows has no nice
        os.nice(19)  # the training has precedence
    input_closed = _watch_input()
    try:
        message = send(
            RunFolder(args.run),
            args.to,
            lambda: input_closed.wait(_POLL_SECONDS),
            raw=args.raw_artifacts,
            wait=_SECONDS_TO_WAIT_FOR_LOCK,
        )
    except HuggingTweetsError as error:
        print(error, file=sys.stderr)
        return 1
    print(message)
    return 0


def _watch_input() -> threading.Event:
    """Return an event that is set when standard input closes; ten minutes later, exit."""
    closed = threading.Event()

    def watch() -> None:
        with suppress(OSError):
            while os.read(0, 1):
                pass
        closed.set()
        timer = threading.Timer(_SECONDS_TO_FINISH, os._exit, [1])
        timer.daemon = True
        timer.start()

    threading.Thread(target=watch, daemon=True).start()
    return closed


if __name__ == "__main__":
    sys.exit(main())
