"""Training only the top layers equals training the whole model with the rest frozen."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from huggingtweets.data import batching
from huggingtweets.errors import InputError, StorageError
from huggingtweets.nn import language_model, likelihood
from huggingtweets.training import TrainingTask, fit, frozen, layers
from huggingtweets.training.frozen import FrozenOutputs, can_cache_outputs
from huggingtweets.training.layers import Layers
from huggingtweets.training.recipe import CLASSIC, FAST, parse_layers

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from huggingtweets.nn.devices import ComputeDevice
    from huggingtweets.nn.language_model import LanguageModel

RECIPE = FAST.changed(learning_rate=3e-3, epochs=2, layers=1)
BASES = ["tiny_base", "dropout_base"]


@pytest.fixture
def base(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.getfixturevalue(request.param)
    return folder


def rows_of(lm: LanguageModel, posts: list[str]) -> list[batching.Row]:
    return batching.make_rows(lm.encode_all(posts), lm.separator, lm.context)


def gradients(lm: LanguageModel) -> dict[str, torch.Tensor]:
    found = {name: weight.grad for name, weight in lm.model.named_parameters()}
    return {name: gradient for name, gradient in found.items() if gradient is not None}


@pytest.mark.parametrize("multiple", [1, 16])
@pytest.mark.parametrize("base", BASES, indirect=True)
def test_gradients_equal_those_of_the_whole_model_with_the_rest_frozen(
    base: Path, posts: list[str], multiple: int
) -> None:
    import torch

    ours, plain = language_model.load(base), language_model.load(base)
    rows = rows_of(ours, posts[:12])
    batch = batching.to_batch(rows, multiple=multiple, longest=ours.context)
    split = Layers(ours.model, 1)
    outputs = FrozenOutputs(split, rows_of(ours, posts[:40]), None)
    outputs.compute(lambda *_: None)
    split.model.eval()  # dropout would differ
    with outputs.skip_frozen(rows, batch.inputs.shape[1]):
        loss = likelihood.negative_log_likelihood(ours.model, batch)
    loss.backward()  # type: ignore[no-untyped-call]

    expected = likelihood.negative_log_likelihood(plain.model, batching.to_batch(rows))
    expected.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0.0)
    found = gradients(ours)
    assert found
    assert {".1." in name or "norm" in name or "ln_f" in name for name in found} == {True}
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, gradients(plain)[name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("base", BASES, indirect=True)
def test_only_the_top_layer_and_the_final_norm_change(
    base: Path, posts: list[str], cpu: ComputeDevice, tmp_path: Path
) -> None:
    import torch

    lm, before = language_model.load(base), language_model.load(base).model.state_dict()
    trained = fit(TrainingTask(lm, [posts[:100]], posts[270:], RECIPE, cpu))
    changed = {n for n, w in lm.model.state_dict().items() if not torch.equal(w, before[n])}
    prefix, norm = (
        ("model.layers.1.", "model.norm.weight")
        if "model.norm.weight" in before
        else ("transformer.h.1.", "transformer.ln_f.weight")
    )
    assert norm in changed
    assert all(n.startswith((prefix, norm[:-6])) for n in changed)
    assert all(weight.requires_grad for weight in lm.model.parameters())
    assert trained.best < trained.history[0]["held_out_bits_per_byte"]  # type: ignore[operator]
    lm.save(tmp_path)
    again = language_model.load(tmp_path)
    assert likelihood.bits_per_byte(again, posts[270:]) == pytest.approx(trained.best, rel=1e-6)


def test_frozen_weights_are_saved_in_the_precision_of_the_base(
    tiny_base: Path, posts: list[str], cpu: ComputeDevice, tmp_path: Path
) -> None:
    """They are rounded to bfloat16 only for computing."""
    import torch

    lm, before = language_model.load(tiny_base), language_model.load(tiny_base).model.state_dict()
    state = tmp_path / "checkpoint" / "state"
    halves = replace(cpu, precision="bf16")
    fit(TrainingTask(lm, [posts[:100]], posts[270:], RECIPE, halves, checkpoint_file=state))
    assert lm.model.dtype == torch.float32
    frozen_name = "model.layers.0.mlp.up_proj.weight"
    assert torch.equal(lm.model.state_dict()[frozen_name], before[frozen_name])


def test_rows_of_blocks_are_trained_without_cached_outputs(
    tiny_base: Path, posts: list[str], cpu: ComputeDevice
) -> None:
    import torch

    lm, before = language_model.load(tiny_base), language_model.load(tiny_base).model.state_dict()
    recipe = CLASSIC.changed(epochs=1, layers=1, learning_rate=1e-2)
    trained = fit(TrainingTask(lm, [posts[:100]], posts[270:], recipe, cpu))
    assert trained.best < trained.history[0]["held_out_bits_per_byte"]  # type: ignore[operator]
    name = "model.layers.0.mlp.up_proj.weight"
    assert torch.equal(lm.model.state_dict()[name], before[name])


def test_top_layers_up_to_the_depth_leave_the_embeddings_frozen(
    tiny_base: Path, posts: list[str], cpu: ComputeDevice
) -> None:
    import torch

    lm, before = language_model.load(tiny_base), language_model.load(tiny_base).model.state_dict()
    fit(TrainingTask(lm, [posts[:100]], posts[270:], RECIPE.changed(layers=2), cpu))
    after = lm.model.state_dict()
    assert torch.equal(after["lm_head.weight"], before["lm_head.weight"])
    assert not torch.equal(
        after["model.layers.0.mlp.up_proj.weight"], before["model.layers.0.mlp.up_proj.weight"]
    )


def test_large_outputs_are_cached_in_a_temporary_file(
    tiny_base: Path,
    posts: list[str],
    cpu: ComputeDevice,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def bits(folder: Path) -> float:
        task = TrainingTask(language_model.load(tiny_base), [posts[:100]], posts[270:], RECIPE, cpu)
        return fit(replace(task, checkpoint_file=folder / "state")).best

    in_memory = bits(tmp_path / "memory")
    monkeypatch.setattr(frozen, "MAX_MEMORY_BYTES", 0)
    assert bits(tmp_path / "disk") == in_memory
    assert {file.name for file in (tmp_path / "disk").iterdir()} == {
        file.name for file in (tmp_path / "memory").iterdir()
    }


def test_a_full_disk_is_reported_in_one_sentence(
    tiny_base: Path,
    posts: list[str],
    cpu: ComputeDevice,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(handle: int, start: int, size: int) -> None:
        del handle, start, size
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(frozen, "MAX_MEMORY_BYTES", 0)
    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    task = TrainingTask(language_model.load(tiny_base), [posts[:100]], posts[270:], RECIPE, cpu)
    with pytest.raises(StorageError, match=r"^Can't write .*: the disk is full; .*\.$"):
        fit(replace(task, checkpoint_file=tmp_path / "state"))
    assert not list(tmp_path.glob(".frozen*"))


def test_layers_that_pass_on_more_than_hidden_states_are_not_skipped(
    tiny_base: Path, posts: list[str]
) -> None:
    lm = language_model.load(tiny_base)
    split, row = Layers(lm.model, 1), rows_of(lm, posts)[0]
    assert can_cache_outputs(split, row)
    lower, upper = split.blocks
    saved: dict[str, torch.Tensor] = {}

    def remember(_module: object, inputs: tuple[torch.Tensor, ...], _output: object) -> None:
        saved["inputs"] = inputs[0] * 2

    def add(_module: object, _inputs: object, output: torch.Tensor) -> torch.Tensor:
        return output + saved.pop("inputs")

    lower.get_submodule("input_layernorm").register_forward_hook(remember)
    upper.register_forward_hook(add)
    assert not can_cache_outputs(split, row)


def of_four_layers(base: Path, *, tied: bool = True) -> LanguageModel:
    """A Llama of four layers with the tokenizer of another base."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=512,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        num_key_value_heads=2,
        tie_word_embeddings=tied,
    )
    return replace(language_model.load(base), model=LlamaForCausalLM(config).eval())


