from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from huggingtweets.web.upload_guard import UploadPathMiddleware

if TYPE_CHECKING:
    from pathlib import Path

    from huggingtweets.web.security import Message, Receive, Send


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """Echo the request."""
    del scope
    body = (await receive())["body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def post(
    folder: Path, body: bytes, path: str = "/gradio_api/queue/join", kind: str = "application/json"
) -> tuple[int, bytes]:
    pieces = [body[:7], body[7:]]
    sent: list[Any] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"content-type", kind.encode())]
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
    asyncio.run(UploadPathMiddleware(app, folder)(scope, receive, send))
    return sent[0]["status"], sent[1]["body"]


def test_uploads_and_other_requests_pass_unchanged(tmp_path: Path) -> None:
    bodies: list[Any] = [
        {"data": [{"files": [{"path": str(tmp_path / "ab" / "posts.csv")}]}]},
        {"data": ["/etc/passwd as a text", 1, None, {"text": "path"}]},
        [],
    ]
    for value in bodies:
        body = json.dumps(value).encode()
        assert post(tmp_path, body) == (200, body)
    assert post(tmp_path, b"")[0] == 200


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "secret", "../secret", "{here}/../secret", "https://evil.example/a", "",
     "{here}-other/a", "a\0b", None, 1, ["/etc/passwd"]],
)  # fmt: skip
def test_other_files_are_rejected_at_any_depth(tmp_path: Path, path: object) -> None:
    if isinstance(path, str):
        path = path.replace("{here}", str(tmp_path))
    for value in ({"path": path}, {"data": [[{"a": {"files": [{"path": path}]}}]]}):
        assert post(tmp_path, json.dumps(value).encode())[0] == 400


def test_symlink_out_of_the_folder_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to("/etc/passwd")
    body = json.dumps({"path": str(tmp_path / "in" / "link")}).encode()
    assert post(tmp_path / "in", body)[0] == 400


def test_invalid_json_is_rejected(tmp_path: Path) -> None:
    assert post(tmp_path, b'{"path": ')[0] == 400
    assert post(tmp_path, b"[" * 100_000)[0] == 400
    assert post(tmp_path, b"password=x", "/login")[0] == 200


def test_content_type_does_not_bypass_the_check(tmp_path: Path) -> None:
    body = json.dumps({"path": "/etc/passwd"}).encode()
    for kind in ("multipart/form-data", "application/x-www-form-urlencoded", "text/plain", ""):
        assert post(tmp_path, body, kind=kind)[0] == 400
