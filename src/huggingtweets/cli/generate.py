"""``huggingtweets generate``: new posts, as they finish."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from huggingtweets.cli import options
from huggingtweets.cli.screen import Screen, print_json
from huggingtweets.errors import InputError

if TYPE_CHECKING:
    from huggingtweets.generation import NewPost

_MOST = 10_000


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog='Example: huggingtweets generate runs/me --prompt "My dream is" -n 5')(
        generate
    )


def generate(
    bot: options.Bot,
    *,
    prompt: Annotated[
        list[str] | None,
        typer.Option("--prompt", "-p", help="How posts begin; may be given several times."),
    ] = None,
    n: Annotated[int, typer.Option("-n", help="Posts for each prompt.")] = 10,
    temperature: Annotated[float, typer.Option(help="Lower is safer, higher is wilder.")] = 1.0,
    top_p: Annotated[float, typer.Option(help="Share of the probability to draw from.")] = 0.95,
    max_chars: Annotated[int, typer.Option(help="Characters of a post at most.")] = 280,
    seed: Annotated[
        int | None, typer.Option(help="Same seed, same posts.", show_default=False)
    ] = None,
    allow_copies: Annotated[
        bool, typer.Option("--allow-copies", help="Show posts that repeat a training post, too.")
    ] = False,
    device: options.Device = None,
    precision: options.Precision = None,
    as_json: options.Json = False,
) -> None:
    """Write new posts in the author's voice; copies of real posts are drawn again."""
    from huggingtweets import bots
    from huggingtweets.generation import Sampling

    if not 1 <= n <= _MOST:
        raise InputError(f"-n must be from 1 to {_MOST:,}, not {n}.")
    sampling = Sampling(temperature, top_p, max_chars, seed)
    writer = bots.open_bot(bot, device, precision).writer(sampling, allow_copies=allow_copies)
    screen = Screen(quiet=as_json)
    prompts = prompt or [""]
    posts: list[NewPost] = []
    # all prompts are checked here, before the first post is shown
    for text, written in [(text, writer.write(text, n)) for text in prompts]:
        if not as_json and text:
            screen.heading(text) if posts else screen.say(text, "bold")
        posts += list(written) if as_json else screen.posts(written)
    if writer.index is None:
        screen.say("(no training posts beside this bot, so copies of them can't be told)", "dim")
    if len(posts) < n * len(prompts):
        screen.say(
            f"Only {len(posts)} of {n * len(prompts)}: nearly all others were copies of real "
            "posts or empty; try another prompt or --allow-copies.",
            "yellow",
        )
    if as_json:
        print_json({"posts": [asdict(post) for post in posts], "rejected": writer.rejected})
    elif writer.rejected:
        screen.say(f"({writer.rejected} copies of real posts were drawn again)", "dim")
