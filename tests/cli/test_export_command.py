"""``huggingtweets export``: what it prints, what it refuses, and what ``forget`` says of it."""

from __future__ import annotations

import _thread
import json
import os
import shutil
import socket
import threading
import time
import urllib.request
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from tests.helpers.posts import made_up_posts
from tests.helpers.runs import finished_run

from huggingtweets.nn import gguf_writer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.program import CommandLine

POSTS = made_up_posts(6)


@pytest.fixture
def run(here: Path, tiny_base: Path) -> Path:
    import polars as pl

    made = finished_run(here / "runs" / "nasa", tiny_base, copied=0.01)
    parts = ["train"] * 4 + ["held_out"] * 2
    ids = [str(1234567890123456000 + i) for i in range(6)]
    table = pl.DataFrame({"author": "NASA", "id": ids, "text": POSTS, "lang": "en", "split": parts})
    made.replace_table("kept", table)
    made.replace_table("posts", table.drop("split"))
    made.replace_table("dropped", table.drop("split").clear().with_columns(reason=pl.lit("")))
    return made.path


def test_export_prints_files_and_how_to_use_them(cli: CommandLine, run: Path) -> None:
    done = cli("export", "nasa")
    assert done.code == 0, done.err
    for words in (
        "Exported to exports/nasa-gguf",
        "nasa-Q8_0.gguf",
        "in llama.cpp",
        "ollama create nasa-q8-0 -f exports/nasa-gguf/Modelfile",
        "lms import exports/nasa-gguf/nasa-Q8_0.gguf",
        "llama-server -m exports/nasa-gguf/nasa-Q8_0.gguf -n 32",
        "1.0% of this bot's posts are",
    ):
        assert words in done.out
    assert cli("export", "nasa").refused("exports/nasa-gguf already exists", "--out")
    wrote = cli("generate", "exports/nasa-gguf/nasa-Q8_0.gguf", "-n", "1", "--json")
    assert len(json.loads(wrote.out)["posts"]) == 1
    assert run.is_dir()


@pytest.mark.usefixtures("run")
def test_export_prints_json(cli: CommandLine, here: Path) -> None:
    done = json.loads(cli("export", "nasa", "--to", "safetensors", "--out", "hf", "--json").out)
    assert (done["export"], done["to"], done["gguf"]) == ("hf", "safetensors", None)
    assert done["files"]["config.json"] == (here / "hf" / "config.json").stat().st_size


@pytest.mark.usefixtures("run")
def test_serve_shows_the_page_until_ctrl_c(cli: CommandLine) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pages = []

    def visit() -> None:
        for _ in range(200):
            with suppress(OSError):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
                    pages.append(answer.read())
                break
            time.sleep(0.1)
        _thread.interrupt_main()  # what Ctrl-C does

    visitor = threading.Thread(target=visit)
    visitor.start()
    done = cli("export", "nasa", "--to", "web", "--serve", "--port", str(port))
    visitor.join()
    assert done.code == 0
    assert f"exports/nasa-web is at http://127.0.0.1:{port}/" in done.out
    assert "--to web --serve" not in done.out
    assert b"AI bot of @NASA" in pages[0]


@pytest.mark.usefixtures("run")
def test_a_page_names_the_command_that_shows_it_and_may_be_read_by_a_web_server(
    cli: CommandLine, here: Path
) -> None:
    before = os.umask(0o022)
    try:
        done = cli("export", "nasa", "--to", "web", "--out", "my page")
    finally:
        os.umask(before)
    assert "huggingtweets export nasa --to web --serve --out 'my page'" in done.out
    modes = {oct(path.stat().st_mode & 0o777) for path in (here / "my page").iterdir()}
    assert modes == {"0o644"}
    assert (here / "my page").stat().st_mode & 0o777 == 0o755


@pytest.mark.usefixtures("run", "config")
def test_forget_names_the_export(cli: CommandLine, here: Path) -> None:
    assert cli("export", "nasa", "--to", "safetensors").code == 0
    done = cli("forget", "1234567890123456001")
    assert f"the export {here / 'exports' / 'nasa-safetensors'}" in done.out.replace("\n", "")
    shutil.rmtree("exports")
    assert cli("export", "nasa").refused("nasa is out of date")


@pytest.mark.usefixtures("run")
def test_ctrl_c_leaves_nothing(
    cli: CommandLine, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(gguf_writer, "_add_sampling", stop)
    done = cli("export", "nasa")
    assert (done.code, done.err) == (130, "huggingtweets: Stopped. Nothing was written.\n")
    assert not (here / "exports").exists()


def test_a_wrong_bot_or_format_is_refused(cli: CommandLine, run: Path) -> None:
    assert cli("export", "runs/nobody").refused("not a run folder")
    assert cli("export", str(run), "--to", "web2").refused(
        "--to must be gguf, safetensors, adapter, web or onnx"
    )
    assert cli("export", str(run), "--quantize", "q2").refused("--quantize must be f16")
    assert cli("export", str(run), "--serve").refused("--serve shows the page of --to web")
