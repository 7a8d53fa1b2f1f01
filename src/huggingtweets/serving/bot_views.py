"""What the gallery, a bot's page and its zip contain, without another visitor's private data."""

from __future__ import annotations

import json
import secrets
import zipfile
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from huggingtweets import evaluation, publish
from huggingtweets.data import batching
from huggingtweets.data.hashtags import Hashtags
from huggingtweets.errors import BotError, InputError, OptedOutError
from huggingtweets.evaluation.report import LossPoint
from huggingtweets.events import counted
from huggingtweets.generation import bots
from huggingtweets.generation.copy_index import CopyIndex, words
from huggingtweets.privacy import opt_out
from huggingtweets.publish.files import check_others_have_its_base, parts_of
from huggingtweets.publish.publication import Publication
from huggingtweets.serving import updates
from huggingtweets.serving.run_progress import TrainingProgress
from huggingtweets.serving.schemas import BotPage, BotSummary, Point, RunState, WrittenPost
from huggingtweets.storage import files, fleets
from huggingtweets.track.training_logger import JsonlTail

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from huggingtweets.evaluation import LikenessReport
    from huggingtweets.generation.sampling import GeneratedPost
    from huggingtweets.serving.bot_cache import CachedBot
    from huggingtweets.serving.workspaces import RunAccess
    from huggingtweets.storage.run_folder import RunFolder, RunRecord

LONGEST_POST = 2_000
"""Limit in characters of a post that is marked as a favourite, put on a picture or shared."""

_MOST_HASHTAGS = 12
_TAGGED_POSTS = 20_000
"""The newest posts whose hashtags are offered; more would delay the page."""

REDACTED = "(left out: it quotes a real post)"


def state_of(run: RunFolder) -> RunState:
    """The state that a run's folder records, ignoring the queue."""
    record = run.record()
    if record.state in ("done", "failed"):
        return "done" if record.state == "done" else "failed"
    if not run.is_live():
        return "stopped"
    return "judging" if record.state == "trained" else "training"


def newest(
    runs: Iterable[tuple[str, RunAccess]], *, own: bool = False, other_than: str = ""
) -> str:
    """Name of the first bot that generates posts, see ``Service.newest_bot``."""
    skipped = ""
    for name, access in runs:
        if own and not access.mine:
            break  # own bots come first
        # damaged, deleted meanwhile, or blocked
        with suppress(BotError, OptedOutError, OSError):
            run = access.run
            opt_out.check_run(run.record())
            if state_of(run) == "done" if own else is_playable(run):
                if name != other_than:
                    return name
                skipped = name
    return skipped


def is_playable(run: RunFolder) -> bool:
    """Whether a run's bot is saved; it may not be measured yet."""
    saved = run.record().state in ("trained", "done")
    return saved and run.has_bot


def training_curve(run: RunFolder) -> tuple[Point, ...]:
    """The training loss that the run has logged, thinned for a plot."""
    progress = TrainingProgress(JsonlTail(run.events_file), key=(0, 0))
    with suppress(OSError, ValueError, TypeError, KeyError):
        progress.update()
    return tuple(progress.curve)


def summary(name: str, access: RunAccess) -> BotSummary:
    """A bot's entry in the gallery.

    Raises:
        BotError: the run is damaged.
    """
    run = access.run
    record = run.record()
    report = report_of(access)
    taken = report.taken_for_author if report else None
    return BotSummary(
        name=name,
        title=publish.title(record.names),
        authors=tuple(record.authors),
        names=tuple(record.names),
        made_at=record.created_at,
        base=_base(record),
        state=state_of(run),
        playable=is_playable(run),
        bits_per_byte=run.held_out_bits_per_byte(),
        copied_share=report.copied.bot if report else None,
        taken_for_author=taken.bot if taken else None,
        has_picture=run.picture.is_file() and not is_opted_out(record),
        has_dark_picture=run.dark_picture.is_file() and not is_opted_out(record),
        mine=access.mine,
        out_of_date=_warning(run, record),
    )


