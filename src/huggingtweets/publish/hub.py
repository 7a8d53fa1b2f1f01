"""Publishing a bot: what would go up and where, then the upload in one commit.

Everything can be done again. A repository that is there already is changed only where it differs,
and large files that had arrived before an upload broke off are not sent twice.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from huggingtweets.errors import BotError, InputError
from huggingtweets.evaluation.report import percent
from huggingtweets.privacy import opt_out
from huggingtweets.publish.card import CARD, PIPELINE, pipeline_drawing, render_card
from huggingtweets.publish.escaping import one_line
from huggingtweets.publish.facts import PICTURE, Facts, read_report, title
from huggingtweets.publish.files import Content, changed, is_publishable, parts_of
from huggingtweets.publish.hub_errors import hub_errors
from huggingtweets.publish.publication import Publication
from huggingtweets.publish.repository import client, default_repo_name, fetch_repository, full_name
from huggingtweets.storage import files as atomic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from huggingface_hub import HfApi

    from huggingtweets.storage.run_folder import RunFolder

COPIES_ALLOWED = 0.02
"""Share of the unfiltered posts that may be copies before a reason has to be given."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What would go up, and where.

    Attributes:
        run: whose bot it is.
        publication: where it will be.
        files: all that are to be there, by name.
        changes: those of them that are not there yet or have changed.
        gone: files there of an earlier version, to be deleted.
        new: whether the repository has to be made.
        opens: whether one that was private becomes public.
        head: the commit that is the newest there.
    """

    run: RunFolder
    publication: Publication
    files: Mapping[str, Content]
    changes: Mapping[str, Content]
    gone: Sequence[str] = ()
    new: bool = True
    opens: bool = False
    head: str | None = None

    @property
    def does_nothing(self) -> bool:
        """Whether all of it is there already."""
        return not (self.new or self.opens or self.changes or self.gone)


def check(run: RunFolder, reason: str | None = None) -> str | None:
    """Refuse a bot that must not be published; no network is needed.

    Args:
        run: a finished run.
        reason: why to publish it even if it copies too much.

    Returns:
        The reason, None if none is needed.

    Raises:
        OptedOutError: an author asked not to be imitated.
        InputError: too many of its posts are copies.
        BotError: the run is not finished.
    """
    record = run.record()
    if record.state != "done":
        raise BotError(
            f"{run.path} is not finished ({run.display_state()}); "
            f"go on with: huggingtweets train --resume {run.path}"
        )
    opt_out.check(record.authors)
    copied = read_report(run).copied.bot
    if copied <= COPIES_ALLOWED:
        return None
    if reason is None or not one_line(reason):
        raise InputError(
            f"{percent(copied)} of the bot's unfiltered posts are copies of real ones, more than "
            f"{percent(COPIES_ALLOWED)}: train it for fewer epochs or on more posts, or publish it "
            "with --force REASON, which its card will tell."
        )
    return one_line(reason)


def plan(
    run: RunFolder, repo: str | None = None, *, public: bool = False, reason: str | None = None
) -> Plan:
    """Find out what would go up and where; nothing is changed, neither there nor here.

    Args:
        run: a finished run.
        repo: name of the repository, with or without its owner; None takes the one where the bot
            is already, or the authors' handles.
        public: let everybody see it; one that is public stays so.
        reason: why to publish it even if it copies too much.

    Raises:
        InputError: it must not be published, or not there.
        PublishError: the Hub can't be asked.
    """
    reason = check(run, reason)
    before = Publication.of(run)
    api = client()
    name = full_name(
        api, repo or (before.repo if before else default_repo_name(run.record().authors))
    )
    there = fetch_repository(api, name)
    known = before is not None and before.repo.lower() == name.lower()
    if there and not (known or there.is_bot_repository):
        raise InputError(
            f"{name} is there already and is not a bot of huggingtweets; choose another --repo."
        )
    publication = Publication(
        repo=name,
        url=f"{api.endpoint}/{name}",
        public=public or bool(there and not there.private),
        reason=reason,
        commit=before.commit if before and known else None,
    )
    files = parts_of(run.bot) | _written(run, publication)
    found = there.files if there else {}
    return Plan(
        run,
        publication,
        files,
        changed(files, found),
        gone=sorted(file for file in found if is_publishable(file) and file not in files),
        new=there is None,
        opens=public and bool(there and there.private),
        head=there.head if there else None,
    )


def thumbnail_plan(planned: Plan) -> Plan:
    """The part of a plan that shows a bot anew: its picture and its card.

    Raises:
        InputError: the bot is not published yet.
    """
    if planned.new or planned.publication.commit is None:
        raise InputError(
            f"{planned.publication.repo} holds no bot yet; publish it without --update-thumbnail."
        )
    shown = {name: file for name, file in planned.changes.items() if name in (PICTURE, CARD)}
    return replace(planned, changes=shown, gone=(), opens=False)


def execute(planned: Plan) -> Publication:
    """Upload what has changed, in one commit.

    Raises:
        InputError: it may not go there.
        PublishError: it could not be sent; doing it again goes on from there.
    """
    run, publication = planned.run, planned.publication
    with run.locked(), hub_errors(publication.repo):
        api = client()
        if planned.new:
            api.create_repo(publication.repo, private=not publication.public)
        publication.save(run)  # before the upload, so that one that breaks off finds its place
        _write_down(planned)
        commit = _commit(api, planned)
        if planned.opens:
            api.update_repo_settings(publication.repo, private=False)
        done = replace(publication, commit=commit or publication.commit)
        done.save(run)
    return done


def snippet(publication: Publication) -> list[str]:
    """How to use a published bot from Python."""
    return [
        "from transformers import pipeline",
        f'generator = pipeline("text-generation", model="{publication.repo}")',
        'generator("My dream is", num_return_sequences=5)',
    ]


def _commit(api: HfApi, planned: Plan) -> str | None:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    operations: list[CommitOperationAdd | CommitOperationDelete] = [
        CommitOperationAdd(name, content) for name, content in planned.changes.items()
    ]
    operations += [CommitOperationDelete(name) for name in planned.gone]
    if not operations:
        return None
    with warnings.catch_warnings(action="ignore"):  # of what the Hub finds missing in a card
        made = api.create_commit(
            planned.publication.repo,
            operations,
            commit_message=title(planned.run.record().authors),
            parent_commit=planned.head,
        )
    return made.oid


def _written(run: RunFolder, publication: Publication) -> dict[str, Content]:
    """The files that say where the bot is published, which is decided only now."""
    facts = replace(Facts.of(run), publication=publication)
    return {CARD: render_card(facts).encode(), PIPELINE: pipeline_drawing().encode()}


def _write_down(planned: Plan) -> None:
    """Have the same card here as there."""
    for name, content in planned.files.items():
        if isinstance(content, bytes):
            atomic.write_text(planned.run.bot / name, content.decode())
