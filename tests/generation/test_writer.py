from __future__ import annotations

import time
from dataclasses import replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huggingtweets.errors import InputError
from huggingtweets.generation import requests
from huggingtweets.generation.batch_engine import BatchEngine, Row, cut_at_word, row_rng, sample
from huggingtweets.generation.copy_index import CopyIndex
from huggingtweets.generation.sampling import Sampling
from huggingtweets.generation.writer import Writer
from huggingtweets.nn import language_model
from huggingtweets.training import TrainingTask, fit
from huggingtweets.training.recipe import FAST

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import torch

    from huggingtweets.nn.devices import ComputeDevice
    from huggingtweets.nn.language_model import LanguageModel
    from huggingtweets.privacy.masking import Mask

PROMPT = "The old cat"
UNLIKE = CopyIndex(["Nobody wrote that."])
"""An index of other posts: without any index, a bot doesn't sample by its rules."""

SHORT = ["Nobody here found the kite", "We lost the teapot", "I painted it again!"]


@pytest.fixture(scope="module")
def lm(tiny_base: Path, posts: list[str], cpu: ComputeDevice) -> LanguageModel:
    """A model that has learnt to end its posts."""
    trained = language_model.load(tiny_base)
    fit(TrainingTask(trained, [posts[:280]], posts[280:], FAST.changed(learning_rate=2e-2), cpu))
    return trained


def texts(
    lm: LanguageModel,
    prompt: str = "",
    n: int = 10,
    **sampling: Any,  # noqa: ANN401 - fields of Sampling
) -> list[str]:
    return [post.text for post in Writer(lm, Sampling(**sampling)).write(prompt, n)]


def uncached(
    lm: LanguageModel, prompt: str, rows: int, sampling: Sampling, before: Sequence[int] = ()
) -> list[str]:
    """The same posts the slow way: the whole text through the model at every token."""
    import torch

    start = [*before, lm.separator, *lm.encode(prompt)]
    running = [
        Row(start, sampling, row_rng(sampling.seed or 0, i), None, tokens=[*start])
        for i in range(rows)
    ]
    ended = []
    while running:
        with torch.inference_mode():
            texts = torch.tensor([row.tokens for row in running])
            logits = lm.model(texts, use_cache=False).logits[:, -1]
        for row, token in zip(running, sample(logits, running).tolist(), strict=True):
            row.ended = token == lm.separator or len(row.tokens) + 1 >= lm.context
            if token != lm.separator:
                row.tokens.append(token)
        ended += [row.tokens for row in running if row.ended]
        running = [row for row in running if not row.ended]
    return [lm.decode(tokens[len(before) + 1 :]).strip() for tokens in ended]


def all_texts(lm: LanguageModel, prompt: str, rows: int, sampling: Sampling) -> list[str]:
    """What the engine gives, those that end at once included."""
    engine = BatchEngine(lm)
    start = requests.encode_prompt(lm, prompt, sampling)
    engine.add([Row(start, sampling, row_rng(sampling.seed or 0, i), None) for i in range(rows)])
    found = []
    while engine.rows:
        found += [text for _, text in engine.step()]
    return found


def watch_inputs(monkeypatch: pytest.MonkeyPatch) -> list[list[list[int]]]:
    """The token ids that models read from now on."""
    seen: list[list[list[int]]] = []
    forward = BatchEngine._forward

    def watched(self: BatchEngine, ids: torch.Tensor, *others: Any) -> Any:  # noqa: ANN401
        seen.append(ids.tolist())
        return forward(self, ids, *others)

    monkeypatch.setattr(BatchEngine, "_forward", watched)
    return seen


def test_batched_cached_sampling_equals_a_plain_loop_token_by_token(lm: LanguageModel) -> None:
    sampling = Sampling(seed=5, top_p=0.9, temperature=1.1, max_chars=10_000)
    for prompt in ("", PROMPT):
        written = all_texts(lm, prompt, 24, sampling)
        assert written == uncached(lm, prompt, 24, sampling)
        lengths = {len(text) for text in written}
        assert len(lengths) > 10  # rows left the batch at many different moments


@pytest.mark.parametrize("base", ["tiny_base", "dropout_base"])
def test_posts_after_a_context_are_drawn_as_by_a_plain_loop_and_hold_none_of_it(
    base: str, posts: list[str], request: pytest.FixtureRequest
) -> None:
    lm = language_model.load(request.getfixturevalue(base))
    sampling = Sampling(seed=5, max_chars=10_000)
    before = [token for post in SHORT for token in (lm.separator, *lm.encode(post))]
    for prompt in ("", PROMPT):
        writer = Writer(lm, sampling, context=[posts[0], *SHORT], allow_loops=True)
        found = [post.text for post in writer.write(prompt, 12)]
        plain = uncached(lm, prompt, 12, sampling, before)
        clean = (text.replace("\ufffd", "").strip() for text in plain)
        expected = [text for text in clean if text not in ("", prompt)]
        assert set(expected) <= set(found)
        assert len(expected) > 8
        assert all(text.startswith(prompt) for text in found)
        assert not any(post in text for text in found for post in SHORT)


