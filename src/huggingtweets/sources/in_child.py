"""Read files from others in a child process with limits of memory and time.

A Parquet file of 12 kB can hold gigabytes of text, and no parser is without faults. Everything that
comes from a file is read in the child, archives' indices and datasets of the Hub included. Accounts
are read in this process: they have their own limits, may ask the user, and wait for hours when a
network says so.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from huggingtweets.errors import Interrupted, SourceError
from huggingtweets.events import Event, ignore
from huggingtweets.processes import HUB_TOKENS, limited
from huggingtweets.processes.limited import LimitError, never
from huggingtweets.sources import is_account, merge_posts, read_tables
from huggingtweets.sources.api_tokens import X_VARIABLES
from huggingtweets.sources.reading import ReadOptions, decline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from huggingtweets.processes.limited import Send

_FOLDER = "huggingtweets-read-"
_SECRETS = (*HUB_TOKENS, *X_VARIABLES, "DBUS_SESSION_BUS_ADDRESS")  # the last for the keyring


def read_posts_in_child(
    specs: Sequence[str | Path], reading: ReadOptions | None = None
) -> pl.DataFrame:
    """Read all sources like :func:`huggingtweets.sources.read_posts`, files in a child process.

    Args:
        specs: each as in :func:`huggingtweets.sources.open_source`.
        reading: how to read them, and the limits.

    Raises:
        SourceError: a source can't be read, has no post or is beyond the limits.
        OptedOutError: an author asked not to be imitated.
        Interrupted: ``reading.is_cancelled`` said so.
    """
    reading = reading or ReadOptions()
    rest = replace(reading, speaker=None)  # exports of chats are files
    accounts = [at for at, spec in enumerate(specs) if is_account(spec, rest)]
    files = [at for at in range(len(specs)) if at not in accounts]
    tables: dict[int, pl.DataFrame] = {}
    if files or not accounts:
        tables |= zip(
            files, read_tables_in_child([specs[at] for at in files], reading), strict=True
        )
        reading = rest
    if accounts:
        found = read_tables([specs[at] for at in accounts], reading)
        tables |= zip(accounts, found, strict=True)
    return merge_posts([tables[at] for at in range(len(specs))])


def call_in_child(
    function: str,
    argument: object,
    specs: Sequence[str | Path],
    reading: ReadOptions,
    scratch: Path | None = None,
) -> Any:  # noqa: ANN401 - JSON
    """Call a function that reads sources in a child process with the limits of ``reading``.

    Args:
        function: such as ``huggingtweets.module:name``; gets ``argument``, the sources, the options
            and a function that forwards events.
        argument: any value that can be pickled.
        specs: the sources.
        reading: how to read them.
        scratch: a folder of the caller's, which the child removes if this process dies.

    Raises:
        HuggingTweetsError: what the function raised.
        SourceError: a source is beyond the limits.
        Interrupted: ``reading.is_cancelled`` said so.
    """
    plain = replace(reading, listen=ignore, confirm=decline, is_cancelled=never)
    limits = reading.file_limits
    if limits.seconds_in_all < math.inf:
        rest = replace(reading, speaker=None)  # exports of chats are files
        if any(is_account(spec, rest) for spec in specs):  # which has time limits of its own
            limits = replace(limits, seconds_in_all=math.inf)
    try:
        return limited.call(
            function,
            (argument, list(specs), plain),
            limits,
            lambda message: reading.listen(Event(**message)),
            reading.is_cancelled,
            scratch=scratch,
            # A visitor's dataset is read without the owner's token.
            inherit=() if reading.limits.public_only else _SECRETS,
        )
    except LimitError as error:
        raise _explain(error, specs, reading) from error


def read_tables_in_child(specs: Sequence[str | Path], reading: ReadOptions) -> list[pl.DataFrame]:
    """Read each file or dataset into a table of its own, in one child process.

    Raises:
        SourceError: a source can't be read, has no post or is beyond the limits.
        OptedOutError: an author asked not to be imitated.
        Interrupted: ``reading.is_cancelled`` said so.
    """
    with tempfile.TemporaryDirectory(prefix=_FOLDER, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        count = call_in_child(f"{__name__}:write_tables", folder, specs, reading, scratch=folder)
        paths = [_table_file(folder, at) for at in range(count)]
        return [pl.read_ipc(path) for path in paths]


def write_tables(argument: tuple[Path, Sequence[str | Path], ReadOptions], send: Send) -> int:
    """Read the sources into files of a folder, in the child; return their number."""
    folder, specs, reading = argument
    reading = replace(reading, listen=lambda event: send(event.as_dict()))
    tables = read_tables(specs, reading)
    for at, table in enumerate(tables):
        table.write_ipc(_table_file(folder, at), compression="lz4")
    return len(tables)


def _table_file(folder: Path, at: int) -> Path:
    return folder / f"{at}.arrow"


def _explain(error: LimitError, specs: Sequence[str | Path], reading: ReadOptions) -> Exception:
    """Return what users see when reading stopped."""
    if error.reason == "cancelled":
        return Interrupted("Stopped while reading.")
    names = " and ".join(str(spec) for spec in specs)
    limits = reading.file_limits
    if error.reason == "memory":
        limit = f"more than the limit of {limits.memory_bytes / 1e9:.1f} GB of memory"
        return SourceError(f"Reading {names} takes {limit}; give a smaller file.")
    if error.reason == "time":
        limit = f"more than the limit of {limits.seconds:,.0f} seconds"
        advice = "give a smaller file, or try again when the machine is less busy"
        return SourceError(f"Reading {names} takes {limit}; {advice}.")
    return SourceError(
        f"The process that read {names} failed; the file may be damaged. Download it again."
    )
