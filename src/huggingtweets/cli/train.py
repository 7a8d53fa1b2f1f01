"""``huggingtweets train``: make a bot from posts."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from huggingtweets.cli import options
from huggingtweets.cli.console import ConsoleOutput, command, outcome, print_json
from huggingtweets.errors import BotError, InputError, InsufficientTextError, Interrupted

if TYPE_CHECKING:
    from huggingtweets.pipeline import TrainOptions
    from huggingtweets.storage.run_folder import RunFolder
    from huggingtweets.training import Interrupt


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: huggingtweets train my-archive.zip --name me")(train)


def train(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE...",
            help="Exports of networks and chats, feeds, tables, accounts or datasets, all that "
            "`huggingtweets curate` reads; several make one bot of several authors, or of one "
            "with --as.",
            show_default=False,
        ),
    ] = None,
    *,
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--source",
            help="Same as SOURCE, for programs that can only pass options, such as W&B agents.",
            show_default=False,
        ),
    ] = None,
    base: options.Base = None,
    recipe: options.Recipe = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            help="Minutes that the whole command may take. Layers, newest posts and epochs are "
            "chosen to fit. Default: 5; no limit with --recipe classic or --epochs.",
            show_default=False,
        ),
    ] = None,
    epochs: options.Epochs = None,
    learning_rate: options.LearningRate = None,
    batch_tokens: Annotated[
        int | None,
        typer.Option(
            help="Most tokens in one optimizer step. Default: the recipe's.",
            show_default=False,
        ),
    ] = None,
    warmup: Annotated[
        float | None,
        typer.Option(
            help="Share of the steps in which the learning rate rises, 0 to 1. Default: the "
            "recipe's.",
            show_default=False,
        ),
    ] = None,
    weight_decay: Annotated[
        float | None,
        typer.Option(help="Weight decay of AdamW. Default: the recipe's.", show_default=False),
    ] = None,
    beta2: Annotated[
        float | None,
        typer.Option("--beta2", help="Beta2 of AdamW. Default: the recipe's.", show_default=False),
    ] = None,
    clip: Annotated[
        float | None,
        typer.Option(
            help="Largest norm of the gradient. Default: the recipe's.", show_default=False
        ),
    ] = None,
    rows: Annotated[
        str | None,
        typer.Option(
            metavar="posts|blocks",
            help="One post in each row, or posts joined into full blocks. Default: the recipe's.",
            show_default=False,
        ),
    ] = None,
    layers: options.Layers = None,
    adapter: options.Adapter = None,
    augment: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="Vary the posts in training: none, noise (on their embeddings), adversarial (a "
            "step on them) or paraphrase (posts that the base rewrote). Default: the recipe's, "
            "none.",
            show_default=False,
        ),
    ] = None,
    seed: options.Seed = 0,
    holdout: options.Holdout = None,
    split: Annotated[
        str,
        typer.Option(metavar="newest|random", help="Which posts to hold out."),
    ] = "newest",
    name: Annotated[
        str | None,
        typer.Option(help="Name of the run folder. Default: the author's.", show_default=False),
    ] = None,
    out: options.Out = Path("runs"),
    resume: Annotated[
        Path | None,
        typer.Option("--resume", help="Continue this interrupted run.", show_default=False),
    ] = None,
    keep_newlines: options.KeepNewlines = False,
    keep_personal: options.KeepPersonal = False,
    scrub: options.Scrub = False,
    near_duplicates: options.NearDuplicates = 0.9,
    text_column: options.TextColumn = None,
    speaker: options.Speaker = None,
    join: options.Join = False,
    keep_names: options.KeepNames = False,
    author: options.Author = None,
    i_am_the_author: options.IAmTheAuthor = False,
    forget: options.Forget = None,
    yes: options.Yes = False,
    device: options.Device = None,
    precision: options.Precision = None,
    compile_: Annotated[
        bool | None,
        typer.Option(
            "--compile/--no-compile",
            help="Use torch.compile. Default: only where it saves time.",
            show_default=False,
        ),
    ] = None,
    checkpoint_seconds: Annotated[
        float,
        typer.Option(help="Seconds between checkpoints: the most training that a crash costs."),
    ] = 30.0,
    track: options.Track = None,
    raw_artifacts: options.RawArtifacts = False,
    no_raw_artifacts: options.NoRawArtifacts = False,
    as_json: options.Json = False,
) -> None:
    """Make a bot from posts: read, curate, fine-tune, evaluate."""
    from huggingtweets.curation import CurationOptions
    from huggingtweets.nn import bases
    from huggingtweets.pipeline import TrainOptions

    sources = [*(sources or ()), *(source or ())]
    raw = options.raw_artifacts(wanted=raw_artifacts, unwanted=no_raw_artifacts)
    screen = ConsoleOutput(quiet=as_json)
    if resume is not None:
        if sources:
            raise InputError("Give either SOURCE or --resume RUN: a run has its posts already.")
        if track is not None or raw_artifacts or no_raw_artifacts:
            raise InputError(
                "--resume doesn't change how a run is tracked. Track it with: "
                f"{command(f'track {resume}')}"
            )
        if forget is not None:
            raise InputError(
                "--resume doesn't delete posts. Delete them with: "
                f"{command(f'forget IDS {resume}')}"
            )
        run = resume_with_screen(resume, screen)
    else:
        if rows not in (None, "posts", "blocks"):
            raise InputError(f"--rows must be posts or blocks, not {rows!r}.")
        chosen = TrainOptions(
            base=base or bases.default(),
            recipe=options.recipe(
                recipe,
                epochs=epochs,
                learning_rate=learning_rate,
                batch_tokens=batch_tokens,
                warmup=warmup,
                weight_decay=weight_decay,
                beta2=beta2,
                clip=clip,
                rows=rows,
                layers=layers,
                augment=augment,
                adapter=adapter,
            ),
            minutes=minutes,
            name=name,
            out=out,
            seed=seed,
            holdout=TrainOptions.holdout if holdout is None else holdout,
            split=split,  # type: ignore[arg-type]  # checked by TrainOptions
            curation=CurationOptions(
                keep_newlines,
                near_duplicates=near_duplicates,
                mask=options.mask(keep_personal=keep_personal, scrub=scrub),
            ),
            text_column=text_column,
            speaker=speaker,
            join=join,
            keep_names=keep_names,
            author=author,
            i_am_the_author=i_am_the_author,
            device=device,
            precision=precision,
            compiled=compile_,
            checkpoint_seconds=checkpoint_seconds,
            forget=options.post_ids(forget),
            track=track,
            raw_artifacts=raw,
        )
        run = _train_or_advise(sources, chosen, screen, yes=yes)
    if as_json:
        print_json(outcome(run))
    else:
        show_outcome(screen, run)


def _train_or_advise(
    sources: list[str], chosen: "TrainOptions", screen: ConsoleOutput, *, yes: bool
) -> "RunFolder":
    """Train; name the command that does better if there are too few posts."""
    try:
        return train_with_screen(sources, chosen, screen, yes=yes)
    except InsufficientTextError as error:
        if not error.posts:
            raise
        raise InputError(
            f"{error} Until then, a base that reads them before it writes comes closer than "
            f"one trained on them: {_read_instead(error.posts, sources, chosen)}"
        ) from error


def _read_instead(posts: int, sources: list[str], chosen: "TrainOptions") -> str:
    """Return the command that does better with few posts (docs/research/few-shot.md)."""
    parts = ["generate", chosen.base]
    parts += [part for source in sources for part in ("--few-shot", source)]
    parts += ["--few-shot-posts", str(posts)]  # the more that fit, the closer
    parts += options.reading_arguments(
        text_column=chosen.text_column,
        speaker=chosen.speaker,
        join=chosen.join,
        keep_names=chosen.keep_names,
    )
    return command(shlex.join(parts))


def train_with_screen(
    sources: list[str], chosen: "TrainOptions", screen: ConsoleOutput, *, yes: bool = False
) -> "RunFolder":
    """Train with progress output; Ctrl-C saves, asks, and prints how to resume."""
    from huggingtweets import pipeline

    if not sources:
        raise InputError("No SOURCE was given: name an X archive or a file with posts.")
    with print_resume_hint(), screen.watching():
        return pipeline.train(
            sources, chosen, screen, confirm_interrupt(screen), partial(screen.confirm, yes=yes)
        )


def resume_with_screen(path: Path, screen: ConsoleOutput) -> "RunFolder":
    """Resume a run with progress output."""
    from huggingtweets import pipeline

    with print_resume_hint(), screen.watching():
        return pipeline.resume(path, screen, confirm_interrupt(screen))


@contextmanager
def print_resume_hint() -> Iterator[None]:
    """Add the command to resume to the message of an interruption."""
    try:
        yield
    except KeyboardInterrupt as error:  # before the run folder was created
        raise Interrupted("Stopped; nothing was written.") from error
    except Interrupted as error:
        resume = command(f"train --resume {error.run}")
        raise Interrupted(f"{error} Resume with: {resume}", error.run) from error


def confirm_interrupt(screen: ConsoleOutput) -> "Interrupt":
    """Return a Ctrl-C handler that asks for confirmation once, if a user can answer."""
    from huggingtweets.training import Interrupt

    def confirm() -> bool:
        answer = screen.ask("\nSaved. Stop here? [Y/n] ")
        return answer is None or not answer.strip().lower().startswith("n")

    return Interrupt(confirm)


def show_outcome(screen: ConsoleOutput, run: "RunFolder") -> None:
    """Show the likeness report, where the bot is and the next commands."""
    show_likeness(screen, run)
    if posts := _example_posts(run):
        screen.heading("It writes, for example")
        for post in posts:
            screen.say(f" • {post}")
    screen.heading(f"The bot is in {run.bot}")
    screen.say(f"report with plots: {run.report_page}")
    if run.picture.is_file():
        screen.say(f"picture of a post: {run.picture}")
    screen.commands(
        [
            command(f'generate {run.path} --prompt "My dream is"'),
            command(f"show {run.path}"),
            command(f"evaluate {run.path}"),
        ]
    )


def _example_posts(run: "RunFolder", most: int = 3) -> list[str]:
    """Return the first posts of the report that are no copies and no loops."""
    from huggingtweets.generation.copy_index import CopyIndex, is_loop
    from huggingtweets.storage import files

    try:
        generated = [str(post) for post in files.read_json(run.generations_file)]
    except (OSError, ValueError, TypeError):
        return []
    index = CopyIndex(run.table("kept").filter(split="train")["text"])
    fresh = (post for post in generated if not (index.is_copy(post) or is_loop(post)))
    return list(islice(filter(str.strip, fresh), most))


def show_likeness(screen: ConsoleOutput, run: "RunFolder") -> None:
    """Show the likeness report of a finished run."""
    from huggingtweets.evaluation import LikenessReport
    from huggingtweets.storage import files

    try:
        report = LikenessReport.from_json(files.read_json(run.report_json))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BotError(
            f"{run.report_json} is missing or damaged. Recreate it with: "
            f"{command(f'evaluate {run.path}')}"
        ) from error
    screen.heading(f"Likeness to {' & '.join(run.record().names)}")
    for line in report.lines():
        screen.say(line)
