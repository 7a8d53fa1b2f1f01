"""``huggingtweets download``: download the posts of an account, or convert a file of posts."""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from huggingtweets.cli import options
from huggingtweets.cli.console import ConsoleOutput, command, escape_control_chars, print_json
from huggingtweets.errors import InputError, Interrupted
from huggingtweets.events import Event

if TYPE_CHECKING:
    import polars as pl
    from rich.status import Status

    from huggingtweets.sources.reading import ReadOptions


_SUFFIXES = (".parquet", ".jsonl", ".csv")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: huggingtweets download bsky:bsky.app --out posts.parquet")(
        download
    )


def download(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="bsky:HANDLE, mastodon:@USER@SERVER, x:@HANDLE or the address of the account's "
            "page; or any file with posts.",
            show_default=False,
        ),
    ],
    *,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="DATE",
            help="Skip posts before this day, such as 2024-12-31.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Most posts to read, the newest first.", show_default=False)
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Read the whole Bluesky repository, without reposts.")
    ] = False,
    speaker: options.Speaker = None,
    join: options.Join = False,
    i_am_the_author: options.IAmTheAuthor = False,
    forget: options.Forget = None,
    yes: options.Yes = False,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the posts to this .parquet, .jsonl or .csv.",
            show_default=False,
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Download the posts of an account; later runs fetch only new ones. X costs money."""
    from huggingtweets.sources import ReadOptions

    day = _day(since)
    if limit is not None and limit < 1:
        raise InputError(f"--limit must be over 0, not {limit}.")
    if out is not None and out.suffix.lower() not in _SUFFIXES:
        raise InputError(f"--out must end in {', '.join(_SUFFIXES)}, not {out.name!r}.")
    screen = ConsoleOutput(quiet=as_json)
    progress = _DownloadProgress(screen)
    reading = ReadOptions(
        i_am_the_author=i_am_the_author,
        full=full,
        since=day,
        limit=limit,
        listen=progress,
        confirm=partial(progress.confirm, yes=yes),
        forget=options.post_ids(forget),
        speaker=speaker,
        join=join,
    )
    try:
        table, stored = _read(source, reading)
    except KeyboardInterrupt as error:
        result = (
            f"{progress.posts:,} posts are kept." if progress.posts else "No new post was read."
        )
        raise Interrupted(f"Stopped. {result} Run the same command to continue.") from error
    finally:
        progress.end()
    if out is not None:
        _write(table, out)
    if as_json:
        print_json(_as_json(table, source, out))
    else:
        _show(screen, table, source, out or stored)


def _read(source: str, reading: "ReadOptions") -> "tuple[pl.DataFrame, Path | None]":
    """Read the posts of an account or a file; also return the file that stores the account's."""
    from huggingtweets.data.posts import posts_table
    from huggingtweets.sources import is_account, open_source, unwrap
    from huggingtweets.sources.accounts import NetworkSource
    from huggingtweets.sources.in_child import read_tables_in_child
    from huggingtweets.sources.store import Store

    if not is_account(source, reading):
        (table,) = read_tables_in_child([source], reading)
        return _filter(table, reading.since, reading.limit), None
    opened = open_source(source, reading)
    account = unwrap(opened)
    assert isinstance(account, NetworkSource)  # noqa: S101
    table = posts_table(opened.posts())
    # The account's file also has the posts of --forget.
    return table, None if reading.forget else Store.of(account.account).posts_file


def _filter(table: "pl.DataFrame", since: datetime | None, limit: int | None) -> "pl.DataFrame":
    """Apply --since and --limit to the posts of a file."""
    import polars as pl

    if since is not None:
        table = table.filter(pl.col("created_at") >= since)
    if limit is not None:
        newest = table.with_row_index("row").sort(
            "created_at", descending=True, nulls_last=True, maintain_order=True
        )
        table = newest.head(limit).sort("row").drop("row")
    return table


def _day(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        day = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"--since must be a day such as 2024-12-31, not {text[:40]!r}.") from error
    return day.replace(tzinfo=UTC) if day.tzinfo is None else day


def _write(table: "pl.DataFrame", out: Path) -> None:
    import polars as pl

    from huggingtweets.storage import files

    suffix = out.suffix.lower()
    plain = table.with_columns(pl.col("created_at").dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"))
    with files.atomic_write(out) as temporary:
        try:
            if suffix == ".parquet":
                table.write_parquet(temporary)
            elif suffix == ".jsonl":
                plain.write_ndjson(temporary)
            else:
                plain.write_csv(temporary)
        except pl.exceptions.PolarsError as error:
            raise files.to_os_error(error) from error


def _as_json(table: "pl.DataFrame", source: str, out: Path | None) -> dict[str, Any]:
    times = table["created_at"].dt.strftime("%Y-%m-%dT%H:%M:%SZ").drop_nulls()
    value: dict[str, Any] = {
        "source": source,
        "posts": table.height,
        "kinds": _kinds(table),
        "authors": table["author"].unique(maintain_order=True).to_list(),
        "oldest": times.min(),
        "newest": times.max(),
    }
    return value | {"out": str(out) if out else None}


def _kinds(table: "pl.DataFrame") -> dict[str, int]:
    """Count the posts of each kind, in the order of the schema."""
    from huggingtweets.data.posts import SCHEMA

    counts = dict(table["kind"].value_counts().iter_rows())
    order = SCHEMA["kind"].categories  # type: ignore[attr-defined]
    return {kind: counts[kind] for kind in order if kind in counts}


def _show(screen: ConsoleOutput, table: "pl.DataFrame", source: str, file: Path | None) -> None:
    screen.counts({"posts": table.height} | _kinds(table))
    if file is None:
        screen.say("Nothing was written. Use --out FILE to write the posts.")
        return
    screen.heading(f"The posts are in {file}")
    next_source = str(file) if file.suffix == ".parquet" else source
    screen.commands([command(f"curate {next_source}"), command(f"train {next_source}")])


class _DownloadProgress:
    """Shows pages and pauses of a download, in a status line or as lines of a log."""

    def __init__(self, screen: ConsoleOutput) -> None:
        self._screen = screen
        self._status: Status | None = None
        self._paused = False
        self.posts = 0

    def __call__(self, event: Event) -> None:
        """Show an event of a download."""
        if event.stage == "forget" or event.left_out or event.is_warning:
            self.end()
            self._screen.print_left_out(event)
            return
        is_waiting = event.seconds_left is not None
        text = event.message
        if is_waiting:
            minutes, seconds = divmod(round(event.seconds_left or 0), 60)
            text = f"{text}: {minutes}:{seconds:02d} left"
        elif event.done:
            self.posts = event.done
            text = f"{text}, {event.done:,} posts in all" if event.done else text
        if self._screen.console.is_terminal:
            self._update(text)
        elif not (is_waiting and self._paused):  # print the countdown only once
            self._screen.say(text)
        self._paused = is_waiting

    def confirm(self, question: str, *, yes: bool) -> bool:
        """Ask before money is spent, without the status line."""
        self.end()
        return self._screen.confirm(question, yes=yes)

    def end(self) -> None:
        """Clear the status line."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def _update(self, text: str) -> None:
        if self._status is None:
            self._status = self._screen.console.status("")
            self._status.start()
        self._status.update(escape_control_chars(text))
