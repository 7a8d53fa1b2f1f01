"""Damaged and hostile model folders end in one sentence; odd ones still write posts."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.hostile_models import HARMLESS, REFUSED, split

from huggingtweets.errors import BaseModelError, BotError
from huggingtweets.generation import bots
from huggingtweets.nn import devices, language_model


@pytest.fixture
def folder(tiny_base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_base, tmp_path / "model"))


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> object:
    """No tokenizer has passed before."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HUGGINGTWEETS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.mark.parametrize("name", REFUSED)
def test_a_broken_folder_is_refused_in_one_sentence(name: str, folder: Path) -> None:
    change, words = REFUSED[name]
    change(folder)
    before = devices.peak_memory_mb() or 0
    with pytest.raises(BaseModelError) as refused:
        language_model.load(folder)
    assert words in str(refused.value)
    assert len(str(refused.value)) < 600
    assert "\n" not in str(refused.value)
    assert (devices.peak_memory_mb() or 0) - before < 500
    assert not Path("/tmp/huggingtweets-was-here").exists()  # noqa: S108


@pytest.mark.parametrize("name", HARMLESS)
def test_an_odd_folder_still_writes_posts(name: str, folder: Path) -> None:
    HARMLESS[name](folder)
    lm = language_model.load(folder)
    bot = bots.Bot(lm.to(devices.select_device("cpu", "fp32")), None)
    assert len(list(bot.generate("The old cat", n=2, seed=1))) == 2


def test_a_bot_says_what_is_wrong_with_it(folder: Path) -> None:
    REFUSED["a missing tensor"][0](folder)
    with pytest.raises(BotError, match=r"damaged \(model.safetensors lacks .*up_proj.weight\)"):
        bots.open_bot(folder)


def test_a_text_that_a_pattern_fails_on_is_one_sentence(folder: Path) -> None:
    split("(x+)+y")(folder)  # no probe has many
    lm = language_model.load(folder)
    assert lm.encode("hello")
    for encode in (lm.encode, lambda text: lm.encode_all(["hello", text])):
        with pytest.raises(BaseModelError, match=r"tokenizer of .* fails on this text"):
            encode("x" * 60)


SMALL = {"vocab_size": 512, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
SMALL |= {"num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 64}
OTHER: dict[str, dict[str, Any]] = {
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64},
    "gpt_neo": {"num_layers": 2, "attention_types": [[["global", "local"], 1]], "num_heads": 2},
    "gpt_neox": {},
    "gptj": {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64, "rotary_dim": 8},
    "opt": {"ffn_dim": 64, "word_embed_proj_dim": 32},
    "bloom": {"n_layer": 2, "n_head": 2},
    "falcon": {},
    "phi": {},
    "qwen3": {"head_dim": 16},
    "qwen2_moe": {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
    | {"shared_expert_intermediate_size": 32},
    "gemma3_text": {"head_dim": 16},
    "mamba": {"state_size": 4, "num_hidden_layers": 2},
}
"""Settings of architectures besides the Llama of the other tests."""


@pytest.mark.parametrize("kind", OTHER)
@pytest.mark.parametrize("tied", [True, False])
def test_other_architectures_still_load(kind: str, tied: bool, folder: Path) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    for name in ("model.safetensors", "config.json", "generation_config.json"):
        (folder / name).unlink()
    config = AutoConfig.for_model(kind, **{**SMALL, **OTHER[kind], "tie_word_embeddings": tied})
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    lm = language_model.load(folder)
    assert lm.model.config.model_type == kind
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-9])
    with pytest.raises(BaseModelError, match="damaged"):
        language_model.load(folder)
