"""How much of an author's time in a fleet is starting and loading, in one worker.

A worker imports its packages once and then loads the base and the report's judge for each author.
This trains a few authors in one process, as a worker does, and times the loading in seconds of
processor time, which other programs change little.

    OMP_NUM_THREADS=1 python benchmarks/fleet_start.py TABLE TABLE... [--base pocket] [--posts 90]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingtweets.events import ignore
from huggingtweets.fleet import job
from huggingtweets.fleet.settings import FleetSettings
from huggingtweets.fleet.sources import FleetSource
from huggingtweets.nn import language_model
from huggingtweets.nn.language_model import LanguageModel
from huggingtweets.pipeline import preparing
from huggingtweets.sources import ReadOptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from unittest.mock import _patch


def main() -> None:
    """Train the authors and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("tables", type=Path, nargs="+", help="tables of posts, one author each")
    parser.add_argument("--base", default="pocket")
    parser.add_argument("--posts", type=int, default=90)
    given = parser.parse_args()
    started = time.process_time()
    language_model.import_transformers()
    base = language_model.load(given.base)
    print(f"imports and the first load: {time.process_time() - started:.1f} s, once a worker")
    settings = FleetSettings(base=given.base, posts=given.posts).resolved()
    print("author                    seconds   loading   share", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for number, table in enumerate(given.tables):
            name, out = f"author-{number}", Path(folder)
            posts, read = preparing.read_posts([table], ReadOptions(), ignore)
            options = settings.train_options(FleetSource(str(table)), table.stem, name, out)
            loaded = (base, base.digest())
            preparing.prepare(str(table), posts, options, loaded, read=read, newest=settings.posts)
            spent: list[float] = []
            began = time.process_time()
            with _timed(spent):
                answer = job.train(out / name)
            seconds = time.process_time() - began
            if answer["failed"]:
                raise SystemExit(answer["failed"])
            share = sum(spent) / seconds
            print(f"{table.stem:25} {seconds:7.1f} {sum(spent):9.2f} {share:7.1%}", flush=True)


@contextmanager
def _timed(spent: list[float]) -> Iterator[None]:
    """Add the seconds of each load and digest of a model to a list."""
    from unittest.mock import patch

    depth = 0

    def timed(function: Any) -> Any:  # noqa: ANN401 - any function
        def call(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
            nonlocal depth
            began, depth = time.process_time(), depth + 1
            try:
                return function(*arguments, **options)
            finally:
                depth -= 1
                if not depth:  # loading a small bot loads its base
                    spent.append(time.process_time() - began)

        return call

    replaced: list[_patch[Any]] = [
        patch.object(language_model, "load", timed(language_model.load)),
        patch.object(LanguageModel, "digest", timed(LanguageModel.digest)),
    ]
    with replaced[0], replaced[1]:
        yield


if __name__ == "__main__":
    main()
