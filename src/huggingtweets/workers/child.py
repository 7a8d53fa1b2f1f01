"""A worker process: ``python -m huggingtweets.workers.child MODULE:FUNCTION [ARGUMENT...]``.

The function gets the arguments and returns another one, which runs the jobs. This process reads
each job as a line of JSON on stdin and writes its answer as a line on stdout, until stdin ends.
When the parent process dies, the worker exits at once, even in the middle of a training.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import sys
import threading
from typing import IO


def main() -> None:
    """Run jobs."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print to stdout must not be read as an answer
    jobs: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read_jobs, args=(sys.stdin, jobs), daemon=True).start()
    module, _, name = sys.argv[1].partition(":")
    run = getattr(importlib.import_module(module), name)(*sys.argv[2:])
    while True:
        print(json.dumps(run(json.loads(jobs.get()))), file=answers, flush=True)


def _read_jobs(jobs: IO[str], to: queue.SimpleQueue[str]) -> None:
    for line in jobs:
        to.put(line)
    os._exit(0)


if __name__ == "__main__":
    main()
