"""What goes wrong with a dataset on the Hugging Face Hub, each in one sentence with a way out."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from huggingtweets.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM})


class NoDatasetError(SourceError):
    """The Hub shows no dataset of that name, to this user at least."""


class NoHubError(SourceError):
    """The Hub didn't answer, and what was downloaded before isn't enough."""


@contextmanager
def map_hub_errors(dataset: str) -> Iterator[None]:
    """Turn what the library raises into one sentence, without what it quotes of a request.

    Raises:
        SourceError: about the dataset.
    """
    try:
        yield
    except SourceError:
        raise
    except Exception as error:  # noqa: BLE001 - the library's, its HTTP client's, the system's
        raise _explained(dataset, error) from None


def no_hub(dataset: str) -> NoHubError:
    """Say that the Hub is needed and isn't there."""
    from huggingface_hub import constants

    if constants.is_offline_mode():
        return NoHubError(
            f"The dataset {dataset} is not on this machine, or not all of it, and HF_HUB_OFFLINE "
            "is set; unset it to download the rest."
        )
    return NoHubError(
        f"The dataset {dataset} is not on this machine, or not all of it, and the Hugging Face Hub "
        "can't be reached; check the connection, and the same command goes on."
    )


def _explained(dataset: str, error: Exception) -> SourceError:
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError
    from huggingface_hub.errors import RevisionResolutionError as NoRevisionError

    if isinstance(error, HFValidationError):
        return SourceError(f"{dataset[:100]} is no name of a dataset; one is like owner/name.")
    if isinstance(error, GatedRepoError):
        return SourceError(
            f"The dataset {dataset} is only given to those who accepted its terms; do so on its "
            "page of the Hugging Face Hub, and log in with `hf auth login`."
        )
    if isinstance(error, HfHubHTTPError):
        return _refusal(dataset, error.response.status_code, error.server_message or "")
    if isinstance(error, OSError) and error.errno in _FULL:
        return SourceError(
            f"The dataset {dataset} can't be stored in the cache of the Hugging Face Hub: "
            f"{os.strerror(error.errno or 0)}; make room, or set HF_HOME to another folder."
        )
    # Its HTTP client has had two names already; what wasn't found in the cache is an OSError too.
    http_client = type(error).__module__.startswith("httpx")
    if http_client or isinstance(error, OSError | NoRevisionError):
        return no_hub(dataset)
    return SourceError(
        f"The dataset {dataset} can't be downloaded ({type(error).__name__}); download it from the "
        "Hugging Face Hub and give its files."
    )


def _refusal(dataset: str, status: int, message: str) -> SourceError:
    if status == 401 and "credentials" in message:
        return SourceError(
            f"The Hugging Face Hub doesn't take your login, so {dataset} can't be read; log in "
            "again with `hf auth login`, or correct HF_TOKEN."
        )
    if status in (401, 404):
        return NoDatasetError(
            f"There is no dataset {dataset} on the Hugging Face Hub, or it is private; check the "
            "name, or log in with `hf auth login`."
        )
    if status == 403:
        return SourceError(
            f"The Hugging Face Hub doesn't let you read {dataset}; log in with `hf auth login` as "
            "somebody who may."
        )
    if status >= 500 or status == 429:
        return no_hub(dataset)
    return SourceError(f"The Hugging Face Hub answered {status} for {dataset}; try again later.")