class GallerySummaries:
    """Summaries of finished bots, which are read again only after a file of theirs has changed.

    Reading one takes a millisecond, and a server may have thousands.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, RunAccess], tuple[object, BotSummary]] = {}

    def read(self, runs: Iterable[tuple[str, RunAccess]]) -> Iterator[BotSummary]:
        """Yield the summary of each run, by its name; not of those damaged or deleted meanwhile."""
        opted_out = _stamps(opt_out.list_file())
        for name, access in runs:
            run = access.run
            stamp = (
                opted_out,
                _stamps(run.record_file, run.report_json, run.report_json.parent, run.bot),
            )
            known = self._known.get((name, access))
            if known is None or known[0] != stamp:
                try:
                    known = stamp, summary(name, access)
                except (BotError, OSError):
                    continue
                if known[1].state == "done":  # others change without a change of these files
                    self._known[name, access] = known
            yield known[1]


def _stamps(*paths: Path) -> tuple[tuple[int, int, int] | None, ...]:
    """What differs once a file was replaced, or the entries of a folder changed; None if absent."""
    found: list[tuple[int, int, int] | None] = []
    for path in paths:
        try:
            stat = path.stat()
        except OSError:
            found.append(None)
        else:
            found.append((stat.st_ino, stat.st_mtime_ns, stat.st_size))
    return tuple(found)


def is_opted_out(record: RunRecord) -> bool:
    """Whether an author of a bot asked not to be imitated: then its owner can only delete it."""
    return bool(opt_out.load().names_in(record))


def _warning(run: RunFolder, record: RunRecord) -> str | None:
    if is_opted_out(record):
        return "blocked: an author asked not to be imitated; please delete it"
    return run.staleness_warning()


def page(name: str, access: RunAccess) -> BotPage:
    """The data of a bot's page, as far as the visitor may see it.

    Raises:
        BotError: the run is damaged.
    """
    run, record = access.run, access.run.record()
    report = None if is_opted_out(record) else report_of(access)
    is_updatable = access.mine and record.state == "done" and not is_opted_out(record)
    published = None
    with suppress(BotError):
        published = Publication.of(run)
    return BotPage(
        summary=summary(name, access),
        counts=record.counts,
        report=report,
        human=report.human if report else None,
        history=_history(record),
        curve=training_curve(run),
        seconds=record.seconds,
        lineage=_lineage(access, record),
        favourites=tuple(favourites(run)) if access.mine and not is_opted_out(record) else (),
        published=published.url if published and (published.public or access.mine) else None,
        hashtags=() if is_opted_out(record) else hashtags_of(access),
        offer=updates.offer(run, record) if is_updatable else None,
        versions=updates.versions(run) if access.mine else (),
    )


def hashtags_of(access: RunAccess) -> tuple[str, ...]:
    """The author's most frequent hashtags; of another visitor's bot only those used twice."""
    kept = access.run.path / "data" / "kept.parquet"
    try:
        tags = _hashtags(access.run, kept.stat().st_mtime_ns, 1 if access.mine else 2)
    except (BotError, OSError):
        return ()
    return tags


@lru_cache(maxsize=64)
def _hashtags(run: RunFolder, _modified_at: int, least: int) -> tuple[str, ...]:
    posts = bots.training_posts(run)[-_TAGGED_POSTS:]
    return tuple(tag.name for tag in Hashtags(posts, least).ranked[:_MOST_HASHTAGS])


def report_of(access: RunAccess) -> LikenessReport | None:
    """The likeness report, or None. It quotes a real post only if the bot is the visitor's own."""
    try:
        report = publish.read_report(access.run)
    except BotError:
        return None
    return report if access.mine else without_quotes(report)


def without_quotes(report: LikenessReport) -> LikenessReport:
    """The report without the quoted training post."""
    longest = replace(report.longest_copied_run, text=REDACTED, source_text=REDACTED)
    return replace(report, longest_copied_run=longest)


def _history(record: RunRecord) -> tuple[LossPoint, ...]:
    points = record.result.get("history", ())
    with suppress(TypeError):
        return tuple(LossPoint(**point) for point in points)
    return ()


def _base(record: RunRecord) -> str:
    """The base's name, without its folder."""
    name = str(record.config.get("base", ""))
    return PurePath(name).name if PurePath(name).is_absolute() else name


def _lineage(access: RunAccess, record: RunRecord) -> tuple[tuple[str, str], ...]:
    """Label and value of each step; only the owner sees the sources."""
    config = record.config
    sources = ", ".join(
        PurePath(str(source)).name if PurePath(str(source)).is_absolute() else str(source)
        for source in config.get("sources", ())
    )
    steps = [
        ("Sources", sources if access.mine else ""),
        ("Posts read", f"{record.counts.get('downloaded', 0):,}"),
        ("Posts kept", f"{record.counts.get('kept', 0):,}"),
        ("Base", _base(record)),
        *_how(access, record),
        ("Seed", str(config.get("seed", ""))),
        ("Made with", f"huggingtweets {record.versions.get('huggingtweets', '')}".strip()),
    ]
    return tuple((label, value) for label, value in steps if value)


def _trained(result: dict[str, Any]) -> str:
    steps, tokens = result.get("steps", 0), result.get("tokens", 0)
    return f"{counted(steps, 'step')}, {counted(tokens, 'token')}"


