"""Posts drawn while training: they cost little and change nothing."""

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


def test_training_goes_the_same_way_with_and_without(
    dropout_base: Path, posts: list[str], cpu: ComputeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def trained() -> tuple[dict[str, torch.Tensor], list[Event]]:
        events: list[Event] = []
        lm = language_model.load(dropout_base)
        fit(TrainingTask(lm, [posts[:100]], posts[280:], RECIPE, cpu), events.append)
        return lm.model.state_dict(), events

    monkeypatch.setattr(samples, "_SECONDS", 60.0)
    weights, events = trained()
    assert [event.done for event in events if event.samples] == [
        event.done for event in events if event.held_out_bits_per_byte is not None
    ]
    monkeypatch.setattr(Sampler, "draw", lambda *_: None)
    others, events = trained()
    assert not [event for event in events if event.samples]
    assert all(torch.equal(weights[name], others[name]) for name in weights)


def test_events_tell_rate_and_use(tiny_base: Path, posts: list[str], cpu: ComputeDevice) -> None:
    events: list[Event] = []
    lm = language_model.load(tiny_base)
    result = fit(TrainingTask(lm, [posts[:100]], posts[280:], RECIPE, cpu), events.append)
    first, last = events[1], events[-1]  # before them comes what the machine is
    assert first.learning_rate is None
    assert last.learning_rate == RECIPE.rate(result.steps - 1, result.steps)
    assert last.memory_mb
    assert last.memory_mb > 50
    assert last.cores is not None
    assert first.as_dict()["samples"][0]["prompt"] == "My dream is"


def test_samples_are_told_with_how_new_they_are(tiny_base: Path, posts: list[str]) -> None:
    sampler = Sampler(language_model.load(tiny_base), [posts[:50]], seed=3)
    drawn = sampler.draw(0, 0.0)
    assert drawn
    assert len(drawn) == 3
    assert all(one.post.startswith(one.prompt) and 0 <= one.novelty <= 1 for one in drawn)
    assert Sampler(language_model.load(tiny_base), [posts[:50]], seed=3).draw(0, 0.0) == drawn
    sampler._index = CopyIndex([one.post for one in drawn])
    copies = sampler.draw(0, 1e9)
    assert copies
    assert [(one.post, one.novelty) for one in copies] == [(COPY_PLACEHOLDER, 0.0)] * 3


def test_a_share_of_the_time_is_all_they_get(tiny_base: Path, posts: list[str]) -> None:
    sampler = Sampler(language_model.load(tiny_base), [posts[:50]], seed=3)
    sampler.spent = 1.0
    assert sampler.draw(1, 49.0) is None
    assert sampler.draw(1, 51.0)


@pytest.mark.parametrize("fault", ["weights", "context"])
def test_what_cannot_be_drawn_is_left_out(tiny_base: Path, fault: str) -> None:
    lm = language_model.load(tiny_base)
    if fault == "weights":
        next(lm.model.parameters()).data.fill_(float("nan"))
    else:
        lm = replace(lm, context=4)
    assert Sampler(lm, [["hello there you"]], seed=0).draw(0, 0.0) is None
