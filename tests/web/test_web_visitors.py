from __future__ import annotations

import pytest

from huggingtweets.serving.schemas import LOCAL_USER
from huggingtweets.web.sessions import LoginThrottle, SessionAuth

SECRET = b"s" * 32


def cookie(header: str) -> str:
    return header.split(";", 1)[0].split("=", 1)[1]


def test_alone_there_is_one_visitor() -> None:
    visitor = SessionAuth(SECRET, None).visitor("anything")
    assert (visitor.id, visitor.may_enter) == (LOCAL_USER, True)


def test_a_browser_is_known_again_and_enters_once_it_gave_the_password() -> None:
    door = SessionAuth(SECRET, "a good password")
    new = door.visitor(None)
    assert new.is_new
    assert not new.may_enter
    again = door.visitor(cookie(door.header(new.id, entered=False)))
    assert (again.id, again.is_new, again.may_enter) == (new.id, False, False)
    inside = door.visitor(cookie(door.header(new.id, entered=True)))
    assert (inside.id, inside.may_enter) == (new.id, True)


@pytest.mark.parametrize("change", [0, 33, -1])
def test_a_changed_cookie_is_nobody_s(change: int) -> None:
    door = SessionAuth(SECRET, "a good password")
    value = list(cookie(door.header("0" * 32, entered=True)))
    value[change] = "1" if value[change] != "1" else "2"
    visitor = door.visitor("".join(value))
    assert not visitor.may_enter
    assert visitor.id != "0" * 32 or change == -1  # the last part only says who has logged in


def test_another_server_s_or_password_s_cookie_lets_nobody_in() -> None:
    value = cookie(SessionAuth(SECRET, "a good password").header("0" * 32, entered=True))
    assert SessionAuth(b"t" * 32, "a good password").visitor(value).is_new
    other = SessionAuth(SECRET, "another password").visitor(value)
    assert (other.id, other.may_enter) == ("0" * 32, False)  # their bots stay theirs


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites() -> None:
    header = SessionAuth(SECRET, "a good password").header("0" * 32, entered=True)
    assert "HttpOnly" in header
    assert "SameSite=Lax" in header
    framed = SessionAuth(SECRET, "a good password", framed=True).header("0" * 32, entered=True)
    assert "SameSite=None; Secure; Partitioned" in framed


def test_the_password_is_compared_whole() -> None:
    door = SessionAuth(SECRET, "pässword 1")
    assert door.is_password("pässword 1")
    assert not any(map(door.is_password, ("", "pässword", "pässword 12", "PÄSSWORD 1")))
    assert not SessionAuth(SECRET, None).is_password("")


def test_guessing_has_to_wait() -> None:
    attempts = LoginThrottle(most=3)
    for _ in range(3):
        assert not attempts.too_many("here")
        attempts.failed("here")
    assert attempts.too_many("here")
    assert not attempts.too_many("there")
    for number in range(30):
        attempts.failed(str(number))
    assert attempts.too_many("there")  # nor does it help to come from many places
