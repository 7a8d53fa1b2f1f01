"""``huggingtweets demo``: the whole pipeline on the bundled sample, in at most five minutes."""

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
    show_likeness,
    train_with_screen,
)
from huggingtweets.errors import StorageError
from huggingtweets.storage.files import wrap_os_errors

if TYPE_CHECKING:
    from huggingtweets.generation.sampling import GeneratedPost
    from huggingtweets.storage.run_folder import RunFolder

NAME = "demo"
_MINUTES = 4.5
"""For the run; the posts shown at the end take some seconds more."""
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
        raise StorageError(f"{run.path} is not the demo's run. Choose another --out.")
    if run.record_file.exists() and not again and run.record().state == "done":
        repeat = command("demo --again" if out == Path("runs") else f"demo --again --out {out}")
        screen.say(
            f"The demo bot exists already, from {run.record().created_at[:16]}: {run.path}. "
            f"To make it again: {repeat}"
        )
        screen.counts(run.record().counts)
    else:
        run = _make(run, screen, again=again)
    if not as_json:
        show_likeness(screen, run)
    posts = _generate(run, screen, show=not as_json)
    if as_json:
        print_json(outcome(run) | {"posts": [asdict(post) for post in posts]})
        return
    # bots of older versions have no picture
    picture = f",\na picture of a post in {run.picture}" if run.picture.is_file() else ""
    screen.heading(f"The bot is in {run.bot}, its report in {run.report_page}{picture}")
    screen.say("Try next:")
    screen.commands(
        [
            command(f'generate {run.path} --prompt "Tonight we"'),
            command("train YOUR-X-ARCHIVE.zip"),
            command(f"show {run.path}"),
        ]
    )


def _make(run: "RunFolder", screen: ConsoleOutput, *, again: bool) -> "RunFolder":
    """Train the demo bot, or resume an interrupted run."""
    screen.say("Making a bot from NASA's posts of 2015, which are included in this program.")
    if run.record_file.exists():
        if run.is_live():
            raise StorageError(f"{run.path} is in use by another process.")
        if not again and run.record().state != "failed":
            screen.say(f"Resuming {run.path}.")
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
    """Move a run away while a new one is made; restore it if that fails."""
    import shutil

    backup = path.with_name(f".{path.name}.before")
    shutil.rmtree(backup, ignore_errors=True)
    with wrap_os_errors(path):
        path.rename(backup)
    try:
        yield
    finally:
        if path.exists():
            shutil.rmtree(backup, ignore_errors=True)
        else:
            backup.rename(path)


def _is_sample_run(run: "RunFolder") -> bool:
    """Whether a run's source is the bundled sample, of any installation of this program."""
    from huggingtweets.sample import sample_path

    tail = sample_path().parts[-3:]  # huggingtweets/sample/NASA.zip
    return [Path(source).parts[-3:] for source in run.record().config["sources"]] == [tail]


def _generate(run: "RunFolder", screen: ConsoleOutput, *, show: bool) -> "list[GeneratedPost]":
    """Generate ten posts."""
    from huggingtweets.generation import bots
    from huggingtweets.generation.sampling import Sampling

    writer = bots.open_bot(str(run.path)).writer(Sampling())
    posts = []
    for prompt, n in _POSTS:
        if show:
            screen.heading(f"New posts: {prompt or 'no prompt'}")
        new_posts = writer.write(prompt, n)
        posts += screen.posts(new_posts) if show else list(new_posts)
    return posts
