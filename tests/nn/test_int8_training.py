"""Int8 training stays close to fp32 and leaves the model unchanged."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from huggingtweets.nn import devices, int8_training, quantization
from huggingtweets.pretraining.presets import Preset

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM

SHAPE = Preset("shape", vocabulary=512, width=64, layers=2, heads=2, hidden=128, context=64, row=64)


@pytest.fixture
def model() -> LlamaForCausalLM:
    import torch

    torch.manual_seed(0)
    built = SHAPE.build(512, 0)
    built.train()
    return built


def loss_and_gradients(model: LlamaForCausalLM) -> tuple[float, dict[str, torch.Tensor]]:
    import torch

    tokens = torch.randint(0, 512, (4, 64), generator=torch.Generator().manual_seed(1))
    model.zero_grad()
    loss = model(input_ids=tokens, labels=tokens).loss
    loss.backward()
    return loss.item(), {
        n: w.grad.clone() for n, w in model.named_parameters() if w.grad is not None
    }


def test_loss_and_gradients_stay_close_to_fp32(model: LlamaForCausalLM) -> None:
    loss, gradients = loss_and_gradients(model)
    with int8_training.int8_matmuls(model):
        rounded_loss, rounded = loss_and_gradients(model)
    assert rounded_loss == pytest.approx(loss, rel=1e-3)
    assert rounded_loss != loss
    assert rounded.keys() == gradients.keys()
    for name, exact in gradients.items():
        assert (rounded[name] - exact).norm() < 0.06 * exact.norm(), name


def test_evaluation_between_steps_is_exact(model: LlamaForCausalLM) -> None:
    import torch

    tokens = torch.arange(1, 33)[None]
    with torch.no_grad():
        before = model.eval()(input_ids=tokens).logits
        with int8_training.int8_matmuls(model):
            assert torch.equal(model(input_ids=tokens).logits, before)


def test_layers_are_restored_after_an_interrupt(model: LlamaForCausalLM) -> None:
    import torch

    classes = [type(module) for module in model.modules()]
    names = list(model.state_dict())
    with pytest.raises(KeyboardInterrupt), int8_training.int8_matmuls(model):
        assert type(model.lm_head) is not torch.nn.Linear
        assert list(model.state_dict()) == names
        raise KeyboardInterrupt
    assert [type(module) for module in model.modules()] == classes
    with int8_training.int8_matmuls(model, wanted=False):
        assert [type(module) for module in model.modules()] == classes


def test_int8_is_used_only_in_compiled_fp32_training_on_a_cpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(quantization, "has_fast_int8", lambda: True)
    cpu = replace(devices.select_device("cpu", "fp32"), device="cpu")
    assert int8_training.should_use(cpu, compiled=True)
    assert not int8_training.should_use(cpu, compiled=False)
    assert not int8_training.should_use(replace(cpu, precision="bf16"), compiled=True)
    assert not int8_training.should_use(replace(cpu, device="cuda"), compiled=True)
    monkeypatch.setattr(quantization, "has_fast_int8", lambda: False)
    assert not int8_training.should_use(cpu, compiled=True)
