"""A bot in int8 predicts nearly what it predicts in fp32; with fp16 weights, the same."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from huggingtweets.errors import InputError
from huggingtweets.generation import bots
from huggingtweets.nn import language_model, quantization
from huggingtweets.sample import sample_path

if TYPE_CHECKING:
    from pathlib import Path

    from huggingtweets.nn.language_model import LanguageModel

needs_vnni = pytest.mark.skipif(
    not quantization.has_fast_int8(), reason="this processor has no int8 products"
)


needs_fp16_weights = pytest.mark.skipif(
    not quantization.has_fast_fp16_weights(), reason="torch has no such products for this processor"
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


def layers_of(lm: LanguageModel) -> set[str]:
    return {type(module).__name__ for module in lm.model.modules()}


@needs_vnni
def test_pocket_in_int8_stays_close_to_fp32(
    pocket: LanguageModel, real_posts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantization, "_TOKENS_TO_COMPARE", 10_000)  # all posts
    before = {name: weight.clone() for name, weight in pocket.model.named_parameters()}
    difference = quantization.difference(pocket, quantization.quantize_int8(pocket), real_posts)
    assert 0 < difference.kl < quantization.MAX_KL
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
    quantized = quantization.quantize_int8(lm)
    assert layers_of(quantized) >= {"Int8Linear", "LayerNorm"}
    assert "Conv1D" not in layers_of(quantized)
    assert quantization.difference(lm, quantized, posts[:9]).kl < 1e-3


@needs_vnni
def test_only_large_bots_that_stay_close_to_fp32_are_quantized(
    pocket: LanguageModel, real_posts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert quantization.for_generation(pocket, real_posts) is pocket
    monkeypatch.setattr(quantization, "MIN_PARAMS", 1_000_000)
    assert "Int8Linear" in layers_of(quantization.for_generation(pocket))  # on the sample text
    monkeypatch.setattr(quantization, "MAX_KL", 1e-9)
    assert "Int8Linear" not in layers_of(quantization.for_generation(pocket, real_posts))
    monkeypatch.setattr(quantization, "has_fast_fp16_weights", lambda: False)
    assert quantization.for_generation(pocket, real_posts) is pocket


@needs_vnni
def test_a_bot_opened_in_int8_generates_posts(pocket: LanguageModel) -> None:
    quantized, exact = bots.open_bot("pocket", precision="int8"), bots.open_bot("pocket")
    assert "Int8Linear" in layers_of(quantized.model)
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


def test_int8_is_refused_where_it_is_inexact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantization, "has_exact_int8", lambda: False)
    with pytest.raises(InputError, match="no VNNI instructions"):
        bots.open_bot("pocket", device="cpu", precision="int8")


@needs_fp16_weights
def test_a_bot_with_fp16_weights_predicts_the_same(
    pocket: LanguageModel, real_posts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantization, "MIN_PARAMS", 1_000_000)
    packed = quantization.for_generation(pocket, exact=True)
    assert any(isinstance(m, quantization.Fp16Linear) for m in packed.model.modules())
    difference = quantization.difference(pocket, packed, real_posts)
    assert abs(difference.kl) < 1e-5
    assert difference.nats == pytest.approx(difference.exact_nats, rel=1e-4)
    own = pocket.model.get_input_embeddings().weight
    assert packed.model.get_input_embeddings().weight is own  # not copied


@needs_fp16_weights
def test_a_layer_with_a_weight_above_the_range_of_fp16_stays_fp32(dropout_base: Path) -> None:
    import torch

    lm = language_model.load(dropout_base)
    lm.model.float().lm_head = torch.nn.Linear(64, 8, bias=False)
    lm.model.other_head = torch.nn.Linear(64, 8)
    weight = lm.model.lm_head.weight
    with torch.no_grad():
        weight[0, 0] = 1e6
    packed = quantization.with_fp16_weights(lm).model
    assert packed.lm_head.weight is weight
    assert float(weight[0, 0].detach()) == 1e6
    assert isinstance(packed.other_head, quantization.Fp16Linear)
    x = torch.randn(3, 5, 64)
    with torch.inference_mode():
        torch.testing.assert_close(
            packed.other_head(x), lm.model.other_head(x), atol=1e-3, rtol=1e-3
        )


@needs_fp16_weights
def test_layers_share_equal_weights_only() -> None:
    import torch

    weight = torch.randn(8, 64)
    changed = weight.clone()
    changed[7, 63] += 1
    one, equal, other = (quantization.Fp16Linear(w, None) for w in (weight, weight, changed))
    assert one.fingerprint == equal.fingerprint == other.fingerprint
    equal.share(one)
    other.share(one)
    assert equal.packed is one.packed
    assert other.packed is not one.packed
