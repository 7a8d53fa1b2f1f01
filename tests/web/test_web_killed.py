"""A server that is killed during a training and started again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect
from tests.web.app_process import PATIENCE, App, until

from huggingtweets.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Page

pytestmark = pytest.mark.timeout(2_000)


def test_training_survives_a_killed_server(
    tmp_path: Path, tiny_base: Path, visit: Callable[..., Page]
) -> None:
    from gradio_client import Client

    app = App(tmp_path / "runs", tiny_base).start()
    try:
        client = Client(app.address, verbose=False)
        name = client.predict(sources=["sample"], epochs=3, name="lasting", api_name="/submit")
        status = until(lambda: _has_reached(client, name, 60))
        client.close()
        app.kill()

        again = app.start()
        page = visit(f"{again.address}/run/{name}")
        live = page.locator("[data-live='training'], [data-live='judging'], [data-live='done']")
        expect(live).to_be_visible(timeout=PATIENCE * 1000)
        client = Client(again.address, verbose=False)
        later = until(lambda: _has_reached(client, name, status["done"]))
        client.close()
        assert later["total"] == status["total"] or later["state"] != "training"
        trained = page.locator("[data-live='judging'], [data-live='done']")
        expect(trained).to_be_visible(timeout=PATIENCE * 1000)
        starts = [
            event
            for event in RunFolder(app.out / name).events()
            if event["stage"] == "train" and not event["done"] and "samples" in event
        ]
        assert len(starts) == 1  # it continued and never started over
    finally:
        app.stop()


def _has_reached(client: object, name: str, step: int) -> dict[str, object] | None:
    status: dict[str, object] = client.predict(name=name, api_name="/status")  # type: ignore[attr-defined]
    assert status["state"] != "failed", status
    done = status["done"]
    far = isinstance(done, int) and status["state"] == "training" and done >= step
    return status if far or status["state"] in ("judging", "done") else None
