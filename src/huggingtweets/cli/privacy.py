"""``huggingtweets delete``, ``opt-out`` and ``forget``: what people asked to be removed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from huggingtweets.cli import options
from huggingtweets.cli.console import ConsoleOutput, command, print_json
from huggingtweets.errors import BotError, InputError, Interrupted, StorageError

if TYPE_CHECKING:
    from huggingtweets.deletion import DeletionReport
    from huggingtweets.privacy.opt_out import OptOut


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="Example: huggingtweets delete runs/me")(delete)
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
    out: options.Out = Path("runs"),
    as_json: options.Json = False,
) -> None:
    """Show the opt-out list or add people to it. Their posts and bots are never used again.

    Their downloads and tracked runs on this machine are removed. Bots that imitate them are blocked
    and named, so that you can delete them.
    """
    from huggingtweets.privacy import opt_out as optout

    added = optout.add(handles, hashed=hashed) if handles else []
    listed = optout.load()
    entries = sorted(listed.entries)
    done, blocked = _remove_opted_out(listed, out) if handles else (None, [])
    if as_json:
        found = {"file": str(optout.list_file()), "entries": entries, "added": added}
        details = (
            {"blocked": [str(path) for path in blocked], **deleted_as_json(done)} if done else {}
        )
        print_json(found | details)
        return
    screen = ConsoleOutput()
    if done:
        screen.say(f"{len(added):,} added, {len(entries):,} in all: {optout.list_file()}")
        for path in blocked:
            screen.say(
                f"{path} holds their posts and is blocked: {command(f'delete {path}')}", "yellow"
            )
        show_deleted(screen, done)
        refuse_skipped(done)
        return
    screen.say(f"{len(entries):,} opted out: {optout.list_file()}")
    for entry in entries:
        screen.say(f"  {entry}")


def delete(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Run, sweep or fleet folders.", show_default=False),
    ],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking first.")] = False,
    keep_downloads: Annotated[
        bool, typer.Option("--keep-downloads", help="Keep the accounts' downloaded posts.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Delete a bot with its posts, reports, tracked copies, and downloads no other run uses."""
    from huggingtweets.storage.fleets import SETTINGS
    from huggingtweets.storage.run_folder import named

    screen = ConsoleOutput(quiet=as_json)
    runs = [named(path) for path in runs]
    for path in runs:
        if not any((path / name).is_file() for name in ("run.json", "sweep.json", SETTINGS)):
            raise InputError(f"{path} is not a run, sweep or fleet folder. Nothing was deleted.")
    names = " and ".join(map(str, runs))
    if not (yes or screen.can_ask):
        raise InputError(f"There is no terminal to ask whether to delete {names}. Add --yes.")
    if not screen.confirm(f"Delete {names}? This can't be undone.", yes=yes):
        raise InputError("Nothing was deleted.")
    reports = [_delete(path, keep_downloads=keep_downloads) for path in runs]
    if as_json:
        print_json(
            {str(path): deleted_as_json(done) for path, done in zip(runs, reports, strict=True)}
        )
        return
    for done in reports:
        show_deleted(screen, done)
        refuse_skipped(done)


def _delete(path: Path, *, keep_downloads: bool) -> "DeletionReport":
    from huggingtweets import deletion
    from huggingtweets.storage.fleets import SETTINGS
    from huggingtweets.storage.run_folder import RunFolder

    if (path / SETTINGS).is_file():
        return deletion.delete_fleet(path, keep_downloads=keep_downloads)
    if (path / "run.json").is_file():
        return deletion.delete(RunFolder(path), keep_downloads=keep_downloads)
    return deletion.delete_sweep(path)


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
    from huggingtweets.storage import places
    from huggingtweets.storage.run_folder import RunFolder, named

    lines = options.post_ids(ids)
    runs = [named(path) for path in runs or ()]
    sweeps = [path for path in runs if (path / "sweep.json").is_file()]
    folders = [RunFolder(path) for path in runs if path not in sweeps]
    for run in folders:
        run.record()  # reports a mistyped RUN before anything is deleted
    if not runs:
        folders, sweeps = places.runs(out), places.sweeps(out, out.parent)
    try:
        done = deletion.forget(
            lines,
            folders,
            sweeps,
            out=None if runs else out,
            in_use=() if runs else _uploads_in_use(out),
        )
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
                **deleted_as_json(done),
            }
        )
    else:
        _show(ConsoleOutput(), done)
    refuse_skipped(done)


