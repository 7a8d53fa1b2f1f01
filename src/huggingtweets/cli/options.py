"""Options shared by several commands."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from huggingtweets.errors import InputError

if TYPE_CHECKING:
    from huggingtweets.cli.console import ConsoleOutput
    from huggingtweets.privacy.masking import Mask
    from huggingtweets.sources import ReadOptions
    from huggingtweets.training import Recipe as TrainingRecipe


def check_port(port: int) -> None:
    """Check a port to listen on.

    Raises:
        InputError: there is no such port.
    """
    if not 0 <= port <= 65535:
        raise InputError(f"--port must be from 0 to 65535, not {port}.")


Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE...",
        help="An export of X, Bluesky, Mastodon, Instagram, Threads, Facebook, Reddit, LinkedIn, "
        "YouTube, Tumblr, WordPress, WhatsApp, Telegram, Discord, Slack, Signal or iMessage; a "
        "feed (.xml); a table or list (.csv, .tsv, .json, .jsonl, .parquet, .txt, also "
        "compressed); an account (x:@HANDLE, bsky:HANDLE, mastodon:@USER@SERVER); or "
        "hf:OWNER/NAME, a dataset on the Hugging Face Hub. docs/how-to/posts.md says which file of "
        "each export.",
        show_default=False,
    ),
]
Bot = Annotated[
    str,
    typer.Argument(metavar="BOT", help="Run folder of a finished bot.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON, for scripts.")]
Out = Annotated[Path, typer.Option("--out", help="Folder that holds the run folders.")]
_SEED = "Seed of all random numbers; the same seed gives the same result."
Seed = Annotated[int, typer.Option("--seed", help=_SEED)]
OptionalSeed = Annotated[
    int | None,
    typer.Option(
        "--seed",
        help=f"{_SEED} Default: 0.",
        show_default=False,
    ),
]
TextColumn = Annotated[
    str | None,
    typer.Option(
        "--text-column",
        help="Name of the column with the text. Default: found by its name.",
        show_default=False,
    ),
]
Speaker = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="NAME",
        help="Person whose messages are the posts, in an export of chats.",
        show_default=False,
    ),
]
TrustedProxy = Annotated[
    list[str] | None,
    typer.Option(
        "--trusted-proxy",
        metavar="ADDRESS",
        help="Address or network of a proxy in front of the server, whose X-Forwarded-For or "
        "Forwarded names the client's address. Limits then count by client, not by proxy. May be "
        "repeated.",
        show_default=False,
    ),
]
Base = Annotated[
    str | None,
    typer.Option(
        "--base",
        help="Model to start from: a built-in base (smollm2-posts, smollm2, pocket), a model "
        "folder, a GGUF file or a Hub id. Default: $HUGGINGTWEETS_BASE, else the first of "
        "`huggingtweets base list` whose weights are on this machine.",
        show_default=False,
    ),
]
Recipe = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        metavar="fast|classic",
        help="Training recipe: fast, or classic, the one HuggingTweets published in 2020. Default: "
        "fast.",
        show_default=False,
    ),
]
Epochs = Annotated[
    int | None,
    typer.Option(
        help="Most passes over the posts. Default: the recipe's.",
        show_default=False,
    ),
]
Layers = Annotated[
    str | None,
    typer.Option(
        metavar="CHOICE",
        help="What to train: all, top:K (faster and a little worse), bottom:K, middle:K, "
        "embeddings, attention or mlp. Default: all; with a time limit, all or the top:K that fit.",
        show_default=False,
    ),
]
Adapter = Annotated[
    str | None,
    typer.Option(
        metavar="KIND",
        help="Save only the difference to the base: lora[:RANK] trains pairs of small matrices "
        "(rank 16 if not given, about 10 MB), top:K saves the top K layers; none saves a whole "
        "model. Default: none; for fleets lora.",
        show_default=False,
    ),
]
Holdout = Annotated[
    float | None,
    typer.Option(
        help="Share of each author's posts to hold out for evaluation, 0 to 1. Default: 0.1.",
        show_default=False,
    ),
]
LearningRate = Annotated[
    float | None,
    typer.Option(help="Peak learning rate. Default: the recipe's.", show_default=False),
]
Join = Annotated[
    bool,
    typer.Option(
        "--join",
        help="In chats, join messages that follow each other within two minutes to one post.",
    ),
]
KeepNames = Annotated[
    bool,
    typer.Option("--keep-names", help="In chats, don't mask the names of the other people."),
]
Author = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="NAME",
        help="Treat all sources as posts of one author with this name; @NAME if it is a handle.",
        show_default=False,
    ),
]
IAmTheAuthor = Annotated[
    bool,
    typer.Option(
        "--i-am-the-author", help="Read an account that asks not to be used, because it is yours."
    ),
]
Forget = Annotated[
    str | None,
    typer.Option(
        "--forget",
        metavar="IDS",
        help="Posts to leave out: ids separated by commas, or a file of ids.",
        show_default=False,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Spend money without asking first.")]
KeepNewlines = Annotated[
    bool, typer.Option("--keep-newlines", help="Keep line breaks within posts. Default: spaces.")
]
KeepPersonal = Annotated[
    bool,
    typer.Option(
        "--keep-personal",
        help="Keep e-mail addresses, phone numbers and street addresses. Default: masked, as keys, "
        "passwords, card numbers and IBANs always are.",
    ),
]
Scrub = Annotated[bool, typer.Option("--scrub", help="Also mask @mentions of others.")]
NearDuplicates = Annotated[
    float,
    typer.Option(
        "--near-duplicates",
        help="Drop posts at least this similar to an earlier one (Jaccard, 0 to 1).",
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="cpu|cuda|mps",
        help="Where to compute. Default: the fastest device of this machine.",
        show_default=False,
    ),
]
Track = Annotated[
    str | None,
    typer.Option(
        "--track",
        metavar="TRACKER",
        help="Where to log the run: trackio (on this machine), wandb, or none. Default: "
        "$HUGGINGTWEETS_TRACK, else trackio if it is installed.",
        show_default=False,
    ),
]
RawArtifacts = Annotated[
    bool,
    typer.Option(
        "--raw-artifacts",
        help="Also send the posts to the tracker. Default: only their number and digest.",
    ),
]
NoRawArtifacts = Annotated[
    bool,
    typer.Option("--no-raw-artifacts", help="Keep the posts out of the tracker, the default."),
]
Precision = Annotated[
    str | None,
    typer.Option(
        "--precision",
        metavar="bf16|fp32",
        help="Number format of the computation. Default: the fastest on this machine.",
        show_default=False,
    ),
]


def recipe(name: str | None, *, layers: str | None, **values: object) -> "TrainingRecipe":
    """Return the recipe of ``--recipe`` with the values that were given; None leaves one as it is.

    Raises:
        InputError: there is no such recipe, or a value is invalid.
    """
    from huggingtweets.training import RECIPES, parse_layers

    chosen = "fast" if name is None else name
    if chosen not in RECIPES:
        raise InputError(f"There is no recipe {chosen!r}; choose {' or '.join(RECIPES)}.")
    return RECIPES[chosen].changed(
        layers=None if layers is None else parse_layers(layers), **values
    )


def post_ids(text: str | None) -> frozenset[str]:
    """Read the posts of ``--forget``.

    Raises:
        InputError: the file can't be read, or an id is invalid.
    """
    from huggingtweets.sources.post_ids import read_ids

    return frozenset() if text is None else read_ids(text)


def reading(
    screen: "ConsoleOutput",
    text_column: str | None,
    *,
    speaker: str | None,
    join: bool,
    keep_names: bool,
    author: str | None = None,
    i_am_the_author: bool = False,
    forget: str | None = None,
    yes: bool = False,
) -> "ReadOptions":
    """Return how to read the sources of a command; the user is asked before money is spent.

    Raises:
        InputError: a post of ``--forget`` has no valid id, or the file can't be read.
    """
    from huggingtweets.sources import ReadOptions

    return ReadOptions(
        text_column,
        speaker,
        author,
        i_am_the_author,
        confirm=partial(screen.confirm, yes=yes),
        forget=post_ids(forget),
        join=join,
        keep_names=keep_names,
    )


def reading_arguments(
    *, text_column: str | None, speaker: str | None, join: bool, keep_names: bool
) -> list[str]:
    """Return the arguments that make another command read the same posts of a source."""
    given = {"--text-column": text_column, "--from": speaker}
    switches = {"--join": join, "--keep-names": keep_names}
    return [
        *(part for name, value in given.items() if value for part in (name, value)),
        *(name for name, wanted in switches.items() if wanted),
    ]


def mask(*, keep_personal: bool, scrub: bool) -> "Mask":
    """Return what curation masks.

    Raises:
        InputError: both options were given.
    """
    if keep_personal and scrub:
        raise InputError("Give either --keep-personal or --scrub, which masks personal data too.")
    return "secrets" if keep_personal else "mentions" if scrub else "personal"


def raw_artifacts(*, wanted: bool, unwanted: bool) -> bool:
    """Combine ``--raw-artifacts`` and ``--no-raw-artifacts``, the default.

    Raises:
        InputError: both were given.
    """
    if wanted and unwanted:
        raise InputError("Give either --raw-artifacts or --no-raw-artifacts.")
    return wanted
