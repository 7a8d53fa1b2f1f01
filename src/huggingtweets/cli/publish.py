"""``huggingtweets publish``: publish a bot on the Hugging Face Hub, with its author's consent."""

import sys
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from huggingtweets.cli import options
from huggingtweets.cli.console import ConsoleOutput, print_json
from huggingtweets.errors import InputError, Interrupted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from huggingtweets.publish.hub import Plan
    from huggingtweets.publish.publication import Publication
    from huggingtweets.storage.run_folder import RunFolder


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: huggingtweets publish runs/me --repo my-bot")(publish)


def publish(
    bot: options.Bot,
    *,
    repo: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Repository to publish to, NAME or OWNER/NAME. Default: the author's handle.",
            show_default=False,
        ),
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="Make the repository public. Default: private.")
    ] = False,
    author_agreed: Annotated[
        bool,
        typer.Option("--author-agreed", help="The author agreed, or is you: don't ask again."),
    ] = False,
    force: Annotated[
        str | None,
        typer.Option(
            metavar="REASON",
            help="Publish a bot that copies too much; this reason is put on its card.",
            show_default=False,
        ),
    ] = None,
    update_thumbnail: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Render the picture again with the bot's N-th post; upload only it and the card.",
            show_default=False,
        ),
    ] = None,
    space: Annotated[
        bool,
        typer.Option(
            "--space",
            help="Publish a page that runs the bot in the visitor's browser, as a static Space.",
        ),
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Publish a bot on the Hugging Face Hub: the model and its card, never the posts."""
    from huggingtweets.generation import bots
    from huggingtweets.publish import hub

    run = bots.find_run_folder(bot)
    screen = ConsoleOutput(quiet=as_json)
    hub.check(run, force)  # checks without network come before questions
    if not (author_agreed or screen.can_ask):
        raise InputError(
            f"There is no terminal to ask whether {_handles(run)} agreed. If so, or if it is you, "
            "give --author-agreed."
        )
    if space and update_thumbnail is not None:
        raise InputError("--update-thumbnail is for the bot; its page, --space, has no picture.")
    if update_thumbnail is not None:
        _update_picture(screen, run, update_thumbnail)
    with _page(screen, run) if space else nullcontext() as page:
        if page is not None:
            planned = hub.page_plan(run, page, repo, public=public, reason=force)
        else:
            planned = hub.plan(run, repo, public=public, reason=force)
        if update_thumbnail is not None:
            planned = hub.thumbnail_plan(planned)
        if not planned.does_nothing:
            _show(screen, planned)
            _ask_consent(screen, run, agreed=author_agreed)
        published = _upload(planned)
    if as_json:
        changes = {"changed": not planned.does_nothing, "files": sorted(planned.changes)}
        print_json(asdict(published) | changes)
    else:
        _show_result(screen, planned, published)


@contextmanager
def _page(screen: ConsoleOutput, run: "RunFolder") -> "Iterator[Path]":
    """Write the bot's page to a temporary folder."""
    from tempfile import TemporaryDirectory

    from huggingtweets.publish import gguf, web_page
    from huggingtweets.storage import files

    with TemporaryDirectory(prefix="huggingtweets-page-") as scratch:
        folder = Path(scratch)
        with screen.watching(), files.wrap_os_errors(folder):
            web_page.write(run, folder, gguf.DEFAULT_KIND, screen)
        yield folder


def _handles(run: "RunFolder") -> str:
    return " and ".join(run.record().names)


def _update_picture(screen: ConsoleOutput, run: "RunFolder", number: int) -> None:
    """Render the picture in the bot's folder again, with the bot's N-th post."""
    from huggingtweets import publish
    from huggingtweets.cli.picture import chosen_post
    from huggingtweets.publish.publication import Publication

    if number < 1:
        raise InputError(f"--update-thumbnail must be at least 1, not {number}.")
    if Publication.of(run) is None:
        raise InputError(f"{run.path} is not published yet. Publish it without --update-thumbnail.")
    text, prompt = chosen_post(run, screen, None, None, number)
    with run.locked():
        publish.save_to_run(publish.Picture(run.record().names, text, prompt), run)
    screen.say(text)


def _show(screen: ConsoleOutput, planned: "Plan") -> None:
    """Show what is uploaded and what is not."""
    from huggingtweets.publish.files import size, unpublished_files

    target = planned.publication
    visibility = "public, everybody can see it" if target.public else "private, only you can see it"
    change = " from now on" if planned.opens else ""
    new = "New Space" if planned.space else "New repository"
    screen.heading(f"{new if planned.new else 'To'} {target.repo} ({visibility}{change})")
    for name, content in planned.changes.items():
        screen.say(f"{size(content):>14,} bytes  {name}")
    for name in planned.gone:
        screen.say(f"{'deleted':>20}  {name}")
    kept = ", ".join(["all posts", *unpublished_files(planned.run.bot)])
    screen.say(f"Not uploaded: {kept}", "dim")


def _ask_consent(screen: ConsoleOutput, run: "RunFolder", *, agreed: bool) -> None:
    """Ask once for the author's consent and the upload."""
    question = f"Did {_handles(run)} agree, or is it you? Answer y to upload."
    if not (agreed or screen.confirm(question, yes=False)):
        raise InputError("Nothing was uploaded. Ask the author first, or answer y if it is you.")


def _upload(planned: "Plan") -> "Publication":
    from huggingface_hub.utils.tqdm import disable_progress_bars

    from huggingtweets.publish import hub

    if planned.does_nothing:
        return planned.publication
    if not sys.stderr.isatty():
        disable_progress_bars()
    try:
        return hub.execute(planned)
    except KeyboardInterrupt as error:
        raise Interrupted("Stopped. Run the same command to continue the upload.") from error


def _show_result(screen: ConsoleOutput, planned: "Plan", published: "Publication") -> None:
    """Show the link and how to use the bot."""
    from huggingtweets.publish.hub import snippet

    result = "Already up to date" if planned.does_nothing else "Published"
    screen.heading(f"{result}: {published.url}")
    if planned.space:
        return
    where = "On the command line" if planned.run.is_small else "From Python"
    screen.say(f"{where}:" if published.public else f"{where}, with your token:")
    screen.commands(snippet(published, planned.run))
