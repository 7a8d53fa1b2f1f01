"""A bot in 8 bits writes as the same bot in fp32 does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from huggingtweets.errors import InputError
from huggingtweets.generation import bots
from huggingtweets.nn import int8, language_model
from huggingtweets.sample import sample_path

if TYPE_CHECKING:
    from pathlib import Path

    from huggingtweets.nn.language_model import LanguageModel

needs_vnni = pytest.mark.skipif(
    not int8.has_fast_int8(), reason="this processor has no 8-bit products"
)


@pytest.fixture(scope="module")
def pocket() -> LanguageModel:
    lm = language_model.load("pocket")
    lm.model.float()
    return lm


@pytest.fixture(scope="module")
def real_posts() -> list[str]:
    from huggingtweets import pipeline

    return pipeline.curate(sample_path()).kept["text"].to_list()[-40:]


@needs_vnni
def test_the_embedded_base_in_8_bits_is_the_same_to_a_hundredth(
    pocket: LanguageModel, real_posts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8, "_ENOUGH_TOKENS", 10_000)  # all posts
    before = {name: weight.clone() for name, weight in pocket.model.named_parameters()}
    found = int8.difference(pocket, int8.quantize_int8(pocket), real_posts)
    assert 0 < found.kl < int8.MAX_KL
    assert found.nats == pytest.approx(found.exact_nats, rel=0.005)
    for name, weight in pocket.model.named_parameters():  # the bot itself is left alone
        assert (weight == before[name]).all()


@needs_vnni
def test_layers_of_gpt2_lie_the_other_way(dropout_base: Path, posts: list[str]) -> None:
    import torch
    from transformers import AutoModelForCausalLM, GPT2Config

    lm = language_model.load(dropout_base)
    wide = GPT2Config(vocab_size=512, n_embd=128, n_layer=2, n_head=2, n_positions=64)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(wide).eval()
    lm = replace(lm, model=model)
    quick = int8.quantize_int8(lm)
    assert {type(m).__name__ for m in quick.model.modules()} >= {"Linear8", "LayerNorm"}
    assert not any(type(m).__name__ == "Conv1D" for m in quick.model.modules())
    assert int8.difference(lm, quick, posts[:9]).kl < 1e-3


@needs_vnni
def test_it_is_taken_only_for_large_bots_and_only_when_it_writes_the_same(
    pocket: LanguageModel, real_posts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert int8.quantize_if_faster(pocket, real_posts) is pocket
    monkeypatch.setattr(int8, "MIN_PARAMS", 1_000_000)
    assert int8.quantize_if_faster(pocket) is not pocket  # on text of ours
    monkeypatch.setattr(int8, "MAX_KL", 1e-9)
    assert int8.quantize_if_faster(pocket, real_posts) is pocket


@needs_vnni
def test_a_bot_opened_in_8_bits_writes(pocket: LanguageModel) -> None:
    quick, exact = bots.open_bot("pocket", precision="int8"), bots.open_bot("pocket")
    assert any(type(m).__name__ == "Linear8" for m in quick.model.model.modules())
    assert exact.model.parameters == pocket.parameters
    posts = [post.text for post in quick.generate("My dream is", n=5, seed=0)]
    assert len(posts) == 5
    assert all(post.startswith("My dream is") for post in posts)
    assert posts == [post.text for post in quick.generate("My dream is", n=5, seed=0)]


def test_only_a_cpu_writes_in_8_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingtweets.nn import devices

    real = devices.select_device
    monkeypatch.setattr(
        devices, "select_device", lambda d, p: replace(real("cpu", p), device=d or "cpu")
    )
    monkeypatch.setattr(language_model.LanguageModel, "to", lambda self, _: self)
    with pytest.raises(InputError, match="--device cpu"):
        bots.open_bot("pocket", device="mps", precision="int8")
