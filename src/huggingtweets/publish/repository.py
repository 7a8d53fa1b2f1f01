"""Repositories on the Hugging Face Hub: their names, and what is in them already."""

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
"""Which a bot's card carries."""

_SECONDS = 120.0  # to wait for each part of an answer; the client itself would wait for ever
_OF_EVERY_REPOSITORY = {".gitattributes"}


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository as it is on the Hub.

    Attributes:
        head: its newest commit.
        private: whether only its owner can see it.
        tags: of its card.
        files: for each file its SHA-256 or, for a small one, git's name of it.
    """

    head: str | None
    private: bool
    tags: frozenset[str]
    files: Mapping[str, str]

    @property
    def is_bot_repository(self) -> bool:
        """Whether it holds a bot, or nothing, as one that was made just before a cut."""
        return TAG in self.tags or not set(self.files) - _OF_EVERY_REPOSITORY


_token: ContextVar[str | None] = ContextVar("token", default=None)


@contextmanager
def hub_token(token: str) -> Iterator[None]:
    """Use this token, and not the one of the machine, for what is done inside."""
    before = _token.set(token)
    try:
        yield
    finally:
        _token.reset(before)


def client() -> HfApi:
    """The Hub's own client, which finds the token by itself unless :func:`hub_token` gives one."""
    from huggingface_hub import HfApi, get_session

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    get_session().timeout = _SECONDS
    return HfApi(library_name=TAG, token=_token.get())


def full_name(api: HfApi, repo: str) -> str:
    """A repository's name with its owner."""
    from huggingface_hub.utils._validators import validate_repo_id

    with hub_errors(repo):
        who = api.whoami()
        role = who.get("auth", {}).get("accessToken", {}).get("role")
        if role == "read":
            raise InputError(
                "Your Hugging Face token may only read; make one that may write and "
                "run `hf auth login`, or set HF_TOKEN."
            )
        name = repo if "/" in repo else f"{who['name']}/{repo}"
        validate_repo_id(name)
    return name


def default_repo_name(authors: Sequence[str]) -> str:
    """The original's way to name a bot: handles in lower case, with ``-`` between them."""
    name = re.sub(r"[^a-z0-9_.]+", "-", "-".join(author.lower() for author in authors))
    name = re.sub(r"\.{2,}", ".", name).strip("-._")[:80].strip("-._")
    if not name:
        raise InputError("No repository can be named after this author; name one with --repo.")
    return name


def fetch_repository(api: HfApi, name: str) -> Repository | None:
    """The repository as it is; None where there is none, or none that this user may see."""
    from huggingface_hub.errors import RepositoryNotFoundError
    from huggingface_hub.hf_api import RepoFile

    with hub_errors(name):
        try:
            info = api.model_info(name, timeout=_SECONDS)
        except RepositoryNotFoundError:
            return None
        files = {
            file.path: file.lfs.sha256 if file.lfs else file.blob_id
            for file in api.list_repo_tree(name, recursive=True)
            if isinstance(file, RepoFile)
        }
        return Repository(info.sha, bool(info.private), frozenset(info.tags or ()), files)
