"""The page that runs a bot in the browser: its folder, and Chromium that reaches no other host."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.helpers.posts import made_up_posts
from tests.helpers.runs import finished_run
from tests.web.conftest import chromium, other_hosts, visit

from huggingtweets.errors import InputError, StorageError
from huggingtweets.nn import language_model
from huggingtweets.publish import web_page
from huggingtweets.publish.export import current_page, export
from huggingtweets.publish.page_server import PageServer
from huggingtweets.publish.share import Sharing, drafts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from huggingtweets.storage.run_folder import RunFolder

__all__ = ["chromium", "other_hosts", "visit"]

POSTS = made_up_posts(8)


@pytest.fixture
def run(tmp_path: Path, tiny_base: Path) -> RunFolder:
    """A finished run whose bot is an untrained model."""
    import polars as pl

    made = finished_run(tmp_path / "runs" / "nasa", tiny_base)
    split = ["train"] * 4 + ["held_out"] * 4
    table = pl.DataFrame({"author": ["NASA"] * 8, "text": POSTS, "lang": ["en"] * 8})
    made.replace_table("kept", table.with_columns(pl.Series("split", split)))
    _write_only_ascii(made)
    return made


def _write_only_ascii(run: RunFolder) -> None:
    """Make a bot draw its tokens from those of ASCII text, because other bytes are no text."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    lm = language_model.load(run.bot)
    model = LlamaForCausalLM(
        LlamaConfig(**lm.model.config.to_dict() | {"tie_word_embeddings": False})
    )
    ascii_only = torch.tensor([lm.decode([token]).isascii() for token in range(512)])
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        model.model.embed_tokens.weight[:, 0] = 10  # the rest of the state stays small beside it
        model.lm_head.weight[:, 0] = torch.where(ascii_only, 0.0, -100.0)
    replace(lm, model=model).save(run.bot)


