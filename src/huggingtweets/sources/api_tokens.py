"""Look up API tokens. They are sent to one host only and never stored.

An environment variable takes precedence, because it can be set for a single command; then the
system's keyring, if the package ``keyring`` is installed. There is no command-line option, because
other users of the machine can read command lines.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from importlib.util import find_spec

from huggingtweets.errors import SourceError

X_VARIABLES = ("HUGGINGTWEETS_X_TOKEN", "X_BEARER_TOKEN", "TWITTER_BEARER_TOKEN")
"""Our own variable, and those that X's examples use."""

_SERVICE, _X_USER = "huggingtweets", "x"
_TOKEN = re.compile(r"[!-~]{1,4096}")  # characters that a header can hold


@dataclass(frozen=True, slots=True)
class Secret:
    """An API token.

    Attributes:
        value: never shown.
        place: where it was found, for messages.
    """

    value: str = field(repr=False)
    place: str


def x_token() -> Secret:
    """Look up the bearer token for X.

    Raises:
        SourceError: there is none, or it is malformed.
    """
    token = _from_environment() or _from_keyring()
    if token is None:
        raise SourceError(
            "Reading posts from X needs an API token. Create an app at https://console.x.com and "
            f"put its bearer token into the environment variable {X_VARIABLES[0]}, or store it "
            f"with: keyring set {_SERVICE} {_X_USER}. The archive that X offers you needs no token."
        )
    if not _TOKEN.fullmatch(token.value):
        raise SourceError(
            f"The token in {token.place} is malformed: it contains spaces or other invalid "
            "characters. Copy the bearer token of your app from https://console.x.com."
        )
    return token


def _from_environment() -> Secret | None:
    for name in X_VARIABLES:
        if value := os.environ.get(name, "").strip():
            return Secret(value.removeprefix("Bearer "), name)
    return None


def _from_keyring() -> Secret | None:
    """Read the system's keyring; None if it is locked or missing."""
    if find_spec("keyring") is None:
        return None
    import keyring
    from keyring.errors import KeyringError

    try:
        value = keyring.get_password(_SERVICE, _X_USER)
    except (KeyringError, RuntimeError, OSError):  # depends on the backend
        return None
    return Secret(value.strip(), "the keyring") if value and value.strip() else None
