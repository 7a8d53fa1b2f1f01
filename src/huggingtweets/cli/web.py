"""``huggingtweets app``: the pages for people without a terminal."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from huggingtweets.cli import options
from huggingtweets.cli.screen import Screen, has_display


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("app", epilog="Example: huggingtweets app")(serve)


def serve(
    *,
    host: Annotated[
        str, typer.Option("--host", help="Where to listen; others can reach all but the default.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="0 takes one that is free.")] = 7860,
    password: Annotated[
        str | None,
        typer.Option(
            "--password",
            envvar="HUGGINGTWEETS_PASSWORD",
            help="Ask for it, and give every visitor bots of their own. The variable keeps it out "
            "of the list of processes.",
            show_default=False,
        ),
    ] = None,
    share_gallery: Annotated[
        bool,
        typer.Option("--share-gallery", help="Visitors may play with each other's bots."),
    ] = False,
    out: options.Out = Path("runs"),
    max_upload_mb: Annotated[float, typer.Option("--max-upload-mb", help="Of one file.")] = 500.0,
    should_open: Annotated[
        bool, typer.Option("--open/--no-open", help="Open it in the browser.")
    ] = True,
) -> None:
    """Open the web app: choose whose posts, train, play; Ctrl-C ends it, and loses nothing."""
    from huggingtweets import web
    from huggingtweets.serving.types import Settings

    settings = Settings(
        out=out,
        shared=password is not None,
        share_gallery=share_gallery,
        max_upload_mb=max_upload_mb,
    )
    screen = Screen()

    def tell(address: str) -> None:
        screen.say(f"The app is at {address} (Ctrl-C ends it; trainings go on at the next start)")
        if should_open and has_display():
            webbrowser.open(address)

    web.serve(web.Options(settings, host, port, password), tell)
