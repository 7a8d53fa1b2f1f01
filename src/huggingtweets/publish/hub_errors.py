"""Turn errors of the Hub and its client into clear messages."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from huggingtweets.errors import HuggingTweetsError, InputError, PublishError
from huggingtweets.publish.escaping import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOG_IN = "run `hf auth login` or set HF_TOKEN, with a token that has write access"
_AGAIN = "run the same command again; it continues the upload"


@contextmanager
def hub_errors(repo: str) -> Iterator[None]:
    """Turn any exception of the Hub's client into an error for users.

    Args:
        repo: the repository.

    Raises:
        InputError: the user can fix the cause.
        PublishError: trying again may help.
    """
    try:
        yield
    except HuggingTweetsError:
        raise
    except Exception as error:  # the client doesn't wrap the exceptions of its libraries
        raise _translate(_unwrap(error), repo) from error


def _unwrap(error: BaseException) -> BaseException:
    """Return the cause of a failed upload, which the client wraps in ``RuntimeError``."""
    while type(error) is RuntimeError and error.__cause__ is not None:
        error = error.__cause__
    return error


def _translate(error: BaseException, repo: str) -> HuggingTweetsError:
    from huggingface_hub import errors

    messages: list[tuple[type[Exception], str]] = [
        (
            errors.LocalTokenNotFoundError,
            f"You are not logged in to the Hugging Face Hub: {_LOG_IN}.",
        ),
        (
            errors.HFValidationError,
            f"{repo[:150]!r} is not a valid repository name. Choose a --repo of at most 96 "
            "letters, digits and . _ - (. and - not twice in a row, nor at an end).",
        ),
        (
            errors.OfflineModeIsEnabled,
            "HF_HUB_OFFLINE is set, so nothing can be published. Unset it.",
        ),
        (
            errors.RepositoryNotFoundError,
            f"{repo} no longer exists on the Hub, or isn't yours.",
        ),
    ]
    for kind, message in messages:
        if isinstance(error, kind):
            return InputError(message)
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(status, int):
        return _from_status(status, _server_message(error), repo)
    if _is_network_error(error):
        return PublishError(
            f"The Hugging Face Hub can't be reached or closed the connection: {_AGAIN}."
        )
    return PublishError(f"Publishing {repo} failed: {one_line(error)[:300].rstrip('.')}.")


def _from_status(status: int, details: str, repo: str) -> HuggingTweetsError:
    """Return the error for an HTTP status."""
    if status >= 500:
        return PublishError(f"The Hugging Face Hub has an internal error ({status}): {_AGAIN}.")
    temporary = {
        412: f"{repo} was changed by someone else meanwhile. Run the same command again.",
        429: "Too many requests to the Hugging Face Hub. Try again in a few minutes.",
    }
    if status in temporary:
        return PublishError(temporary[status])
    messages = {
        401: f"The Hugging Face Hub does not accept your token: {_LOG_IN}.",
        403: f"Your token has no write access to {repo}{details}: {_LOG_IN} there, or choose "
        "another --repo.",
        409: f"{repo} can't be created{details}. Choose another --repo.",
    }
    unknown = f"The Hugging Face Hub refuses {repo} ({status}){details}."
    return InputError(messages.get(status, unknown))


def _server_message(error: BaseException) -> str:
    message = one_line(getattr(error, "server_message", None) or "")[:200].rstrip(".")
    return f" ({message})" if message else ""


def _is_network_error(error: BaseException) -> bool:
    # by name, because the client has changed its HTTP library before
    library = type(error).__module__.partition(".")[0]
    return isinstance(error, ConnectionError | TimeoutError) or library.startswith(("http", "json"))