def test_a_context_changes_what_is_written(lm: LanguageModel) -> None:
    def written(context: list[str]) -> list[str]:
        return [post.text for post in Writer(lm, Sampling(seed=1), context=context).write(n=5)]

    assert written([]) == texts(lm, n=5, seed=1)
    assert written(SHORT) != written([])
    assert written(SHORT) == written(SHORT)
    assert written(SHORT) != written(SHORT[::-1])


def test_what_is_read_first_are_the_newest_posts_that_leave_room_for_a_new_one(
    lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = watch_inputs(monkeypatch)
    context = [f"{i}" for i in range(10, 40)]
    writer = Writer(lm, Sampling(seed=1), context=context)
    for prompt in ("", PROMPT):
        seen.clear()
        assert len(list(writer.write(prompt, 3))) == 3
        (read,) = seen[0]  # once for all posts
        start = [lm.separator, *lm.encode(prompt)]
        before = read[: -len(start)]
        assert read == [*before, *start]
        number = writer.context_post_count(prompt)
        newest = [[lm.separator, *lm.encode(post)] for post in context[-number - 1 :]]
        assert before == list(chain.from_iterable(newest[1:]))
        room = lm.context - 32 - len(start)  # half the context, as it is less than 80 tokens
        assert len(before) <= room < len(before) + len(newest[0])
    assert writer.context_post_count(PROMPT) < writer.context_post_count()


def test_posts_after_a_context_are_cut_as_ever(lm: LanguageModel) -> None:
    writer = Writer(lm, Sampling(seed=2, max_chars=40), context=SHORT)
    found = [post.text for post in writer.write(PROMPT, 20)]
    assert all(len(PROMPT) < len(text) <= 40 for text in found)
    assert any(len(text) > 30 for text in found)


def test_a_context_of_which_nothing_fits_is_refused(lm: LanguageModel) -> None:
    with pytest.raises(InputError, match=r"No post of those to imitate fits into the 64 tokens"):
        Writer(lm, Sampling(), context=["ű" * 100] * 2).write()
    writer = Writer(lm, Sampling(), context=SHORT)
    writer.write(PROMPT)
    with pytest.raises(InputError, match="shorten the prompt"):
        writer.write("a " * 29)
    assert (
        Writer(lm, Sampling(), context=[*SHORT, "ű" * 100]).context_post_count() == 3
    )  # passed over


def test_posts_start_from_the_separator_and_the_prompt(
    lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = watch_inputs(monkeypatch)
    found = texts(lm, PROMPT + " ", n=3, seed=1)
    assert seen[0] == [[lm.separator, *lm.encode(PROMPT)]]  # once for all posts
    assert all(len(row) == 1 for rows in seen[1:] for row in rows)
    assert all(text.startswith(PROMPT) for text in found)
    assert len(found) == 3


def test_posts_stop_at_the_separator(lm: LanguageModel) -> None:
    found = texts(lm, n=40, seed=1, max_chars=10_000)
    assert not any("endoftext" in text for text in found)
    short = [text for text in found if len(lm.encode(text)) < lm.context - 2]
    assert len(short) > 10


def test_the_separators_name_in_a_prompt_is_just_letters(lm: LanguageModel) -> None:
    name = str(lm.tokenizer.eos_token)
    assert lm.separator not in lm.encode(f"My {name} dream")
    assert lm.encode_all([f"My {name} dream"]) == [lm.encode(f"My {name} dream")]
    (text,) = texts(lm, f"My {name} dream", n=1, seed=1)
    assert text.startswith(f"My {name} dream")


@pytest.mark.parametrize("max_chars", [15, 40, 1000])
def test_no_post_is_longer_than_it_may_be(lm: LanguageModel, max_chars: int) -> None:
    whole = texts(lm, PROMPT, n=20, seed=2, max_chars=10_000)
    found = texts(lm, PROMPT, n=20, seed=2, max_chars=max_chars)
    assert all(0 < len(text) <= max_chars for text in found)
    if max_chars == 1000:
        assert found == whole  # the context is shorter


@given(
    text=st.text(st.sampled_from("ab \n\t\u00a0\u3000🚀é"), max_size=40),
    max_chars=st.integers(1, 45),
)
def test_cutting_keeps_all_the_words_that_fit(text: str, max_chars: int) -> None:
    cut = cut_at_word(text, max_chars)
    assert len(cut) <= max_chars
    assert cut == cut.strip()
    assert text.strip().startswith(cut)
    words, kept = text.split(), cut.split()
    if words and len(words[0]) > max_chars:
        assert cut == words[0][:max_chars]
        return
    assert kept == words[: len(kept)]
    if len(kept) < len(words):
        more = text.strip().index(words[len(kept)], len(cut)) + len(words[len(kept)])
        assert more > max_chars


def test_cutting_leaves_the_prompt_whole() -> None:
    text = "Hello big " + "x" * 40
    assert cut_at_word(text, 30) == "Hello big"
    assert cut_at_word(text, 30, after=len("Hello big")) == text[:30]
    assert cut_at_word("Hello big world and more", 18, after=9) == "Hello big world"


def test_the_seed_decides(lm: LanguageModel) -> None:
    assert texts(lm, PROMPT, seed=3) == texts(lm, PROMPT, seed=3)
    assert texts(lm, PROMPT, seed=3) != texts(lm, PROMPT, seed=4)
    assert texts(lm, PROMPT) != texts(lm, PROMPT)


def test_posts_come_as_they_finish(lm: LanguageModel) -> None:
    writer = Writer(lm, Sampling(seed=3, max_chars=10_000))
    first = next(writer.write("", 30))
    assert len(first.text) == min(map(len, texts(lm, n=30, seed=3, max_chars=10_000))) or (
        len(lm.encode(first.text)) < lm.context // 2
    )


def test_copies_are_drawn_again_and_counted(lm: LanguageModel) -> None:
    settings = Sampling(seed=6, temperature=1.0, top_p=0.95)
    first = [post.text for post in Writer(lm, settings, UNLIKE).write(PROMPT, 10)]
    index = CopyIndex(first[:4])
    caught = [text for text in first if index.is_copy(text)]
    assert set(first[:4]) <= set(caught)

    writer = Writer(lm, settings, index)
    found = list(writer.write(PROMPT, 10))
    assert len(found) == 10
    assert writer.rejected >= len(caught)
    assert not any(post.copied or index.is_copy(post.text) for post in found)
    assert all(post.copied_words == index.longest_run(post.text).words for post in found)
    kept = [text for text in first if text not in caught]
    assert set(kept) <= {post.text for post in found}


def test_copies_that_are_allowed_are_marked(lm: LanguageModel) -> None:
    settings = Sampling(seed=6, temperature=1.0, top_p=0.95)
    first = [post.text for post in Writer(lm, settings, UNLIKE).write(PROMPT, 10)]
    index = CopyIndex(first[:4])
    writer = Writer(lm, settings, index, allow_copies=True)
    found = list(writer.write(PROMPT, 10))
    assert [post.text for post in found] == first
    assert [post.copied for post in found] == [index.is_copy(text) for text in first]
    assert writer.rejected == 0
    unchecked = next(Writer(lm, settings).write(PROMPT, 1))
    assert (unchecked.copied, unchecked.copied_words) == (None, None)


def test_a_bot_that_only_copies_gives_fewer_posts_instead_of_trying_forever(
    lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingtweets.generation.copy_index.is_loop", lambda _: False)
    greedy = Sampling(seed=1, temperature=1e-9)  # always the same post
    (only,) = set(texts(lm, PROMPT, n=3, seed=1, temperature=1e-9))
    writer = Writer(lm, greedy, CopyIndex([only]))
    started = time.monotonic()
    assert list(writer.write(PROMPT, 3)) == []
    assert writer.rejected == 60
    assert time.monotonic() - started < 60


def test_half_characters_are_left_out(tiny_base: Path) -> None:
    # untrained, it puts bytes together that are no UTF-8 nearly every time
    writer = Writer(language_model.load(tiny_base), Sampling(seed=0))
    assert any("\ufffd" in text for text in all_texts(writer.lm, "", 64, writer.sampling))
    assert all("\ufffd" not in post.text for post in writer.write(n=20))


def test_empty_posts_are_drawn_again(lm: LanguageModel) -> None:
    silent = replace(lm, separator=lm.encode("The")[0])  # now most posts end at once
    found = texts(silent, n=5, seed=1)
    assert all(text.strip() for text in found)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.8, 1.0])
def test_tokens_are_drawn_from_the_nucleus_in_its_proportions(
    temperature: float, top_p: float
) -> None:
    import torch

    draws = 20_000
    logits = torch.tensor([0.3, 2.0, -1.0, 1.0, 0.0])
    probabilities = torch.softmax(logits / temperature, -1)
    nucleus: list[int] = []
    for token in probabilities.argsort(descending=True).tolist():
        if sum(probabilities[nucleus].tolist()) < top_p:
            nucleus.append(token)
    expected = torch.zeros(5)
    expected[nucleus] = probabilities[nucleus] / probabilities[nucleus].sum()

    settings = Sampling(temperature=temperature, top_p=top_p)
    rows = [Row([0], settings, row_rng(1, i), None) for i in range(draws)]
    drawn = sample(logits.repeat(draws, 1), rows)
    shares = torch.bincount(drawn, minlength=5) / draws
    assert set(drawn.tolist()) == set(nucleus)
    error = (expected * (1 - expected) / draws).sqrt()
    assert bool(((shares - expected).abs() <= 4 * error + 1e-9).all())


@pytest.mark.parametrize("temperature", [1e-3, 1e-30, 5e-324])
def test_next_to_no_temperature_takes_the_likeliest(temperature: float) -> None:
    import torch

    logits = torch.tensor([[5.0, 90.0, -3.0], [2.0, 1.0, 0.0]])
    settings = Sampling(temperature=temperature)
    drawn = sample(logits, [Row([0], settings, row_rng(1, i), None) for i in range(2)])
    assert drawn.tolist() == [1, 0]


@pytest.mark.parametrize("half", ["half \ud83d", "half \udcf0\udc9f", "\ude00 half"])
def test_a_prompt_with_half_a_character_is_refused_in_one_sentence(
    lm: LanguageModel, half: str
) -> None:
    with pytest.raises(InputError, match=r"prompt must be text of .* whole characters") as caught:
        texts(lm, half)
    str(caught.value).encode()


def test_a_prompt_that_leaves_no_room_is_refused(lm: LanguageModel) -> None:
    with pytest.raises(InputError, match=r"has 280 characters and a post at most 280; shorten it"):
        texts(lm, "x" * 280)
    with pytest.raises(InputError, match=r"tokens and the model reads at most 64; shorten it"):
        texts(lm, "ű" * 100)
    longest = "a " * (lm.context // 2 - 2)
    assert len(list(islice(Writer(lm, Sampling(seed=1)).write(longest, 1), 1))) == 1


def test_all_faults_of_the_settings_come_at_once() -> None:
    with pytest.raises(InputError) as caught:
        Sampling(temperature=0, top_p=1.5, max_chars=0, seed=-1)
    for name in ("temperature", "top-p", "max-chars", "seed"):
        assert name in str(caught.value)
    for wrong in (float("nan"), float("inf"), -1.0):
        with pytest.raises(InputError, match="temperature"):
            Sampling(temperature=wrong)
    with pytest.raises(InputError, match="seed must be a whole number from 0"):
        Sampling(seed=2**70)


def test_loops_are_drawn_again_and_counted(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = "a living, a living, and a living"
    texts = iter([loop, "The old cat found the kite", loop, loop])
    monkeypatch.setattr(BatchEngine, "_text", lambda *_: next(texts))
    writer = Writer(language_model.load(tiny_base), Sampling())
    assert [post.text for post in writer.write(n=1)] == ["The old cat found the kite"]
    assert (writer.loops, writer.rejected) == (1, 0)
    unfiltered = Writer(language_model.load(tiny_base), Sampling(), allow_loops=True)
    assert [post.text for post in unfiltered.write(n=2)] == [loop, loop]


def test_private_data_that_a_model_writes_is_masked_unless_the_prompt_holds_it(
    tiny_base: Path, cpu: ComputeDevice
) -> None:
    post = "We lost the teapot, write to bob@mail.example again"
    parrot = language_model.load(tiny_base)
    recipe = FAST.changed(learning_rate=2e-2, epochs=8)
    fit(TrainingTask(parrot, [[post] * 100], [post], recipe, cpu), lambda _: None)

    def written(prompt: str = "", mask: Mask | None = "personal") -> tuple[list[str], int]:
        writer = Writer(parrot, Sampling(seed=1, temperature=0.1), mask=mask)
        found = list(writer.write(prompt, 3))
        assert all(one.masked == ("<email>" in one.text) for one in found)
        return [one.text for one in found], writer.masked

    assert written(mask=None) == ([post] * 3, 0)
    assert written() == (["We lost the teapot, write to <email> again"] * 3, 3)
    assert written("We lost the") == (["We lost the teapot, write to <email> again"] * 3, 3)
    assert written(post.removesuffix(" again")) == ([post] * 3, 0)
    assert written(mask="secrets") == ([post] * 3, 0)
