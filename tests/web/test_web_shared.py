"""A server with a password: two visitors with their own bots, and attackers."""

from __future__ import annotations

import zipfile
from io import BytesIO
from typing import TYPE_CHECKING

import httpx
import pytest
from playwright.sync_api import expect
from tests.helpers.posts import made_up_posts, write_csv
from tests.web.app_process import PATIENCE, App, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gradio_client import Client
    from playwright.sync_api import Page

PASSWORD = "open, sesame"  # noqa: S105
pytestmark = pytest.mark.timeout(2_000)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Iterator[App]:
    app = App(tmp_path_factory.mktemp("shared") / "runs", tiny_base, (PASSWORD,))
    try:
        yield app.start()
    finally:
        app.stop()


@pytest.fixture(scope="module")
def ann(shared: App) -> Iterator[Client]:
    yield from _logged_in_client(shared)


@pytest.fixture(scope="module")
def bob(shared: App) -> Iterator[Client]:
    yield from _logged_in_client(shared)


def _logged_in_client(app: App) -> Iterator[Client]:
    from gradio_client import Client

    made = Client(app.address, auth=("", PASSWORD), verbose=False)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def ann_bot(ann: Client, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A bot that Ann has trained."""
    from gradio_client import handle_file

    folder = tmp_path_factory.mktemp("garden")
    file = write_csv(folder / "ann.csv", "ann", made_up_posts(200))
    kept = ann.predict(file=handle_file(str(file)), api_name="/upload")
    name: str = ann.predict(sources=[kept], epochs=1, api_name="/submit")
    until(lambda: ann.predict(name=name, api_name="/status")["state"] == "done")
    return name


def web(client: Client, app: App, **headers: str) -> httpx.Client:
    """An HTTP client with the cookies of a visitor."""
    return httpx.Client(base_url=app.address, cookies=client.cookies, headers=headers, timeout=60)


def test_login_form_rejects_a_wrong_password(shared: App, visit: Callable[..., Page]) -> None:
    page = visit(f"{shared.address}/gallery")
    assert page.url.endswith("/login?next=%2Fgallery")
    page.get_by_label("Password").fill("open, barley")
    page.get_by_role("button", name="Log in").click()
    assert "Wrong password" in page.get_by_role("alert").inner_text()
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/gallery")
    expect(page.get_by_text("There are no bots yet")).to_be_visible(timeout=PATIENCE * 1000)
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login")
    assert page.goto(f"{shared.address}/gallery") is not None
    assert "/login" in page.url


def test_other_visitors_bots_are_hidden(
    shared: App, ann: Client, bob: Client, ann_bot: str, visit: Callable[..., Page]
) -> None:
    assert [bot["name"] for bot in ann.predict(api_name="/gallery")] == [ann_bot]
    assert bob.predict(api_name="/gallery") == []
    for call in ({"api_name": "/status"}, {"api_name": "/write"}):
        with pytest.raises(Exception, match=r"no (bot|run|training)"):
            bob.predict(name=ann_bot, **call)
    with web(bob, shared) as browser:
        for address in ("picture", "download", "report"):
            there, nowhere = (
                browser.get(f"/{address}/{ann_bot}"),
                browser.get(f"/{address}/{'x' * 3}"),
            )
            assert there.status_code == nowhere.status_code == 404
            assert there.text.replace(ann_bot, "xxx") == nowhere.text
        for act in ("favourite", "picture"):
            body = {"bot": ann_bot, "text": "mine", "on": True}
            assert browser.post(f"/do/{act}", json=body).status_code == 404
    [folder] = (shared.out / ".app" / "visitors").glob(f"*/runs/{ann_bot}")
    for source in (str(folder / "data" / "posts.parquet"), "/etc/passwd", "../../secret"):
        with pytest.raises(Exception, match=r"."):
            bob.predict(sources=[source], api_name="/inspect")
    page = visit(f"{shared.address}/login?next=/bot?name={ann_bot}")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible(timeout=PATIENCE * 1000)
    assert "Likeness" not in page.content()


def test_download_contains_the_bot_and_no_real_post(shared: App, ann: Client, ann_bot: str) -> None:
    with web(ann, shared) as browser:
        answer = browser.get(f"/download/{ann_bot}")
        assert answer.headers["content-type"] == "application/zip"
        assert "no-store" in answer.headers["cache-control"]
        archive = zipfile.ZipFile(BytesIO(answer.content))
        assert any(name.endswith("model.safetensors") for name in archive.namelist())
        whole = b"".join(archive.read(name) for name in archive.namelist())
        assert not any(post.encode() in whole for post in made_up_posts(200))
        report = browser.get(f"/report/{ann_bot}")
        assert "sandbox" in report.headers["content-security-policy"]


@pytest.mark.parametrize(
    "path",
    [
        "/download/..%2f..%2f.app%2fsecret",
        "/download/%2e%2e",
        "/download/../../etc/passwd",
        "/picture/..%2F{name}%2Fbot",
        "/report/{name}%00",
        "/download/{name}/../{name}",
        "/ui/..%2fapp.css",
        "/ui/%2e%2e%2fserver.py",
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file={out}/.app/secret",
    ],
)
def test_path_tricks_are_rejected(shared: App, ann: Client, ann_bot: str, path: str) -> None:
    import socket

    address = path.format(name=ann_bot, out=shared.out)  # sent verbatim: httpx would normalize it
    cookies = "; ".join(f"{name}={value}" for name, value in ann.cookies.items())
    host = shared.address.removeprefix("http://")
    with socket.create_connection(("127.0.0.1", int(host.split(":")[1])), timeout=60) as wire:
        request = f"GET {address} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookies}\r\n"
        wire.sendall(f"{request}Connection: close\r\n\r\n".encode())
        answer = wire.makefile("rb").read()
    status = int(answer.split(b" ", 2)[1])
    assert status in (400, 404), answer[:300]
    assert b"root:" not in answer


def test_cross_site_requests_with_cookies_are_rejected(
    shared: App, ann: Client, ann_bot: str
) -> None:
    body = {"bot": ann_bot, "text": "mine", "on": True}
    with web(ann, shared, origin="https://evil.example") as browser:
        assert browser.post("/do/favourite", json=body).status_code == 403
        assert browser.post("/gradio_api/queue/join", json={}).status_code == 403
        assert browser.post("/login", data={"password": PASSWORD}).status_code == 403
    with web(ann, shared, origin=shared.address) as browser:
        assert browser.post("/do/favourite", json=body).status_code == 200


def test_visitors_see_their_place_in_the_queue(
    shared: App, ann: Client, bob: Client, visit: Callable[..., Page]
) -> None:
    long = ann.predict(sources=["sample"], name="long", epochs=900, api_name="/submit")
    until(lambda: ann.predict(name=long, api_name="/status")["state"] == "training")
    second = ann.predict(sources=["sample"], name="second", epochs=1, api_name="/submit")
    page = visit(f"{shared.address}/login?next=/")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.locator("#sample").click()
    expect(page.locator("#found-title")).to_be_visible(timeout=PATIENCE * 1000)
    page.locator("#make").click()
    page.wait_for_url("**/train?run=*", timeout=PATIENCE * 1000)
    # Both come from one address, so they count as one client, and the first request goes first.
    expect(page.locator(".place")).to_contain_text("Place 2", timeout=PATIENCE * 1000)
    assert ann.predict(name=second, api_name="/status")["place"] == 1
    with pytest.raises(Exception, match=r"."):
        bob.predict(name=second, api_name="/status")


def test_too_large_upload_is_rejected(shared: App, ann: Client) -> None:
    with web(ann, shared) as browser:
        files = {"files": ("posts.csv", b"x" * 3_000_000)}
        answer = browser.post("/gradio_api/upload", files=files)
        assert answer.status_code == 413


def test_server_files_cannot_be_named_as_uploads(shared: App, ann: Client, tmp_path: Path) -> None:
    mine = tmp_path / "mine.csv"
    mine.write_text("text\nnot yours, and long enough to be a post\n")
    arriving = shared.out / ".app" / "arriving"
    with web(ann, shared) as browser:
        for path in (
            str(mine),
            str(shared.out / ".app" / "secret"),
            str(arriving / "x" / "posts.csv"),
            f"{arriving}/../secret",
            "https://evil.example/a.csv",
        ):
            file = {"path": path, "orig_name": "a.csv", "meta": {"_type": "gradio.FileData"}}
            for address, body in (
                ("call/upload", {"data": [file]}),
                ("queue/join", {"data": [{"text": "", "files": [file]}], "fn_index": 0}),
            ):
                answer = browser.post(f"/gradio_api/{address}", json=body)
                assert answer.status_code == 400, (path, address, answer.text)
    assert mine.is_file()
    assert not any(b"not yours" in file.read_bytes() for file in shared.out.rglob("*.csv"))


def test_wrong_passwords_are_delayed_over_http(shared: App) -> None:
    codes = [
        httpx.post(f"{shared.address}/login", data={"password": str(i)}, timeout=60).status_code
        for i in range(5)
    ]
    assert set(codes) == {401}  # one after the other, each later than the one before
