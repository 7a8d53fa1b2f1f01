"""List and download the files of a dataset on the Hugging Face Hub.

Files go through the cache of ``huggingface_hub``, so files that other programs downloaded are
reused. Endpoint, token and cache folder are read from the environment at each use. Code that comes
with a dataset is never downloaded or run.
"""

from __future__ import annotations

import glob
import logging
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from huggingtweets.events import Event
from huggingtweets.sources import http
from huggingtweets.sources._hub_errors import hub_unavailable, map_hub_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from huggingface_hub import HfApi

    from huggingtweets.events import EventHandler

CONVERTED, MAIN = "refs/convert/parquet", "main"
"""The branch with the Hub's automatic Parquet conversion, and the owner's branch."""

_TIMEOUT_SECONDS = 10.0  # for the Hub's first response
_RETRY_PAUSES = (1.0, 2.0, 4.0)  # seconds
_BYTE_BARS = ("huggingface_hub.http_get", "huggingface_hub.xet_get")
"""Progress bars that count bytes on disk; the others count files or network traffic."""

_PROGRESS_EVENTS = 20  # per download; a log gets a line for each
_T = TypeVar("_T")


@dataclass(frozen=True)
class Branch:
    """A branch of a dataset at one commit.

    Attributes:
        commit: the resolved revision of ``huggingface_hub``.
        files: path and size in bytes of each file.
    """

    commit: str
    files: list[tuple[str, int]]


@dataclass
class HubDataset:
    """A dataset on the Hub.

    Attributes:
        dataset: its name, ``owner/name``.
        listen: receives the progress of downloads.
    """

    dataset: str
    listen: EventHandler

    def branch(self, name: str) -> Branch | None:
        """List the files of a branch; None if the branch doesn't exist.

        Raises:
            SourceError: the dataset doesn't exist or isn't accessible, or the Hub can't be reached.
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
        """Download the files that aren't in the cache yet; return the paths of all.

        Raises:
            SourceError: a file can't be downloaded, or the disk is full.
        """
        from huggingface_hub import hf_hub_download, snapshot_download, try_to_load_from_cache

        options: dict[str, Any] = {"repo_type": "dataset", "cache_dir": _cache()}
        with map_hub_errors(self.dataset):
            revision = getattr(branch.commit, "resolved", branch.commit)
            cached = {"revision": revision, **options}
            missing = [
                path
                for path in paths
                if not isinstance(try_to_load_from_cache(self.dataset, path, **cached), str)
            ]
            sizes = dict(branch.files)
            bar = _progress_bar(self.dataset, sum(sizes[path] for path in missing), self.listen)
            options |= {"local_files_only": not self._online, "endpoint": _endpoint()}
            options |= {"revision": branch.commit, "tqdm_class": bar}
            for path in missing:  # one by one in this thread, so that Ctrl-C works at once
                hf_hub_download(self.dataset, path, **options)
            # All files are cached now; this also caches the file list for offline use.
            patterns = [glob.escape(path) for path in paths]
            folder = snapshot_download(self.dataset, allow_patterns=patterns, **options)
        return [Path(folder, *path.split("/")) for path in paths]

    def require(self) -> None:
        """Check that the Hub can be reached.

        Raises:
            SourceError: it can't.
        """
        with map_hub_errors(self.dataset):
            if not self._online:
                raise hub_unavailable(self.dataset)

    @cached_property
    def _api(self) -> HfApi:
        from huggingface_hub import HfApi

        # Its warnings report failed attempts and may quote a request; our errors suffice.
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
        return HfApi(endpoint=_endpoint())

    @cached_property
    def _online(self) -> bool:
        """Whether the Hub responds, asked once with a timeout; the library's calls may hang."""
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError

        try:
            _with_retries(lambda: self._api.dataset_info(self.dataset, timeout=_TIMEOUT_SECONDS))
        except HFValidationError:
            raise
        except HfHubHTTPError as error:
            if error.response.status_code < 500 and error.response.status_code != 429:
                raise
            return False
        except Exception:  # noqa: BLE001 - no network, no response, or not from the Hub
            return False
        return True

    def _files(self, commit: str) -> list[tuple[str, int]]:
        from huggingface_hub import RepoFile, get_cached_repo_tree
        from huggingface_hub.errors import CachedRepoTreeNotFoundError

        options: dict[str, Any] = {"repo_type": "dataset", "revision": commit}
        with suppress(CachedRepoTreeNotFoundError):  # a commit never changes
            cached = get_cached_repo_tree(self.dataset, cache_dir=_cache(), **options)
            return [(file.path, file.size) for file in cached]
        if not self._online:
            raise hub_unavailable(self.dataset)
        options["revision"] = getattr(commit, "resolved", commit)
        entries = self._api.list_repo_tree(self.dataset, recursive=True, **options)
        return [(entry.path, entry.size) for entry in entries if isinstance(entry, RepoFile)]


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None


def _cache() -> str | None:
    """Return the library's cache folder from its environment variables; None for its default."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if folder := os.environ.get(name):
            return os.path.expandvars(folder)
    home = os.environ.get("HF_HOME")
    return str(Path(os.path.expandvars(home)) / "hub") if home else None


def _with_retries(request: Callable[[], _T]) -> _T:
    """Retry after a server error, which the library does for some requests only."""
    from huggingface_hub.errors import HfHubHTTPError, RevisionResolutionError

    for pause in _RETRY_PAUSES:
        try:
            return request()
        except (HfHubHTTPError, RevisionResolutionError) as error:
            cause = error if isinstance(error, HfHubHTTPError) else error.__cause__
            if not isinstance(cause, HfHubHTTPError) or cause.response.status_code < 500:
                raise
            http.sleep(pause)
    return request()


def _progress_bar(dataset: str, total: int, listen: EventHandler) -> type[Any]:
    """Return a progress bar class for the library that emits events instead of drawing.

    Args:
        dataset: whose files are downloaded.
        total: bytes of all files.
        listen: receives an event for every twentieth of the download.
    """
    from huggingface_hub.utils.tqdm import tqdm

    lock = threading.Lock()  # Xet calls update() from its own threads
    done, reported = 0, 0

    def count(size: float) -> None:
        nonlocal done, reported
        with lock:
            done += int(size)
            if total and done * _PROGRESS_EVENTS // total > reported:
                reported = done * _PROGRESS_EVENTS // total
                text = f"{dataset}: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB"
                listen(Event(stage="read", message=text))

    class Bar(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - passed on
            self._counts_bytes = options.get("name") in _BYTE_BARS
            options["disable"] = True
            super().__init__(*args, **options)  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> None:
            if self._counts_bytes:
                count(n or 0)

    return Bar
