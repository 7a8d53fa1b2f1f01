"""Posts sampled during training: they take little time and don't affect training."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from huggingtweets.generation.copy_index import CopyIndex
from huggingtweets.nn import language_model
from huggingtweets.training import RECIPES, TrainingTask, fit, samples
from huggingtweets.training.samples import COPY_PLACEHOLDER, Sampler

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from huggingtweets.events import Event
    from huggingtweets.nn.devices import ComputeDevice

RECIPE = RECIPES["fast"].changed(learning_rate=1e-2, epochs=2)


def test_samples_do_not_affect_training(
    dropout_base: Path, posts: list[str], cpu: ComputeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def trained() -> tuple[dict[str, torch.Tensor], list[Event]]:
        events: list[Event] = []
        lm = language_model.load(dropout_base)
        fit(TrainingTask(lm, [posts[:100]], posts[280:], RECIPE, cpu), events.append)
        return lm.model.state_dict(), events

    monkeypatch.setattr(samples, "_MIN_SECONDS", 60.0)
    weights, events = trained()
    assert [event.done for event in events if event.samples] == [
        event.done for event in events if event.held_out_bits_per_byte is not None
    ]
    monkeypatch.setattr(Sampler, "sample", lambda *_: None)
    other_weights, events = trained()
    assert not [event for event in events if event.samples]
    assert all(torch.equal(weights[name], other_weights[name]) for name in weights)


def test_events_contain_learning_rate_and_machine_usage(
    tiny_base: Path, posts: list[str], cpu: ComputeDevice
) -> None:
    events: list[Event] = []
    lm = language_model.load(tiny_base)
    result = fit(TrainingTask(lm, [posts[:100]], posts[280:], RECIPE, cpu), events.append)
    first, last = events[1], events[-1]  # the first event describes the machine
    assert first.learning_rate is None
    assert last.learning_rate == RECIPE.rate(result.steps - 1, result.steps)
    assert last.memory_mb
    assert last.memory_mb > 50
    assert last.cores is not None
    assert first.as_dict()["samples"][0]["prompt"] == "My dream is"


def test_samples_contain_their_novelty_and_hide_copies(tiny_base: Path, posts: list[str]) -> None:
    sampler = Sampler(language_model.load(tiny_base), [posts[:50]], seed=3)
    sampled = sampler.sample(0, 0.0)
    assert sampled
    assert len(sampled) == 3
    assert all(s.post.startswith(s.prompt) and 0 <= s.novelty <= 1 for s in sampled)
    assert Sampler(language_model.load(tiny_base), [posts[:50]], seed=3).sample(0, 0.0) == sampled
    sampler._index = CopyIndex([s.post for s in sampled])
    copies = sampler.sample(0, 1e9)
    assert copies
    assert [(s.post, s.novelty) for s in copies] == [(COPY_PLACEHOLDER, 0.0)] * 3


def test_sampling_takes_a_limited_share_of_the_time(tiny_base: Path, posts: list[str]) -> None:
    sampler = Sampler(language_model.load(tiny_base), [posts[:50]], seed=3)
    sampler.seconds_spent = 1.0
    assert sampler.sample(1, 49.0) is None
    assert sampler.sample(1, 51.0)


@pytest.mark.parametrize("fault", ["weights", "context"])
def test_samples_that_fail_are_omitted(tiny_base: Path, fault: str) -> None:
    lm = language_model.load(tiny_base)
    if fault == "weights":
        next(lm.model.parameters()).data.fill_(float("nan"))
    else:
        lm = replace(lm, context=4)
    assert Sampler(lm, [["hello there you"]], seed=0).sample(0, 0.0) is None
