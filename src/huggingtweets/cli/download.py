"""``huggingtweets download``: posts of an account on the network, or of a file, as one table."""

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


_ENDINGS = (".parquet", ".jsonl", ".csv")


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
    if out is not None and out.suffix.lower() not in _ENDINGS:
        raise InputError(f"--out must end in {', '.join(_ENDINGS)}, not {out.name!r}.")
    screen = ConsoleOutput(quiet=as_json)
    watcher = _Watcher(screen)
    reading = ReadOptions(
        i_am_the_author=i_am_the_author,
        full=full,
        since=day,
        limit=limit,
        listen=watcher,
        confirm=partial(watcher.confirm, yes=yes),
        forget=options.post_ids(forget),
    )
    try:
        table, stored = _read(source, reading)
    except KeyboardInterrupt as error:
        what = f"{watcher.posts:,} posts are kept." if watcher.posts else "Nothing new was read."
        raise Interrupted(f"Stopped. {what} Go on with the same command.") from error
    finally:
        watcher.end()
    if out is not None:
        _write(table, out)
    if as_json:
        print_json(_as_json(table, source, out))
    else:
        _show(screen, table, source, out or stored)


def _read(source: str, reading: "ReadOptions") -> "tuple[pl.DataFrame, Path | None]":
    """The posts of an account or a file, and where the account's are kept."""
    from huggingtweets.data.posts import posts_table
    from huggingtweets.sources import open_source, unwrap
    from huggingtweets.sources.accounts import NetworkSource
    from huggingtweets.sources.store import Store

    found = open_source(source, reading)
    table = posts_table(found.posts())
    account = unwrap(found)
    if isinstance(account, NetworkSource):  # whose file has the forgotten ones, too
        return table, None if reading.forget else Store.of(account.account).posts_file
    return _chosen(table, reading.since, reading.limit), None


def _chosen(table: "pl.DataFrame", since: datetime | None, limit: int | None) -> "pl.DataFrame":
    """Of a file: what isn't too old, and of that the newest where dates tell."""
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

    ending = out.suffix.lower()
    plain = table.with_columns(pl.col("created_at").dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"))
    with files.atomic_write(out) as temporary:
        try:
            if ending == ".parquet":
                table.write_parquet(temporary)
            elif ending == ".jsonl":
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
    """How many there are of each kind, the kinds in their usual order."""
    from huggingtweets.data.posts import SCHEMA

    counts = dict(table["kind"].value_counts().iter_rows())
    order = SCHEMA["kind"].categories  # type: ignore[attr-defined]
    return {kind: counts[kind] for kind in order if kind in counts}


def _show(screen: ConsoleOutput, table: "pl.DataFrame", source: str, file: Path | None) -> None:
    screen.counts({"posts": table.height} | _kinds(table))
    if file is None:
        screen.say("Nothing was written; --out FILE names what to write them to.")
        return
    screen.heading(f"The posts are in {file}")
    given = str(file) if file.suffix == ".parquet" else source
    screen.commands([command(f"curate {given}"), command(f"train {given}")])


class _Watcher:
    """Shows pages as they come and pauses as they pass: a moving line, or lines in a log."""

    def __init__(self, screen: ConsoleOutput) -> None:
        self._screen = screen
        self._status: Status | None = None
        self._paused = False
        self.posts = 0

    def __call__(self, event: Event) -> None:
        """Show an event of a download."""
        if event.stage == "forget":
            self.end()
            self._screen.print_deleted(event)
            return
        waits = event.seconds_left is not None
        text = event.message
        if waits:
            minutes, seconds = divmod(round(event.seconds_left or 0), 60)
            text = f"{text}: {minutes}:{seconds:02d} left"
        elif event.done:
            self.posts = event.done
            text = f"{text}, {event.done:,} posts in all" if event.done else text
        if self._screen.console.is_terminal:
            self._move(text)
        elif not (waits and self._paused):  # the countdown once
            self._screen.say(text)
        self._paused = waits

    def confirm(self, question: str, *, yes: bool) -> bool:
        """Ask before money is spent, with the moving line out of the way."""
        self.end()
        return self._screen.confirm(question, yes=yes)

    def end(self) -> None:
        """Clear the moving line away."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def _move(self, text: str) -> None:
        if self._status is None:
            self._status = self._screen.console.status("")
            self._status.start()
        self._status.update(escape_control_chars(text))
