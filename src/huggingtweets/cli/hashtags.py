"""``huggingtweets hashtags``: propose hashtags for a text, or list those of an author."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from huggingtweets.cli import options
from huggingtweets.cli.console import ConsoleOutput, print_json
from huggingtweets.events import counted

if TYPE_CHECKING:
    from huggingtweets.data.hashtags import Hashtag

_LISTED = 20


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog='Example: huggingtweets hashtags runs/me "We are going back to the Moon"')(
        hashtags
    )


def hashtags(
    bot: options.Bot,
    text: Annotated[
        str | None,
        typer.Argument(
            metavar="[TEXT]",
            help="Text to propose tags for. Without it, the author's tags are listed.",
            show_default=False,
        ),
    ] = None,
    *,
    n: Annotated[
        int | None,
        typer.Option(
            "-n",
            help="Most tags to show. Default: 5 for a text, 20 of the author's.",
            show_default=False,
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Propose hashtags that the author would put to a text, the best first."""
    from huggingtweets.arguments import PostCount, Text, check
    from huggingtweets.data.hashtags import Hashtags
    from huggingtweets.generation import bots
    from huggingtweets.generation.hashtag_proposals import hashtag_model

    given = {"-n": n} if n is not None else {}
    check(given | ({} if text is None else {"TEXT": text}), {"-n": PostCount, "TEXT": Text})
    screen = ConsoleOutput(quiet=as_json)
    if text is None:
        tags = Hashtags(bots.training_posts(bots.find_run_folder(bot)))
        tags.check_any()
        _list(screen, tags.ranked[: n or _LISTED], len(tags.ranked), as_json=as_json)
        return
    model = hashtag_model(bot, text)
    found = model.propose(text, n or 5)
    if as_json:
        print_json({"hashtags": [asdict(one) for one in found], "known": model.knows(text)})
        return
    for one in found:
        screen.say(f"{one.score:>6.2f}  #{one.hashtag}  ({counted(one.posts, 'post')})")
    if not found:
        screen.say("The text has all of the author's hashtags already.")
    elif not model.knows(text):
        screen.say(
            "(no word of the text is in a post with a hashtag; these are the most frequent)", "dim"
        )


def _list(screen: ConsoleOutput, tags: "list[Hashtag]", total: int, *, as_json: bool) -> None:
    """Show the author's tags with their places."""
    if as_json:
        shown = [{"hashtag": t.name, "posts": t.posts, "places": t.places} for t in tags]
        print_json({"hashtags": shown, "total": total})
        return
    for tag in tags:
        places = ", ".join(f"{number} {place}" for place, number in tag.places.items() if number)
        screen.say(f"{tag.posts:>6,}  {tag.text}  ({places})")
    if total > len(tags):
        screen.say(f"(and {total - len(tags):,} more)", "dim")
