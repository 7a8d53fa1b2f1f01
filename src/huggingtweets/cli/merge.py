"""``huggingtweets merge``: make a bot from finished bots, without training."""

from pathlib import Path
from typing import Annotated

import typer

from huggingtweets.cli import options
from huggingtweets.cli.console import ConsoleOutput, print_json
from huggingtweets.errors import InputError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: huggingtweets merge runs/me runs/you --weights 0.6,0.4")(merge)


def merge(
    bots: Annotated[
        list[str],
        typer.Argument(
            metavar="BOT...",
            help="Run folders of two or more finished bots that were trained from one base.",
            show_default=False,
        ),
    ],
    *,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="W,W",
            help="Weights of the bots in their order, 0 to 1; they sum to 1. Default: equal.",
            show_default=False,
        ),
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            metavar="linear|slerp|task-arithmetic|ties",
            help="How to merge: linear takes the mean of all weights; slerp, of two bots, the "
            "point on the arc between them; task-arithmetic and ties add up what each bot changed "
            "in the base (docs/research/merging.md).",
        ),
    ] = "linear",
    scale: Annotated[
        float,
        typer.Option(
            help="For task-arithmetic and ties: factor of the summed changes, over 0 to 10; above "
            "1 goes further from the base than the bots did."
        ),
    ] = 1.0,
    density: Annotated[
        float,
        typer.Option(help="For ties: share of each bot's changes to keep, the largest; 0 to 1."),
    ] = 0.2,
    name: Annotated[
        str | None,
        typer.Option(help="Name of the run folder. Default: the bots'.", show_default=False),
    ] = None,
    out: options.Out = Path("runs"),
    seed: options.Seed = 0,
    device: options.Device = None,
    precision: options.Precision = None,
    as_json: options.Json = False,
) -> None:
    """Merge bots into a new one that writes like all their authors, without training."""
    from huggingtweets import merging
    from huggingtweets.cli.console import outcome
    from huggingtweets.cli.train import print_resume_hint, show_outcome

    chosen = merging.MergeOptions(
        weights=None if weights is None else _numbers(weights),
        method=method,
        scale=scale,
        density=density,
        name=name,
        out=out,
        seed=seed,
        device=device,
        precision=precision,
    )
    screen = ConsoleOutput(quiet=as_json)
    with print_resume_hint(), screen.watching():
        run = merging.merge(bots, chosen, screen)
    if as_json:
        print_json(outcome(run))
    else:
        show_outcome(screen, run)


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(
            f"--weights must be numbers separated by commas, such as 0.6,0.4, not {text[:80]!r}."
        ) from error
