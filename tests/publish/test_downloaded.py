"""What was published, downloaded and run by a stranger's program that has never seen this one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.helpers.adapters import random_adapter
from tests.helpers.runs import finished_run
from tests.servers.hub import HubServer

from huggingtweets.nn import language_model
from huggingtweets.publish import hub as hubs
from huggingtweets.publish import write_card

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from huggingtweets.storage.run_folder import RunFolder

TOKEN = "hf_secret"  # noqa: S105 - opens nothing
PROMPT = "My dream is"
STRANGER = """
import sys, torch, warnings
from huggingface_hub import snapshot_download
from transformers import AutoModelForCausalLM, AutoTokenizer
from peft import AutoPeftModelForCausalLM

class Blocked:  # a stranger has no huggingtweets
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "huggingtweets":
            raise ImportError(name)

sys.meta_path.insert(0, Blocked())
warnings.simplefilter("error", UserWarning)
repo, kind, prompt, result = sys.argv[1:]
folder = snapshot_download(repo)
load = {"full": AutoModelForCausalLM, "small": AutoPeftModelForCausalLM}[kind].from_pretrained
ids = AutoTokenizer.from_pretrained(folder)(prompt, return_tensors="pt")["input_ids"]
model = load(folder, dtype="auto").eval()
with torch.no_grad():
    torch.save({"ids": ids, "logits": model(ids).logits}, result)
print(folder)
"""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A Hub with an account ``me``."""
    with HubServer({TOKEN: "me"}) as server:
        server.use(monkeypatch, tmp_path / "hf", TOKEN)
        yield server


def as_a_stranger(hub: HubServer, kind: str, folder: Path) -> tuple[Path, dict[str, torch.Tensor]]:
    """Download the bot and compute its logits in a new process, which has an empty cache."""
    import torch

    result = folder / "logits"
    plain = {name: text for name, text in os.environ.items() if not name.startswith("HF_")}
    done = subprocess.run(
        [sys.executable, "-c", STRANGER, "me/nasa", kind, PROMPT, str(result)],
        env=plain | hub.environment(folder / "stranger", TOKEN),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip()), torch.load(result)


def check_same(run: RunFolder, downloaded: Path, theirs: dict[str, torch.Tensor]) -> None:
    """The files are those of the bot, and all three programs compute the same."""
    import torch

    for file in downloaded.iterdir():
        if file.name != ".gitattributes":
            assert file.read_bytes() == (run.bot / file.name).read_bytes(), file.name
    for folder in (run.bot, downloaded):
        opened = language_model.load(folder)
        ids = opened.tokenizer(PROMPT, return_tensors="pt")["input_ids"]
        assert torch.equal(ids, theirs["ids"])
        with torch.no_grad():
            ours = opened.model(ids).logits
        assert torch.allclose(ours, theirs["logits"], atol=1e-5)


def test_a_downloaded_bot_computes_the_same_without_this_program(
    hub: HubServer, tmp_path: Path, tiny_base: Path
) -> None:
    run = finished_run(tmp_path / "runs" / "me", tiny_base)
    write_card(run)
    hubs.execute(hubs.plan(run))
    downloaded, theirs = as_a_stranger(hub, "full", tmp_path)
    assert (downloaded / "README.md").is_file()
    check_same(run, downloaded, theirs)


def test_peft_loads_a_downloaded_small_bot_with_its_base(
    hub: HubServer, tmp_path: Path, tiny_base: Path
) -> None:
    import torch

    hub.add("models", "ann/tiny", {file.name: file.read_bytes() for file in tiny_base.iterdir()})
    run = finished_run(tmp_path / "runs" / "me", tiny_base)
    base = language_model.load(tiny_base)
    shutil.rmtree(run.bot)
    run.bot.mkdir()
    base.save_adapter(replace(random_adapter(base, seed=1), base="ann/tiny"), run.bot)
    record = run.record()
    record.config["base"] = "ann/tiny"
    run.save(record)
    write_card(run)
    hubs.execute(hubs.plan(run))

    downloaded, theirs = as_a_stranger(hub, "small", tmp_path)
    assert not list(downloaded.glob("model*"))
    check_same(run, downloaded, theirs)
    with torch.no_grad():
        untouched = base.model(theirs["ids"]).logits
    assert not torch.allclose(untouched, theirs["logits"], atol=1e-2)
