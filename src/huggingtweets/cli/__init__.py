"""The command line: one thin file a command, all work done by the pipeline.

Nothing heavy is imported here, so ``--help`` and ``runs`` answer at once.
"""

import io
import sys
from contextlib import suppress
from typing import Annotated

import typer

from huggingtweets.cli.commands import Group
from huggingtweets.cli.console import escape_control_chars
from huggingtweets.errors import HuggingTweetsError, Interrupted

app = typer.Typer(
    cls=Group,
    help="Small language models that write like one person, made on the machine in front of you.",
    epilog="Try: huggingtweets demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

_debug = False


def _version(*, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"huggingtweets {version('huggingtweets')}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback on errors.")] = False,
    version: Annotated[  # noqa: ARG001 - handled by its callback
        bool,
        typer.Option(
            "--version",
            help="Show the version.",
            callback=lambda value: _version(wanted=value),
            is_eager=True,
        ),
    ] = False,
) -> None:
    global _debug  # noqa: PLW0603 - read by main() once the command has failed
    _debug = debug


def main() -> None:
    """Run the command line; errors meant for the user end in one sentence and their exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None where the shell has closed it
            stream.reconfigure(errors="replace")  # a post may hold what the terminal can't show
    try:
        app(prog_name="huggingtweets")
    except (HuggingTweetsError, OSError) as error:
        if _debug:
            raise
        sys.exit(_tell(error))


def _tell(error: HuggingTweetsError | OSError) -> int:
    """Print the one sentence; returns the exit code."""
    if isinstance(error, Interrupted) and sys.stderr and sys.stderr.isatty():
        print(file=sys.stderr)  # the cursor is still behind a ^C
    if isinstance(error, HuggingTweetsError):
        print(f"huggingtweets: {escape_control_chars(str(error))}", file=sys.stderr)
        return error.exit_code
    what = escape_control_chars(str(error.filename or "The output"))
    print(f"huggingtweets: {what} can't be used: {error.strerror or error}.", file=sys.stderr)
    with suppress(OSError, AttributeError):  # what is left can't be written at exit either
        sys.stdout.close()
    return 1
