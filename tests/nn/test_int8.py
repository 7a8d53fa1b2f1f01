"""A bot in int8 predicts nearly what it predicts in fp32."""

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
    not int8.has_fast_int8(), reason="this processor has no int8 products"
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
def test_pocket_in_int8_stays_close_to_fp32(
    pocket: LanguageModel, real_posts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8, "_TOKENS_TO_COMPARE", 10_000)  # all posts
    before = {name: weight.clone() for name, weight in pocket.model.named_parameters()}
    difference = int8.difference(pocket, int8.quantize_int8(pocket), real_posts)
    assert 0 < difference.kl < int8.MAX_KL
    assert difference.nats == pytest.approx(difference.exact_nats, rel=0.005)
    for name, weight in pocket.model.named_parameters():  # the original is unchanged
        assert (weight == before[name]).all()


@needs_vnni
def test_transposed_layers_of_gpt2_are_quantized(dropout_base: Path, posts: list[str]) -> None:
    import torch
    from transformers import AutoModelForCausalLM, GPT2Config

    lm = language_model.load(dropout_base)
    wide = GPT2Config(vocab_size=512, n_embd=128, n_layer=2, n_head=2, n_positions=64)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(wide).eval()
    lm = replace(lm, model=model)
    quantized = int8.quantize_int8(lm)
    assert {type(m).__name__ for m in quantized.model.modules()} >= {"Int8Linear", "LayerNorm"}
    assert not any(type(m).__name__ == "Conv1D" for m in quantized.model.modules())
    assert int8.difference(lm, quantized, posts[:9]).kl < 1e-3


@needs_vnni
def test_only_large_bots_that_stay_close_to_fp32_are_quantized(
    pocket: LanguageModel, real_posts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert int8.quantize_if_faster(pocket, real_posts) is pocket
    monkeypatch.setattr(int8, "MIN_PARAMS", 1_000_000)
    assert int8.quantize_if_faster(pocket) is not pocket  # compared on the sample text
    monkeypatch.setattr(int8, "MAX_KL", 1e-9)
    assert int8.quantize_if_faster(pocket, real_posts) is pocket


@needs_vnni
def test_a_bot_opened_in_int8_generates_posts(pocket: LanguageModel) -> None:
    quantized, exact = bots.open_bot("pocket", precision="int8"), bots.open_bot("pocket")
    assert any(type(m).__name__ == "Int8Linear" for m in quantized.model.model.modules())
    assert exact.model.parameters == pocket.parameters
    posts = [post.text for post in quantized.generate("My dream is", n=5, seed=0)]
    assert len(posts) == 5
    assert all(post.startswith("My dream is") for post in posts)
    assert posts == [post.text for post in quantized.generate("My dream is", n=5, seed=0)]


def test_int8_needs_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingtweets.nn import devices

    real = devices.select_device
    monkeypatch.setattr(
        devices, "select_device", lambda d, p: replace(real("cpu", p), device=d or "cpu")
    )
    monkeypatch.setattr(language_model.LanguageModel, "to", lambda self, _: self)
    with pytest.raises(InputError, match="--device cpu"):
        bots.open_bot("pocket", device="mps", precision="int8")
