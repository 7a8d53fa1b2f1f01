"""The route that receives files, on a full disk."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import httpx
import pytest

from huggingtweets.serving.schemas import LOCAL_USER, Settings
from huggingtweets.serving.service import Service
from huggingtweets.storage import files
from huggingtweets.web import uploads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from huggingtweets.web.security import Message, Receive, Send

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(Settings(out=tmp_path / "runs", workers=0))
    made.start()
    yield made
    made.stop()


def send(service: Service, content: bytes) -> httpx.Response:
    from fastapi import FastAPI

    app = FastAPI()
    app.include_router(uploads.routes(service))

    async def with_state(scope: Message, receive: Receive, send: Send) -> None:
        visitor, client = SimpleNamespace(id=LOCAL_USER), SimpleNamespace(address="")
        scope["state"] = {"visitor": visitor, "client": client}
        await app(scope, receive, send)

    async def post() -> httpx.Response:
        transport = httpx.ASGITransport(with_state)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.post("/gradio_api/upload", files={"files": ("a.csv", content)})

    return asyncio.run(post())


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_a_full_disk_leaves_no_file_and_is_one_sentence(
    service: Service, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    folder = service.home / "uploads"
    with monkeypatch.context() as patch:
        patch.setattr(
            files, "private_opener", lambda _path, _flags: os.open("/dev/full", os.O_WRONLY)
        )
        answer = send(service, b"x" * size)
    assert answer.status_code == 507
    assert answer.text.endswith(": the disk is full; free some space and try again.")
    assert str(service.home) not in answer.text
    assert list(folder.iterdir()) == []
    [upload] = send(service, b"x" * size).json()  # there is room again
    assert (folder / upload / "a.csv").stat().st_size == size
