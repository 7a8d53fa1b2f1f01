"""``huggingtweets pretrain``: make a base from the posts of many people."""

from pathlib import Path
from typing import Annotated

import typer

from huggingtweets.cli import options
from huggingtweets.cli.console import ConsoleOutput, command, print_json
from huggingtweets.cli.train import confirm_interrupt
from huggingtweets.errors import InputError, Interrupted


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog="Example: huggingtweets pretrain tweets.parquet chats.parquet:2 --minutes 90"
    )(pretrain)


def pretrain(
    corpora: Annotated[
        list[str],
        typer.Argument(
            metavar="CORPUS...",
            help="Any SOURCE of posts, or a folder of Parquet files. Append a weight to read it "
            "more or less often: path:2, path:0.5. Or one folder made by --encode-only.",
            show_default=False,
        ),
    ],
    *,
    preset: Annotated[
        str, typer.Option(metavar="pocket|pocket-gpu", help="Model size and recipe of a new base.")
    ] = "pocket",
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="BASE",
            help="Continue from the weights of a built-in base, a model folder, a GGUF file or a "
            "Hub id. Its size and tokenizer are kept, so --preset has no effect.",
            show_default=False,
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(help="Minutes to train. Default: 60.", show_default=False),
    ] = None,
    tokens: Annotated[
        int | None,
        typer.Option(help="Tokens to train on, instead of --minutes.", show_default=False),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder to write the base to.")] = Path("base"),
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Continue the training in --out, finished or interrupted."),
    ] = False,
    exclude_authors: Annotated[
        list[str] | None,
        typer.Option(
            help="Authors to leave out: handles, or a file that lists them. May be repeated.",
            show_default=False,
        ),
    ] = None,
    author_context: Annotated[
        int | None,
        typer.Option(
            help="Posts of one author that follow each other. Default: the preset's.",
            show_default=False,
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(help="Peak learning rate. Default: the preset's.", show_default=False),
    ] = None,
    batch_tokens: Annotated[
        int | None,
        typer.Option(
            help="Tokens in one optimizer step. Default: the preset's.", show_default=False
        ),
    ] = None,
    about: Annotated[
        Path | None,
        typer.Option(
            help="Markdown file for the card: the data, its origin and its licences.",
            show_default=False,
        ),
    ] = None,
    seed: options.Seed = 0,
    device: options.Device = None,
    precision: options.Precision = None,
    encode_only: Annotated[
        bool,
        typer.Option("--encode-only", help="Only encode the corpora, to train on another machine."),
    ] = False,
    compiled: Annotated[
        bool | None,
        typer.Option(
            "--compile/--no-compile",
            help="Use torch.compile. Default: if a compiler is installed.",
            show_default=False,
        ),
    ] = None,
    device_tokens: Annotated[
        int | None,
        typer.Option(
            help="Tokens computed at once; fewer need less memory. Default: 1,024 on a CPU (4,096 "
            "in bfloat16), 32,768 elsewhere.",
            show_default=False,
        ),
    ] = None,
    checkpoint_seconds: Annotated[
        float,
        typer.Option(help="Seconds between checkpoints: the most training that a crash costs."),
    ] = 90.0,
    measure_seconds: Annotated[
        float, typer.Option(help="Seconds between two evaluations on held-out posts.")
    ] = 300.0,
    as_json: options.Json = False,
) -> None:
    """Make a base from the posts of many people.

    Curates the posts, trains a tokenizer and a model. With --from, trains an existing base further.
    """
    from huggingtweets.pretraining import ADAPT, PRESETS, Budget, PretrainOptions, make_base

    if preset not in PRESETS:
        raise InputError(f"There is no preset {preset!r}; choose {' or '.join(PRESETS)}.")
    if minutes is None and tokens is None:
        minutes = 60
    chosen = PretrainOptions(
        preset=(ADAPT if source else PRESETS[preset]).changed(
            author_context=author_context, learning_rate=learning_rate, batch_tokens=batch_tokens
        ),
        source=source,
        budget=Budget(tokens, minutes),
        out=out,
        resume=resume,
        excluded=tuple(exclude_authors or ()),
        about=_read_text(about) if about else None,
        seed=seed,
        device=device,
        precision=precision,
        encode_only=encode_only,
        compiled=compiled,
        device_tokens=device_tokens,
        checkpoint_seconds=checkpoint_seconds,
        measure_seconds=measure_seconds,
    )
    screen = ConsoleOutput(quiet=as_json)
    try:
        with screen.watching():
            folder = make_base(corpora, chosen, screen, confirm_interrupt(screen))
    except KeyboardInterrupt as error:
        raise Interrupted("Stopped before training began; no work is lost.") from error
    except Interrupted as error:
        raise Interrupted(f"{error} Resume with the same command and --resume.") from error
    if encode_only:
        screen.say(f"The encoded corpora are in {folder}. Train with:")
        screen.commands([command(f"pretrain {folder}" + (f" --from {source}" if source else ""))])
        return
    from huggingtweets.storage import files

    record = files.read_json(folder / "pretrain.json")
    if as_json:
        print_json(record)
        return
    last = record["sittings"][-1]
    seconds = last["seconds"]
    time = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
    screen.say(
        f"{last['tokens']:,} tokens in {time}; held-out posts: "
        f"{last['curve'][-1]['held_out_bits_per_byte']['all']:.3f} bits per byte"
    )
    screen.heading(f"The base is in {folder}")
    screen.commands([command(f"train my-archive.zip --base {folder}")])


def _read_text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--about {file} can't be read as text: {error}.") from error
