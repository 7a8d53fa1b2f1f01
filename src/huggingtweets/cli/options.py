"""Options that several commands share, so that they read and behave alike."""

from pathlib import Path
from typing import Annotated

import typer

from huggingtweets.errors import InputError

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE...",
        help="An X archive (zip, folder or tweets.js), a Mastodon export (zip, tar.gz or "
        "outbox.json), a Telegram result.json, a .csv, .json, .jsonl, .parquet or .txt file; an "
        "account (x:@HANDLE, bsky:HANDLE, mastodon:@USER@SERVER); or hf:OWNER/NAME, a dataset on "
        "the Hugging Face Hub.",
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
Forget = Annotated[
    str | None,
    typer.Option(
        "--forget",
        metavar="IDS",
        help="Leave these posts out: ids with commas between them, or a file of ids.",
        show_default=False,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Don't ask before spending money.")]
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
Track = Annotated[
    str | None,
    typer.Option(
        "--track",
        metavar="TRACKER",
        help="Where to log to: trackio (this machine), wandb or none. If not given "
        "$HUGGINGTWEETS_TRACK, else trackio where it is installed.",
        show_default=False,
    ),
]
RawArtifacts = Annotated[
    bool, typer.Option("--raw-artifacts", help="Posts go to the tracker, to W&B as well.")
]
NoRawArtifacts = Annotated[
    bool, typer.Option("--no-raw-artifacts", help="No posts go to the tracker, trackio neither.")
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


def whole(given: str) -> int:
    """A whole number, also as ``1024.0``, which is how W&B's agents may write one."""
    try:
        number = float(given)
        if number == int(number):
            return int(number)
    except (ValueError, OverflowError):
        pass
    raise typer.BadParameter(f"{given!r} is no whole number.")


def post_ids(given: str | None) -> frozenset[str]:
    """The posts that ``--forget`` names.

    Raises:
        InputError: they can't be read, or one is no post's id.
    """
    from huggingtweets.sources.post_ids import read_ids

    return frozenset() if given is None else read_ids(given)


def raw_artifacts(*, wanted: bool, unwanted: bool) -> bool | None:
    """What ``--raw-artifacts`` and ``--no-raw-artifacts`` say together; None for neither.

    Raises:
        InputError: both were given.
    """
    if wanted and unwanted:
        raise InputError("Give either --raw-artifacts or --no-raw-artifacts.")
    return wanted if wanted or unwanted else None
