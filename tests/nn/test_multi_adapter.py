"""Bots that share a base compute what each computes with its adapter folded into the weights."""

from __future__ import annotations

import copy
import gc
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.helpers.adapters import ATTENTION, random_adapter

from huggingtweets.nn import adapters, language_model, multi_adapter, quantization
from huggingtweets.nn.model_folder import UnusableModelError
from huggingtweets.nn.multi_adapter import SharedBase, shared_base, slot_of

if TYPE_CHECKING:
    import torch

    from huggingtweets.nn.adapters import Adapter
    from huggingtweets.nn.language_model import LanguageModel

RANK = 4


@pytest.fixture(params=["tiny_base", "dropout_base"])
def base(request: pytest.FixtureRequest) -> LanguageModel:
    """A Llama, and a GPT-2, whose linear weights are transposed."""
    return language_model.load(request.getfixturevalue(request.param))


def folded(lm: LanguageModel, adapter: Adapter) -> LanguageModel:
    model = copy.deepcopy(lm.model)
    adapters.fold(model, adapter)
    return replace(lm, model=model)


def logits(lm: LanguageModel, ids: torch.Tensor) -> torch.Tensor:
    import torch

    with torch.inference_mode():
        found: torch.Tensor = lm.model(input_ids=ids).logits
    return found


def tokens(rows: int, length: int) -> torch.Tensor:
    import torch

    return torch.randint(1, 500, (rows, length), generator=torch.Generator().manual_seed(7))


@pytest.mark.parametrize(("rows", "length"), [(1, 1), (2, 3), (3, 20)])
def test_a_bot_computes_what_it_computes_folded(
    base: LanguageModel, rows: int, length: int
) -> None:
    import torch

    adapter = random_adapter(base, 1)
    ids = tokens(rows, length)
    plain, expected = logits(base, ids), logits(folded(base, adapter), ids)
    shared = SharedBase(base, RANK, 3)
    slot = shared.add(adapter)
    assert slot is not None
    bot = shared.model(slot)
    assert shared_base(bot) is shared
    assert slot_of(bot) is slot
    torch.testing.assert_close(logits(bot, ids), expected, rtol=1e-4, atol=1e-5)
    assert (expected - plain).abs().max() > 0.01  # adapters this large are seen
    torch.testing.assert_close(logits(base, ids), plain)


@pytest.mark.parametrize("device", ["cpu", "gpu"])
@pytest.mark.parametrize("length", [1, 2, 5, 20])
def test_rows_of_different_bots_share_a_batch(
    base: LanguageModel, length: int, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of few tokens each, of many, of both; ranks and adapted layers differ. In both ways."""
    import torch

    if device == "gpu":  # what is computed there, computed here
        monkeypatch.setattr(multi_adapter, "_SUMMING_DEVICES", ())

    made = [
        random_adapter(base, 1),
        random_adapter(base, 2, rank=2),
        random_adapter(base, 3, only=(*ATTENTION, "c_attn")),
        random_adapter(base, 4, only=("down_proj", "c_fc")),
    ]
    order = [0, 1, 0, 2, 0, 0, 3, 0]
    ids = tokens(len(order), length)
    expected = [logits(folded(base, made[which]), ids[i : i + 1]) for i, which in enumerate(order)]
    shared = SharedBase(base, RANK, 4)
    slots = [shared.add(adapter) for adapter in made]
    with shared.rows([slot for which in order if (slot := slots[which])], length):
        found = logits(base, ids)
    torch.testing.assert_close(found, torch.cat(expected), rtol=1e-4, atol=1e-5)


def test_bfloat16_differs_by_rounding_only(base: LanguageModel) -> None:
    import torch

    adapter = random_adapter(base, 1, size=0.1)
    ids = tokens(5, 2)
    expected = logits(folded(base, adapter), ids)
    language_model.convert(base.model, torch.device("cpu"), torch.bfloat16)
    shared = SharedBase(base, RANK, 3)
    slot = shared.add(adapter)
    assert slot is not None
    found = logits(shared.model(slot), ids).float()
    assert (found - expected).abs().mean() < 0.02 * expected.std()


@pytest.mark.skipif(
    not quantization.has_exact_int8(), reason="this processor computes int8 inexactly"
)
def test_a_base_in_int8_takes_adapters(
    base: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(quantization, "_MIN_INPUTS", 16)
    adapter = random_adapter(base, 1)
    ids = tokens(5, 2)
    expected = logits(folded(base, adapter), ids)
    shared = SharedBase(quantization.quantize_int8(base), RANK, 3)
    slot = shared.add(adapter)
    assert slot is not None
    found = logits(shared.model(slot), ids)
    assert any(isinstance(module, quantization.Int8Linear) for module in shared.lm.model.modules())
    assert (found - expected).abs().mean() < 0.05 * expected.std()
    assert not torch.equal(found, expected)


def test_a_slot_is_free_when_nobody_refers_to_it(base: LanguageModel) -> None:
    import torch

    whole, attention = random_adapter(base, 1), random_adapter(base, 2, only=(*ATTENTION, "c_attn"))
    ids = tokens(2, 2)
    expected = logits(folded(base, attention), ids)
    shared = SharedBase(base, RANK, 1)
    assert shared.nbytes == 0
    slot = shared.add(whole)
    assert slot is not None
    assert shared.nbytes == shared.slot_bytes > 0
    bot = shared.model(slot)
    assert shared.add(attention) is None
    del slot
    gc.collect()
    assert shared.add(attention) is None  # the bot has it
    logits(bot, ids)
    del bot
    gc.collect()
    slot = shared.add(attention)  # where the other was
    assert slot is not None
    torch.testing.assert_close(logits(shared.model(slot), ids), expected, rtol=1e-4, atol=1e-5)


def test_threads_do_not_see_each_others_rows(base: LanguageModel) -> None:
    import torch

    ids = tokens(2, 3)
    plain = logits(base, ids)
    adapter = random_adapter(base, 1)
    shared = SharedBase(base, RANK, 1)
    slot = shared.add(adapter)
    assert slot is not None
    found: list[torch.Tensor] = []
    with shared.rows([slot, slot], 3):
        other = threading.Thread(target=lambda: found.append(logits(base, ids)))
        other.start()
        other.join()
        assert not torch.equal(logits(base, ids), plain)
    assert torch.equal(found[0], plain)


def test_what_does_not_fit_is_refused(base: LanguageModel) -> None:
    import torch

    fitting, large = random_adapter(base, 1), random_adapter(base, 1, rank=8)
    (name, (a, b)), *_ = fitting.pairs.items()
    shared = SharedBase(base, RANK, 1)
    with pytest.raises(UnusableModelError, match="rank 8 is over 4"):
        shared.add(large)
    with pytest.raises(UnusableModelError, match="no linear layer nowhere"):
        shared.add(replace(fitting, pairs={"nowhere": (a, b)}))
    with pytest.raises(UnusableModelError, match=f"{name} is "):
        shared.add(replace(fitting, pairs={name: (a, b[:-1])}))
    with pytest.raises(UnusableModelError, match="replaces whole layers"):
        shared.add(replace(fitting, full={"model.norm.weight": torch.ones(32)}))
    assert shared.has_room
