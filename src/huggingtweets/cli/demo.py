"""``huggingtweets demo``: the whole thing on the bundled sample, in five minutes at most."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from huggingtweets.cli import options
from huggingtweets.cli.console import ConsoleOutput, command, outcome, print_json
from huggingtweets.cli.train import (
    resume_with_screen,
    say_what_is_missing,
    show_likeness,
    train_with_screen,
)
from huggingtweets.errors import StorageError
from huggingtweets.storage.files import wrap_os_errors

if TYPE_CHECKING:
    from huggingtweets.generation.writer import GeneratedPost
    from huggingtweets.storage.run_folder import RunFolder

NAME = "demo"
_MINUTES = 4.5
"""Of the whole training; the posts shown at the end take some seconds more."""
_POSTS = (("My dream is", 4), ("I don't like", 3), ("", 3))


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: huggingtweets demo")(demo)


def demo(
    *,
    out: options.Out = Path("runs"),
    again: Annotated[
        bool, typer.Option("--again", help="Make the bot again even if it exists.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Make a bot from the bundled NASA posts, evaluate it and show its posts. Works offline."""
    from huggingtweets.storage.run_folder import RunFolder

    screen = ConsoleOutput(quiet=as_json, samples=True)
    run = RunFolder(out / NAME)
    if run.record_file.exists() and not _is_sample_run(run):
        raise StorageError(f"{run.path} holds another bot than the demo's; choose another --out.")
    if run.record_file.exists() and not again and run.record().state == "done":
        anew = command("demo --again" if out == Path("runs") else f"demo --again --out {out}")
        screen.say(
            f"The demo bot is already there, made {run.record().created_at[:16]}: {run.path}. "
            f"Here is what it has to say; {anew} makes it anew."
        )
        screen.counts(run.record().counts)
    else:
        run = _make(run, screen, again=again)
    if not as_json:
        show_likeness(screen, run)
    posts = _write(run, screen, show=not as_json)
    if as_json:
        print_json(outcome(run) | {"posts": [asdict(post) for post in posts]})
        return
    # a bot made by an older version has no picture
    drawn = f"\nand a picture of them in {run.picture}" if run.picture.is_file() else ""
    screen.heading(f"The bot is in {run.bot}, its report with plots in {run.report_page}{drawn}")
    screen.say("Try next:")
    screen.commands(
        [
            command(f'generate {run.path} --prompt "Tonight we"'),
            command("train YOUR-X-ARCHIVE.zip"),
            command(f"show {run.path}"),
        ]
    )


def _make(run: "RunFolder", screen: ConsoleOutput, *, again: bool) -> "RunFolder":
    """Train the demo bot, or go on with one that was interrupted."""
    screen.say("Making a bot of NASA's posts of 2015, which come with this program.")
    say_what_is_missing(screen)
    if run.record_file.exists():
        if run.is_live():
            raise StorageError(f"{run.path} is being worked on by another process.")
        if not again and run.record().state != "failed":
            screen.say(f"Going on with {run.path}.")
            return resume_with_screen(run.path, screen)
        with _backup_run(run.path):
            return _train(run.path.parent, screen)
    return _train(run.path.parent, screen)


def _train(out: Path, screen: ConsoleOutput) -> "RunFolder":
    from huggingtweets.pipeline import TrainOptions
    from huggingtweets.sample import sample_path

    chosen = TrainOptions(name=NAME, out=out, minutes=_MINUTES)
    return train_with_screen([str(sample_path())], chosen, screen)


@contextmanager
def _backup_run(path: Path) -> Iterator[None]:
    """Make room for a new run; the old one comes back where no new one came about."""
    import shutil

    aside = path.with_name(f".{path.name}.before")
    shutil.rmtree(aside, ignore_errors=True)
    with wrap_os_errors(path):
        path.rename(aside)
    try:
        yield
    finally:
        if path.exists():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.rename(path)


def _is_sample_run(run: "RunFolder") -> bool:
    """Whether a run was made of the bundled posts, by this copy of the program or another."""
    from huggingtweets.sample import sample_path

    tail = sample_path().parts[-3:]  # huggingtweets/sample/NASA.zip
    return [Path(source).parts[-3:] for source in run.record().config["sources"]] == [tail]


def _write(run: "RunFolder", screen: ConsoleOutput, *, show: bool) -> "list[GeneratedPost]":
    """Ten new posts."""
    from huggingtweets.generation import bots
    from huggingtweets.generation.writer import Sampling

    writer = bots.open_bot(str(run.path)).writer(Sampling())
    posts = []
    for prompt, n in _POSTS:
        if show:
            screen.heading(f"New posts: {prompt or 'no prompt'}")
        written = writer.write(prompt, n)
        posts += screen.posts(written) if show else list(written)
    return posts