def _how(access: RunAccess, record: RunRecord) -> list[tuple[str, str]]:
    """How the bot was made from its base; only the owner sees the names of other bots."""
    if merged := record.merged:
        names = [
            bot["name"] if access.mine else publish.title(bot["authors"]) for bot in merged["bots"]
        ]
        parts = zip(merged["weights"], names, strict=True)
        text = ", ".join(f"{weight:.0%} {name}" for weight, name in parts)
        return [("Merged from", f"{text} ({merged['method']})")]
    recipe: dict[str, Any] = record.config.get("recipe") or {}
    result = record.result
    return [
        (
            "Recipe",
            f"{recipe.get('name', '')}, {counted(recipe.get('epochs', 0), 'epoch')} at most",
        ),
        ("Trained", _trained(result) if result else ""),
    ]


def favourites(run: RunFolder) -> list[str]:
    """The favourite posts, newest last."""
    try:
        values = files.read_json(run.favourites_file)
        return [str(value) for value in values]
    except (OSError, ValueError, TypeError):
        return []


def set_favourite(run: RunFolder, text: str, limit: int, *, on: bool) -> None:
    """Add a post to the favourites, or remove it. The newest ``limit`` favourites are kept."""
    posts = [post for post in favourites(run) if post != text]
    if on:
        posts.append(text)
    files.write_json(run.favourites_file, posts[-limit:])
    fleets.store_again(run.path)


def export(run: RunFolder, folder: Path) -> Path:
    """Zip a bot and its likeness report, without any real post.

    The zip holds the files of the bot that publishing would upload. Its report omits the longest
    copied run and shows only generated posts that are no copies.

    Args:
        run: of the bot.
        folder: parent of a new folder for the zip.

    Raises:
        BotError: the bot is missing, incomplete or out of date.
        OptedOutError: an author asked not to be imitated.
    """
    opt_out.check_run(run.record())
    run.check_up_to_date()
    check_others_have_its_base(run.bot)
    bot_files = parts_of(run.bot)
    report, page = _report_without_posts(run)
    path = folder / secrets.token_hex(8) / f"{run.path.name}.zip"
    with (
        files.atomic_write(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for name, content in bot_files.items():
            if isinstance(content, Path):
                archive.write(content, f"{run.path.name}/bot/{name}")
        archive.writestr(f"{run.path.name}/report/likeness.json", report)
        archive.writestr(f"{run.path.name}/report/likeness.html", page)
    return path


def _report_without_posts(run: RunFolder) -> tuple[str, str]:
    """The likeness report as JSON and as HTML."""
    record = run.record()
    report = without_quotes(publish.read_report(run))
    kept = run.table("kept")
    train, unused, held_out = (
        [
            text
            for texts in batching.texts_by_author(kept, part, record.authors).values()
            for text in texts
        ]
        for part in ("train", "unused", "held_out")
    )
    index = CopyIndex([*train, *unused, *held_out])
    generations = []
    with suppress(OSError, ValueError):
        generated = files.read_json(run.generations_file)
        generations = [str(text) for text in generated if not index.is_copy(str(text))]
    names = record.names
    html = evaluation.render(report, generations, held_out, publish.title(names), names)
    return json.dumps(report.to_json(), indent=2, ensure_ascii=False) + "\n", html


def check_post(text: str) -> str:
    """Return a post that came back from a page, if its length is fine."""
    if not text.strip():
        raise InputError("The post is empty.")
    if len(text) > LONGEST_POST:
        raise InputError(f"The post is longer than {LONGEST_POST:,} characters.")
    return text


def written_post(post: GeneratedPost, opened: CachedBot, *, quoting: bool) -> WrittenPost:
    """Add novelty and, if ``quoting``, the nearest training post."""
    index = opened.bot.index
    count = len(words(post.text))
    shared = post.copied_words
    novelty = None if shared is None else 1 - shared / count if count else 1.0
    nearest = index.longest_run(post.text).source if index and quoting and shared else None
    return WrittenPost(
        post.text,
        post.prompt,
        shared,
        post.copied,
        nearest or None,
        None if novelty is None else round(max(0.0, novelty), 3),
    )


def share_links(text: str, authors: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of network name and a link that opens its editor with the post filled in."""
    drafts = publish.drafts(check_post(text), list(authors), publish.Sharing())
    return [(draft.network, draft.url) for draft in drafts]


def picture_of(run: RunFolder, text: str, prompt: str) -> publish.Picture:
    """The picture of a post that came back from a page.

    Raises:
        InputError: the post is empty or too long.
    """
    prefix = prompt if text.startswith(prompt) else ""
    return publish.Picture(run.record().names, check_post(text), prefix)
