"""``huggingtweets generate``: generate posts and print them as they finish."""

import shlex
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from huggingtweets.cli import options
from huggingtweets.cli.console import ConsoleOutput, command, print_json
from huggingtweets.errors import InputError, InsufficientTextError
from huggingtweets.events import counted
from huggingtweets.nn import language_model

if TYPE_CHECKING:
    from collections.abc import Iterable

    import polars as pl

    from huggingtweets.generation.bots import Bot
    from huggingtweets.generation.sampling import GeneratedPost
    from huggingtweets.generation.writer import Writer
    from huggingtweets.sources import ReadOptions


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog='Example: huggingtweets generate runs/me --prompt "My dream is" -n 5')(
        generate
    )


def generate(
    bot: Annotated[
        str,
        typer.Argument(
            metavar="BOT",
            help="Run folder, bot folder, Hugging Face Hub id, or a built-in base.",
            show_default=False,
        ),
    ],
    *,
    prompt: Annotated[
        list[str] | None,
        typer.Option("--prompt", "-p", help="Text that each post begins with. May be repeated."),
    ] = None,
    n: Annotated[
        int, typer.Option("-n", help="Number of posts for each prompt, 1 to 10,000.")
    ] = 10,
    temperature: Annotated[
        float, typer.Option(help="Sampling temperature: lower is safer, higher is more varied.")
    ] = language_model.TEMPERATURE,
    top_p: Annotated[
        float, typer.Option(help="Sample from the likeliest tokens with this total probability.")
    ] = language_model.TOP_P,
    max_chars: Annotated[int, typer.Option(help="Most characters in a post.")] = 280,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Seed; the same seed gives the same posts. Default: another one each time.",
            show_default=False,
        ),
    ] = None,
    allow_copies: Annotated[
        bool, typer.Option("--allow-copies", help="Keep posts that copy a training post.")
    ] = False,
    hashtag: Annotated[
        str | None,
        typer.Option(
            metavar="TAG",
            help="Write posts with this hashtag, with or without #, where the author puts it. "
            "`huggingtweets hashtags BOT` lists those that the author used.",
            show_default=False,
        ),
    ] = None,
    blend: Annotated[
        str | None,
        typer.Option(
            metavar="BOT:SHARE",
            help="Mix in the probabilities of another bot of the same base, token by token: the "
            "bot and its share, 0 to 1, such as runs/you:0.4.",
            show_default=False,
        ),
    ] = None,
    few_shot: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SOURCE",
            help="Imitate these posts without training: BOT, such as the base pocket, reads the "
            "newest of them before each new post. May be repeated.",
            show_default=False,
        ),
    ] = None,
    few_shot_posts: Annotated[
        int,
        typer.Option(help="Most posts of --few-shot to read, the newest; fewer where no more fit."),
    ] = 30,
    text_column: options.TextColumn = None,
    speaker: options.Speaker = None,
    join: options.Join = False,
    keep_names: options.KeepNames = False,
    yes: options.Yes = False,
    device: options.Device = None,
    precision: Annotated[
        str | None,
        typer.Option(
            metavar="bf16|fp32|int8",
            help="Number format. Default: the fastest that doesn't change the posts.",
            show_default=False,
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Write new posts in the author's voice. Copies of real posts are replaced."""
    from huggingtweets.arguments import PostCount, check
    from huggingtweets.data import hashtags
    from huggingtweets.generation import bots
    from huggingtweets.generation.sampling import Sampling

    check({"-n": n}, {"-n": PostCount})
    if hashtag is not None:
        hashtags.parse(hashtag)  # before a model is loaded
    sampling = Sampling(temperature, top_p, max_chars, seed)
    screen = ConsoleOutput(quiet=as_json)
    reading = options.reading(
        screen, text_column, speaker=speaker, join=join, keep_names=keep_names, yes=yes
    )
    examples = _examples(few_shot or [], few_shot_posts, reading)
    opened = bots.open_bot(bot, device, precision)
    if blend is not None:
        other, share = _parse_blend(blend)
        opened = opened.blended(bots.open_bot(other, device, precision), share)
    untrained = opened.index is None
    if examples is not None:
        opened = opened.with_few_shot(examples["text"].to_list(), few_shot_posts)
    _warn(screen, opened)
    tag = None if hashtag is None else opened.hashtags().find(hashtag)
    writer = opened.writer(sampling, allow_copies=allow_copies)
    prompts = prompt or [""]
    posts: list[GeneratedPost] = []
    # checks all prompts before the first post is shown
    generators = [(text, writer.write(text, n, tag)) for text in prompts]
    if examples is not None:
        screen.say(_describe_context(writer, prompts, examples, few_shot_posts), "dim")
    for text, new_posts in generators:
        if not as_json and text:
            screen.heading(text) if posts else screen.say(text, "bold")
        posts += list(new_posts) if as_json else screen.posts(new_posts)
    if writer.index is None:
        screen.say("(the training posts are missing, so copies can't be detected)", "dim")
    _say_missing(screen, n * len(prompts), len(posts), tagged=tag is not None)
    if as_json:
        replaced = {
            "rejected": writer.rejected,
            "loops": writer.loops,
            "masked": writer.masked,
            "misplaced": writer.misplaced,
        }
        print_json({"posts": [asdict(post) for post in posts]} | replaced)
    else:
        _say_replaced(screen, writer)
        if examples is not None and untrained:
            same = options.reading_arguments(
                text_column=text_column, speaker=speaker, join=join, keep_names=keep_names
            )
            _advise_training(screen, examples, [*(few_shot or []), *same])


def _parse_blend(text: str) -> tuple[str, float]:
    """Return the bot and the share of ``--blend BOT:SHARE``."""
    other, _, share = text.rpartition(":")
    with suppress(ValueError):
        if other:
            return other, float(share)
    raise InputError(
        f"--blend must be a bot and its share, such as runs/you:0.4, not {text[:80]!r}."
    )


def _say_missing(screen: ConsoleOutput, wanted: int, written: int, *, tagged: bool) -> None:
    if written == wanted or screen.console.quiet:
        return
    reasons = "loops, empty or without the hashtag" if tagged else "loops or empty"
    screen.say(
        f"Only {written} of {counted(wanted, 'post')}: the others were copies of real posts, "
        f"{reasons}. Try another prompt or --allow-copies.",
        "yellow",
    )


def _say_replaced(screen: ConsoleOutput, writer: "Writer") -> None:
    if writer.rejected:
        copies = "1 copy of a real post"
        if writer.rejected > 1:
            copies = f"{writer.rejected:,} copies of real posts"
        screen.say(f"(replaced {copies})", "dim")
    if writer.loops:
        screen.say(f"(replaced {counted(writer.loops, 'loop')})", "dim")
    if writer.misplaced:
        posts = counted(writer.misplaced, "post")
        screen.say(f"(replaced {posts} without the hashtag at its place)", "dim")
    if writer.masked:
        screen.say(f"(masked private data in {counted(writer.masked, 'post')})", "dim")


def _warn(screen: ConsoleOutput, bot: "Bot") -> None:
    """Print the bot's warning, if it has one."""
    if bot.warning:
        screen.say(f"warning: this bot is {bot.warning}", "yellow")


def _examples(sources: list[str], most: int, reading: "ReadOptions") -> "pl.DataFrame | None":
    """Read and curate the posts of ``--few-shot``; None without it."""
    if not sources:
        given = {
            "--text-column": reading.text_column,
            "--from": reading.speaker,
            "--join": reading.join,
            "--keep-names": reading.keep_names,
        }
        if useless := [name for name, value in given.items() if value]:
            raise InputError(f"{useless[0]} applies to --few-shot SOURCE. Give both.")
        return None
    from huggingtweets import pipeline

    if most < 1:
        raise InputError(f"--few-shot-posts must be at least 1, not {most}.")
    kept = pipeline.curate(sources, reading=reading).kept
    if kept.is_empty():
        raise InsufficientTextError(
            f"No post of {', '.join(sources)} is left after curation. See why with: "
            "huggingtweets curate SOURCE --show-dropped"
        )
    return kept


def _advise_training(screen: ConsoleOutput, examples: "pl.DataFrame", posts: list[str]) -> None:
    """Say when there are enough posts to train on, which is better (docs/research/few-shot.md)."""
    from huggingtweets.data.batching import FEW_CHARACTERS

    if int(examples["text"].str.len_chars().sum()) >= FEW_CHARACTERS:
        screen.say(
            f"({len(examples):,} posts are enough for a bot, which comes closer: "
            f"{command(shlex.join(['train', *posts]))})",
            "dim",
        )


def _describe_context(
    writer: "Writer", prompts: "Iterable[str]", examples: "pl.DataFrame", most: int
) -> str:
    """Describe how many posts precede each new one; fewer fit with a long prompt."""
    counts = sorted({writer.context_post_count(text) for text in prompts})
    number = " to ".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))
    authors = examples["author"].unique().to_list()
    whose = f"{authors[0]}'s" if len(authors) == 1 else f"the {len(authors)} authors'"
    reason = ""
    if counts[0] < min(most, len(examples)):
        reason = " (no more fit)"
    elif counts[0] < most:
        reason = " (there are no more)"
    return f"context: {number} of {whose} posts{reason}"