@pytest.fixture
def page(run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the page, with a model in several parts."""
    monkeypatch.setattr(web_page, "PART_BYTES", 30_000)
    return export(run, "web", out=tmp_path / "web").path


@pytest.fixture
def server(page: Path) -> Iterator[PageServer]:
    with PageServer(page) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


def test_the_folder_holds_the_page_the_model_in_parts_and_no_post(page: Path) -> None:
    settings = json.loads((page / "bot.json").read_text("utf-8"))
    parts = [part["name"] for part in settings["parts"]]
    assert len(parts) > 1
    whole = b"".join((page / name).read_bytes() for name in parts)
    assert whole.startswith(b"GGUF")
    assert len(whole) == settings["bytes"]
    assert {file.name for file in page.iterdir()} == {
        *parts,
        *("index.html", "page.js", "page.css", "bot.json", "icon.svg", "README.md"),
        *("wllama.js", "wllama.wasm", "wllama-compat.js", "wllama-compat.wasm"),
        "LICENCE-wllama.txt",
    }
    html = (page / "index.html").read_text("utf-8")
    assert "<h1>AI bot of @NASA</h1>" in html
    assert "default-src &#39;none&#39;" in html
    assert "http" not in html.replace("http-equiv", "")
    assert "sdk: static" in (page / "README.md").read_text("utf-8")
    for file in page.iterdir():
        content = whole if file.name in parts else file.read_bytes()
        assert not [post for post in POSTS if post.encode() in content], file


def test_a_name_is_escaped_and_has_no_at_sign(tmp_path: Path, tiny_base: Path) -> None:
    from huggingtweets.events import ignore

    author = "Ann </title><script>alert(1)</script>"
    run = finished_run(tmp_path / "run", tiny_base, author)
    (tmp_path / "web").mkdir()
    import polars as pl

    table = pl.DataFrame({"author": [author] * 2, "text": POSTS[:2], "lang": ["en"] * 2})
    run.replace_table("kept", table.with_columns(split=pl.Series(["train", "held_out"])))
    web_page.write(run, tmp_path / "web", "q8_0", ignore)
    html = (tmp_path / "web" / "index.html").read_text("utf-8")
    assert html.count("<script") == 1
    assert "alert(1)" in html
    assert "&lt;/title&gt;" in html


def test_the_server_isolates_the_page_and_lists_nothing(server: PageServer) -> None:
    with urllib.request.urlopen(server.address) as answer:  # noqa: S310 - our own server
        assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    with urllib.request.urlopen(f"{server.address}wllama.wasm") as answer:  # noqa: S310
        assert answer.headers["Content-Type"] == "application/wasm"
    for path in ("../run.json", "%2e%2e/runs/nasa/run.json", "nothing.txt"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{server.address}{path}")  # noqa: S310
    with pytest.raises(
        InputError, match=rf"Port {server.server_port} can't be used: address.*--po"
    ):
        PageServer(server.page, server.server_port)


def test_a_page_is_found_again_unless_the_bot_is_newer(run: RunFolder, tmp_path: Path) -> None:
    out = tmp_path / "web"
    assert current_page(run, out) is None
    export(run, "web", out=out)
    assert current_page(run, out) == out
    weights = next(run.bot.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes())
    with pytest.raises(StorageError, match="older than the bot"):
        current_page(run, out)


def test_damaged_files_of_the_package_are_named(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingtweets.errors import BotError

    monkeypatch.setitem(web_page.PACKED, "wllama.js", "0" * 64)
    with pytest.raises(BotError, match=r"wllama\.js of huggingtweets was changed"):
        export(run, "web", out=tmp_path / "out" / "web")
    assert not (tmp_path / "out").exists()


def test_the_page_writes_ten_posts_stops_and_shares(
    server: PageServer, visit: Callable[..., Page]
) -> None:
    page = visit(server.address, viewport={"width": 390, "height": 800})
    page.wait_for_selector("#write:enabled")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.fill("#prompt", "My dream is")
    page.press("#prompt", "Enter")
    page.wait_for_selector(".post.done:nth-child(10)", timeout=120_000)
    page.wait_for_selector("#write:visible")
    assert page.inner_text("#status").startswith("10 posts in ")
    posts = page.locator(".post.done .text").all_inner_texts()
    assert all(post.startswith("My dream is") and len(post) <= 280 for post in posts)
    assert len(set(posts)) > 1
    assert page.locator("#log p").count() == 10
    assert page.locator(".acts").first.inner_text().split()[-3:] == ["X", "Bluesky", "Mastodon"]

    page.evaluate(  # again, with the model in memory, and stopped before a fast machine is done
        """() => {
            const write = document.querySelector("#write");
            write.focus();
            write.click();
            document.dispatchEvent(new KeyboardEvent("keydown", {key: "Escape", bubbles: true}));
        }"""
    )
    page.wait_for_selector("#write:visible")
    assert page.inner_text("#status").startswith("Stopped after ")
    assert page.evaluate("document.activeElement.id") == "write"

    texts = [
        *POSTS,
        "Hi @bob, me@site.org: see https://x.y/z or site.com 🚀",
        "é🇫🇷" * 200,
        "x " * 400,
    ]
    for text in texts:
        for draft in drafts(text, ["@NASA"], Sharing()):
            ask = "([text, network]) => huggingtweets.draft(text, network)"
            assert page.evaluate(ask, [text.strip(), draft.network]) == draft.text
    for text, masked in {
        "Write to ann.b@mail.example.org today": "Write to <email> today",
        "Call +44 20 7946 0958 or (555) 123-4567": "Call <phone> or <phone>",
        "On 2024-05-17 at 10:30, 1,234,567 of 3.14159": None,
    }.items():
        assert page.evaluate("(text) => huggingtweets.masked(text)", text) == (masked or text)


def test_a_page_from_a_folder_says_how_to_open_it(page: Path, chromium: Browser) -> None:
    opened = chromium.new_page()
    opened.goto(page.joinpath("index.html").as_uri())
    assert "from a folder" in opened.inner_text("#status")
    assert opened.locator("#write").is_disabled()
    opened.close()
