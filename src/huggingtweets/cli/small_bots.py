"""``huggingtweets shrink`` and ``expand``: a bot as the difference to its base, and back."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from huggingtweets.cli import options
from huggingtweets.cli.console import ConsoleOutput, command, print_json
from huggingtweets.errors import InputError, Interrupted

if TYPE_CHECKING:
    from huggingtweets.publish.facts import AdapterFacts


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="Example: huggingtweets shrink runs/me")(shrink)
    app.command(epilog="Example: huggingtweets expand runs/me --replace")(expand)


def shrink(
    bot: options.Bot,
    *,
    rank: Annotated[
        int,
        typer.Option(
            help="Rank of the pairs of matrices, 1 to 256: a higher one loses less and takes more "
            "space. Of SmolLM2, 16 takes 10 MB and 32 takes 20 MB."
        ),
    ] = 16,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Folder to write, which must not exist. Default: exports/RUN-adapter.",
            show_default=False,
        ),
    ] = None,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace",
            help="Replace the full bot in its run folder and measure the small one. What the full "
            "one had learnt beyond it is lost.",
        ),
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Make a small bot from a full one: about 10 MB instead of a copy of the base."""
    from huggingtweets.generation import bots
    from huggingtweets.pipeline import small_bots
    from huggingtweets.publish.export import check_rank, export

    _check_place(out, replace=replace)
    check_rank(rank)
    run = bots.find_run_folder(bot)
    screen = ConsoleOutput(quiet=as_json)
    try:
        with screen.watching():
            if replace:
                where, made = run.bot, small_bots.shrink(run, rank, screen)
            else:
                small_bots.check_full(run)
                exported = export(run, "adapter", out=out, rank=rank, listen=screen)
                assert exported.adapter is not None  # noqa: S101 - it is what was asked for
                where, made = exported.path, exported.adapter
    except KeyboardInterrupt as error:
        raise Interrupted("Stopped. The bot is as it was.") from error
    if as_json:
        print_json({"bot": str(where), "replaced": replace, **asdict(made)})
        return
    screen.say(f"The small bot is in {where}", "bold")
    show_made(screen, made)
    if replace:
        screen.commands([command(f"generate {run.path}"), command(f"expand {run.path}")])
    else:
        screen.say("The full bot is as it was. Replace it by the small one with:")
        screen.commands([command(f"shrink {run.path} --rank {rank} --replace")])


def expand(
    bot: Annotated[
        str,
        typer.Argument(
            metavar="BOT",
            help="Run folder of a finished bot, or the folder of a small bot alone.",
            show_default=False,
        ),
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Folder to write, which must not exist. Default: exports/RUN-safetensors.",
            show_default=False,
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the small bot in its run folder.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Make a full bot from a small one: a model folder that needs no base."""
    _check_place(out, replace=replace)
    screen = ConsoleOutput(quiet=as_json)
    try:
        with screen.watching():
            where = _expand(bot, out, screen, replace=replace)
    except KeyboardInterrupt as error:
        raise Interrupted("Stopped. The bot is as it was.") from error
    size = _size(where)
    if as_json:
        print_json({"bot": str(where), "replaced": replace, "bytes": size})
        return
    screen.say(f"The full bot is in {where} ({size / 1e6:,.1f} MB)", "bold")


def _expand(bot: str, out: Path | None, screen: ConsoleOutput, *, replace: bool) -> Path:
    from huggingtweets.generation import bots
    from huggingtweets.nn import adapters
    from huggingtweets.pipeline import small_bots
    from huggingtweets.publish.export import export

    if not replace and not bots.is_run(bot) and adapters.is_adapter(Path(bot)):
        return small_bots.expand_folder(Path(bot), out)
    run = bots.find_run_folder(bot)
    small_bots.check_small(run)
    if not replace:
        return export(run, "safetensors", out=out, listen=screen).path
    small_bots.expand(run)
    return run.bot


def show_made(screen: ConsoleOutput, made: "AdapterFacts") -> None:
    """Show the size of a small bot, and what was lost in making it."""
    screen.say(f"rank {made.rank}, {made.bytes / 1e6:,.1f} MB")
    if made.bits_per_byte is not None and made.bits_per_byte_full is not None:
        lost = made.bits_per_byte / made.bits_per_byte_full - 1
        screen.say(
            f"held-out bits per byte: {made.bits_per_byte:.4f}, {made.bits_per_byte_full:.4f} of "
            f"the full bot ({lost:+.1%}; lower is better)"
        )


def _check_place(out: Path | None, *, replace: bool) -> None:
    if replace and out is not None:
        raise InputError("Give either --out DIR or --replace.")


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
