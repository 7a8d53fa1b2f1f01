from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.helpers.adapters import random_adapter

from huggingtweets.generation.batch_engine import (
    BatchEngine,
    Row,
    row_rng,
    sample,
    supports_padding,
)
from huggingtweets.generation.requests import PostRequest, RequestBatch, encode_prompt
from huggingtweets.generation.sampling import Sampling
from huggingtweets.generation.writer import Writer
from huggingtweets.nn import adapters, language_model
from huggingtweets.nn.multi_adapter import SharedBase
from huggingtweets.training import RECIPES, TrainingTask, fit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from huggingtweets.nn.devices import ComputeDevice
    from huggingtweets.nn.language_model import LanguageModel

PROMPTS = ("The old cat", "", "We", "Nobody here painted the yellow kite", "I lost")


@pytest.fixture(scope="module", params=["tiny_base", "dropout_base"])
def lm(request: pytest.FixtureRequest, posts: list[str], cpu: ComputeDevice) -> LanguageModel:
    """A Llama, whose positions are rotations, and a GPT-2, which has learnt them."""
    trained = language_model.load(request.getfixturevalue(request.param))
    recipe = RECIPES["fast"].changed(learning_rate=2e-2)
    fit(TrainingTask(trained, [posts[:280]], posts[280:], recipe, cpu))
    trained.model.eval()
    return trained


def rows(
    lm: LanguageModel,
    prompts: Sequence[str],
    seed: int = 0,
    **sampling: Any,  # noqa: ANN401
) -> list[Row]:
    how = Sampling(**{"max_chars": 10_000, **sampling})
    starts = [encode_prompt(lm, prompt, how) for prompt in prompts]
    return [Row(start, how, row_rng(seed, i), i) for i, start in enumerate(starts)]


def finish(engine: BatchEngine) -> dict[object, str]:
    ended: dict[object, str] = {}
    while engine.rows:
        ended |= {row.owner: text for row, text in engine.step()}
    return ended


def test_greedy_posts_are_those_written_alone(lm: LanguageModel) -> None:
    together = BatchEngine(lm)
    together.add(rows(lm, PROMPTS, temperature=1e-9))
    found = finish(together)
    greedy = Sampling(seed=1, temperature=1e-9, max_chars=10_000)
    for i, prompt in enumerate(PROMPTS):
        post = next(Writer(lm, greedy, allow_loops=True).write(prompt, 1))
        assert found[i].replace("\ufffd", "").strip() == post.text
    assert len({len(text) for text in found.values()}) > 1


def test_a_row_does_not_depend_on_other_rows_or_on_when_it_joins(lm: LanguageModel) -> None:
    alone: dict[object, str] = {}
    for row in rows(lm, PROMPTS, seed=3):
        engine = BatchEngine(lm)
        engine.add([row])
        alone |= finish(engine)
    crowd = BatchEngine(lm)
    others = rows(lm, ["The old cat dreamt of the salty teapot"] * 9, seed=8)
    for number, other in enumerate(others):
        other.owner = f"other {number}"
    mine = rows(lm, PROMPTS, seed=3)
    crowd.add(others)
    found: dict[object, str] = {}
    for row in mine:  # one after the other, at different moments
        crowd.add([row])
        for _ in range(3):
            found |= {row.owner: text for row, text in crowd.step()}
    found |= finish(crowd)
    assert {i: found[i] for i in range(len(PROMPTS))} == alone


def test_each_row_has_its_own_length_and_temperature(lm: LanguageModel) -> None:
    short = rows(lm, ["The old cat"] * 4, seed=1, max_chars=20)
    greedy = rows(lm, ["The old cat"] * 4, seed=2, temperature=1e-9)
    wild = rows(lm, ["The old cat"] * 4, seed=3, temperature=2.0)
    for kind, of_kind in (("short", short), ("greedy", greedy), ("wild", wild)):
        for row in of_kind:
            row.owner = (kind, row.owner)
    engine = BatchEngine(lm)
    engine.add([*short, *greedy, *wild])
    found = finish(engine)
    assert all(len(found["short", i]) <= 20 for i in range(4))
    assert len({found["greedy", i] for i in range(4)}) == 1
    assert len({found["wild", i] for i in range(4)}) == 4


def test_dropped_rows_leave_and_the_others_stay_the_same(lm: LanguageModel) -> None:
    whole, part = BatchEngine(lm), BatchEngine(lm)
    whole.add(rows(lm, PROMPTS, seed=5))
    part.add(rows(lm, PROMPTS, seed=5))
    before = {row.owner: text for row, text in part.step()}
    part.drop(lambda row: row.owner in (0, 3))
    found = before | finish(part)
    expected = finish(whole)
    assert {1, 2, 4} <= set(found)
    assert all(text == expected[i] for i, text in found.items() if i not in (0, 3))
    part.drop(lambda _: True)
    assert not part.rows


