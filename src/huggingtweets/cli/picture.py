"""``huggingtweets picture``: a post as a picture, and which post it is."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from huggingtweets.cli import options
from huggingtweets.cli.console import ConsoleOutput, print_json
from huggingtweets.errors import InputError

if TYPE_CHECKING:
    from huggingtweets.storage.run_folder import RunFolder

_MOST_PICKED = 1000

Post = Annotated[
    str | None,
    typer.Option(
        "--post", metavar="TEXT", help="Show this text instead of a new post.", show_default=False
    ),
]
Pick = Annotated[
    int | None,
    typer.Option(
        "--pick",
        metavar="N",
        help="Show the N-th post that the bot writes. Default: 1.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: huggingtweets picture runs/me --pick 3")(picture)


def picture(
    bot: options.Bot,
    *,
    prompt: Annotated[
        str | None,
        typer.Option(
            "--prompt",
            "-p",
            help='Text that the post begins with. Default: "My dream is".',
            show_default=False,
        ),
    ] = None,
    post: Post = None,
    pick: Pick = None,
    avatar: Annotated[
        list[Path] | None,
        typer.Option(
            "--avatar",
            help="Profile picture (PNG, JPEG, GIF or WebP), one for each author, three at most. "
            "Default: initials.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="File to write. Default: the bot's own picture.",
            show_default=False,
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Render a post as a picture of 1200 x 630 pixels, the size of link previews."""
    from huggingtweets import publish
    from huggingtweets.generation import bots

    run = bots.find_run_folder(bot)
    target = out or run.picture
    if target.suffix.lower() != ".png":
        raise InputError(f"A picture is a .png file; {target} is not.")
    screen = ConsoleOutput(quiet=as_json)
    text, begun = chosen_post(run, screen, prompt, post, pick)
    publish.save(publish.Picture(run.record().authors, text, begun, avatar or ()), target)
    if as_json:
        print_json({"post": text, "prompt": begun, "picture": str(target)})
    else:
        screen.say(f"{text}\n\nThe picture is in {target}")


def chosen_post(
    run: "RunFolder", screen: ConsoleOutput, prompt: str | None, post: str | None, pick: int | None
) -> tuple[str, str]:
    """The post to show and what it began with: the one given, or the N-th that the bot writes.

    Raises:
        InputError: the options contradict each other, or the bot wrote nothing but copies.
    """
    from huggingtweets import publish
    from huggingtweets.generation import bots
    from huggingtweets.generation.writer import Sampling

    if post is not None:
        if pick is not None:
            raise InputError("Give either --post TEXT or --pick N: both choose the post.")
        return post, prompt or ""
    number = 1 if pick is None else pick
    if not 1 <= number <= _MOST_PICKED:
        raise InputError(f"--pick must be from 1 to {_MOST_PICKED:,}, not {number}.")
    opened = bots.open_bot(run.path)
    if opened.warning:
        screen.say(f"warning: this bot is {opened.warning}", "yellow")
    writer = opened.writer(Sampling(seed=run.record().config["seed"]))
    begun = publish.PROMPT if prompt is None else prompt
    new = publish.nth_post(writer, begun, number)
    if new is None:
        raise InputError(
            f"{run.path} wrote nothing but copies of real posts or empty ones; "
            "try another prompt, or give the --post."
        )
    return new.text, begun
