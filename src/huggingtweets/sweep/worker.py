"""A worker process: ``python -m huggingtweets.sweep.worker AUTHORS.parquet``.

Reads each job as a line of JSON on stdin and writes its outcome as a line on stdout, until stdin
ends. When the parent process dies, the worker exits at once, even in the middle of a training.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from pathlib import Path
from typing import IO


def main() -> None:
    """Run jobs."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print to stdout must not be read as an answer
    jobs: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read_jobs, args=(sys.stdin, jobs), daemon=True).start()

    from huggingtweets.sweep.posts import load_authors
    from huggingtweets.sweep.trial import Job, run_job

    authors = load_authors(Path(sys.argv[1]))
    while True:
        job = Job(**json.loads(jobs.get()))
        print(json.dumps(run_job(authors[job.author], job)), file=answers, flush=True)


def _read_jobs(jobs: IO[str], to: queue.SimpleQueue[str]) -> None:
    for line in jobs:
        to.put(line)
    os._exit(0)


if __name__ == "__main__":
    main()
