"""Bots as the gallery and their pages show them, and as a zip; what is private stays out."""

from __future__ import annotations

import json
import secrets
import zipfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from huggingtweets import evaluation, publish
from huggingtweets.data import batching
from huggingtweets.errors import BotError
from huggingtweets.evaluation.report import LossPoint
from huggingtweets.generation.copy_index import CopyIndex
from huggingtweets.publish.files import parts_of
from huggingtweets.publish.publication import Publication
from huggingtweets.serving.schemas import BotPage, BotSummary, RunState
from huggingtweets.storage import files as atomic

if TYPE_CHECKING:
    from huggingtweets.evaluation import LikenessReport
    from huggingtweets.serving.workspaces import RunAccess
    from huggingtweets.storage.run_folder import RunFolder, RunRecord

LEFT_OUT = "(left out: it quotes a real post)"


def state_of(run: RunFolder) -> RunState:
    """The state of a run as its folder tells, without the queue."""
    record = run.record()
    if record.state in ("done", "failed"):
        return "done" if record.state == "done" else "failed"
    if not run.is_live():
        return "stopped"
    return "judging" if record.state == "trained" else "training"


def summary(name: str, access: RunAccess) -> BotSummary:
    """A bot in the gallery.

    Raises:
        BotError: the run is damaged.
    """
    run = access.run
    record = run.record()
    report = report_of(access)
    return BotSummary(
        name=name,
        title=publish.title(record.authors),
        authors=tuple(record.authors),
        made_at=record.created_at,
        base=_base(record),
        state=state_of(run),
        bits_per_byte=report.bits_per_byte.bot if report else None,
        copied_share=report.copied.bot if report else None,
        has_picture=run.picture.is_file(),
        mine=access.mine,
        out_of_date=run.staleness_warning(),
    )


def page(name: str, access: RunAccess) -> BotPage:
    """All about a bot that the one who looks may know.

    Raises:
        BotError: the run is damaged.
    """
    run, record = access.run, access.run.record()
    report = report_of(access)
    published = None
    with suppress(BotError):
        published = Publication.of(run)
    return BotPage(
        summary=summary(name, access),
        counts=record.counts,
        report=report,
        human=report.human if report else None,
        history=_history(record),
        seconds=record.seconds,
        lineage=_lineage(access, record),
        favourites=tuple(favourites(run)) if access.mine else (),
        published=published.url if published and (published.public or access.mine) else None,
    )


def report_of(access: RunAccess) -> LikenessReport | None:
    """The likeness report; without the real post it quotes where the bot is somebody else's."""
    try:
        report = publish.read_report(access.run)
    except BotError:
        return None
    return report if access.mine else without_quotes(report)


def without_quotes(report: LikenessReport) -> LikenessReport:
    """The report without what is quoted from the training posts."""
    longest = replace(report.longest_copied_run, text=LEFT_OUT, source_text=LEFT_OUT)
    return replace(report, longest_copied_run=longest)


def _history(record: RunRecord) -> tuple[LossPoint, ...]:
    points = record.result.get("history", ())
    with suppress(TypeError):
        return tuple(LossPoint(**point) for point in points)
    return ()


def _base(record: RunRecord) -> str:
    """The base's name, without the folder it is in."""
    name = str(record.config.get("base", ""))
    return PurePath(name).name if PurePath(name).is_absolute() else name


def _lineage(access: RunAccess, record: RunRecord) -> tuple[tuple[str, str], ...]:
    """From the sources to the bot; where the posts came from is the owner's."""
    config, result = record.config, record.result
    recipe: dict[str, Any] = config.get("recipe") or {}
    sources = ", ".join(
        PurePath(str(source)).name if PurePath(str(source)).is_absolute() else str(source)
        for source in config.get("sources", ())
    )
    told = [
        ("Sources", sources if access.mine else ""),
        ("Posts read", f"{record.counts.get('downloaded', 0):,}"),
        ("Posts kept", f"{record.counts.get('kept', 0):,}"),
        ("Base", _base(record)),
        ("Recipe", f"{recipe.get('name', '')}, {recipe.get('epochs', '?')} epochs at most"),
        ("Trained", f"{result['steps']:,} steps, {result['tokens']:,} tokens" if result else ""),
        ("Seed", str(config.get("seed", ""))),
        ("Made with", f"huggingtweets {record.versions.get('huggingtweets', '')}".strip()),
    ]
    return tuple((label, value) for label, value in told if value)


def favourites(run: RunFolder) -> list[str]:
    """Posts that were marked, the newest last."""
    try:
        values = json.loads(run.favourites_file.read_text("utf-8"))
        return [str(value) for value in values]
    except (OSError, ValueError, TypeError):
        return []


def mark(run: RunFolder, text: str, most: int, *, on: bool) -> None:
    """Add a post to the favourites or take it away."""
    marked = [one for one in favourites(run) if one != text]
    if on:
        marked.append(text)
    atomic.write_json(run.favourites_file, marked[-most:])


def export(run: RunFolder, folder: Path) -> Path:
    """A zip of the bot and of its report, without a single real post.

    The bot's files are those that would be published. In the report the longest copied run is left
    out, and the posts shown are those that copy nothing.

    Args:
        run: of the bot.
        folder: where the zip is made, in a folder of its own.

    Raises:
        BotError: there is no whole bot.
    """
    files = parts_of(run.bot)
    report, page = _report_without_posts(run)
    made = folder / secrets.token_hex(8) / f"{run.path.name}.zip"
    with (
        atomic.atomic_write(made) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed,
    ):
        for name, content in files.items():
            if isinstance(content, Path):
                packed.write(content, f"{run.path.name}/bot/{name}")
        packed.writestr(f"{run.path.name}/report/likeness.json", report)
        packed.writestr(f"{run.path.name}/report/likeness.html", page)
    return made


def _report_without_posts(run: RunFolder) -> tuple[str, str]:
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
        written = json.loads(run.generations_file.read_text("utf-8"))
        generations = [str(text) for text in written if not index.is_copy(str(text))]
    html = evaluation.render(report, generations, held_out, publish.title(record.authors))
    return json.dumps(report.to_json(), indent=2, ensure_ascii=False) + "\n", html
