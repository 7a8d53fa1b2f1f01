from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import polars as pl
import pytest

from huggingtweets.data import batching
from huggingtweets.errors import BotError, InputError
from huggingtweets.generation import bots
from huggingtweets.generation.batch_engine import BatchEngine
from huggingtweets.generation.sampling import Sampling
from huggingtweets.nn import language_model
from huggingtweets.storage import run_folder
from huggingtweets.storage.run_folder import RunFolder, RunRecord
from huggingtweets.training import TrainingTask, fit
from huggingtweets.training.recipe import FAST

if TYPE_CHECKING:
    from pathlib import Path

    from huggingtweets.nn.devices import ComputeDevice

_WITHOUT_HUGGINGTWEETS = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "huggingtweets":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
try:
    import huggingtweets
    sys.exit("huggingtweets can be imported")
except ModuleNotFoundError:
    pass
import json
import torch
from transformers import pipeline
torch.manual_seed(0)
bot = pipeline("text-generation", model=sys.argv[1])
defaults = bot.model.generation_config.to_dict()
posts = [post["generated_text"] for post in bot("My dream is", num_return_sequences=5)]
print(json.dumps({"posts": posts, "defaults": defaults}))
"""


@pytest.fixture(scope="module")
def bot_run(
    tiny_base: Path, posts: list[str], cpu: ComputeDevice, tmp_path_factory: pytest.TempPathFactory
) -> RunFolder:
    """A run with a bot, made without the pipeline."""
    kept = batching.split(pl.DataFrame({"author": ["ann"] * 300, "text": posts}), holdout=0.1)
    record = RunRecord("ann", ["ann"], {}, {}, {}, state="done")
    made = run_folder.create(tmp_path_factory.mktemp("runs"), record, {"kept": kept})
    lm = language_model.load(tiny_base)
    fit(TrainingTask(lm, [posts[:270]], posts[270:], FAST.changed(learning_rate=2e-2), cpu))
    lm.save(made.bot)
    return made


def test_a_bot_opens_from_its_run_folder_and_its_bot_folder(
    bot_run: RunFolder, posts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bot_run.path)
    for where in (bot_run.path, str(bot_run.bot), f"{bot_run.bot}/", "bot", "."):
        bot = bots.open_bot(where, "cpu", "fp32")
        assert bot.index
        assert bot.index.is_copy(posts[0])
        assert not bot.index.is_copy(posts[299])  # held out
        assert len(list(bot.generate("The old cat", n=2, seed=1))) == 2


def test_a_bot_folder_without_its_run_has_no_copy_index(bot_run: RunFolder, tmp_path: Path) -> None:
    alone = bot_run.bot.rename(tmp_path / "ann")
    try:
        bot = bots.open_bot(alone, "cpu", "fp32")
        assert bot.index is None
        found = list(bot.generate(n=3, seed=1))
        assert [post.copied for post in found] == [None] * 3
        with pytest.raises(BotError, match="is not a run folder"):
            bots.find_run_folder(alone)
        with pytest.raises(BotError, match="has no bot yet"):
            bots.open_bot(bot_run.path)
    finally:
        alone.rename(bot_run.bot)


def test_few_shot_reads_the_newest_posts_and_catches_copies_of_all(
    bot_run: RunFolder, posts: list[str]
) -> None:
    other = ["The very oldest of somebody's posts", *posts[280:], "We lost it", "I found it"]
    bot = bots.open_bot(bot_run.path, "cpu", "fp32")
    with_few_shot = bot.with_few_shot(other, 2)
    assert list(with_few_shot.context) == other[-2:]
    assert with_few_shot.index
    assert all(with_few_shot.index.is_copy(post) for post in (posts[0], other[0], other[-1]))
    assert bot.context == ()
    assert bot.index
    assert not bot.index.is_copy(other[0])
    with pytest.raises(InputError, match="not 0"):
        bot.with_few_shot(other, 0)


def test_copies_of_few_shot_posts_are_replaced(tiny_base: Path, posts: list[str]) -> None:
    bot = bots.open_bot(tiny_base, "cpu", "fp32")
    read = ["We lost the teapot", "I painted it again!"]
    first = [post.text for post in bot.with_few_shot(read).generate("The old cat", n=6, seed=1)]
    assert first != [post.text for post in bot.generate("The old cat", n=6, seed=1)]
    # now they are indexed but too old to be read, so the same six are generated first
    again = bot.with_few_shot([*first, *posts, *read], 2)
    writer = again.writer(Sampling(seed=1))
    found = [post.text for post in writer.write("The old cat", 6)]
    assert len(found) == 6
    assert writer.rejected >= 6
    assert not {*found} & {*first}


def test_the_context_is_not_returned_as_a_new_post(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = ["We lost the old teapot again", "I painted the kite"]
    texts = iter([read[1], "Nobody here found the umbrella", read[0]])
    monkeypatch.setattr(BatchEngine, "_text", lambda *_: next(texts))
    writer = bots.open_bot(tiny_base, "cpu", "fp32").with_few_shot(read).writer(Sampling(seed=1))
    assert [post.text for post in writer.write(n=1)] == ["Nobody here found the umbrella"]
    assert writer.rejected == 1


@pytest.mark.parametrize("spec", ["nobody/nothing", "nobody", "./nothing", "/nothing/here"])
def test_an_unknown_bot_is_reported(spec: str) -> None:
    with pytest.raises(BotError, match=r"There is no bot .*huggingtweets runs lists"):
        bots.open_bot(spec)


def test_a_damaged_bot_is_reported(tiny_base: Path, tmp_path: Path) -> None:
    for file in tiny_base.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(BotError):
        bots.open_bot(tmp_path)


def test_the_run_folder_is_found_from_its_bot_folder(bot_run: RunFolder) -> None:
    assert bots.find_run_folder(bot_run.path) == bots.find_run_folder(bot_run.bot) == bot_run


def test_a_bot_works_without_huggingtweets(bot_run: RunFolder) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-c", _WITHOUT_HUGGINGTWEETS, str(bot_run.bot)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert len(set(result["posts"])) == 5
    assert all(post.startswith("My dream is") for post in result["posts"])
    expected = {
        "do_sample": True,
        "temperature": 0.7,
        "top_p": 0.9,
        "max_new_tokens": 32,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "pad_token_id": 0,
    }
    assert {key: result["defaults"][key] for key in expected} == expected
    assert "huggingtweets" not in (bot_run.bot / "config.json").read_text()


def test_pocket_generates_posts_without_training() -> None:
    bot = bots.open_bot("pocket", "cpu")
    found = list(bot.generate("My dream is", n=3, seed=1, max_chars=60))
    assert len({post.text for post in found}) == 3
    assert all(post.text.startswith("My dream is") and len(post.text) <= 60 for post in found)
