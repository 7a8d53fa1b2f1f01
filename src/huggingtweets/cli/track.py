"""``huggingtweets track`` and ``dashboard``: log runs to trackio or W&B, open trackio."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from huggingtweets.cli import options
from huggingtweets.cli.console import ConsoleOutput, command, has_display

if TYPE_CHECKING:
    from huggingtweets.storage.run_folder import RunFolder

_POLL_SECONDS = 2.0


def register(app: typer.Typer) -> None:
    """Add both commands."""
    app.command(epilog="Example: huggingtweets track runs/me --to wandb")(track)
    app.command(epilog="Example: huggingtweets dashboard")(dashboard)


def track(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)],
    *,
    to: Annotated[
        str, typer.Option("--to", metavar="TRACKER", help="Tracker to log to: trackio or wandb.")
    ] = "trackio",
    raw_artifacts: options.RawArtifacts = False,
    no_raw_artifacts: options.NoRawArtifacts = False,
) -> None:
    """Log a run to trackio or W&B, during training or afterwards."""
    from huggingtweets.storage.run_folder import RunFolder, named
    from huggingtweets.track import send

    raw = options.raw_artifacts(wanted=raw_artifacts, unwanted=no_raw_artifacts)
    folder = RunFolder(named(run))
    line = send(folder, to, _run_ended(folder), raw=raw)
    ConsoleOutput().say(line or f"{run} is in trackio. View it with: {command('dashboard')}")


def dashboard(
    *,
    project: Annotated[
        str, typer.Option("--project", help="Project to show first.")
    ] = "huggingtweets",
    port: Annotated[
        int | None, typer.Option("--port", help="Port. Default: any free one.", show_default=False)
    ] = None,
) -> None:
    """Open trackio's dashboard of all tracked runs; Ctrl-C ends it."""
    from huggingtweets.track.dashboard import Dashboard

    with Dashboard(project, port) as opened, suppress(KeyboardInterrupt):
        ConsoleOutput().say(f"trackio's dashboard is at {opened.address} (Ctrl-C ends it)")
        opened.stay(browser=has_display())


def _run_ended(run: "RunFolder") -> Callable[[], bool]:
    """Return a function that tells whether the run has ended; it waits a moment if not."""
    import time

    def run_ended() -> bool:
        if not run.is_live():
            return True
        time.sleep(_POLL_SECONDS)
        return False

    return run_ended
