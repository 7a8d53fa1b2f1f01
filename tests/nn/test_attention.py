"""Each device's attention equals transformers' attention and leaves the model unchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from huggingtweets.nn import attention
from huggingtweets.pretraining.presets import Preset

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM

SHAPE = Preset("shape", vocabulary=64, width=32, layers=2, heads=2, hidden=64, context=320, row=320)


@pytest.fixture
def model() -> LlamaForCausalLM:
    import torch

    torch.manual_seed(0)
    built = SHAPE.build(64, 0)
    built.train()
    return built


def loss_and_gradients(model: LlamaForCausalLM, time: int) -> tuple[float, list[torch.Tensor]]:
    import torch

    tokens = torch.randint(0, 64, (3, time), generator=torch.Generator().manual_seed(1))
    model.zero_grad()
    loss = model(input_ids=tokens, labels=tokens).loss
    loss.backward()
    return loss.item(), [w.grad.clone() for w in model.parameters() if w.grad is not None]


@pytest.mark.parametrize("device", ["cpu", "cuda"])  # both kinds of attention run on a CPU
# one block, exactly two, a shorter last one
@pytest.mark.parametrize("time", [5, 256, 300])
def test_loss_and_gradients_equal_those_of_transformers(
    model: LlamaForCausalLM, time: int, device: str
) -> None:
    import torch

    loss, gradients = loss_and_gradients(model, time)
    with attention.use_causal_attention(model, device):
        ours, our_gradients = loss_and_gradients(model, time)
    assert ours == pytest.approx(loss, rel=1e-6)
    for one, other in zip(our_gradients, gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_positions_do_not_attend_to_later_ones(model: LlamaForCausalLM) -> None:
    import torch

    tokens = torch.randint(1, 64, (1, 200), generator=torch.Generator().manual_seed(1))
    changed = tokens.clone()
    changed[0, 150] = (changed[0, 150] + 1) % 64
    with torch.no_grad(), attention.use_causal_attention(model, "cpu"):
        before, after = model(input_ids=tokens).logits, model(input_ids=changed).logits
    assert torch.equal(before[0, :150], after[0, :150])
    assert not torch.equal(before[0, 150:], after[0, 150:])


def test_the_previous_attention_is_restored(model: LlamaForCausalLM) -> None:
    previous = model.config._attn_implementation
    with pytest.raises(KeyboardInterrupt), attention.use_causal_attention(model, "cpu"):
        assert model.config._attn_implementation != previous
        raise KeyboardInterrupt
    assert model.config._attn_implementation == previous
    with attention.use_causal_attention(model, "cpu", wanted=False):
        assert model.config._attn_implementation == previous
