"""A small bot is a bot like any other: trained, updated, merged, exported, published, made full."""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.cli.program import CommandLine
from tests.helpers.posts import made_up_posts, write_csv
from tests.servers.hub import HubServer

from huggingtweets import evaluation, merging, pipeline
from huggingtweets.errors import BaseModelError, BotError, InputError, MissingBaseError
from huggingtweets.evaluation import sense
from huggingtweets.generation import bots
from huggingtweets.merging import MergeOptions
from huggingtweets.nn import adapters, language_model
from huggingtweets.pipeline import TrainOptions, small_bots
from huggingtweets.publish import hub, render_card
from huggingtweets.publish.export import export
from huggingtweets.publish.facts import AdapterFacts, Facts
from huggingtweets.serving import bot_views
from huggingtweets.serving.bot_cache import BotCache, _size_on_disk
from huggingtweets.storage.run_folder import RunFolder
from huggingtweets.training import RECIPES
from huggingtweets.updating.update import update

if TYPE_CHECKING:
    from collections.abc import Iterator

POSTS = made_up_posts(200)
VLLM_LINEAR_LAYERS = {
    *("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
}
"""What vLLM 0.11 adapts of a Llama: ``packed_modules_mapping`` and the linear layers of
vllm/model_executor/models/llama.py, by their names in checkpoints."""


@pytest.fixture(autouse=True, scope="module")
def short_reports() -> Iterator[None]:
    """Reports of eight posts, without the large model that judges their sense."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation.likeness, "GENERATIONS", 8)
        patch.setattr(sense, "load_judge", lambda _: None)
        yield


def train(folder: Path, base: Path, adapter: str) -> Path:
    """A folder with ann's posts, ``ann.csv``, and their bot, ``runs/me``."""
    source = write_csv(folder / "ann.csv", "ann", POSTS[:150])
    recipe = RECIPES["fast"].changed(adapter=adapter, epochs=1, learning_rate=3e-3)
    pipeline.train(
        source,
        TrainOptions(
            base=str(base),
            recipe=recipe,
            name="me",
            out=folder / "runs",
            device="cpu",
            precision="fp32",
            track="none",
        ),
    )
    return folder


@pytest.fixture(scope="module")
def small(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("small"), tiny_base, "lora:4")


@pytest.fixture(scope="module")
def full(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("full"), tiny_base, "none")


def copied(folder: Path, to: Path) -> RunFolder:
    shutil.copytree(folder, to, dirs_exist_ok=True)
    run = RunFolder(to / "runs" / "me")
    record = run.record()
    record.config["sources"] = [str(to / "ann.csv")]
    run.save(record)
    return run


@pytest.fixture
def run(small: Path, tmp_path: Path, config: Path) -> RunFolder:
    assert not config.exists()
    return copied(small, tmp_path / "small")


@pytest.fixture
def full_run(full: Path, tmp_path: Path, config: Path) -> RunFolder:
    assert not config.exists()
    return copied(full, tmp_path / "full")


def names_of(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def on_the_hub(run: RunFolder, base: Path) -> None:
    """Name the base of a run as if it came from the Hub."""
    adapter = replace(adapters.read(run.bot), base="ann/tiny")
    adapters.write(adapter, run.bot)
    record = run.record()
    record.config["base"] = "ann/tiny"
    run.save(record)
    assert base.is_dir()


def test_training_saves_the_difference_to_the_base(run: RunFolder, tiny_base: Path) -> None:
    assert run.is_small
    assert run.has_bot
    assert "model.safetensors" not in names_of(run.bot)
    adapter = adapters.read(run.bot)
    assert (adapter.base, adapter.rank) == (str(tiny_base), 4)
    assert adapter.base_digest == language_model.load(tiny_base).digest()
    report = evaluation.LikenessReport.from_json(json.loads(run.report_json.read_text()))
    assert report.bits_per_byte.bot < report.bits_per_byte.base
    assert len(list(bots.open_bot(run.path).generate(n=2, seed=1))) == 2
    assert len(list(bots.open_bot(run.bot).generate(n=2, seed=1))) == 2


def test_an_update_trains_the_pairs_further(run: RunFolder) -> None:
    source = Path(run.record().config["sources"][0])
    write_csv(source, "ann", POSTS)
    before = adapters.read(run.bot)
    result = update(run.path)
    assert result.better
    after = adapters.read(run.bot)
    assert run.is_small
    assert (after.base, after.base_digest, after.rank) == (before.base, before.base_digest, 4)
    assert bots.load_from_run(run).digest() != bots.load_from_run(run.versions()[1]).digest()


def test_a_small_bot_merges_with_a_full_one_of_the_same_base(
    run: RunFolder, full: Path, tmp_path: Path
) -> None:
    other = copied(full, tmp_path / "other")
    merged = merging.merge([run.path, other.path], MergeOptions(name="both", out=tmp_path / "runs"))
    assert not merged.is_small
    weights = [
        dict(bots.load_from_run(one).model.named_parameters()) for one in (run, other, merged)
    ]
    name = "model.layers.0.mlp.up_proj.weight"
    ours, theirs, mean = (of[name].detach() for of in weights)
    assert mean.allclose((ours + theirs) / 2, atol=1e-6)


def test_shrinking_says_what_is_lost_and_expanding_gives_the_same_bot_back(
    full_run: RunFolder,
) -> None:
    before = bots.load_from_run(full_run).digest()
    made = small_bots.shrink(full_run, 8)
    assert full_run.is_small
    assert made.rank == adapters.read(full_run.bot).rank == 8
    assert made.bits_per_byte is not None
    assert made.bits_per_byte_full is not None
    assert made.bits_per_byte > made.bits_per_byte_full  # the embeddings' changes are left out
    record = full_run.record()
    assert record.shrunk["after"] == made.bits_per_byte
    assert "made small then" in (full_run.bot / "README.md").read_text()
    small = bots.load_from_run(full_run).digest()
    assert small != before
    small_bots.expand(full_run)
    assert "model.safetensors" in names_of(full_run.bot)
    assert bots.load_from_run(full_run).digest() == small
    assert "library_name: transformers" in (full_run.bot / "README.md").read_text()


def test_a_bot_made_small_is_updated_as_lora(full_run: RunFolder) -> None:
    small_bots.shrink(full_run, 4)
    write_csv(Path(full_run.record().config["sources"][0]), "ann", POSTS)
    update(full_run.path)
    assert adapters.read(full_run.bot).rank == 4


def test_an_exported_adapter_passes_the_checks_of_vllm(full_run: RunFolder, tmp_path: Path) -> None:
    """vllm/lora/peft_helper.py and lora_model.py of vLLM 0.11 refuse anything else.

    docs.vllm.ai/en/latest/features/lora.html: rank at most --max-lora-rank, which is one of the
    numbers below; the names of modules decide, as they are in the safetensors file.
    """
    exported = export(full_run, "adapter", out=tmp_path / "adapter", rank=16)
    config = json.loads((exported.path / adapters.CONFIG).read_text())
    assert config["r"] in {8, 16, 32, 64, 128, 256, 320, 512}
    assert type(config["lora_alpha"]) is int
    assert config["bias"] == "none"
    assert not config["modules_to_save"]
    assert not config.get("use_dora")
    assert set(config["target_modules"]) <= VLLM_LINEAR_LAYERS
    assert config["base_model_name_or_path"] == full_run.record().config["base"]
    from safetensors import safe_open

    with safe_open(exported.path / adapters.WEIGHTS, "np") as opened:
        for name in opened.keys():  # noqa: SIM118 - no dict
            module, kind, _ = name.removeprefix("base_model.model.").rsplit(".", 2)
            assert module.rpartition(".")[2] in VLLM_LINEAR_LAYERS
            assert kind in ("lora_A", "lora_B")
            rank = opened.get_slice(name).get_shape()[0 if kind == "lora_A" else 1]
            assert rank == config["r"]
    assert exported.adapter is not None
    assert exported.adapter.bits_per_byte is not None


def test_a_small_bot_is_exported_to_every_format(run: RunFolder, tmp_path: Path) -> None:
    weights = (run.bot / adapters.WEIGHTS).read_bytes()
    copy = export(run, "adapter", out=tmp_path / "adapter")
    assert (copy.path / adapters.WEIGHTS).read_bytes() == weights
    whole = export(run, "safetensors", out=tmp_path / "whole")
    assert language_model.load(whole.path).digest() == bots.load_from_run(run).digest()
    assert "adapter_config.json" not in names_of(whole.path)
    assert "library_name: transformers" in (whole.path / "README.md").read_text()
    gguf = export(run, "gguf", "f16", out=tmp_path / "gguf").gguf
    assert gguf
    assert gguf.bits_per_byte == pytest.approx(gguf.bits_per_byte_here, rel=1e-2)
    onnx = export(run, "onnx", out=tmp_path / "onnx")
    assert "config.json" in names_of(onnx.path)
    assert "adapter_config.json" not in names_of(onnx.path)


def test_the_hub_shows_a_small_bot_as_an_adapter_of_its_base(
    run: RunFolder, tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_the_hub(run, tiny_base)
    with HubServer({"hf_secret": "me"}) as server:
        server.use(monkeypatch, tmp_path / "hf", "hf_secret")
        hub.execute(hub.plan(run))
        repo = server.repos["models", "me/ann"]
        there = repo.commits[repo.refs["main"]]
    assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json"} < set(there)
    card = there["README.md"].decode()
    for line in (
        "library_name: peft",
        "base_model: ann/tiny",
        "base_model_relation: adapter",
        "- base_model:adapter:ann/tiny",
        "- lora",
        'AutoModelForCausalLM.from_pretrained("ann/tiny"',
        "pairs of matrices of rank 4",
    ):
        assert line in card
    assert json.loads(there["adapter_config.json"])["base_model_name_or_path"] == "ann/tiny"


def test_a_small_bot_of_a_local_base_is_not_passed_on(run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(BotError, match="a base that is a folder on this machine"):
        hub.plan(run)
    with pytest.raises(BotError, match="huggingtweets expand"):
        bot_views.export(run, tmp_path)
    small_bots.expand(run)
    with zipfile.ZipFile(bot_views.export(run, tmp_path)) as archive:
        assert "me/bot/model.safetensors" in archive.namelist()


def test_the_card_of_a_built_in_base_says_where_its_folder_is(run: RunFolder) -> None:
    record = run.record()
    record.config["base"] = "smollm2-posts"
    facts = replace(Facts.of(run, record), adapter=AdapterFacts(16, 9_800_000))
    card = render_card(facts)
    assert "`huggingtweets base path smollm2-posts` prints its folder" in card
    assert "base_model" not in card.split("---")[1]


def test_a_changed_base_is_refused(full_run: RunFolder, run: RunFolder) -> None:
    record = full_run.record()
    record.config["base_digest"] = "0" * 64
    full_run.save(record)
    with pytest.raises(BaseModelError, match="has changed since"):
        small_bots.shrink(full_run, 8)
    assert not full_run.is_small
    adapters.write(replace(adapters.read(run.bot), base_digest="0" * 64), run.bot)
    with pytest.raises(MissingBaseError, match="doesn't belong to"):
        bots.open_bot(run.path)


def test_a_small_bot_is_no_base_of_another(run: RunFolder, tmp_path: Path) -> None:
    recipe = RECIPES["fast"].changed(adapter="lora")
    options = TrainOptions(
        base=str(run.bot), recipe=recipe, out=tmp_path / "runs", track="none", device="cpu"
    )
    with pytest.raises(InputError, match="can't be the base of another"):
        pipeline.train(Path(run.record().config["sources"][0]), options)
    assert not (tmp_path / "runs").exists()


def test_an_open_small_bot_counts_with_its_base(run: RunFolder, tiny_base: Path) -> None:
    cache = BotCache(1e9)
    cache.open(run)
    assert cache.size > (tiny_base / "model.safetensors").stat().st_size * 0.9
    assert _size_on_disk(run) > (tiny_base / "model.safetensors").stat().st_size


def test_commands_make_a_bot_small_and_full_again(
    full_run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cli = CommandLine(monkeypatch, capsys)
    monkeypatch.chdir(full_run.path.parents[1])
    monkeypatch.setenv("COLUMNS", "100")
    done = cli("shrink", "me", "--rank", "8")
    assert done.code == 0, done.err
    for words in ("exports/me-adapter", "rank 8", "of the full bot", "--replace"):
        assert words in done.out
    assert not full_run.is_small
    assert cli("expand", "exports/me-adapter", "--out", "alone").code == 0
    assert "model.safetensors" in names_of(Path("alone"))
    told = json.loads(cli("shrink", "me", "--rank", "8", "--replace", "--json").out)
    assert (told["replaced"], told["rank"], told["posts"]) == (True, 8, 15)
    assert cli("shrink", "me").refused("is a small bot already")
    assert cli("shrink", "me", "--rank", "0").refused("--rank must be from 1 to 256, not 0")
    assert cli("expand", "me", "--out", "x", "--replace").refused("either --out DIR or --replace")
    wrote = json.loads(cli("generate", "me", "-n", "1", "--json").out)
    assert len(wrote["posts"]) == 1
    assert "exports/me-safetensors" in cli("expand", "me").out
    assert cli("expand", "me", "--replace").code == 0
    assert not full_run.is_small
    assert cli("expand", "me").refused("is a full bot already")
