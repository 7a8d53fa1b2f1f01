"""``huggingtweets update``, ``versions`` and ``rollback``: keep a bot up to date, or go back."""

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from huggingtweets.cli import options
from huggingtweets.cli.console import ConsoleOutput, command, escape_control_chars, print_json
from huggingtweets.errors import InputError

if TYPE_CHECKING:
    from huggingtweets.updating.options import UpdateOptions
    from huggingtweets.updating.update import UpdateResult


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="Example: huggingtweets update runs/me --every 1d")(update)
    app.command(epilog="Example: huggingtweets versions runs/me")(versions)
    app.command(epilog="Example: huggingtweets rollback runs/me 1")(rollback)


def update(
    bot: options.Bot,
    *,
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--source",
            help="File or account with the new posts, for this update only. May be repeated. "
            "Default: what the bot was trained from.",
            show_default=False,
        ),
    ] = None,
    replay: Annotated[
        float,
        typer.Option(
            help="Known posts to learn again for each new one, 0 to 100. New posts are learnt "
            "better without; raise it if the bot forgets what it knew."
        ),
    ] = 0.0,
    keep: Annotated[
        int,
        typer.Option(
            help="Older versions to keep, 1 to 1,000; each takes the space of a bot.",
        ),
    ] = 3,
    every: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Go on as a service: update now and then every 30m, 12h, 1d or 1w, and print a "
            "line each time. Default: update once.",
            show_default=False,
        ),
    ] = None,
    publish: Annotated[
        bool,
        typer.Option(
            "--publish", help="If the new bot is better, refresh the one on the Hugging Face Hub."
        ),
    ] = False,
    author: options.Author = None,
    speaker: options.Speaker = None,
    text_column: options.TextColumn = None,
    yes: options.Yes = False,
    as_json: options.Json = False,
) -> None:
    """Train a bot further on what its author wrote since; keep the better bot, and the older one.

    New posts are curated as the bot's own were, and learnt at half its learning rate. Both bots are
    then measured on the same newest held-out posts.
    """
    from huggingtweets.updating import history
    from huggingtweets.updating.options import UpdateOptions
    from huggingtweets.updating.service import parse_interval, serve
    from huggingtweets.updating.update import update

    chosen = UpdateOptions(source or (), replay, keep, author, speaker, text_column)
    interval = None if every is None else parse_interval(every)
    if publish:
        history.check_published(bot)
    screen = ConsoleOutput(quiet=as_json)
    confirm = partial(screen.confirm, yes=yes)
    if interval is not None:
        log = partial(_log, bot, as_json=as_json)
        serve(bot, chosen, interval, log, confirm if yes else _decline, on_hub=publish)
        return
    with screen.watching():
        result = update(bot, chosen, screen, confirm=confirm)
    published = history.publish_again(result.run) if publish and result.better else None
    if as_json:
        print_json(_as_json(result) | {"published": asdict(published) if published else None})
        return
    _show(screen, result, chosen)
    if published:
        screen.say(f"Published: {published.url}")


def versions(bot: options.Bot, *, as_json: options.Json = False) -> None:
    """List the versions of a bot: when they were made, and how they measure."""
    from huggingtweets.updating.history import list_versions

    found = list_versions(bot)
    if as_json:
        print_json({"versions": [asdict(one) | {"path": str(one.path)} for one in found]})
        return
    from rich.table import Table
    from rich.text import Text

    screen = ConsoleOutput()
    table = Table(box=None, pad_edge=False)
    for heading in ("version", "made", "posts", "new", "old bot > new bot", "MB"):
        table.add_column(heading, justify="left" if heading in ("version", "made") else "right")
    for one in found:
        cells = (
            f"{one.number}{' (current)' if one.current else ''}",
            one.made_at[:10],
            f"{one.kept:,}",
            f"{one.new_posts:,}" if one.new_posts else "",
            f"{one.judged[0]:.3f} > {one.judged[1]:.3f}" if one.judged else "",
            f"{one.size / 1e6:,.0f}",
        )
        table.add_row(*(Text(escape_control_chars(cell)) for cell in cells))
    screen.console.print(table)
    if len(found) > 1:
        screen.say(
            "old bot > new bot: bits per byte of the same newest held-out posts, of the version "
            "that was updated and of the one it became.",
            "dim",
        )
        screen.commands([command(f"rollback {bot}")])


def rollback(
    bot: options.Bot,
    version: Annotated[
        int | None,
        typer.Argument(
            metavar="[VERSION]",
            help="Number of the version. Default: the one before the current one.",
            show_default=False,
        ),
    ] = None,
    *,
    as_json: options.Json = False,
) -> None:
    """Make an older version of a bot the current one, with its posts and report.

    The current one is kept, so the same command takes this back.
    """
    from huggingtweets.updating.history import list_versions, roll_back

    before = next(one.number for one in list_versions(bot) if one.current)
    current = roll_back(bot, version)
    if as_json:
        print_json({"version": current.number, "before": before, "run": str(current.path)})
        return
    screen = ConsoleOutput()
    screen.say(f"{current.path} is version {current.number} again; version {before} is kept:")
    screen.commands([command(f"rollback {bot} {before}"), command(f"versions {bot}")])


def _decline(question: str) -> bool:
    """Refuse to spend money: nobody can be asked."""
    raise InputError(f"{question} Nobody can be asked; add --yes to spend it without asking.")


def _log(bot: str, entry: dict[str, Any], *, as_json: bool) -> None:
    """Print one line for a round of the service."""
    import json

    result = entry["result"]
    if as_json:
        line = json.dumps(entry | {"result": result and _as_json(result)})
    else:
        line = f"{entry['time']} {bot}: {escape_control_chars(entry['message'])}"
    print(line, flush=True)


def _as_json(result: "UpdateResult") -> dict[str, Any]:
    values = {name: getattr(result, name) for name in result.__slots__ if name != "run"}
    return {"run": str(result.run.path), "better": result.better, **values}


def _show(screen: ConsoleOutput, result: "UpdateResult", chosen: "UpdateOptions") -> None:
    """Show which bot is better and what to do next."""
    run = result.run.path
    screen.heading(
        f"On the {result.judged_on:,} newest held-out posts: old bot {result.old:.3f}, new bot "
        f"{result.new:.3f} bits per byte"
    )
    if not result.better:
        screen.say(f"The old bot is as good, so it stays: {run} doesn't change.")
        return
    screen.say(
        f"The new bot is better: {run} is now version {result.version}. Version {result.before} is "
        f"kept ({chosen.keep} at most)."
    )
    screen.commands(
        [command(f"rollback {run}"), command(f"versions {run}"), command(f"show {run}")]
    )
