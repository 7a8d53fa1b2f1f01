from __future__ import annotations

import asyncio
import errno
import json
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from huggingtweets.storage import files
from huggingtweets.web.upload_guard import UploadPathMiddleware

if TYPE_CHECKING:
    from huggingtweets.web.security import Message, Receive, Send

MINE = "upload-" + "1" * 32 + "-"
"""Id of the only upload, which is ann's."""


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """Echo the request."""
    body = (await receive())["body"]
    assert dict(scope["headers"]).get(b"content-length") in (None, str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def find(visitor: str, upload_id: str) -> Path | None:
    return Path("/uploads", MINE, "posts.csv") if (visitor, upload_id) == ("ann", MINE) else None


def post(
    folder: Path,
    body: bytes,
    path: str = "/gradio_api/queue/join",
    kind: str = "application/json",
    visitor: str = "ann",
) -> tuple[int, bytes]:
    pieces = [body[:7], body[7:]]
    sent: list[Any] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"content-type", kind.encode())]
    state = {"visitor": SimpleNamespace(id=visitor)}
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers, "state": state}
    asyncio.run(UploadPathMiddleware(app, folder, find)(scope, receive, send))
    return sent[0]["status"], sent[1]["body"]


def test_other_requests_pass_unchanged(tmp_path: Path) -> None:
    bodies: list[Any] = [{"data": ["/etc/passwd as a text", 1, None, {"text": "path"}]}, []]
    for value in bodies:
        body = json.dumps(value).encode()
        assert post(tmp_path, body) == (200, body)
    assert post(tmp_path, b"")[0] == 200


def test_an_upload_is_replaced_by_a_file_that_stands_for_it(tmp_path: Path) -> None:
    body = {"data": [{"text": "", "files": [{"path": MINE, "orig_name": "posts.csv"}]}]}
    status, answer = post(tmp_path, json.dumps(body).encode())
    assert status == 200
    [file] = json.loads(answer)["data"][0]["files"]
    assert file["orig_name"] == "posts.csv"
    path = Path(file["path"])
    assert (path.name, path.read_text()) == ("posts.csv", MINE)
    assert path.is_relative_to(tmp_path)


def test_an_upload_of_another_visitor_is_rejected(tmp_path: Path) -> None:
    assert post(tmp_path, json.dumps({"path": MINE}).encode(), visitor="bob")[0] == 400


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "secret", "../secret", "{here}/../secret", "https://evil.example/a", "",
     "{here}-other/a", "{here}/a", "a\0b", None, 1, ["/etc/passwd"], f"{MINE}/..", f"{MINE}1"],
)  # fmt: skip
def test_other_files_are_rejected_at_any_depth(tmp_path: Path, path: object) -> None:
    if isinstance(path, str):
        path = path.replace("{here}", str(tmp_path))
    for value in ({"path": path}, {"data": [[{"a": {"files": [{"path": path}]}}]]}):
        assert post(tmp_path, json.dumps(value).encode())[0] == 400
    assert list(tmp_path.iterdir()) == []


def test_invalid_json_is_rejected(tmp_path: Path) -> None:
    assert post(tmp_path, b'{"path": ')[0] == 400
    assert post(tmp_path, b"[" * 100_000)[0] == 400
    assert post(tmp_path, b"password=x", "/login")[0] == 200


def test_content_type_does_not_bypass_the_check(tmp_path: Path) -> None:
    body = json.dumps({"path": "/etc/passwd"}).encode()
    for kind in ("multipart/form-data", "application/x-www-form-urlencoded", "text/plain", ""):
        assert post(tmp_path, body, kind=kind)[0] == 400


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "make_folder", full)
    status, answer = post(tmp_path, json.dumps({"path": MINE}).encode())
    assert status == 507
    assert "the disk is full" in json.loads(answer)["error"]
