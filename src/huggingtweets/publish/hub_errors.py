"""One sentence for each way in which the Hub, or the way to it, can refuse a bot."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from huggingtweets.errors import HuggingTweetsError, InputError, PublishError
from huggingtweets.publish.escaping import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOG_IN = "run `hf auth login`, or set HF_TOKEN, with a token that may write"
_AGAIN = "what is there already is not sent again, so run the same command once more"


@contextmanager
def hub_errors(repo: str) -> Iterator[None]:
    """Turn whatever the Hub's client raises into one sentence.

    Args:
        repo: the repository that it is about.

    Raises:
        InputError: the user can do something about it.
        PublishError: it may go well another time.
    """
    try:
        yield
    except HuggingTweetsError:
        raise
    except Exception as error:  # it lets through what its own libraries raise
        raise _told(_innermost(error), repo) from error


def _innermost(error: BaseException) -> BaseException:
    """What went wrong with an upload, which the client wraps."""
    while type(error) is RuntimeError and error.__cause__ is not None:
        error = error.__cause__
    return error


def _told(error: BaseException, repo: str) -> HuggingTweetsError:
    from huggingface_hub import errors

    refused: list[tuple[type[Exception], str]] = [
        (
            errors.LocalTokenNotFoundError,
            f"You are not logged in to the Hugging Face Hub: {_LOG_IN}.",
        ),
        (
            errors.HFValidationError,
            f"{repo[:150]!r} can't be the name of a repository: choose another --repo of at most "
            "96 letters, digits and . _ - (not twice in a row, nor at an end).",
        ),
        (
            errors.OfflineModeIsEnabled,
            "HF_HUB_OFFLINE is set, so nothing can be published; unset it.",
        ),
        (
            errors.RepositoryNotFoundError,
            f"There is no {repo} on the Hub any more, or it isn't yours.",
        ),
    ]
    for kind, sentence in refused:
        if isinstance(error, kind):
            return InputError(sentence)
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(status, int):
        return _answered(status, _said(error), repo)
    if _is_of_the_network(error):
        return PublishError(f"The Hugging Face Hub can't be reached or broke off: {_AGAIN}.")
    return PublishError(f"Publishing {repo} failed: {one_line(error)[:300].rstrip('.')}.")


def _answered(status: int, said: str, repo: str) -> HuggingTweetsError:
    """What an HTTP status means."""
    if status >= 500:
        return PublishError(f"The Hugging Face Hub has a fault of its own ({status}): {_AGAIN}.")
    another_time = {
        412: f"{repo} was changed by someone meanwhile; run the same command again.",
        429: "The Hugging Face Hub asks for a pause; try again in some minutes.",
    }
    if status in another_time:
        return PublishError(another_time[status])
    refused = {
        401: f"The Hugging Face Hub does not accept your token: {_LOG_IN}.",
        403: f"Your token may not write to {repo}{said}; {_LOG_IN} there, or choose another "
        "--repo.",
        409: f"{repo} can't be made{said}; choose another --repo.",
    }
    return InputError(refused.get(status, f"The Hugging Face Hub refuses {repo} ({status}){said}."))


def _said(error: BaseException) -> str:
    message = one_line(getattr(error, "server_message", None) or "")[:200].rstrip(".")
    return f" ({message})" if message else ""


def _is_of_the_network(error: BaseException) -> bool:
    # its HTTP library is a detail of the client, which has changed before
    library = type(error).__module__.partition(".")[0]
    return isinstance(error, ConnectionError | TimeoutError) or library.startswith(("http", "json"))
