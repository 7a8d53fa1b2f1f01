"""``huggingtweets sweep report`` and ``sweep export``: report on a sweep, export it to W&B."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from huggingtweets.cli import options
from huggingtweets.cli.console import ConsoleOutput, print_json
from huggingtweets.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

Folder = Annotated[
    Path | None,
    typer.Argument(
        metavar="SWEEP", help="Folder of the sweep. Default: sweep/.", show_default=False
    ),
]
Storage = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Storage address of the sweep, if its database needs a password.",
        show_default=False,
    ),
]


def register(group: typer.Typer) -> None:
    """Add both commands."""
    group.command(epilog="Example: huggingtweets sweep report")(report)
    group.command(epilog="Example: huggingtweets sweep export wandb")(export)


def report(
    folder: Folder = None, *, storage: Storage = None, as_json: options.Json = False
) -> None:
    """Write the report page of a sweep: importance, best region, best recipe of each author."""
    from huggingtweets.sweep.report import latest, write_report

    path = latest(folder)
    written = write_report(path, storage)
    if as_json:
        print_json(written)
        return
    screen = ConsoleOutput()
    counts = written["counts"]
    screen.say(" · ".join(f"{number:,} {name}" for name, number in counts.items() if number))
    _show_importance(screen, written)
    screen.heading(f"The report is {path / 'report' / 'sweep.html'}")


def export(
    service: Annotated[str, typer.Argument(metavar="wandb", help="Format to write: wandb.")],
    folder: Folder = None,
    *,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="File to write. Default: SWEEP/sweep.yaml.", show_default=False),
    ] = None,
) -> None:
    """Export a sweep for another service, whose agents then run `huggingtweets train`."""
    from huggingtweets.sweep.report import latest
    from huggingtweets.sweep.wandb import export as write

    if service != "wandb":
        raise InputError(f"A sweep can be exported to wandb, not to {service!r}.")
    file = write(latest(folder), out)
    screen = ConsoleOutput()
    screen.say(f"The sweep for W&B is {file}")
    screen.say("Next:")
    screen.commands([f"wandb sweep {file}", "wandb agent SWEEP_ID"])


def _show_importance(screen: ConsoleOutput, report: "Mapping[str, Any]") -> None:
    """Show the table of importance and its warnings."""
    from rich.table import Table

    shares = report["importance"]
    if shares["random_forest"]:
        table = Table(box=None, pad_edge=False)
        table.add_column("importance")
        table.add_column("random forest", justify="right")
        table.add_column("fANOVA", justify="right")
        for name, share in shares["random_forest"].items():
            other = shares["fanova"].get(name)
            table.add_row(name, f"{share:.0%}", "" if other is None else f"{other:.0%}")
        screen.console.print()
        screen.console.print(table)
    for warning in report["trust"]["warnings"]:
        screen.say(warning, "yellow")
    gain = report["gain"]
    if gain and gain["objective"] > 0:
        screen.say(
            f"The best objective is {gain['objective']:.1%} lower than the default's, on the posts "
            "it was chosen on."
        )
    elif gain:
        screen.say("No trial beat the default recipe.")
