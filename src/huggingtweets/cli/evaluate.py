"""``huggingtweets evaluate``: make the likeness report of a run again."""

import typer

from huggingtweets.cli import options
from huggingtweets.cli.console import ConsoleOutput, print_json


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: huggingtweets evaluate runs/me")(evaluate)


def evaluate(bot: options.Bot, *, as_json: options.Json = False) -> None:
    """Evaluate a bot again and rewrite its likeness report, from its run folder."""
    from huggingtweets import pipeline
    from huggingtweets.cli.train import show_likeness
    from huggingtweets.generation import bots

    run = bots.find_run_folder(bot)
    screen = ConsoleOutput(quiet=as_json)
    with screen.watching():
        report = pipeline.evaluate(run, screen)
    if as_json:
        print_json(report.to_json())
    else:
        show_likeness(screen, run)
        screen.say(f"\nreport with plots: {run.report_page}")