def _uploads_in_use(out: Path) -> set[Path]:
    """Return the visitors' uploads that an unfinished training of the web app waits for."""
    from huggingtweets.serving.jobs import JobStore
    from huggingtweets.storage.places import APP

    orders = [job.order for job in JobStore(out / APP).unfinished() if job.order]
    return {Path(source) for order in orders for source in order.sources}


def _remove_opted_out(listed: "OptOut", out: Path) -> "tuple[DeletionReport, list[Path]]":
    """Remove what is only a copy, and find the runs and sweeps that are blocked."""
    from contextlib import suppress

    from huggingtweets import deletion
    from huggingtweets.storage import files, places

    blocked = []
    for run in places.runs(out):
        with suppress(BotError):
            if listed.names_in(run.record()):
                blocked.append(run.path)
    for sweep in places.sweeps(out, out.parent):
        with suppress(OSError, ValueError, AttributeError):
            authors = files.read_json(sweep / "sweep.json").get("authors", ())
            if any(listed.contains(str(author)) for author in authors):
                blocked.append(sweep)
    return deletion.opt_out_copies(listed), blocked


def deleted_as_json(done: "DeletionReport") -> dict[str, Any]:
    """Return what was removed, for ``--json``."""
    return {
        "removed": [str(path) for path in done.removed],
        "tracked_runs": done.tracked_runs,
        "out_of_reach": done.out_of_reach,
    }


def refuse_skipped(done: "DeletionReport") -> None:
    """Raise an error if something couldn't be deleted."""
    if done.skipped:
        raise StorageError(
            f"Not everything was deleted: {' '.join(done.skipped)} Run the same command again "
            "after fixing this."
        )


def show_deleted(screen: ConsoleOutput, done: "DeletionReport") -> None:
    """List what was removed as a whole, and what is out of reach."""
    for path in done.removed:
        screen.say(f"{path}: deleted")
    if done.tracked_runs:
        runs = "1 run" if done.tracked_runs == 1 else f"{done.tracked_runs:,} runs"
        screen.say(f"trackio: {runs} deleted")
    if done.out_of_reach:
        screen.say("Out of reach; delete them yourself where they hold the posts:", "yellow")
        for where in done.out_of_reach:
            screen.say(f"  {where}", "yellow")


def _show(screen: ConsoleOutput, done: "DeletionReport") -> None:
    from huggingtweets.privacy.deleted_posts import deleted_posts_file
    from huggingtweets.storage.run_folder import RunFolder

    for path, number in (done.runs | done.sweeps | done.downloads).items():
        screen.say(f"{path}: {number:,} post{'s' if number > 1 else ''} removed")
    for path in done.runs:
        if outdated := RunFolder(path).staleness_warning():
            screen.say(f"{path} is {outdated}: {command(RunFolder(path).renewal())}", "yellow")
    for path, tracker in done.tracked.items():
        screen.say(
            f"{path} was tracked with {tracker}; what was logged there stays until you delete it.",
            "yellow",
        )
    for path in done.sweeps:
        screen.say(f"{path} can still be reported on, but takes no more trials.", "yellow")
    show_deleted(screen, done)
    if not (done.runs or done.sweeps or done.downloads):
        screen.say("No run, sweep or download held any of these posts.")
    if done.nowhere:
        screen.say(
            f"{', '.join(done.nowhere[:10])}: not found, and not remembered because posts of other "
            "authors may have such an id. Give it as '@author ID'.",
            "yellow",
        )
    screen.say(f"The list of deleted posts is {deleted_posts_file()}")
