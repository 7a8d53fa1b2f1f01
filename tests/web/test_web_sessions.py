from __future__ import annotations

import stat
import time
from typing import TYPE_CHECKING

import pytest

from huggingtweets.serving.schemas import LOCAL_USER
from huggingtweets.web.sessions import LoginDelays, RevokedSessions, SessionAuth

if TYPE_CHECKING:
    from pathlib import Path

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


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_wrong_passwords_delay_their_client_more_and_more_but_never_lock_it() -> None:
    clock = Clock()
    delays = LoginDelays(clock)
    waited = []
    for _ in range(12):
        wait = delays.take_turn("here")
        assert wait <= delays.LONGEST_WAIT
        waited.append(wait)
        clock.now += wait
    assert waited == [0, 0, 0, 1, 2, 4, 8, 15, 15, 15, 15, 15]
    assert delays.take_turn("there") == 0  # nobody else waits
    clock.now += 901
    assert delays.take_turn("here") == 0


def test_many_attempts_at_once_gain_nothing() -> None:
    delays = LoginDelays(Clock())
    checked = [wait for _ in range(100) if (wait := delays.take_turn("here")) <= 20]
    assert checked == [0, 0, 0, 1, 3, 7, 15]  # the others have to come again


def test_right_passwords_delay_nobody() -> None:
    delays = LoginDelays(Clock())
    for _ in range(50):
        assert delays.take_turn("here") == 0
        delays.succeeded("here")


def test_a_session_that_was_logged_out_is_refused_after_a_restart_too(tmp_path: Path) -> None:
    auth = SessionAuth(SECRET, "a good password", revoked=RevokedSessions(tmp_path / "revoked"))
    first, second = (cookie(auth.header("0" * 32, logged_in=True)) for _ in range(2))
    auth.log_out(auth.visitor(first))
    restarted = SessionAuth(
        SECRET, "a good password", revoked=RevokedSessions(tmp_path / "revoked")
    )
    for one in (auth, restarted):
        assert (one.visitor(first).id, one.visitor(first).may_enter) == ("0" * 32, False)
        assert one.visitor(second).may_enter  # another browser stays logged in
    assert stat.S_IMODE((tmp_path / "revoked").stat().st_mode) == 0o600


def test_revoked_sessions_survive_a_line_that_was_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "revoked"
    RevokedSessions(file).add("a" * 32)
    with file.open("a") as opened:
        opened.write("b" * 16)
    RevokedSessions(file).add("c" * 32)
    assert [one * 32 in RevokedSessions(file) for one in "abc"] == [True, False, True]


def test_a_session_expires_with_its_cookie(monkeypatch: pytest.MonkeyPatch) -> None:
    auth = SessionAuth(SECRET, "a good password")
    value = cookie(auth.header("0" * 32, logged_in=True))
    present = time.time()
    monkeypatch.setattr(time, "time", lambda: present + 181 * 24 * 3600)
    assert not auth.visitor(value).may_enter


def test_cookie_is_secure_where_the_request_was_encrypted() -> None:
    auth = SessionAuth(SECRET, "a good password")
    assert auth.header("0" * 32, logged_in=True, encrypted=True).endswith("SameSite=Lax; Secure")
    assert "Secure" not in auth.header("0" * 32, logged_in=True)
