"""Repositories on the Hugging Face Hub: names and contents."""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from huggingtweets.errors import InputError
from huggingtweets.publish.hub_errors import hub_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from huggingface_hub import HfApi

TAG = "huggingtweets"
"""Tag on every bot's card."""

_TIMEOUT = 120.0  # seconds for each read; the client has no timeout of its own
_DEFAULT_FILES = {".gitattributes"}


@dataclass(frozen=True, slots=True)
class Repository:
    """The state of a repository on the Hub.

    Attributes:
        head: newest commit.
        private: whether only its owner can see it.
        tags: tags of its card.
        files: SHA-256 of each file or, for a small one, its git blob hash.
    """

    head: str | None
    private: bool
    tags: frozenset[str]
    files: Mapping[str, str]

    @property
    def is_bot_repository(self) -> bool:
        """Whether it holds a bot, or is empty after an interrupted upload."""
        return TAG in self.tags or not set(self.files) - _DEFAULT_FILES


_token: ContextVar[str | None] = ContextVar("token", default=None)


@contextmanager
def hub_token(token: str) -> Iterator[None]:
    """Use this token inside the block, instead of the one of the machine."""
    previous = _token.set(token)
    try:
        yield
    finally:
        _token.reset(previous)


def client() -> HfApi:
    """Return the Hub's client, with the token of :func:`hub_token` or else the machine's."""
    from huggingface_hub import HfApi, get_session

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    get_session().timeout = _TIMEOUT
    return HfApi(library_name=TAG, token=_token.get())


def full_name(api: HfApi, repo: str) -> str:
    """Return a repository's name with its owner."""
    from huggingface_hub.utils._validators import validate_repo_id

    with hub_errors(repo):
        who = api.whoami()
        role = who.get("auth", {}).get("accessToken", {}).get("role")
        if role == "read":
            raise InputError(
                "Your Hugging Face token has no write access. Create one that has, then run "
                "`hf auth login` or set HF_TOKEN."
            )
        name = repo if "/" in repo else f"{who['name']}/{repo}"
        validate_repo_id(name)
    return name


def default_repo_name(authors: Sequence[str]) -> str:
    """Name a repository like the original HuggingTweets: lower-case handles joined by ``-``."""
    name = re.sub(r"[^a-z0-9_.]+", "-", "-".join(author.lower() for author in authors))
    name = re.sub(r"\.{2,}", ".", name).strip("-._")[:80].strip("-._")
    if not name:
        raise InputError(
            "The author's handle can't be the name of a repository. Name one with --repo."
        )
    return name


def fetch_repository(api: HfApi, name: str, kind: str = "model") -> Repository | None:
    """Fetch the state of a repository; None if it doesn't exist or isn't visible to the user.

    Args:
        api: the client.
        name: with its owner.
        kind: ``model`` or ``space``.
    """
    from huggingface_hub.errors import RepositoryNotFoundError
    from huggingface_hub.hf_api import RepoFile

    with hub_errors(name):
        try:
            info = api.repo_info(name, repo_type=kind, timeout=_TIMEOUT)
        except RepositoryNotFoundError:
            return None
        files = {
            file.path: file.lfs.sha256 if file.lfs else file.blob_id
            for file in api.list_repo_tree(name, recursive=True, repo_type=kind)
            if isinstance(file, RepoFile)
        }
        tags = frozenset(getattr(info, "tags", None) or ())
        return Repository(info.sha, bool(info.private), tags, files)
