"""The chunked loss equals transformers' loss for every supported type of model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from huggingtweets.data import batching
from huggingtweets.nn import cross_entropy, likelihood

if TYPE_CHECKING:
    from huggingtweets.data.batching import Batch

SIZES = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 0,
    "eos_token_id": 0,
}


def tiny_model(kind: str, **changes: Any) -> Any:  # noqa: ANN401 - any model
    """A small model with random weights."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(kind, **SIZES | changes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(config).eval()


def batch() -> Batch:
    import random

    rng = random.Random(0)
    return batching.to_batch(
        [[0, *(rng.randrange(1, 300) for _ in range(size)), 0] for size in (5, 9, 14, 30)]
    )


def loss_and_gradients(model: Any, *, plain: bool) -> tuple[float, dict[str, Any]]:  # noqa: ANN401
    import torch.nn.functional as F  # noqa: N812 - its usual name

    tokens = batch()
    if plain:
        logits = model(input_ids=tokens.inputs, use_cache=False).logits.float().flatten(0, 1)
        loss = F.cross_entropy(
            logits, tokens.labels.flatten(), ignore_index=batching.IGNORED, reduction="sum"
        )
    else:
        loss = likelihood.negative_log_likelihood(model, tokens)
    model.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.item(), {name: p.grad.clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", sorted(cross_entropy._PLAIN_HEADS))
def test_loss_and_gradients_equal_those_of_transformers(
    kind: str, tied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(cross_entropy, "LOGITS_AT_ONCE", 7 * 300)  # 7 positions at a time
    model = tiny_model(kind, tie_word_embeddings=tied)
    assert cross_entropy.has_plain_head(model)
    loss, gradients = loss_and_gradients(model, plain=False)
    expected, expected_gradients = loss_and_gradients(model, plain=True)
    assert loss == pytest.approx(expected, rel=1e-5)
    for name, gradient in expected_gradients.items():
        torch.testing.assert_close(gradients[name], gradient, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("at_once", [7 * 300, 10_000 * 300])
def test_bfloat16_stays_close_to_fp32(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(cross_entropy, "LOGITS_AT_ONCE", at_once)
    model = tiny_model("llama")
    exact, expected_gradients = loss_and_gradients(model, plain=True)
    loss, gradients = loss_and_gradients(model.to(torch.bfloat16), plain=False)
    assert loss == pytest.approx(exact, rel=1e-2)
    ours = torch.cat([g.float().flatten() for g in gradients.values()])
    theirs = torch.cat([g.flatten() for g in expected_gradients.values()])
    assert float((ours - theirs).norm() / theirs.norm()) < 1e-2


@pytest.mark.parametrize(
    ("kind", "changes"),
    [("granite", {"logits_scaling": 4.0}), ("gemma2", {"head_dim": 16}), ("cohere", {})],
)
def test_models_that_scale_their_logits_compute_their_own(
    kind: str, changes: dict[str, Any]
) -> None:
    model = tiny_model(kind, **changes)
    assert not cross_entropy.has_plain_head(model)
    loss, _ = loss_and_gradients(model, plain=False)
    expected, _ = loss_and_gradients(model, plain=True)
    assert loss == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("kind", "changes"), [("gpt2", {}), ("gemma2", {"head_dim": 16})])
def test_nats_of_single_tokens_equal_those_of_all_logits(
    kind: str, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    import torch.nn.functional as F  # noqa: N812 - its usual name

    monkeypatch.setattr(cross_entropy, "LOGITS_AT_ONCE", 7 * 300)  # 7 positions at a time
    model, tokens = tiny_model(kind, **changes).eval(), batch()
    logits = model(input_ids=tokens.inputs, use_cache=False).logits.detach()
    labelled = tokens.labels != batching.IGNORED
    expected = F.cross_entropy(logits[labelled], tokens.labels[labelled], reduction="none")
    torch.testing.assert_close(likelihood.token_nats(model, tokens), expected)


def test_inference_computes_no_gradients() -> None:
    import torch

    model = tiny_model("gpt2")
    with torch.inference_mode():
        loss = likelihood.negative_log_likelihood(model, batch())
    assert not loss.requires_grad
    assert loss.item() == pytest.approx(loss_and_gradients(model.eval(), plain=True)[0], rel=1e-5)
