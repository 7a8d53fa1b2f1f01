"""Publish a bot on the Hub: plan the upload, then execute it in one commit.

Publishing is idempotent. An existing repository is changed only where it differs, and large files
that arrived before an upload was interrupted are not sent again.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from huggingtweets.errors import InputError
from huggingtweets.evaluation.report import percent
from huggingtweets.publish.card import CARD, PIPELINE, pipeline_drawing, render_card
from huggingtweets.publish.escaping import one_line
from huggingtweets.publish.facts import PICTURE, Facts, read_report, title
from huggingtweets.publish.files import (
    Content,
    changed,
    check_may_leave,
    check_others_have_its_base,
    is_publishable,
    parts_of,
)
from huggingtweets.publish.hub_errors import hub_errors
from huggingtweets.publish.publication import Publication
from huggingtweets.publish.repository import client, default_repo_name, fetch_repository, full_name
from huggingtweets.publish.web_page import is_part
from huggingtweets.storage import files as atomic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from huggingface_hub import HfApi

    from huggingtweets.publish.repository import Repository
    from huggingtweets.storage.run_folder import RunFolder

COPIES_ALLOWED = 0.02
"""Largest share of copies among the unfiltered posts that is published without a reason."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A planned upload.

    Attributes:
        run: the run whose bot is published.
        publication: the target.
        files: all files of the bot, by name.
        changes: files that are new or changed.
        gone: remote files of an earlier version, to be deleted.
        new: whether the repository must be created.
        opens: whether a private repository becomes public.
        head: newest commit of the repository.
        space: whether it is the page of the bot, in a Space.
    """

    run: RunFolder
    publication: Publication
    files: Mapping[str, Content]
    changes: Mapping[str, Content]
    gone: Sequence[str] = ()
    new: bool = True
    opens: bool = False
    head: str | None = None
    space: bool = False

    @property
    def kind(self) -> str:
        """Type of the repository, as the Hub's client names it."""
        return "space" if self.space else "model"

    @property
    def does_nothing(self) -> bool:
        """Whether the repository is up to date."""
        return not (self.new or self.opens or self.changes or self.gone)


def check(run: RunFolder, reason: str | None = None) -> str | None:
    """Check that a bot may be published, without network access.

    Args:
        run: a finished run.
        reason: why to publish it even if it copies too much.

    Returns:
        The reason, or None if none is needed.

    Raises:
        OptedOutError: an author asked not to be imitated.
        InputError: too many of its posts are copies.
        BotError: the run is not finished, or its bot is out of date.
    """
    check_may_leave(run)
    copied = read_report(run).copied.bot
    if copied <= COPIES_ALLOWED:
        return None
    if reason is None or not one_line(reason):
        raise InputError(
            f"{percent(copied)} of the bot's unfiltered posts are copies of real posts; the limit "
            f"is {percent(COPIES_ALLOWED)}. Train it for fewer epochs or on more posts, or publish "
            "it with --force REASON; the card will show the reason."
        )
    return one_line(reason)


def plan(
    run: RunFolder, repo: str | None = None, *, public: bool = False, reason: str | None = None
) -> Plan:
    """Plan an upload; nothing is changed on the Hub or on disk.

    Args:
        run: a finished run.
        repo: name of the repository, with or without its owner. Default: the repository where the
            bot is published already, else the authors' handles.
        public: make the repository public; a public one stays public.
        reason: why to publish the bot even if it copies too much.

    Raises:
        InputError: the bot can't be published, or not to that repository.
        PublishError: the Hub can't be reached.
    """
    reason = check(run, reason)
    check_others_have_its_base(run.bot)
    publication, repository = _target(run, repo, public=public, reason=reason)
    files = parts_of(run.bot) | _rendered_files(run, publication)
    return _plan(run, publication, repository, files, is_publishable, public=public)


def page_plan(
    run: RunFolder,
    page: Path,
    repo: str | None = None,
    *,
    public: bool = False,
    reason: str | None = None,
) -> Plan:
    """Plan the upload of a bot's page to a static Space; nothing is changed.

    Args:
        run: a finished run.
        page: a folder written by :mod:`huggingtweets.publish.web_page`, kept until the upload.
        repo: name of the Space, with or without its owner. Default: as for :func:`plan`.
        public: make the Space public; a public one stays public.
        reason: why to publish the bot even if it copies too much.

    Raises:
        InputError: the bot can't be published, or not to that Space.
        PublishError: the Hub can't be reached.
    """
    reason = check(run, reason)
    publication, repository = _target(run, repo, public=public, reason=reason, space=True)
    files: dict[str, Content] = {file.name: file for file in sorted(page.iterdir())}
    return _plan(run, publication, repository, files, is_part, public=public, space=True)


