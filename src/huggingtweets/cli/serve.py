"""``huggingtweets serve``: an API for programs, in the shape of OpenAI's."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from huggingtweets.cli import options
from huggingtweets.cli.console import ConsoleOutput

if TYPE_CHECKING:
    from huggingtweets.serving.replicas import AnyService


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: huggingtweets serve runs/me --port 8000")(serve)


def serve(
    bots: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[BOT...]",
            help="Run folders, bot folders, Hugging Face Hub ids, or built-in bases. Clients "
            "choose a bot by the name of its folder.",
            show_default=False,
        ),
    ] = None,
    *,
    fleet: Annotated[
        Path | None,
        typer.Option(
            "--fleet",
            metavar="DIR",
            help="Serve all small bots in this folder too. They must have the same base, which is "
            "in memory once; each bot is read when a client asks for it.",
            show_default=False,
        ),
    ] = None,
    ray: Annotated[
        bool,
        typer.Option(
            "--ray",
            help="Let replicas write, kept by Ray Serve: on the Ray cluster that this machine or "
            "$RAY_ADDRESS belongs to, or else on this machine. The bots' folders must be at the "
            "same place on all machines. Needs the extra ray-serve.",
        ),
    ] = False,
    replicas: Annotated[
        int,
        typer.Option(
            "--replicas",
            help="Number of replicas with --ray. Each has the bots whose names fall to it, as much "
            "memory as --memory-gb, and an equal share of the cores.",
        ),
    ] = 1,
    host: Annotated[
        str,
        typer.Option(
            "--host",
            help="Address to listen on. Only the default can't be reached from other machines.",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", help="Port to listen on; 0 takes any free one.")
    ] = 8000,
    api_key: Annotated[
        str | None,
        typer.Option(
            "--api-key",
            envvar="HUGGINGTWEETS_API_KEY",
            help="Key that clients must send, of at least 16 characters. Needed with --host. The "
            "environment variable hides it from the list of processes.",
            show_default=False,
        ),
    ] = None,
    memory_gb: Annotated[
        float,
        typer.Option(
            "--memory-gb",
            help="Memory for bots in GB; those used longest ago are closed. With "
            "--fleet, for its base and its bots; bots beside the fleet have as much again.",
        ),
    ] = 2.0,
    requests_a_minute: Annotated[
        int,
        typer.Option(
            "--requests-a-minute", help="Limit for each network address; 0 sets no limit."
        ),
    ] = 600,
    grace_seconds: Annotated[
        float,
        typer.Option(
            "--grace-seconds", help="Seconds that open requests may take when the server stops."
        ),
    ] = 30.0,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-origin",
            metavar="ORIGIN",
            help="Site whose web pages may ask, such as https://example.org, or '*' for all, which "
            "needs a key. May be repeated. Default: none.",
            show_default=False,
        ),
    ] = None,
    trusted_proxy: options.TrustedProxy = None,
) -> None:
    """Serve bots to programs that know OpenAI's API. Ctrl-C stops the server.

    Offers /v1/completions, /v1/chat/completions and /v1/models, and /metrics for Prometheus.
    """
    from huggingtweets.web import openai_api

    chosen = openai_api.ApiOptions(
        tuple(bots or ()),
        host,
        port,
        api_key,
        memory_gb,
        requests_a_minute,
        grace_seconds,
        fleet,
        ray,
        replicas,
        tuple(allow_origin or ()),
        tuple(trusted_proxy or ()),
    )
    screen = ConsoleOutput()

    def on_start(address: str, service: "AnyService") -> None:
        for warning in service.warnings:
            screen.say(f"warning: {warning}", "yellow")
        key = "" if api_key is None else "; clients must send the key"
        screen.say(f"Serving {service.describe()} at {address}/v1 (Ctrl-C stops it{key})")

    openai_api.serve(chosen, on_start)
