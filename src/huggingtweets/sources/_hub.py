"""A dataset on the Hugging Face Hub: what files it has, and those files on this machine.

All through ``huggingface_hub``, so what it has downloaded for anyone is not downloaded again. Where
the Hub is, who asks and where the files go is read from the environment at each use. No program
code that comes with a dataset is run or even downloaded.
"""

from __future__ import annotations

import glob
import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from huggingtweets.sources import http
from huggingtweets.sources._hub_errors import map_hub_errors, no_hub
from huggingtweets.sources._hub_progress import progress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from huggingface_hub import HfApi

    from huggingtweets.events import EventHandler

CONVERTED, MAIN = "refs/convert/parquet", "main"
"""The branch to which the Hub writes its own Parquet files, and the owner's."""

_SECONDS = 10.0  # to wait for the Hub's first answer
_PAUSES = (1.0, 2.0, 4.0)  # after answers that may be better the next time
_T = TypeVar("_T")


@dataclass(frozen=True)
class Branch:
    """A branch of a dataset as it is at one commit.

    Attributes:
        commit: the library's own value for the two together.
        files: path and size of each.
    """

    commit: str
    files: list[tuple[str, int]]


@dataclass
class HubDataset:
    """Asks the Hub about one dataset.

    Attributes:
        dataset: its name, ``owner/name``.
        listen: is told how much of a download is done.
    """

    dataset: str
    listen: EventHandler

    def branch(self, name: str) -> Branch | None:
        """List the files of a branch; None where it isn't there.

        Raises:
            SourceError: there is no such dataset, or no Hub, or it is not for this user.
        """
        from huggingface_hub.errors import RevisionNotFoundError, RevisionResolutionError

        with map_hub_errors(self.dataset):
            options: dict[str, Any] = {"repo_type": "dataset", "cache_dir": _cache()}
            try:
                commit = _with_retries(
                    lambda: self._api.resolve_revision(
                        self.dataset, revision=name, local_files_only=not self._online, **options
                    )
                )
            except RevisionNotFoundError:
                return None
            except RevisionResolutionError:
                if self._online:
                    raise
                return None
            return Branch(commit, self._files(commit))

    def download(self, branch: Branch, paths: Sequence[str]) -> list[Path]:
        """Get files onto this machine, those that aren't there yet.

        Raises:
            SourceError: they can't be had, or there is no room for them.
        """
        from huggingface_hub import hf_hub_download, snapshot_download, try_to_load_from_cache

        options: dict[str, Any] = {"repo_type": "dataset", "cache_dir": _cache()}
        with map_hub_errors(self.dataset):
            revision = getattr(branch.commit, "resolved", branch.commit)
            known = {"revision": revision, **options}
            missing = [
                path
                for path in paths
                if not isinstance(try_to_load_from_cache(self.dataset, path, **known), str)
            ]
            sizes = dict(branch.files)
            bar = progress(self.dataset, sum(sizes[path] for path in missing), self.listen)
            options |= {"local_files_only": not self._online, "endpoint": _endpoint()}
            options |= {"revision": branch.commit, "tqdm_class": bar}
            for path in missing:  # one by one in this thread, where Ctrl-C ends it at once
                hf_hub_download(self.dataset, path, **options)
            # All are there; this keeps the list of files, too, for a time without the Hub.
            patterns = [glob.escape(path) for path in paths]
            folder = snapshot_download(self.dataset, allow_patterns=patterns, **options)
        return [Path(folder, *path.split("/")) for path in paths]

    def require(self) -> None:
        """Refuse to go on without the Hub.

        Raises:
            SourceError: it can't be reached.
        """
        with map_hub_errors(self.dataset):
            if not self._online:
                raise no_hub(self.dataset)

    @cached_property
    def _api(self) -> HfApi:
        from huggingface_hub import HfApi

        # Its warnings tell of tries that failed and may quote a request; errors say it all.
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
        return HfApi(endpoint=_endpoint())

    @cached_property
    def _online(self) -> bool:
        """Ask the Hub once and briefly, as the library's own calls may wait without end."""
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError

        try:
            _with_retries(lambda: self._api.dataset_info(self.dataset, timeout=_SECONDS))
        except HFValidationError:
            raise
        except HfHubHTTPError as error:
            if error.response.status_code < 500 and error.response.status_code != 429:
                raise
            return False
        except Exception:  # noqa: BLE001 - no network, no answer, or one that isn't the Hub's
            return False
        return True

    def _files(self, commit: str) -> list[tuple[str, int]]:
        from huggingface_hub import RepoFile, get_cached_repo_tree
        from huggingface_hub.errors import CachedRepoTreeNotFoundError

        options: dict[str, Any] = {"repo_type": "dataset", "revision": commit}
        with suppress(CachedRepoTreeNotFoundError):  # a commit never changes
            known = get_cached_repo_tree(self.dataset, cache_dir=_cache(), **options)
            return [(file.path, file.size) for file in known]
        if not self._online:
            raise no_hub(self.dataset)
        options["revision"] = getattr(commit, "resolved", commit)
        listed = self._api.list_repo_tree(self.dataset, recursive=True, **options)
        return [(file.path, file.size) for file in listed if isinstance(file, RepoFile)]


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None


def _cache() -> str | None:
    """Find the library's cache, by the variables it goes by; None for its usual place."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if named := os.environ.get(name):
            return os.path.expandvars(named)
    home = os.environ.get("HF_HOME")
    return str(Path(os.path.expandvars(home)) / "hub") if home else None


def _with_retries(ask: Callable[[], _T]) -> _T:
    """Ask again where the Hub stumbled, which the library does for some questions only."""
    from huggingface_hub.errors import HfHubHTTPError, RevisionResolutionError

    for pause in _PAUSES:
        try:
            return ask()
        except (HfHubHTTPError, RevisionResolutionError) as error:
            cause = error if isinstance(error, HfHubHTTPError) else error.__cause__
            if not isinstance(cause, HfHubHTTPError) or cause.response.status_code < 500:
                raise
            http.sleep(pause)
    return ask()