def _target(
    run: RunFolder, repo: str | None, *, public: bool, reason: str | None, space: bool = False
) -> tuple[Publication, Repository | None]:
    """Return where to publish, and what is there already."""
    earlier = Publication.of(run, space=space)
    api = client()
    name = full_name(
        api, repo or (earlier.repo if earlier else default_repo_name(run.record().authors))
    )
    repository = fetch_repository(api, name, "space" if space else "model")
    is_same = earlier is not None and earlier.repo.lower() == name.lower()
    if repository and not (is_same or repository.is_bot_repository):
        raise InputError(
            f"{name} already exists and is not a huggingtweets bot. Choose another --repo."
        )
    publication = Publication(
        repo=name,
        url=f"{api.endpoint}/{'spaces/' if space else ''}{name}",
        public=public or bool(repository and not repository.private),
        reason=reason,
        commit=earlier.commit if earlier and is_same else None,
    )
    return publication, repository


def _plan(
    run: RunFolder,
    publication: Publication,
    repository: Repository | None,
    files: Mapping[str, Content],
    is_ours: Callable[[str], bool],
    *,
    public: bool,
    space: bool = False,
) -> Plan:
    """Compare the files with the repository; ours that are no longer needed are deleted."""
    remote = repository.files if repository else {}
    return Plan(
        run,
        publication,
        files,
        changed(files, remote),
        gone=sorted(file for file in remote if is_ours(file) and file not in files),
        new=repository is None,
        opens=public and bool(repository and repository.private),
        head=repository.head if repository else None,
        space=space,
    )


def thumbnail_plan(planned: Plan) -> Plan:
    """Reduce a plan to the picture and the card.

    Raises:
        InputError: the bot is not published yet.
    """
    if planned.new or planned.publication.commit is None:
        raise InputError(
            f"{planned.publication.repo} has no bot yet. Publish it without --update-thumbnail."
        )
    shown = {name: file for name, file in planned.changes.items() if name in (PICTURE, CARD)}
    return replace(planned, changes=shown, gone=(), opens=False)


def execute(planned: Plan) -> Publication:
    """Upload the changes in one commit.

    Raises:
        InputError: the user may not write to the repository.
        PublishError: the upload failed; the same call continues it.
    """
    run, publication = planned.run, planned.publication
    with run.locked(), hub_errors(publication.repo):
        api = client()
        if planned.new:
            api.create_repo(
                publication.repo,
                private=not publication.public,
                repo_type=planned.kind,
                space_sdk="static" if planned.space else None,
            )
        # before the upload, so that an interrupted one can continue
        publication.save(run, space=planned.space)
        if not planned.space:
            _write_rendered_files(planned)
        commit = _commit(api, planned)
        if planned.opens:
            api.update_repo_settings(publication.repo, private=False, repo_type=planned.kind)
        published = replace(publication, commit=commit or publication.commit)
        published.save(run, space=planned.space)
    return published


def snippet(publication: Publication, run: RunFolder) -> list[str]:
    """Return lines that use a published bot: of Python, or of the shell for a small one."""
    if run.is_small:
        return [f"huggingtweets generate {publication.repo}"]
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
    with warnings.catch_warnings(action="ignore"):  # the Hub's warnings about card metadata
        commit = api.create_commit(
            planned.publication.repo,
            operations,
            commit_message=title(planned.run.record().names),
            parent_commit=planned.head,
            repo_type=planned.kind,
        )
    return commit.oid


def _rendered_files(run: RunFolder, publication: Publication) -> dict[str, Content]:
    """Render the card, which names the repository, and the diagram."""
    facts = replace(Facts.of(run), publication=publication)
    return {CARD: render_card(facts).encode(), PIPELINE: pipeline_drawing().encode()}


def _write_rendered_files(planned: Plan) -> None:
    """Write the uploaded card and diagram to the bot folder as well."""
    for name, content in planned.files.items():
        if isinstance(content, bytes):
            atomic.write_text(planned.run.bot / name, content.decode())
