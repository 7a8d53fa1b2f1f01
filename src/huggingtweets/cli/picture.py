"""``huggingtweets picture``: render a post as a picture."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from huggingtweets.cli import options
from huggingtweets.cli.console import ConsoleOutput, print_json
from huggingtweets.errors import InputError

if TYPE_CHECKING:
    from huggingtweets.storage.run_folder import RunFolder

_MAX_PICK = 1000

Prompt = Annotated[
    str | None,
    typer.Option(
        "--prompt",
        "-p",
        help='Text that the post begins with. Default: "My dream is".',
        show_default=False,
    ),
]
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
    prompt: Prompt = None,
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
        raise InputError(f"--out must be a .png file, not {target}.")
    screen = ConsoleOutput(quiet=as_json)
    text, prompt = chosen_post(run, screen, prompt, post, pick)
    picture = publish.Picture(run.record().names, text, prompt, avatar or ())
    if out is None:
        with run.locked():
            publish.save_to_run(picture, run)
    else:
        publish.save(picture, target)
    if as_json:
        print_json({"post": text, "prompt": prompt, "picture": str(target)})
    else:
        screen.say(f"{text}\n\nThe picture is in {target}")


def chosen_post(
    run: "RunFolder", screen: ConsoleOutput, prompt: str | None, post: str | None, pick: int | None
) -> tuple[str, str]:
    """Return the post to show and its prompt: the post given, or the bot's N-th post.

    Raises:
        InputError: the options contradict each other, or the bot wrote only copies.
    """
    from huggingtweets import publish
    from huggingtweets.generation import bots
    from huggingtweets.generation.sampling import Sampling

    if post is not None:
        if pick is not None:
            raise InputError("Give either --post TEXT or --pick N.")
        return post, prompt or ""
    number = 1 if pick is None else pick
    if not 1 <= number <= _MAX_PICK:
        raise InputError(f"--pick must be from 1 to {_MAX_PICK:,}, not {number}.")
    opened = bots.open_bot(run.path)
    if opened.warning:
        screen.say(f"warning: this bot is {opened.warning}", "yellow")
    writer = opened.writer(Sampling(seed=run.record().config["seed"]))
    prompt = publish.PROMPT if prompt is None else prompt
    generated = publish.nth_post(writer, prompt, number)
    if generated is None:
        raise InputError(
            f"{run.path} wrote only copies of real posts or empty ones. Try another prompt, or "
            "give the --post."
        )
    return generated.text, prompt
