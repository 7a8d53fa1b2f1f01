"""Turn errors of ``huggingface_hub`` about a dataset into one sentence that says what to do."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from huggingtweets.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOT_WRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM})


class DatasetNotFoundError(SourceError):
    """The dataset doesn't exist, or is private."""


class HubUnavailableError(SourceError):
    """The Hub can't be reached, and the cached files are not enough."""


@contextmanager
def map_hub_errors(dataset: str) -> Iterator[None]:
    """Convert any exception into a SourceError that quotes nothing of the request.

    Raises:
        SourceError: with a sentence about the dataset.
    """
    try:
        yield
    except SourceError:
        raise
    except Exception as error:  # noqa: BLE001 - from the library, its HTTP client or the system
        raise _to_source_error(dataset, error) from None


def hub_unavailable(dataset: str) -> HubUnavailableError:
    """Return the error for a Hub that is needed but can't be reached."""
    from huggingface_hub import constants

    if constants.is_offline_mode():
        return HubUnavailableError(
            f"The dataset {dataset} is not completely on this machine, and HF_HUB_OFFLINE is set; "
            "unset it to download the rest."
        )
    return HubUnavailableError(
        f"The dataset {dataset} is not completely on this machine, and the Hugging Face Hub can't "
        "be reached; check the connection and run the same command again."
    )


def _to_source_error(dataset: str, error: Exception) -> SourceError:
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError
    from huggingface_hub.errors import RevisionResolutionError as NoRevisionError

    if isinstance(error, HFValidationError):
        return SourceError(f"{dataset[:100]} is not a dataset name; give one like owner/name.")
    if isinstance(error, GatedRepoError):
        return SourceError(
            f"The dataset {dataset} is gated: accept its terms on its page of the Hugging Face "
            "Hub, and log in with `hf auth login`."
        )
    if isinstance(error, HfHubHTTPError):
        return _status_error(dataset, error.response.status_code, error.server_message or "")
    if isinstance(error, OSError) and error.errno in _NOT_WRITABLE:
        return SourceError(
            f"The dataset {dataset} can't be stored in the cache of the Hugging Face Hub: "
            f"{os.strerror(error.errno or 0)}; make room, or set HF_HOME to another folder."
        )
    # The library has changed its HTTP client before. A file missing from the cache is an OSError.
    is_http_error = type(error).__module__.startswith("httpx")
    if is_http_error or isinstance(error, OSError | NoRevisionError):
        return hub_unavailable(dataset)
    return SourceError(
        f"The dataset {dataset} can't be downloaded ({type(error).__name__}); download it from the "
        "Hugging Face Hub and give its files."
    )


def _status_error(dataset: str, status: int, message: str) -> SourceError:
    if status == 401 and "credentials" in message:
        return SourceError(
            f"The Hugging Face Hub rejects your login, so {dataset} can't be read; log in again "
            "with `hf auth login`, or correct HF_TOKEN."
        )
    if status in (401, 404):
        return DatasetNotFoundError(
            f"There is no dataset {dataset} on the Hugging Face Hub, or it is private; check the "
            "name, or log in with `hf auth login`."
        )
    if status == 403:
        return SourceError(
            f"Your Hugging Face account may not read {dataset}; log in with `hf auth login` to one "
            "that may."
        )
    if status >= 500 or status == 429:
        return hub_unavailable(dataset)
    return SourceError(f"The Hugging Face Hub answered {status} for {dataset}; try again later.")
