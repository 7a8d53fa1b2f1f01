"""Options that several commands share, so that they read and behave alike."""

from pathlib import Path
from typing import Annotated

import typer

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE",
        help="An X archive (zip, folder or tweets.js), a Mastodon export (zip, tar.gz or "
        "outbox.json), a Telegram result.json, or a .csv, .json, .jsonl, .parquet or .txt file.",
        show_default=False,
    ),
]
Bot = Annotated[
    str,
    typer.Argument(
        metavar="BOT",
        help="A run folder, a bot folder or a Hugging Face Hub id.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Out = Annotated[Path, typer.Option("--out", help="Folder that holds the runs.")]
Seed = Annotated[int, typer.Option("--seed", help="Same seed, same result.")]
TextColumn = Annotated[
    str | None,
    typer.Option("--text-column", help="Column that holds the text.", show_default=False),
]
Speaker = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="NAME",
        help="Whose messages are the posts, in a Telegram export.",
        show_default=False,
    ),
]
Author = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="NAME",
        help="All sources are posts of one person, by this name.",
        show_default=False,
    ),
]
IAmTheAuthor = Annotated[
    bool,
    typer.Option("--i-am-the-author", help="Read your account though it asks not to be read."),
]
KeepNewlines = Annotated[bool, typer.Option("--keep-newlines", help="Keep line breaks in posts.")]
Scrub = Annotated[
    bool,
    typer.Option("--scrub", help="Mask e-mail addresses, phone numbers and @mentions of others."),
]
NearDuplicates = Annotated[
    float,
    typer.Option("--near-duplicates", help="Posts at least so alike are duplicates (Jaccard)."),
]
Device = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="cpu|cuda|mps",
        help="The fastest if not given.",
        show_default=False,
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(
        "--precision",
        metavar="bf16|fp32",
        help="The fastest if not given.",
        show_default=False,
    ),
]
