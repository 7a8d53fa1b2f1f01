"""Compiled training equals uncompiled training, and training survives compiler failures."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.helpers.compiler import broken_compiler, separate_compiler

from huggingtweets.data import batching
from huggingtweets.nn import devices, language_model, likelihood
from huggingtweets.training import TrainingTask, compiling, fit
from huggingtweets.training.recipe import FAST

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from huggingtweets.events import Event
    from huggingtweets.nn.devices import ComputeDevice
    from huggingtweets.nn.language_model import LanguageModel

RECIPE = FAST.changed(learning_rate=3e-3, epochs=1, batch_tokens=512)
# torch's compiler reads .grad of non-leaf tensors and forks while threads run
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
needs_compiler = pytest.mark.skipif(not devices.has_compiler(), reason="there is no C++ compiler")


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the compiled code of this test alone."""
    with separate_compiler(tmp_path_factory.mktemp("compiled")) as folder:
        yield folder


def batch_of(lm: LanguageModel, posts: list[str]) -> Any:  # noqa: ANN401 - a batch
    return batching.to_batch(batching.make_rows(lm.encode_all(posts), lm.separator, lm.context))


def loss_and_gradient(lm: LanguageModel, posts: list[str]) -> tuple[float, Any]:
    import torch

    lm.model.zero_grad()
    loss = likelihood.negative_log_likelihood(lm.model, batch_of(lm, posts))
    loss.backward()  # type: ignore[no-untyped-call]
    parts = [p.grad.float().flatten() for p in lm.model.parameters() if p.grad is not None]
    return loss.item(), torch.cat(parts)


def run_fit(
    lm: LanguageModel,
    posts: list[str],
    cpu: ComputeDevice,
    **how: Any,  # noqa: ANN401
) -> tuple[Any, list[Event]]:
    events: list[Event] = []
    task = TrainingTask(lm, [posts[:120]], posts[270:], RECIPE, cpu, **how)
    return fit(task, events.append), events


@needs_compiler
def test_compiled_blocks_give_the_loss_and_gradients_of_plain_fp32(
    tiny_base: Path, posts: list[str]
) -> None:
    plain, compiled = language_model.load(tiny_base), language_model.load(tiny_base)
    assert compiling.compile_blocks(compiled.model)
    for batch in (posts[:6], posts[6:15]):  # two shapes
        loss, gradient = loss_and_gradient(compiled, batch)
        plain_loss, plain_gradient = loss_and_gradient(plain, batch)
        assert loss == pytest.approx(plain_loss, rel=1e-5)
        assert float((gradient - plain_gradient).norm() / plain_gradient.norm()) < 1e-5
    compiling.decompile(compiled.model)
    again, _ = loss_and_gradient(compiled, posts[:6])
    assert again == pytest.approx(loss_and_gradient(plain, posts[:6])[0], rel=1e-6)


@needs_compiler
def test_compiled_training_reaches_the_loss_of_uncompiled_training(
    tiny_base: Path, posts: list[str], cpu: ComputeDevice
) -> None:
    compiled, events = run_fit(language_model.load(tiny_base), posts, cpu, compiled=True)
    plain, _ = run_fit(language_model.load(tiny_base), posts, cpu, compiled=False)
    assert compiled.compiled
    assert not plain.compiled
    assert any("compiled" in event.message for event in events)
    assert compiled.best == pytest.approx(plain.best, rel=1e-3)


@needs_compiler
def test_a_compiler_failure_is_reported_and_training_continues(
    tiny_base: Path, posts: list[str], cpu: ComputeDevice, cache: Path
) -> None:
    (cache / "half a library").write_text("x")
    plain, _ = run_fit(language_model.load(tiny_base), posts, cpu, compiled=False)
    with broken_compiler():
        result, events = run_fit(language_model.load(tiny_base), posts, cpu, compiled=True)
    assert not result.compiled
    assert any("compiling failed" in event.message for event in events)
    assert result.best == pytest.approx(plain.best, rel=1e-6)
    assert not cache.exists()


def test_a_missing_compiler_is_reported_and_training_runs_uncompiled(
    tiny_base: Path, posts: list[str], cpu: ComputeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "has_compiler", lambda: False)
    result, events = run_fit(language_model.load(tiny_base), posts, cpu, compiled=True)
    assert not result.compiled
    assert "there is no C++ compiler" in events[0].message


@pytest.mark.parametrize(
    ("changes", "model", "expected"),
    [
        ({"precision": "bf16"}, (124_000_000, False), True),
        ({"precision": "bf16"}, (124_000_000, True), False),  # slower than replace_dropout
        ({"precision": "bf16"}, (7_000_000, False), False),  # too short to pay
        ({"precision": "fp32"}, (124_000_000, False), False),
        ({"precision": "bf16", "device": "cuda"}, (124_000_000, False), False),
    ],
)
def test_compilation_is_chosen_only_where_it_pays(
    cpu: ComputeDevice,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    model: tuple[int, bool],
    expected: bool,
) -> None:
    monkeypatch.setattr(compiling, "has_compiler", lambda: True)
    (parameters, drops), where, tokens = model, replace(cpu, **changes), 200_000
    decisions = [
        compiling.should_compile(wanted, where, parameters, tokens, drops=drops)
        for wanted in (None, False, True)
    ]
    assert decisions[0] == (expected, "")
    assert [compiled for compiled, _ in decisions[1:]] == [False, True]


def test_the_cache_is_in_the_users_cache_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert compiling.cache_folder() == tmp_path / "huggingtweets" / "compiled"
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"]