@pytest.fixture(scope="module")
def bots(tiny_base: Path) -> tuple[list[LanguageModel], list[LanguageModel]]:
    """Three bots with their adapters folded in, and the same bots on one base."""
    base = language_model.load(tiny_base)
    made = [random_adapter(base, number) for number in range(3)]
    alone = []
    for adapter in made:
        own = language_model.load(tiny_base)
        adapters.fold(own.model, adapter)
        alone.append(own)
    shared = SharedBase(base, 4, 3)
    return alone, [shared.model(slot) for adapter in made if (slot := shared.add(adapter))]


def test_bots_of_one_base_write_together_what_each_writes_alone(
    bots: tuple[list[LanguageModel], list[LanguageModel]],
) -> None:
    alone, together = bots
    how = Sampling(seed=4, temperature=1.0)
    expected = {
        (which, prompt): {post.text for post in Writer(lm, how, allow_loops=True).write(prompt, 6)}
        for which, lm in enumerate(alone)
        for prompt in ("We", "The old cat")
    }
    batch = RequestBatch(together[0])
    asked = {
        PostRequest(together[which], prompt, 6, how, allow_loops=True): (which, prompt)
        for which, prompt in expected
    }
    found: dict[tuple[int, str], set[str]] = {key: set() for key in expected}
    joining = list(asked)
    while joining or batch.requests:  # a few tokens after each other
        if joining:
            batch.add(joining.pop())
        for request, post in batch.step():
            if post is not None:
                found[asked[request]].add(post.text)
    assert found == expected
    assert len(set(map(frozenset, expected.values()))) == len(expected)


def test_a_damaged_bot_costs_the_others_nothing(
    bots: tuple[list[LanguageModel], list[LanguageModel]], tiny_base: Path
) -> None:
    base = language_model.load(tiny_base)
    made = [random_adapter(base, 0), random_adapter(base, 1, size=1e18)]
    shared = SharedBase(base, 4, 2)
    fine, damaged = (shared.model(slot) for adapter in made if (slot := shared.add(adapter)))
    how = Sampling(seed=4, temperature=1.0)
    expected = {post.text for post in Writer(bots[0][0], how, allow_loops=True).write("We", 6)}
    batch = RequestBatch(fine)
    mine, other = (PostRequest(lm, "We", 6, how, allow_loops=True) for lm in (fine, damaged))
    found = []
    for request in (mine, other):
        batch.add(request)
    while batch.requests:
        found += list(batch.step())
    assert {post.text for request, post in found if request is mine and post} == expected
    ((request, error),) = [(r, post) for r, post in found if isinstance(post, Exception)]
    assert request is other
    assert "weights are damaged" in str(error)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("vocabulary", [5, 300])
def test_tokens_are_sampled_from_the_nucleus_in_its_proportions(
    temperature: float, top_p: float, vocabulary: int
) -> None:
    import torch

    logits = torch.randn(vocabulary, generator=torch.Generator().manual_seed(1))
    probabilities = torch.softmax(logits / temperature, -1)
    nucleus: list[int] = []
    for token in probabilities.argsort(descending=True).tolist():
        if top_p == 1 or sum(probabilities[nucleus].tolist()) < top_p:
            nucleus.append(token)
    expected = torch.zeros(vocabulary)
    expected[nucleus] = probabilities[nucleus] / probabilities[nucleus].sum()

    how = Sampling(temperature=temperature, top_p=top_p)
    count = 10_000
    many = [Row([0], how, row_rng(1, i), i) for i in range(count)]
    tokens = sample(logits.repeat(count, 1), many)
    shares = torch.bincount(tokens, minlength=vocabulary) / count
    assert set(tokens.tolist()) <= set(nucleus)
    error = (expected * (1 - expected) / count).sqrt()
    assert bool(((shares - expected).abs() <= 4.5 * error + 3 / count).all())


def test_only_models_that_attend_to_every_token_support_padding(tiny_base: Path) -> None:
    lm = language_model.load(tiny_base)
    assert supports_padding(lm)
    lm.model.config.sliding_window = 16
    lm.model.config.layer_types = ["full_attention", "sliding_attention"]
    assert not supports_padding(lm)


def test_rows_without_padding_support_join_only_together(
    lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = BatchEngine(lm)
    expected.add(rows(lm, ["We"] * 4, seed=2))
    monkeypatch.setattr("huggingtweets.generation.batch_engine.supports_padding", lambda _: False)
    engine = BatchEngine(lm)
    waiting = [*rows(lm, ["We"] * 4, seed=2), *rows(lm, ["I lost"], seed=2)]
    assert engine.count_joinable(waiting) == 4
    engine.add(waiting[:4])
    assert engine.count_joinable(waiting[4:]) == 0
    assert finish(engine) == finish(expected)
    assert engine.count_joinable(waiting[4:]) == 1


def test_a_shared_beginning_is_read_once(
    lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    widths = []
    forward = BatchEngine._forward

    def count(self: BatchEngine, ids: Any, *others: Any) -> Any:  # noqa: ANN401 - passed on
        widths.append(len(ids))
        return forward(self, ids, *others)

    monkeypatch.setattr(BatchEngine, "_forward", count)
    engine = BatchEngine(lm)
    engine.add(rows(lm, ["We", "I lost", "We", "We"], seed=2))
    assert widths == [2]
    assert len(engine.rows) == 4
