"""The command line: one thin module per command, over the pipeline.

No heavy package is imported here, so ``--help`` and ``runs`` are fast.
"""

import io
import select
import signal
import sys
from contextlib import suppress
from typing import Annotated

import typer

from huggingtweets import signals
from huggingtweets.cli.commands import Group
from huggingtweets.cli.console import escape_control_chars, stop_printing
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
    global _debug  # noqa: PLW0603 - read by main() after an error
    _debug = debug


def main() -> None:
    """Run the command line; print errors meant for users and exit with their exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None if the shell has closed it
            stream.reconfigure(errors="replace")  # posts may contain what the terminal can't show
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # or it is ignored
        signal.signal(signal.SIGINT, signals.interrupt)
    try:
        app(prog_name="huggingtweets")
    except SystemExit as stop:
        if stop.code == 1 and _nobody_reads():  # typer and click end so
            stop_printing()
            sys.exit(0)
        raise
    except (HuggingTweetsError, OSError) as error:
        if _debug:
            raise
        sys.exit(_print_error(error))


def _nobody_reads() -> bool:
    """Whether the output is a pipe whose reader has ended, as after ``| head``."""
    try:
        poll = select.poll()  # Windows has none
        poll.register(sys.stdout.fileno(), 0)
        return any(event & select.POLLERR for _, event in poll.poll(0))
    except (AttributeError, OSError, ValueError):
        return False


def _print_error(error: HuggingTweetsError | OSError) -> int:
    """Print an error message and return the exit code."""
    if isinstance(error, Interrupted) and sys.stderr and sys.stderr.isatty():
        print(file=sys.stderr)  # the cursor is still after "^C"
    if isinstance(error, HuggingTweetsError):
        print(f"huggingtweets: {escape_control_chars(str(error))}", file=sys.stderr)
        return error.exit_code
    file = escape_control_chars(str(error.filename or "The output"))
    print(f"huggingtweets: {file} can't be used: {error.strerror or error}.", file=sys.stderr)
    with suppress(OSError, AttributeError):  # buffered output can't be written at exit either
        sys.stdout.close()
    return 1
