"""``huggingtweets sweep``: find the best recipe for several authors."""

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from huggingtweets.cli import options, sweep_report
from huggingtweets.cli.console import ConsoleOutput, command, print_json
from huggingtweets.errors import InputError, Interrupted
from huggingtweets.events import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress

    from huggingtweets.sweep.loop import SweepProgress
    from huggingtweets.sweep.sweep import SweepResult


_RUN = "run"


class _WithDefault(TyperGroup):
    """A group with a default command: ``sweep A B`` means ``sweep run A B``."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401 - click's own types
        """Return the named command, or ``run``."""
        if args and args[0] not in self.commands:
            args = [_RUN, *args]
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - click's own types
        """Pass options before any command to ``run``."""
        if args and args[0] not in {*self.commands, "--help", "-h"}:
            args = [_RUN, *args]
        return super().parse_args(ctx, args)


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(
        cls=_WithDefault,
        no_args_is_help=True,
        help="Find the recipe that is best for several authors. `sweep AUTHORS...` starts one.",
        epilog="Example: huggingtweets sweep me.zip friend.csv --minutes 60",
    )
    group.command(_RUN, epilog="Example: huggingtweets sweep me.zip friend.csv --minutes 60")(sweep)
    sweep_report.register(group)
    app.add_typer(group, name="sweep")


def sweep(
    authors: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="AUTHORS...",
            help="Any SOURCE of posts, as for train; each author in it counts as one.",
            show_default=False,
        ),
    ] = None,
    *,
    space: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="TOML or JSON file with the search space. Default: learning rate, epochs, batch "
            "size, warm-up, weight decay and beta2.",
            show_default=False,
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(
            help="Trials in all. Default: 50, or no limit with --minutes.",
            show_default=False,
        ),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Minutes after which to stop.", show_default=False)
    ] = None,
    workers: Annotated[
        str,
        typer.Option(
            metavar="local:N|ray|ray://HOST:PORT",
            help="Number of processes on this machine, or the address of a Ray cluster.",
        ),
    ] = "local:1",
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|URL",
            help="Where trials are stored: a journal file, sqlite:///FILE or postgresql://... "
            "Several machines may share it. Default: a journal in the sweep's folder.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of the sweep.")] = Path("sweep"),
    resume: Annotated[
        Path | None,
        typer.Option("--resume", help="Continue this sweep.", show_default=False),
    ] = None,
    objective: Annotated[
        str,
        typer.Option(
            metavar="robust|mean|median|worst",
            help="What to minimize over the authors' bits per byte; robust is mean + 1 std.",
        ),
    ] = "robust",
    posts: Annotated[
        int | None,
        typer.Option(
            help="Most training posts of each author, the newest, and as many held-out ones. "
            "Fewer make trials shorter.",
            show_default=False,
        ),
    ] = None,
    base: Annotated[
        str, typer.Option("--base", help="A built-in base, a folder or a Hub id.")
    ] = "pocket",
    holdout: Annotated[
        float, typer.Option(help="Share of each author's posts to hold out, the newest, 0 to 1.")
    ] = 0.2,
    narrow: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Search again where this share of the first sweep's trials, the best, lies.",
            show_default=False,
        ),
    ] = None,
    speaker: options.Speaker = None,
    join: options.Join = False,
    keep_names: options.KeepNames = False,
    seed: options.Seed = 0,
    as_json: options.Json = False,
) -> None:
    """Train recipes on every author and find the one that is best for all."""
    from huggingtweets.sweep import sweep as sweeps
    from huggingtweets.sweep.search_space import DEFAULT, read_space
    from huggingtweets.training import Interrupt

    if resume is not None and authors:
        raise InputError("Give either AUTHORS or --resume SWEEP: a sweep has its authors already.")
    if resume is None and not authors:
        raise InputError("No AUTHORS were given: name archives or files with posts, or --resume.")
    chosen = sweeps.SweepOptions(
        space=read_space(space) if space else DEFAULT,
        objective=objective,
        base=base,
        holdout=holdout,
        posts=posts,
        seed=seed,
        out=resume or out,
        storage=storage,
        trials=trials,
        minutes=minutes,
        workers=workers,
        narrow=narrow,
        speaker=speaker,
        join=join,
        keep_names=keep_names,
    )
    screen = ConsoleOutput(quiet=as_json)
    interrupt = Interrupt()
    try:
        with _progress(screen) as progress:
            if resume is not None:
                result = sweeps.resume(resume, chosen, progress, interrupt)
            else:
                with screen.watching():
                    result = sweeps.sweep(authors or [], chosen, screen, progress, interrupt)
    except KeyboardInterrupt as error:  # while reading
        raise Interrupted("Stopped; nothing was written.") from error
    path = result.folder.path
    if as_json:
        print_json({"sweep": str(path), "stopped": result.stopped} | result.result)
    else:
        _show_result(screen, result)
    if result.stopped:
        raise Interrupted(f"Stopped. Resume with: {command(f'sweep --resume {path}')}")


@contextmanager
def _progress(screen: ConsoleOutput) -> "Iterator[_ProgressDisplay]":
    display = _ProgressDisplay(screen)
    try:
        yield display
    finally:
        display.end()


class _ProgressDisplay:
    """Prints a line for each trial and, on a terminal, a progress bar."""

    def __init__(self, screen: ConsoleOutput) -> None:
        self.screen = screen
        self._bar: Progress | None = None

    def __call__(self, step: "SweepProgress") -> None:
        """Show a progress update."""
        if step.line:
            self.screen.say(step.line)
        if self.screen.console.is_terminal:
            self._update_bar(step)

    def end(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _update_bar(self, step: "SweepProgress") -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        if self._bar is None:
            self._bar = Progress(
                "sweep",
                BarColumn(),
                TextColumn("{task.fields[numbers]}"),
                console=self.screen.console,
            )
            self._bar.add_task("", total=step.wanted, numbers="")
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=step.over, numbers=_numbers(step))


def _numbers(step: "SweepProgress") -> str:
    total = f" of {step.wanted}" if step.wanted is not None else ""
    trials = "trial" if (step.wanted or step.over) == 1 else "trials"
    parts = [f"{step.over}{total} {trials}", counted(step.authors, "training")]
    if step.best is not None:
        parts.append(f"best {step.best:.4f}")
    if step.seconds_left is not None:
        minutes, seconds = divmod(round(step.seconds_left), 60)
        parts.append(f"{minutes}:{seconds:02d} left")
    return " · ".join(parts)


def _show_result(screen: ConsoleOutput, swept: "SweepResult") -> None:
    """Show the best recipe beside the default one."""
    result = swept.result
    counts = result["trials"]
    screen.say(" · ".join(f"{number:,} {name}" for name, number in counts.items() if number))
    best, default = result["best"], result["default"]
    if best is None:
        screen.say("No trial has evaluated all authors yet.")
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("", f"best (trial {best['trial']})", "default"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, value in best["recipe"].items():
        if name not in ("name", "precision"):
            table.add_row(name, _cell(value), _cell(default["recipe"][name]) if default else "")
    for label, key in ((result["objective"], "objective"), ("mean bits per byte", "mean")):
        if label != "mean":
            table.add_row(label, f"{best[key]:.4f}", f"{default[key]:.4f}" if default else "")
    screen.console.print()
    screen.console.print(table)
    if result["gain"] is not None:
        screen.say(f"The best objective is {result['gain']:.1%} lower than the default's.")
    screen.heading(f"The sweep is in {swept.folder.path}")


def _cell(value: Any) -> str:  # noqa: ANN401 - a recipe's
    return f"{value:.3g}" if isinstance(value, float) else str(value)
