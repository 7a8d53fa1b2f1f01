"""The versions of a bot: list them, go back to one, and refresh the one on the Hub."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from huggingtweets import publish
from huggingtweets.errors import BotError, InputError
from huggingtweets.generation import bots
from huggingtweets.publish.publication import Publication
from huggingtweets.storage import versions
from huggingtweets.updating.new_posts import what_is_new

if TYPE_CHECKING:
    from pathlib import Path

    from huggingtweets.storage.run_folder import RunFolder, RunRecord


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a bot.

    Attributes:
        number: from 1.
        path: its run folder; the current version's is the bot's own.
        current: whether it is the current one.
        made_at: UTC, ISO 8601.
        kept: number of its posts.
        new_posts: how many of them came with its update.
        bits_per_byte: of its own held-out posts, which differ between versions.
        judged: bits per byte of the same held-out posts by the version before and by this one;
            None for a version that no update made.
        size: of the folder in bytes, older versions not included.
    """

    number: int
    path: Path
    current: bool
    made_at: str
    kept: int
    new_posts: int
    bits_per_byte: float | None
    judged: tuple[float, float] | None
    size: int


def list_versions(spec: str | Path) -> list[Version]:
    """Return the versions of a bot, oldest first.

    Raises:
        BotError: there is no such run, or it is damaged.
    """
    run = bots.find_run_folder(spec)
    record = run.record()
    found = [_version(run, record, current=True)]
    for number, older in run.versions().items():
        if number != record.version and older.bot.is_dir():
            with suppress(BotError):  # a damaged one can't be used
                found.append(_version(older, older.record(), current=False))
    return sorted(found, key=lambda version: version.number)


def _version(run: RunFolder, record: RunRecord, *, current: bool) -> Version:
    parts = [run.path / part for part in versions.PARTS]
    stored = [file for part in parts for file in (part, *part.rglob("*")) if file.is_file()]
    return Version(
        number=record.version,
        path=run.path,
        current=current,
        made_at=record.update.get("at", record.created_at),
        kept=record.counts.get("kept", 0),
        new_posts=record.update.get("new_posts", 0),
        bits_per_byte=run.held_out_bits_per_byte(),
        judged=(record.update["old"], record.update["new"]) if record.update else None,
        size=sum(file.stat().st_size for file in stored),
    )


def roll_back(spec: str | Path, number: int | None = None) -> Version:
    """Make an older version of a bot the current one, with its posts and report.

    The current one is kept among the versions, so this can be undone in the same way.

    Args:
        spec: run folder.
        number: of the version; None for the one before the current one.

    Raises:
        InputError: there is no such version.
        StorageError: another process uses the run.
    """
    run = bots.find_run_folder(spec)
    with run.locked():
        record = run.record()
        kept = [version.number for version in list_versions(run.path) if not version.current]
        if not kept:
            raise InputError(f"{run.path} has no other version; it has not been updated yet.")
        if number is None:
            older = [one for one in kept if one < record.version]
            number = record.update.get("from_version")
            number = number if number in kept else max(older, default=None)
        if number is None:
            raise InputError(
                f"{run.path} is at its oldest version, {record.version}. Name another: "
                f"{', '.join(map(str, kept))}."
            )
        if number not in kept:
            current = " is the current version" if number == record.version else " is not kept"
            raise InputError(
                f"Version {number} of {run.path}{current}. Name another: "
                f"{', '.join(map(str, kept))}."
            )
        target = run.versions()[number]
        chosen = target.record()
        newer = what_is_new(target.table("posts"), run.table("posts"))
        chosen.tried = newer.fingerprint()  # or the next update would make the same bot again
        target.save(chosen)
        versions.exchange(run.path, target.path, record.version)
        with suppress(BotError):  # without a report there is no card
            publish.write_card(run)
        return _version(run, chosen, current=True)


def check_published(spec: str | Path) -> Publication:
    """Return where a bot is published.

    Raises:
        InputError: it isn't.
    """
    run = bots.find_run_folder(spec)
    found = Publication.of(run)
    if found is None:
        raise InputError(
            f"{run.path} is not published, so there is nothing to refresh on the Hub. Publish it "
            f"first: huggingtweets publish {run.path}"
        )
    return found


def publish_again(run: RunFolder) -> Publication:
    """Refresh a published bot on the Hub.

    Raises:
        InputError: the bot isn't published, or may not be.
        PublishError: the Hub can't be reached.
    """
    from huggingtweets.publish import hub

    earlier = check_published(run.path)
    planned = hub.plan(run, reason=earlier.reason)
    return planned.publication if planned.does_nothing else hub.execute(planned)
