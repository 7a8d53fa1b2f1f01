"""``huggingtweets fleet``: a bot for each of many authors."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from huggingtweets.cli import options
from huggingtweets.cli.console import ConsoleOutput, command, print_json
from huggingtweets.cli.privacy import deleted_as_json, refuse_skipped, show_deleted
from huggingtweets.errors import BotError, InputError, Interrupted, TrainingError
from huggingtweets.events import counted

if TYPE_CHECKING:
    from huggingtweets.fleet.progress import FleetProgress
    from huggingtweets.storage.fleets import Check, FleetFolder

Fleet = Annotated[Path, typer.Argument(metavar="FLEET", help="Folder of the fleet.")]


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(
        no_args_is_help=True,
        help="Make a bot for each of many authors, on one machine or a cluster.",
        epilog="Example: huggingtweets fleet train authors.csv --workers local:4",
    )
    group.command(epilog="Example: huggingtweets fleet train authors.csv --workers local:4")(train)
    group.command(epilog="Example: huggingtweets fleet show fleet")(show)
    group.command(epilog="Example: huggingtweets fleet check fleet")(check)
    group.command(epilog="Example: huggingtweets fleet forget @name --fleet fleet")(forget)
    app.add_typer(group, name="fleet")


def train(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCES...|MANIFEST.csv",
            help="Any SOURCE of posts, as for train; each author in it gets a bot. Or a CSV file "
            "with the columns author and source, and if wanted text_column, from, join, "
            "keep_names, i_am_the_author. Default: those of the fleet in --out.",
            show_default=False,
        ),
    ] = None,
    *,
    workers: Annotated[
        str,
        typer.Option(
            metavar="local[:N]|ray|ray://HOST:PORT",
            help="Number of bots trained at once on this machine, each on one core, or the "
            "address of a Ray cluster. local means one for each core; fewer where memory is short.",
        ),
    ] = "local",
    out: Annotated[Path, typer.Option("--out", help="Folder of the fleet.")] = Path("fleet"),
    base: options.Base = None,
    recipe: options.Recipe = None,
    epochs: options.Epochs = None,
    learning_rate: options.LearningRate = None,
    layers: options.Layers = None,
    adapter: options.Adapter = None,
    posts: Annotated[
        int | None,
        typer.Option(
            help="Most training posts of each author, the newest. Fewer are faster. Default: all.",
            show_default=False,
        ),
    ] = None,
    seed: options.OptionalSeed = None,
    holdout: options.Holdout = None,
    keep_newlines: options.KeepNewlines = False,
    keep_personal: options.KeepPersonal = False,
    scrub: options.Scrub = False,
    near_duplicates: options.NearDuplicates = 0.9,
    text_column: options.TextColumn = None,
    speaker: options.Speaker = None,
    join: options.Join = False,
    keep_names: options.KeepNames = False,
    device: options.Device = None,
    precision: options.Precision = None,
    as_json: options.Json = False,
) -> None:
    """Make a bot for each author; the same command continues after any interruption."""
    from huggingtweets.cli.fleet_table import FleetTable
    from huggingtweets.curation import CurationOptions
    from huggingtweets.fleet import train as fleets
    from huggingtweets.fleet.sources import FleetSource
    from huggingtweets.storage.fleets import FleetFolder
    from huggingtweets.training import Interrupt

    curation = CurationOptions(
        keep_newlines,
        near_duplicates=near_duplicates,
        mask=options.mask(keep_personal=keep_personal, scrub=scrub),
    )
    given = {
        "base": base,
        "recipe": _recipe(recipe, epochs, learning_rate, layers, adapter),
        "posts": posts,
        "seed": seed,
        "holdout": holdout,
        "curation": None if curation == CurationOptions() else curation,
        "device": device,
        "precision": precision,
    }
    chosen = fleets.FleetOptions(
        given={name: value for name, value in given.items() if value is not None},
        reading=FleetSource(
            "", text_column=text_column, speaker=speaker, join=join, keep_names=keep_names
        ),
        workers=workers,
        out=out,
    )
    screen = ConsoleOutput(quiet=as_json)
    try:
        with FleetTable(screen, FleetFolder(out)) as table:
            progress = fleets.train(sources or [], chosen, table, Interrupt())
    except KeyboardInterrupt as error:
        raise Interrupted("Stopped; nothing was written.") from error
    except Interrupted as error:
        raise Interrupted(f"{error} {_how_to_continue(out)}", out) from error
    except TrainingError as error:  # no worker can train any more
        raise TrainingError(f"{error} {_how_to_continue(out)}") from error
    fleet = FleetFolder(out)
    if as_json:
        print_json(_as_json(fleet, progress))
    else:
        _show_end(screen, fleet, progress)
    if failed := progress.in_state("failed"):
        raise TrainingError(
            f"{counted(len(failed), 'author')} of {len(progress.authors):,} failed. After mending "
            "what is wrong, the same command tries them again."
        )


def _how_to_continue(out: Path) -> str:
    return f"Finished bots stay. Continue with: {command(f'fleet train --out {out}')}"


def _recipe(
    name: str | None,
    epochs: int | None,
    learning_rate: float | None,
    layers: str | None,
    adapter: str | None,
) -> Any:  # noqa: ANN401 - a Recipe, which is heavy to import
    """Return the chosen recipe; None if no option of it was given."""
    if all(value is None for value in (name, epochs, learning_rate, layers, adapter)):
        return None
    return options.recipe(
        name,
        epochs=epochs,
        learning_rate=learning_rate,
        layers=layers,
        adapter=adapter or "lora",
    )


def show(fleet: Fleet = Path("fleet"), *, as_json: options.Json = False) -> None:
    """Show the authors of a fleet: done, running, waiting, failed and why."""
    from huggingtweets.cli.fleet_table import all_authors, summary
    from huggingtweets.fleet.progress import read_progress, with_updates
    from huggingtweets.storage.fleets import FleetFolder

    folder = FleetFolder(fleet)
    folder.settings()
    progress = with_updates(folder, read_progress(folder))
    if as_json:
        print_json(_as_json(folder, progress))
        return
    screen = ConsoleOutput()
    screen.say(summary(progress), "bold")
    screen.console.print(all_authors(folder, progress, screen.console.width))
    if folder.page.is_file():
        screen.say(f"authors side by side: {folder.page}")


def check(
    fleet: Fleet = Path("fleet"),
    *,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Restore damaged, changed and missing files from their other copy in the fleet.",
        ),
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Compare every file of a fleet with its SHA-256 and name damaged authors."""
    from dataclasses import asdict

    from huggingtweets.storage.fleets import FleetFolder

    result = FleetFolder(fleet).check(repair=repair)
    if as_json:
        print_json(asdict(result))
    else:
        _show_check(ConsoleOutput(), fleet, result)
    if result.damaged or result.changed:
        damaged = len(result.damaged.keys() | result.changed.keys())
        raise BotError(
            f"{damaged:,} of {result.authors:,} authors in {fleet} are damaged or changed."
        )