def named(lm: LanguageModel, choice: int | str) -> set[str]:
    """Names of the weights that a choice trains."""
    Layers(lm.model, choice)
    return {name for name, weight in lm.model.named_parameters() if weight.requires_grad}


@pytest.mark.parametrize("base", BASES, indirect=True)
def test_each_choice_trains_its_own_weights_and_the_parts_cover_all_matrices(base: Path) -> None:
    def of(choice: int | str) -> set[str]:
        return named(language_model.load(base), choice)

    everything = of(0)
    assert everything == {n for n, _ in language_model.load(base).model.named_parameters()}
    assert {n for n in of("bottom:1") if ".0." not in n} == set()
    assert of("bottom:1") | of(1) == of("bottom:2") | of(1)
    parts = [of(part) for part in ("embeddings", "attention", "mlp")]
    assert all("attn" in name for name in parts[1])
    assert all(".mlp." in name for name in parts[2])
    assert all("embed" in name or "wte" in name or "wpe" in name for name in parts[0])
    left = everything - parts[0] - parts[1] - parts[2]
    assert sum(map(len, parts)) + len(left) == len(everything)
    assert left
    assert all("norm" in name or "ln_" in name for name in left)


def test_an_untied_head_belongs_to_the_embeddings(tiny_base: Path) -> None:
    assert named(of_four_layers(tiny_base), "embeddings") == {"model.embed_tokens.weight"}
    assert named(of_four_layers(tiny_base, tied=False), "embeddings") == {
        "model.embed_tokens.weight",
        "lm_head.weight",
    }


