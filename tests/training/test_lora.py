"""Training pairs of small matrices beside frozen layers, and what is left of it in a bot."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import pytest

from huggingtweets.errors import InputError
from huggingtweets.nn import adapters, language_model, likelihood
from huggingtweets.training import TrainingTask, fit
from huggingtweets.training.layers import Layers
from huggingtweets.training.lora import Lora
from huggingtweets.training.recipe import FAST

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from huggingtweets.nn.adapters import Adapter
    from huggingtweets.nn.devices import ComputeDevice
    from huggingtweets.nn.language_model import LanguageModel
    from huggingtweets.training import TrainingResult

RECIPE = FAST.changed(learning_rate=2e-2, epochs=2, adapter="lora:4")
BASES = ["tiny_base", "dropout_base"]


@pytest.fixture
def base(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.getfixturevalue(request.param)
    return folder


def saved(result: TrainingResult, base: Path, folder: Path) -> LanguageModel:
    """Save the adapter of a training and load it as a bot."""
    lm = language_model.load(base)
    folder.mkdir()
    assert result.adapter
    lm.save_adapter(replace(result.adapter, base=str(base), base_digest=lm.digest()), folder)
    return language_model.load(folder)


def weights_of(lm: LanguageModel) -> dict[str, torch.Tensor]:
    return dict(lm.model.named_parameters())


@pytest.mark.parametrize("base", BASES, indirect=True)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_small_bot_learns_and_is_saved_as_what_it_became(
    base: Path,
    precision: Literal["fp32", "bf16"],
    posts: list[str],
    cpu: ComputeDevice,
    tmp_path: Path,
) -> None:
    lm = language_model.load(base)
    before = likelihood.bits_per_byte(lm, posts[270:])
    machine = replace(cpu, precision=precision)
    result = fit(TrainingTask(lm, [posts[:120]], posts[270:], RECIPE, machine))

    first = result.history[0]["held_out_bits_per_byte"]
    assert first == pytest.approx(before, rel=1e-2 if precision == "bf16" else 1e-6)
    assert result.best < 0.99 * before  # random embeddings stay as they are
    bot = saved(result, base, tmp_path / "bot")
    assert bot.digest() == lm.digest()
    assert {type(m).__name__ for m in lm.model.modules() if "Lora" in type(m).__name__} == set()
    assert likelihood.bits_per_byte(bot, posts[270:]) == pytest.approx(result.best, rel=1e-2)
    assert (tmp_path / "bot" / adapters.WEIGHTS).stat().st_size < 40_000


def test_only_the_linear_layers_of_the_chosen_blocks_change(
    tiny_base: Path, posts: list[str], cpu: ComputeDevice
) -> None:
    import torch

    lm, plain = language_model.load(tiny_base), language_model.load(tiny_base)
    recipe = RECIPE.changed(layers=1)
    result = fit(TrainingTask(lm, [posts[:60]], posts[270:], recipe, cpu))
    assert result.adapter
    parts = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"]
    parts += ["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]
    assert set(result.adapter.pairs) == {f"model.layers.1.{part}" for part in parts}
    before = weights_of(plain)
    changed = {n for n, w in weights_of(lm).items() if not torch.equal(w, before[n])}
    assert changed == {f"{name}.weight" for name in result.adapter.pairs}
    assert all(weight.requires_grad for weight in weights_of(lm).values())


def test_cached_outputs_of_the_layers_below_change_nothing(
    tiny_base: Path, posts: list[str], cpu: ComputeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train() -> TrainingResult:
        lm = language_model.load(tiny_base)
        recipe = RECIPE.changed(layers=1)
        return fit(TrainingTask(lm, [posts[:60]], posts[270:], recipe, cpu))

    cached = train()
    monkeypatch.setattr("huggingtweets.training.loop.can_cache_outputs", lambda *_: False)
    assert train().best == pytest.approx(cached.best, rel=1e-4)


def test_the_way_back_scales_the_difference_to_the_base(
    tiny_base: Path, posts: list[str], cpu: ComputeDevice
) -> None:
    lm = language_model.load(tiny_base)
    fit(TrainingTask(lm, [posts[:200]], posts[270:], FAST.changed(learning_rate=1e-2), cpu))
    learnt = lm.model.state_dict()
    results = {}
    for way_back in (False, True):
        lm = language_model.load(tiny_base)
        lm.model.load_state_dict(learnt)
        recipe = RECIPE.changed(learning_rate=5e-3, epochs=1, way_back=way_back)
        results[way_back] = fit(TrainingTask(lm, [posts[200:240]], posts[270:], recipe, cpu))
    assert results[True].way
    assert results[True].best < results[False].best
    assert likelihood.bits_per_byte(lm, posts[270:]) == pytest.approx(results[True].best, rel=1e-2)


def test_a_small_bot_is_trained_further_from_its_own_pairs(
    tiny_base: Path, posts: list[str], cpu: ComputeDevice, tmp_path: Path
) -> None:
    recipe = RECIPE.changed(learning_rate=5e-3)
    first = fit(
        TrainingTask(language_model.load(tiny_base), [posts[:100]], posts[270:], recipe, cpu)
    )
    bot = saved(first, tiny_base, tmp_path / "bot")
    before = likelihood.bits_per_byte(bot, posts[270:])
    assert first.adapter
    lm = language_model.load(tiny_base)
    task = TrainingTask(lm, [posts[100:200]], posts[270:], recipe, cpu, start=first.adapter)
    second = fit(task)
    assert second.history[0]["held_out_bits_per_byte"] == pytest.approx(before, rel=1e-5)
    assert second.best < before
    assert saved(second, tiny_base, tmp_path / "next").digest() == lm.digest()


def test_a_bot_of_whole_top_layers_saves_those_alone(
    tiny_base: Path, posts: list[str], cpu: ComputeDevice, tmp_path: Path
) -> None:
    recipe = FAST.changed(learning_rate=3e-3, adapter="top:1")
    lm = language_model.load(tiny_base)
    result = fit(TrainingTask(lm, [posts[:60]], posts[270:], recipe, cpu))
    adapter: Adapter | None = result.adapter
    assert adapter
    assert "model.norm.weight" in adapter.full
    assert all(n.startswith(("model.layers.1.", "model.norm")) for n in adapter.full)
    assert saved(result, tiny_base, tmp_path / "bot").digest() == lm.digest()


def test_new_pairs_follow_from_the_seed(tiny_base: Path) -> None:
    import torch

    def first_pair(seed: int) -> torch.Tensor:
        lm = language_model.load(tiny_base)
        torch.manual_seed(seed)
        Lora(Layers(lm.model, 0), 4)
        return weights_of(lm)["model.layers.0.self_attn.q_proj.lora_a"].detach()

    assert torch.equal(first_pair(1), first_pair(1))
    assert not torch.equal(first_pair(1), first_pair(2))


@pytest.mark.parametrize(
    ("adapter", "full"), [("lora", "lora:16"), ("lora:8", "lora:8"), ("none", "none")]
)
def test_the_kind_of_an_adapter_has_one_full_form(adapter: str, full: str) -> None:
    assert FAST.changed(adapter=adapter).adapter == full


def test_the_whole_top_layers_are_those_that_are_trained() -> None:
    assert FAST.changed(adapter="top:3").layers == 3
    with pytest.raises(InputError, match="leave --layers out"):
        FAST.changed(adapter="top:3", layers=2)


@pytest.mark.parametrize("wrong", ["", "lora:", "lora:0", "lora:257", "top", "top:0", "dora:4"])
def test_an_unknown_adapter_is_refused(wrong: str) -> None:
    with pytest.raises(InputError, match="--adapter must be none, lora, lora:RANK"):
        FAST.changed(adapter=wrong)


def test_lora_trains_no_embeddings() -> None:
    with pytest.raises(InputError, match="choose other --layers"):
        FAST.changed(adapter="lora", layers="embeddings")


def test_lora_takes_many_times_the_rate_of_all_weights_unless_one_is_given() -> None:
    plain, small = FAST.for_base(576), FAST.changed(adapter="lora").for_base(576)
    assert small.learning_rate == pytest.approx(20 * plain.learning_rate, rel=1e-2)
    given = FAST.changed(adapter="lora", learning_rate=1e-4).for_base(576)
    assert given.learning_rate == 1e-4
