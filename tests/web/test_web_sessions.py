from __future__ import annotations

import pytest

from huggingtweets.serving.schemas import LOCAL_USER
from huggingtweets.web.sessions import LoginThrottle, SessionAuth

SECRET = b"s" * 32


def cookie(header: str) -> str:
    return header.split(";", 1)[0].split("=", 1)[1]


def test_server_without_password_has_one_visitor() -> None:
    visitor = SessionAuth(SECRET, None).visitor("anything")
    assert (visitor.id, visitor.may_enter) == (LOCAL_USER, True)


def test_cookie_identifies_a_browser_and_its_login() -> None:
    auth = SessionAuth(SECRET, "a good password")
    new = auth.visitor(None)
    assert new.is_new
    assert not new.may_enter
    again = auth.visitor(cookie(auth.header(new.id, logged_in=False)))
    assert (again.id, again.is_new, again.may_enter) == (new.id, False, False)
    inside = auth.visitor(cookie(auth.header(new.id, logged_in=True)))
    assert (inside.id, inside.may_enter) == (new.id, True)


@pytest.mark.parametrize("change", [0, 33, -2])
def test_changed_cookie_is_rejected(change: int) -> None:
    auth = SessionAuth(SECRET, "a good password")
    value = list(cookie(auth.header("0" * 32, logged_in=True)))
    value[change] = "1" if value[change] != "1" else "2"
    visitor = auth.visitor("".join(value))
    assert not visitor.may_enter
    assert visitor.id != "0" * 32 or change == -2  # the last signature is only about the login


def test_cookie_of_another_server_or_password_is_rejected() -> None:
    value = cookie(SessionAuth(SECRET, "a good password").header("0" * 32, logged_in=True))
    assert SessionAuth(b"t" * 32, "a good password").visitor(value).is_new
    other = SessionAuth(SECRET, "another password").visitor(value)
    assert (other.id, other.may_enter) == ("0" * 32, False)  # same visitor, who has to log in again


def test_cookie_is_hidden_from_scripts_and_other_sites() -> None:
    header = SessionAuth(SECRET, "a good password").header("0" * 32, logged_in=True)
    assert "HttpOnly" in header
    assert "SameSite=Lax" in header
    framed = SessionAuth(SECRET, "a good password", framed=True).header("0" * 32, logged_in=True)
    assert "SameSite=None; Secure; Partitioned" in framed


def test_password_must_match_exactly() -> None:
    auth = SessionAuth(SECRET, "pässword 1")
    assert auth.is_password("pässword 1")
    assert not any(map(auth.is_password, ("", "pässword", "pässword 12", "PÄSSWORD 1")))
    assert not SessionAuth(SECRET, None).is_password("")


def test_wrong_passwords_are_throttled() -> None:
    throttle = LoginThrottle(limit=3)
    for _ in range(3):
        assert not throttle.is_blocked("here")
        throttle.record_failure("here")
    assert throttle.is_blocked("here")
    assert not throttle.is_blocked("there")
    for number in range(30):
        throttle.record_failure(str(number))
    assert throttle.is_blocked("there")  # the limit of all addresses together
