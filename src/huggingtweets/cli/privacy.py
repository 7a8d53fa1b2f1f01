"""``huggingtweets opt-out`` and ``forget``: requests of authors."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from huggingtweets.cli import options
from huggingtweets.cli.console import ConsoleOutput, command, print_json
from huggingtweets.errors import Interrupted, StorageError

if TYPE_CHECKING:
    from huggingtweets.deletion import DeletionReport


def register(app: typer.Typer) -> None:
    """Add both commands."""
    app.command("opt-out", epilog="Example: huggingtweets opt-out @name name.bsky.social")(opt_out)
    app.command(epilog="Example: huggingtweets forget 1234567890123456789 --out runs")(forget)


def opt_out(
    handles: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="HANDLE...",
            help="People who asked not to be imitated: @name, name.bsky.social, @user@instance. "
            "Without any, the list is shown.",
            show_default=False,
        ),
    ] = None,
    *,
    hashed: Annotated[
        bool, typer.Option("--hashed", help="Store hashes instead of names.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Show the opt-out list or add people to it. Their posts are never read or trained on."""
    from huggingtweets.privacy import opt_out as optout

    added = optout.add(handles, hashed=hashed) if handles else []
    entries = sorted(optout.load().entries)
    if as_json:
        print_json({"file": str(optout.list_file()), "entries": entries, "added": added})
        return
    screen = ConsoleOutput()
    if handles:
        screen.say(f"{len(added):,} added, {len(entries):,} in all: {optout.list_file()}")
        return
    screen.say(f"{len(entries):,} opted out: {optout.list_file()}")
    for entry in entries:
        screen.say(f"  {entry}")


def forget(
    ids: Annotated[
        str,
        typer.Argument(
            metavar="IDS",
            help="Posts that their author deleted: ids separated by commas, or a file with one id "
            "a line, a .csv with a column of ids, or a .jsonl of X's deletion notices.",
            show_default=False,
        ),
    ],
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="RUN...",
            help="Run or sweep folders. Default: all in --out, and sweeps beside it.",
            show_default=False,
        ),
    ] = None,
    *,
    out: options.Out = Path("runs"),
    as_json: options.Json = False,
) -> None:
    """Remove deleted posts from runs, sweeps and downloads, and never read them again."""
    from huggingtweets import deletion
    from huggingtweets.storage.run_folder import RunFolder, list_runs

    lines = options.post_ids(ids)
    sweeps = [path for path in runs or () if deletion.is_sweep(path)]
    folders = [RunFolder(path) for path in runs or () if path not in sweeps]
    for run in folders:
        run.record()  # reports a mistyped RUN before anything is deleted
    if not runs:
        folders, sweeps = list_runs(out), deletion.list_sweeps(out, out.parent)
    try:
        done = deletion.forget(lines, folders, sweeps)
    except KeyboardInterrupt as error:
        raise Interrupted("Stopped. Run the same command to continue.") from error
    if as_json:
        print_json(
            {
                "ids": len(lines),
                "runs": {str(run): number for run, number in done.runs.items()},
                "sweeps": {str(folder): number for folder, number in done.sweeps.items()},
                "downloads": {str(folder): number for folder, number in done.downloads.items()},
                "tracked": {str(run): tracker for run, tracker in done.tracked.items()},
                "skipped": done.skipped,
                "not_remembered": done.nowhere,
            }
        )
    else:
        _show(ConsoleOutput(), done)
    if done.skipped:
        raise StorageError(
            f"Not everything was deleted: {' '.join(done.skipped)} Run the same command again "
            "after fixing this."
        )


def _show(screen: ConsoleOutput, done: "DeletionReport") -> None:
    from huggingtweets.privacy.deleted_posts import deleted_posts_file
    from huggingtweets.storage.run_folder import RunFolder

    for path, number in (done.runs | done.sweeps | done.downloads).items():
        screen.say(f"{path}: {number:,} post{'s' if number > 1 else ''} removed")
    for path in done.runs:
        if outdated := RunFolder(path).staleness_warning():
            screen.say(f"{path} is {outdated}: {command(f'train --resume {path}')}", "yellow")
    for path, tracker in done.tracked.items():
        screen.say(
            f"{path} was tracked with {tracker}; what was logged there stays until you delete it.",
            "yellow",
        )
    for path in done.sweeps:
        screen.say(f"{path} can still be reported on, but takes no more trials.", "yellow")
    if not (done.runs or done.sweeps or done.downloads):
        screen.say("No run, sweep or download held any of these posts.")
    if done.nowhere:
        screen.say(
            f"{', '.join(done.nowhere[:10])}: not found, and not remembered because posts of other "
            "authors may have such an id. Give it as '@author ID'.",
            "yellow",
        )
    screen.say(f"The list of deleted posts is {deleted_posts_file()}")
