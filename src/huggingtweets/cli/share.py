"""``huggingtweets share``: links that open a draft post in a network's editor."""

from dataclasses import asdict
from typing import Annotated

import typer

from huggingtweets.cli import options
from huggingtweets.cli.console import ConsoleOutput, print_json
from huggingtweets.cli.picture import Pick, Post, Prompt, chosen_post


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: huggingtweets share runs/me --pick 3")(share)


def share(
    bot: options.Bot,
    *,
    prompt: Prompt = None,
    pick: Pick = None,
    post: Post = None,
    instance: Annotated[
        str, typer.Option(metavar="SERVER", help="Your Mastodon server.")
    ] = "mastodon.social",
    link: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Link to add below the post.", show_default=False),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Print links that open a post, ready to be sent by you, on X, Bluesky and Mastodon.

    Handles in the bot's post lose their @, and its addresses don't become links. Nothing is sent
    over the network.
    """
    from huggingtweets import publish
    from huggingtweets.generation import bots

    run = bots.find_run_folder(bot)
    run.check_up_to_date()
    sharing = publish.Sharing(instance, link)
    screen = ConsoleOutput(quiet=as_json)
    text, _ = chosen_post(run, screen, prompt, post, pick)
    drafts = publish.drafts(text, run.record().names, sharing)
    if as_json:
        print_json({"post": text, "drafts": [asdict(draft) for draft in drafts]})
        return
    screen.say(text)
    for draft in drafts:
        screen.heading(draft.network)
        screen.commands([draft.url])
