"""``huggingtweets app``: start the web app."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from huggingtweets.cli import options
from huggingtweets.cli.console import ConsoleOutput, has_display


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("app", epilog="Example: huggingtweets app")(serve)


def serve(
    *,
    host: Annotated[
        str,
        typer.Option(
            "--host",
            help="Address to listen on. Only the default can't be reached from other machines.",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", help="Port to listen on; 0 takes any free one.")
    ] = 7860,
    password: Annotated[
        str | None,
        typer.Option(
            "--password",
            envvar="HUGGINGTWEETS_PASSWORD",
            help="Ask visitors for this password; each has their own bots. The environment "
            "variable hides it from the list of processes.",
            show_default=False,
        ),
    ] = None,
    share_gallery: Annotated[
        bool,
        typer.Option("--share-gallery", help="Let visitors write with each other's bots."),
    ] = False,
    trusted_proxy: options.TrustedProxy = None,
    fleet: Annotated[
        Path | None,
        typer.Option(
            "--fleet",
            metavar="DIR",
            help="Let everybody write with the small bots in this folder too. They must have the "
            "same base, which is in memory once.",
            show_default=False,
        ),
    ] = None,
    out: options.Out = Path("runs"),
    max_upload_mb: Annotated[
        float, typer.Option("--max-upload-mb", help="Largest upload in megabytes.")
    ] = 500.0,
    should_open: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the app in the browser.")
    ] = True,
) -> None:
    """Start the web app. Ctrl-C stops it; nothing is lost."""
    from huggingtweets import web
    from huggingtweets.serving.schemas import Settings

    settings = Settings(
        out=out,
        shared=password is not None,
        share_gallery=share_gallery,
        fleet=fleet,
        max_upload_mb=max_upload_mb,
    )
    screen = ConsoleOutput()

    def on_start(address: str) -> None:
        screen.say(f"The app is at {address} (Ctrl-C stops it; trainings resume at the next start)")
        if should_open and has_display():
            webbrowser.open(address)

    served = web.Options(settings, host, port, password, trusted_proxies=tuple(trusted_proxy or ()))
    web.serve(served, on_start)
