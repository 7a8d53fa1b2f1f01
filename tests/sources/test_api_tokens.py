"""Looking up API tokens, and keeping them secret."""

from __future__ import annotations

import importlib.util

import pytest

from huggingtweets.errors import SourceError
from huggingtweets.sources.accounts import open_account
from huggingtweets.sources.api_tokens import X_VARIABLES, x_token

SECRET = "s3cret%3Dt0ken"  # noqa: S105 - so that it can be looked for


class Ring:
    """A keyring in memory."""

    def __init__(self) -> None:
        self.held: str | None = None
        self.error: Exception | None = None

    def get_password(self, service: str, username: str) -> str | None:
        assert (service, username) == ("huggingtweets", "x")
        if self.error:
            raise self.error
        return self.held


@pytest.fixture(autouse=True)
def ring(monkeypatch: pytest.MonkeyPatch) -> Ring:
    """An empty keyring, and no environment variable."""
    for name in X_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    ring = Ring()
    monkeypatch.setattr("keyring.get_password", ring.get_password)
    return ring


@pytest.mark.parametrize("name", X_VARIABLES)
@pytest.mark.parametrize("written", [SECRET, f" {SECRET}\n", f"Bearer {SECRET}"])
def test_variables(monkeypatch: pytest.MonkeyPatch, name: str, written: str) -> None:
    monkeypatch.setenv(name, written)
    token = x_token()
    assert (token.value, token.place) == (SECRET, name)
    assert SECRET not in repr(token)


def test_the_first_variable_takes_precedence(monkeypatch: pytest.MonkeyPatch, ring: Ring) -> None:
    ring.held = "other"
    assert x_token().place == "the keyring"
    monkeypatch.setenv("X_BEARER_TOKEN", "another")
    monkeypatch.setenv(X_VARIABLES[0], SECRET)
    assert x_token().value == SECRET
    monkeypatch.setenv(X_VARIABLES[0], " ")
    assert x_token().value == "another"


def test_no_token(ring: Ring) -> None:
    from keyring.errors import KeyringLocked

    for error in (KeyringLocked(), RuntimeError("dbus"), None):
        ring.error = error
        with pytest.raises(SourceError, match="_X_TOKEN, or store it with: keyring set huggingtw"):
            x_token()


def test_without_the_keyring_package(ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    ring.held = SECRET
    monkeypatch.setattr("huggingtweets.sources.api_tokens.find_spec", lambda _name: None)
    with pytest.raises(SourceError, match="needs an API token"):
        x_token()


@pytest.mark.parametrize("bad", [f"{SECRET} {SECRET}", f"{SECRET}\nX-Other: 1", f"{SECRET}é"])
def test_malformed_tokens(monkeypatch: pytest.MonkeyPatch, bad: str) -> None:
    monkeypatch.setenv("TWITTER_BEARER_TOKEN", bad)
    with pytest.raises(SourceError, match="in TWITTER_BEARER_TOKEN is malformed") as caught:
        x_token()
    assert SECRET not in str(caught.value)


def test_the_extra_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        "huggingtweets.sources._x_client.find_spec",
        lambda name: None if name == "tweepy" else real(name),
    )
    source = open_account("x:@name")
    assert source is not None
    with pytest.raises(SourceError, match=r"pip install huggingtweets\[x\]"):
        list(source.posts())