def test_middle_layers_train_in_the_middle_and_only_those_below_are_skipped(
    tiny_base: Path, posts: list[str]
) -> None:
    import torch

    lm = of_four_layers(tiny_base)
    rows = rows_of(lm, posts[:12])
    batch = batching.to_batch(rows)
    expected = likelihood.negative_log_likelihood(lm.model, batch)
    expected.backward()  # type: ignore[no-untyped-call]
    plain = gradients(lm)
    lm.model.zero_grad()
    split = Layers(lm.model, "middle:2")
    assert (split.first, split.trained) == (1, split.blocks[1:3])
    assert split.describe() == "the middle 2 of 4 layers"
    split.train()
    assert [block.training for block in split.blocks] == [False, True, True, False]
    assert can_cache_outputs(split, rows[0])
    outputs = FrozenOutputs(split, rows, None)
    outputs.compute(lambda *_: None)
    with outputs.skip_frozen(rows):
        loss = likelihood.negative_log_likelihood(lm.model, batch)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0.0)
    found = gradients(lm)
    assert {name.split(".")[2] for name in found} == {"1", "2"}
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, plain[name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("choice", ["bottom:1", "embeddings", "attention", "mlp"])
def test_nothing_is_skipped_below_and_only_the_chosen_weights_change(
    choice: str, dropout_base: Path, posts: list[str], cpu: ComputeDevice
) -> None:
    import torch

    lm, before = language_model.load(dropout_base), language_model.load(dropout_base).model
    old = dict(before.named_parameters())
    row = rows_of(lm, posts)[0]
    assert not can_cache_outputs(Layers(language_model.load(dropout_base).model, choice), row)
    recipe = RECIPE.changed(layers=choice, epochs=1)
    trained = fit(TrainingTask(lm, [posts[:60]], posts[280:], recipe, cpu))
    changed = {n for n, w in lm.model.named_parameters() if not torch.equal(w, old[n])}
    assert changed == named(language_model.load(dropout_base), choice)
    assert trained.best < trained.history[0]["held_out_bits_per_byte"]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        *(("all", 0), ("top:1", 1), ("top:12", 12), ("bottom:3", "bottom:3")),
        *(("middle:02", "middle:2"), ("embeddings", "embeddings"), ("mlp", "mlp")),
    ],
)
def test_layers_option_is_parsed(given: str, expected: int | str) -> None:
    assert parse_layers(given) == expected
    assert FAST.changed(layers=given).layers == expected


@pytest.mark.parametrize(
    "given",
    [
        *("top:0", "top:-1", "top:", "top:x", "top:1.5", "foo", "", "10", "all:1", "mlp:1"),
        *("bottom", "middle:0", "top:²", "embeddings ", "top:9999999999"),
    ],
)
def test_an_invalid_layers_option_is_refused(given: str) -> None:
    sentence = (
        r"^--layers must be all, top:K, bottom:K, middle:K, embeddings, attention or mlp, with K "
        r"from 1, not [^\n]*\.$"
    )
    with pytest.raises(InputError, match=sentence):
        parse_layers(given)
    with pytest.raises(InputError, match=sentence):
        FAST.changed(layers=given)


@pytest.mark.parametrize("value", [-1, 1.5, True, ["mlp"]])
def test_a_recipe_with_other_layers_is_refused(value: object) -> None:
    with pytest.raises(InputError, match=r"layers must be a whole number from 0, or all, top:K"):
        FAST.changed(layers=value)


def test_a_base_without_the_named_part_is_refused(tiny_base: Path) -> None:
    import torch

    model = torch.nn.Module()
    model.layers = torch.nn.ModuleList([torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)])
    layers.check(model, "bottom:2")
    with pytest.raises(InputError, match=r"^--layers mlp can't be used: this base has no part of"):
        layers.check(model, "mlp")
    with pytest.raises(InputError, match=r"has 2 layers; choose all or middle:1 to middle:2\.$"):
        layers.check(language_model.load(tiny_base).model, "middle:3")


def test_more_layers_than_the_model_has_are_refused(tiny_base: Path) -> None:
    model = language_model.load(tiny_base).model
    layers.check(model, 2)
    with pytest.raises(InputError, match=r"has 2 layers; choose all or top:1 to top:2\.$"):
        Layers(model, 99)
