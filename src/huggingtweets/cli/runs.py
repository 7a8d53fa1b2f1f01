"""``huggingtweets runs`` and ``show``: list runs, show one run."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from huggingtweets.cli import options
from huggingtweets.cli.console import (
    ConsoleOutput,
    command,
    escape_control_chars,
    print_json,
)
from huggingtweets.errors import BotError
from huggingtweets.events import counted

if TYPE_CHECKING:
    from huggingtweets.storage.run_folder import RunFolder, RunRecord


def register(app: typer.Typer) -> None:
    """Add both commands."""
    app.command(epilog="Example: huggingtweets runs --out runs")(runs)
    app.command(epilog="Example: huggingtweets show runs/me")(show)


def runs(*, out: options.Out = Path("runs"), as_json: options.Json = False) -> None:
    """List the runs: base, author, posts kept, held-out bits per byte, state."""
    from huggingtweets.storage.run_folder import list_runs

    rows = [_summary(run) for run in list_runs(out)]
    if as_json:
        print_json({"runs": rows})
        return
    screen = ConsoleOutput()
    if not rows:
        screen.say(f"No runs in {out} yet. Make one: {command('demo')}")
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for heading in ("run", "author", "base", "kept", "bits per byte", "state"):
        table.add_column(
            heading,
            justify="right" if heading in ("kept", "bits per byte") else "left",
            overflow="fold",  # never truncate a path
        )
    for row in rows:
        bits = row["held_out_bits_per_byte"]
        cells = (
            row["run"],
            " & ".join(row["names"]),
            row["base"],
            f"{row['counts']['kept']:,}" if row["counts"] else "",
            f"{bits:.3f}" if bits is not None else "",
            row["state"],
        )
        table.add_row(*(Text(escape_control_chars(cell)) for cell in cells))
    screen.console.print(table)
    for row in rows:
        if row["out_of_date"]:
            screen.say(f"{row['run']} is {row['out_of_date']}", "yellow")


def show(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)],
    *,
    as_json: options.Json = False,
) -> None:
    """Show one run: where it came from, how it was made, how it came out."""
    from huggingtweets.storage.run_folder import RunFolder, named

    folder = RunFolder(named(run))
    record = folder.record()
    if as_json:
        print_json(asdict(record) | {"state": folder.display_state()})
        return
    try:
        _show(folder, record)
    except (KeyError, TypeError, ValueError) as error:
        raise BotError(f"{folder.record_file} is damaged or incomplete: {error}.") from error


def _show(folder: "RunFolder", record: "RunRecord") -> None:
    """Print a run; a record that lacks a value raises the error of looking it up."""
    from huggingtweets.nn import bases

    screen, run = ConsoleOutput(), folder.path
    screen.say(f"{record.name}: {folder.display_state()}", "bold")
    if record.error:
        screen.say(record.error, "red")
    if outdated := folder.staleness_warning():
        screen.say(f"{outdated}: {command(folder.renewal())}", "yellow")
    for author, counts in record.counts_by_author.items():
        numbers = " · ".join(f"{number:,} {name}" for name, number in counts.items())
        screen.say(f"{record.shown(author)}: {numbers}")
    screen.say(f"sources: {', '.join(record.config['sources'])}")
    screen.say(f"base {record.config['base']}, {_how(record)}, seed {record.config['seed']}")
    built_in = bases.BUILT_IN.get(record.config["base"])
    if built_in and built_in.hub:
        screen.say(
            f"{built_in.name} is {built_in.hub} by {built_in.authors}, licensed under "
            f"{built_in.licence}; the bot is a modified copy of it",
            "dim",
        )
    screen.say(
        f"made {record.created_at} on {record.machine['processor']}, {record.machine['device']}, "
        f"{record.machine['precision']}; {_seconds(record.seconds)}"
    )
    for point in record.result.get("history", []):
        screen.say(
            f"after epoch {point['epoch']}: held-out {point['held_out_bits_per_byte']:.3f} "
            "bits per byte"
        )
    if way := record.result.get("way"):
        screen.say(
            f"weights interpolated {way:.0%} of the way from the base: held-out "
            f"{record.result['best']:.3f} bits per byte"
        )
    if folder.report_json.exists():
        from huggingtweets.cli.train import show_likeness

        show_likeness(screen, folder)
        screen.say(f"\nbot: {folder.bot}\nreport with plots: {folder.report_page}")
    elif record.state != "done":
        screen.say(f"resume with: {command(f'train --resume {run}')}")


def _how(record: "RunRecord") -> str:
    """Describe how a bot was made from its base."""
    if record.merged:
        bots = zip(record.merged["bots"], record.merged["weights"], strict=True)
        parts = " and ".join(f"{weight:.0%} {bot['name']}" for bot, weight in bots)
        return f"merged from {parts} ({record.merged['method']})"
    recipe = record.config["recipe"]
    return (
        f"recipe {recipe['name']}: at most {counted(recipe['epochs'], 'epoch')}, "
        f"learning rate {recipe['learning_rate']}"
    )


def _summary(run: "RunFolder") -> dict[str, Any]:
    try:
        record = run.record()
        return {
            "run": str(run.path),
            "authors": record.authors,
            "names": record.names,
            "base": str(record.config["base"]),
            "counts": record.counts and {"kept": 0} | record.counts,
            "held_out_bits_per_byte": run.held_out_bits_per_byte(),
            "state": run.display_state(),
            "out_of_date": run.staleness_warning(),
            "created_at": record.created_at,
        }
    except (BotError, KeyError, TypeError, ValueError):  # a damaged run is listed, too
        return {"run": str(run.path), "authors": [], "names": [], "base": "", "counts": {}} | {
            "held_out_bits_per_byte": None,
            "state": "damaged",
            "out_of_date": None,
            "created_at": None,
        }


def _seconds(seconds: dict[str, float]) -> str:
    return ", ".join(f"{stage} {value:.1f} s" for stage, value in seconds.items())