def _show_check(screen: ConsoleOutput, fleet: Path, result: "Check") -> None:
    megabytes = f"{result.bytes / 1e6:,.1f} MB"
    screen.say(
        f"{counted(result.authors, 'author')} · {counted(result.objects, 'file')} · {megabytes}"
    )
    if result.repaired:
        screen.say(f"{counted(result.repaired, 'file')} restored")
    if result.unused:
        screen.say(f"{counted(result.unused, 'file')} of no author removed")
    for name, faults in result.damaged.items():
        screen.say(f"{name}: {'; '.join(faults)}", "red")
    for name, paths in result.changed.items():
        screen.say(f"{name}: changed or missing in its run folder: {', '.join(paths)}", "yellow")
    if result.changed or any("run folder" not in f for fs in result.damaged.values() for f in fs):
        screen.say("Restore what can be restored with:")
        screen.commands([command(f"fleet check {fleet} --repair")])
    lost = [name for name, fs in result.damaged.items() if any("run folder" in f for f in fs)]
    if lost:
        screen.say("Restore these from a copy of the fleet, or delete and train them again:")
        screen.commands([command(f"delete {fleet / 'authors' / name}") for name in lost])


def forget(
    authors: Annotated[
        list[str],
        typer.Argument(
            metavar="AUTHOR...", help="Names or handles of authors.", show_default=False
        ),
    ],
    *,
    fleet: Annotated[Path, typer.Option("--fleet", help="Folder of the fleet.")] = Path("fleet"),
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking first.")] = False,
    keep_downloads: Annotated[
        bool, typer.Option("--keep-downloads", help="Keep the accounts' downloaded posts.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Remove authors everywhere in a fleet, which never trains them again."""
    from huggingtweets.fleet import forget as forgetting
    from huggingtweets.storage.fleets import FleetFolder

    screen, folder = ConsoleOutput(quiet=as_json), FleetFolder(fleet)
    folder.settings()
    names = " and ".join(authors)
    if not (yes or screen.can_ask):
        raise InputError(f"There is no terminal to ask whether to remove {names}. Add --yes.")
    if not screen.confirm(f"Remove {names} from {fleet}? This can't be undone.", yes=yes):
        raise InputError("Nothing was removed.")
    done = forgetting.forget(folder, authors, keep_downloads=keep_downloads)
    if as_json:
        print_json({"authors": authors} | deleted_as_json(done))
    else:
        show_deleted(screen, done)
    refuse_skipped(done)


def _show_end(screen: ConsoleOutput, fleet: "FleetFolder", progress: "FleetProgress") -> None:
    from huggingtweets.cli.fleet_table import summary

    screen.heading(summary(progress))
    for author in progress.in_state("failed", "skipped"):
        screen.say(f"{author.author}: {author.state}: {author.reason}", "yellow")
    screen.say(f"authors side by side: {fleet.page}")
    if done := progress.in_state("done"):
        screen.commands(
            [
                command(f'generate {fleet.authors / done[0].name} --prompt "My dream is"'),
                command(f"fleet check {fleet.path}"),
            ]
        )


def _as_json(fleet: "FleetFolder", progress: "FleetProgress") -> dict[str, Any]:
    from contextlib import suppress
    from dataclasses import asdict

    authors = []
    for author in progress.authors.values():
        values = asdict(author) | {"run": str(fleet.authors / author.name) if author.name else None}
        values["weights_sha256"] = None
        with suppress(BotError):
            values["weights_sha256"] = fleet.stored(author.name).weights if author.name else None
        authors.append(values)
    return {
        "fleet": str(fleet.path),
        "page": str(fleet.page),
        "stage": progress.stage,
        "seconds_left": progress.seconds_left,
        "counts": progress.counts(),
        "authors": authors,
    }
