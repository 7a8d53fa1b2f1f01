"""Tokens of APIs: where the user keeps them. They are handed on to one host and written nowhere.

An environment variable comes first, as it is the one that is set for a single command; then the
keyring of the system, where the package ``keyring`` is installed. There is no option for it: other
users of a machine can read command lines.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from importlib.util import find_spec

from huggingtweets.errors import SourceError

X_VARIABLES = ("HUGGINGTWEETS_X_TOKEN", "X_BEARER_TOKEN", "TWITTER_BEARER_TOKEN")
"""Ours, and those that X's own examples use."""

_SERVICE, _X_USER = "huggingtweets", "x"
_TOKEN = re.compile(r"[!-~]{1,4096}")  # what a header can hold


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret.

    Attributes:
        value: never shown.
        place: where it was found, for messages.
    """

    value: str = field(repr=False)
    place: str


def x_token() -> Secret:
    """Find the bearer token for X.

    Raises:
        SourceError: there is none, or it can't be one.
    """
    token = _from_environment() or _from_keyring()
    if token is None:
        raise SourceError(
            "Posts from X need a token of your own: make an app at https://console.x.com and put "
            f"its bearer token into the environment variable {X_VARIABLES[0]}, or keep it with: "
            f"keyring set {_SERVICE} {_X_USER}. The archive that X offers you needs none."
        )
    if not _TOKEN.fullmatch(token.value):
        raise SourceError(
            f"What is in {token.place} can't be a token, as there are spaces or other characters "
            "in it that no token has; copy the bearer token of your app from https://console.x.com."
        )
    return token


def _from_environment() -> Secret | None:
    for name in X_VARIABLES:
        if value := os.environ.get(name, "").strip():
            return Secret(value.removeprefix("Bearer "), name)
    return None


def _from_keyring() -> Secret | None:
    """Ask the system's keyring; one that is locked or isn't there has no token."""
    if find_spec("keyring") is None:
        return None
    import keyring
    from keyring.errors import KeyringError

    try:
        value = keyring.get_password(_SERVICE, _X_USER)
    except (KeyringError, RuntimeError, OSError):  # what backends raise differs
        return None
    return Secret(value.strip(), "the keyring") if value and value.strip() else None
