"""A server with a password and a declared proxy, and visitors who don't mean well."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.servers.mastodon import USER, MastodonServer, status
from tests.web.app_process import App, until

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = "open, sesame"  # noqa: S105
NO_CHAT = (False, False)  # join messages, keep names
HERE, THERE = "203.0.113.1", "203.0.113.2"
SECRETS = {
    "HUGGINGTWEETS_PASSWORD": "secret-password",
    "HF_TOKEN": "secret-hf",
    "HUGGINGTWEETS_X_TOKEN": "secret-x",
    "WANDB_API_KEY": "secret-wandb",
}
pytestmark = pytest.mark.timeout(2_000)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Iterator[App]:
    out = tmp_path_factory.mktemp("strangers") / "runs"
    app = App(out, tiny_base, (PASSWORD, "proxy"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SECRETS.items():
            patch.setenv(name, value)
        app.start()
    try:
        yield app
    finally:
        app.stop()


def visitor(app: App, address: str = HERE, **headers: str) -> httpx.Client:
    """A browser behind the proxy."""
    given = {"x-forwarded-for": address, **{k.replace("_", "-"): v for k, v in headers.items()}}
    return httpx.Client(base_url=app.address, headers=given, timeout=120)


def log_in(browser: httpx.Client, password: str = PASSWORD) -> httpx.Response:
    return browser.post("/login", data={"password": password})


@pytest.fixture
def ann(shared: App) -> Iterator[httpx.Client]:
    with visitor(shared) as browser:
        assert log_in(browser).status_code == 200
        yield browser


def call(browser: httpx.Client, endpoint: str, *data: object) -> str:
    """Call an endpoint as ``gradio_client`` does, and return its last event."""
    event = browser.post(f"/gradio_api/call/{endpoint}", json={"data": data}).json()["event_id"]
    return browser.get(f"/gradio_api/call/{endpoint}/{event}").text


def test_wrong_passwords_of_one_client_delay_nobody_else(shared: App) -> None:
    with visitor(shared, "198.51.100.9") as attacker, visitor(shared, "198.51.100.10") as other:
        wrong = [log_in(attacker, f"wrong {n}").status_code for n in range(5)]
        assert wrong == [401] * 5
        started = time.monotonic()
        assert log_in(other).status_code == 200
        assert log_in(attacker).status_code == 200  # the right one, at the delay's end
        assert time.monotonic() - started < 60

        def guess(number: int) -> None:
            with visitor(shared, "198.51.100.11") as browser:
                codes.append(log_in(browser, f"wrong {number}").status_code)

        codes: list[int] = []
        threads = [threading.Thread(target=guess, args=(n,)) for n in range(12)]
        for thread in threads:
            thread.start()
        assert httpx.get(f"{shared.address}/ui/alive", timeout=60).status_code == 200
        for thread in threads:
            thread.join()
        assert codes.count(401) == 7  # after 0, 0, 0, 1, 3, 7 and 15 seconds
        assert codes.count(429) == 5


def test_leaving_ends_the_session_for_every_copy_of_the_cookie(shared: App) -> None:
    with visitor(shared) as browser:
        log_in(browser)
        copied = dict(browser.cookies)
        assert browser.get("/config").status_code == 200
        browser.post("/leave")
        assert browser.get("/config").status_code == 401
        assert httpx.get(f"{shared.address}/config", cookies=copied).status_code == 401


@pytest.mark.parametrize(
    ("proto", "forwarded", "secure"),
    [("https", HERE, True), ("http", HERE, False), (None, HERE, False)],
)
def test_cookies_are_secure_where_the_visitor_used_tls(
    shared: App, proto: str | None, forwarded: str, secure: bool
) -> None:
    more = {"x_forwarded_proto": proto} if proto else {}
    with visitor(shared, forwarded, **more) as browser:
        for response in (browser.get("/login"), log_in(browser)):
            assert ("; Secure" in response.headers["set-cookie"]) is secure


def test_a_worker_inherits_no_secret(shared: App) -> None:
    def workers() -> list[bytes]:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                command = (process / "cmdline").read_bytes()
                if (
                    b"huggingtweets.serving.worker" in command
                    and str(shared.out).encode() in command
                ):
                    found.append((process / "environ").read_bytes())
        return found

    [environment] = until(workers)
    assert b"PATH=" in environment
    names = {pair.split(b"=")[0].decode() for pair in environment.split(b"\0")}
    assert not names & SECRETS.keys()
    assert b"secret-" not in environment


def test_a_local_account_is_refused_and_not_even_asked(ann: httpx.Client) -> None:
    with MastodonServer([status(n) for n in range(30, 0, -1)]) as inside:
        answer = call(ann, "inspect", [f"mastodon:@{USER}@{inside.host}"], "", "", *NO_CHAT)
        assert "not on the public internet" in answer
        assert inside.asked == []


def form(content: bytes, name: str = "posts.csv") -> dict[str, tuple[str, bytes]]:
    return {"files": (name, content)}


def stored(app: App) -> list[Path]:
    return [file for file in (app.out / ".app").rglob("uploads/*/*") if file.is_file()]


POSTS = b"text\n" + b"".join(b"a post about number %d and more\n" % n for n in range(400))


def test_an_upload_answers_with_an_id_that_is_worth_nothing_to_others(
    shared: App, ann: httpx.Client
) -> None:
    answer = ann.post("/gradio_api/upload", files=form(POSTS))
    [upload] = answer.json()
    assert upload.startswith("upload-")
    assert str(shared.out) not in answer.text
    file = {"path": upload, "orig_name": "posts.csv", "meta": {"_type": "gradio.FileData"}}
    assert f'["{upload}"]' in call(ann, "upload", file)
    assert '"kept": ' in call(ann, "inspect", [upload], "", "", *NO_CHAT)
    with visitor(shared, THERE) as bob:
        log_in(bob)
        assert bob.post("/gradio_api/call/upload", json={"data": [file]}).status_code == 400
        assert "no upload" in call(bob, "inspect", [upload], "", "", *NO_CHAT).lower()
    assert ann.post("//gradio_api//upload", files=form(POSTS)).status_code == 404


def test_uploads_that_fail_leave_nothing(shared: App, ann: httpx.Client) -> None:
    before = stored(shared)
    assert ann.post("/gradio_api/upload", files=form(b"x", "evil.exe")).status_code == 400
    assert ann.post("/gradio_api/upload", files=form(b"x" * 1_500_000)).status_code == 413
    assert ann.post("/gradio_api/upload", content=b"x").status_code == 400
    cookies = "; ".join(f"{name}={value}" for name, value in ann.cookies.items())
    host = shared.address.removeprefix("http://")
    head = (
        f"POST /gradio_api/upload HTTP/1.1\r\nHost: {host}\r\nCookie: {cookies}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 900000\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="files"; filename="cut.csv"\r\n\r\ntext\n'
    )
    with socket.create_connection(("127.0.0.1", int(host.split(":")[1])), timeout=60) as wire:
        wire.sendall(head.encode() + b"a post that is cut off\n" * 1000)
        until(lambda: len(stored(shared)) > len(before))  # it is being received
    until(lambda: stored(shared) == before)


def test_uploads_at_the_same_time_cannot_exceed_the_limit_together(shared: App) -> None:
    """The server of this test stores 3 MB of each visitor and 8 MB in all."""
    codes: list[int] = []

    def send(address: str, cookies: dict[str, str]) -> None:
        with visitor(shared, address) as browser:
            browser.cookies.update(cookies)
            answer = browser.post("/gradio_api/upload", files=form(b"text\n" + b"x" * 900_000))
            codes.append(answer.status_code)

    with visitor(shared, "198.51.100.20") as crowd:
        log_in(crowd)
        cookies = dict(crowd.cookies)
    threads = [threading.Thread(target=send, args=("198.51.100.20", cookies)) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [200] * 3 + [507] * 7
    assert sum(file.stat().st_size for file in stored(shared)) < 8e6
