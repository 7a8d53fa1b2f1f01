"""Completions in parts: what was handed over is the whole post's beginning, and never a copy."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from huggingtweets.errors import InputError
from huggingtweets.generation import bots
from huggingtweets.generation.batch_engine import Limits
from huggingtweets.generation.completions import CompletionRequest, HandedOver, Wanted, parts_of
from huggingtweets.generation.copy_index import CopyIndex
from huggingtweets.generation.sampling import Sampling
from huggingtweets.privacy import masking

if TYPE_CHECKING:
    from huggingtweets.generation.bots import Bot
    from huggingtweets.generation.completions import Part
    from huggingtweets.storage.run_folder import RunFolder

LONG = 10_000  # characters


@pytest.fixture(scope="module")
def bot(finished: RunFolder) -> Bot:
    """In fp32: how bfloat16 rounds depends on how many posts are computed together."""
    return bots.open_bot(finished.path, "cpu", "fp32")


def ask(
    bot: Bot,
    prompt: str = "We",
    *,
    n: int = 1,
    seed: int = 1,
    stream: bool = False,
    limits: Limits = Limits(),  # noqa: B008 - it is frozen
    temperature: float = 1.0,
) -> list[Part]:
    sampling = Sampling(temperature, max_chars=LONG, seed=seed)
    return list(parts_of(CompletionRequest(bot, prompt, sampling, Wanted(n, stream, limits))))


def texts(parts: list[Part]) -> dict[int, str]:
    ordered = sorted(parts, key=lambda part: part.choice)
    return {
        choice: "".join(part.text for part in mine)
        for choice, mine in itertools.groupby(ordered, key=lambda part: part.choice)
    }


def test_a_stream_says_what_the_whole_completion_says(bot: Bot) -> None:
    for prompt in ("", "We"):
        whole, parts = ask(bot, prompt, n=8), ask(bot, prompt, n=8, stream=True)
        assert texts(parts) == texts(whole)
        assert {part.finish for part in whole} <= {"stop", "length"}  # of the model's context
        assert len(parts) > 12
        assert sum(part.tokens for part in parts) == sum(part.tokens for part in whole)


def test_completions_are_the_posts_of_generate(bot: Bot) -> None:
    sampling = Sampling(seed=5)
    parts = list(parts_of(CompletionRequest(bot, "We", sampling, Wanted(6))))
    posts = {post.text for post in bot.generate("We", 6, seed=5)}
    assert {"We" + text for text in texts(parts).values()} == posts


def test_what_a_reader_has_received_is_never_a_copy(bot: Bot) -> None:
    """The bot would write these posts again; each is left before it is one."""
    before = ["We" + text for text in texts(ask(bot, n=8)).values()]
    index = CopyIndex(before)
    assert sum(len(text) > 80 for text in before) > 2
    found: dict[int, str] = {}
    for part in ask(replace(bot, index=index), n=8, stream=True):
        found[part.choice] = found.get(part.choice, "We") + part.text
        assert not index.is_copy(found[part.choice])
        assert part.finish != "content_filter"
    assert len(found) == 8
    assert not set(found.values()) & set(before)


def test_a_bot_that_only_copies_ends_with_the_filter(bot: Bot) -> None:
    (text,) = texts(ask(bot, temperature=1e-9, limits=Limits(8))).values()
    known = replace(bot, index=CopyIndex(["We" + text]))
    for stream in (False, True):
        parts = ask(known, n=2, temperature=1e-9, limits=Limits(8), stream=stream)
        assert [(part.text, part.finish) for part in parts] == [("", "content_filter")] * 2


def test_private_data_is_never_handed_over(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    """A word of the made-up posts takes the place of private data, which they have none of."""
    plain = texts(ask(bot, n=8))
    word = max(
        {word for text in plain.values() for word in text.split() if word.isalpha()},
        key=lambda word: (3 <= sum(word in text for text in plain.values()) < 8, len(word)),
    )
    monkeypatch.setattr(masking, "mask", lambda text, *_: text.replace(word, "<word>"))
    monkeypatch.setattr(masking, "reveals", lambda text, *_: word in text)
    parts = ask(bot, n=8, stream=True, limits=Limits(top=1))
    found = texts(parts)
    assert found == {choice: text.replace(word, "<word>") for choice, text in plain.items()}
    assert any("<word>" in text for text in found.values())
    for choice, text in found.items():
        last = next(part for part in parts if part.choice == choice and part.finish)
        assert bool(last.scores) is ("<word>" not in text)


def test_a_stop_text_ends_a_completion_before_it(bot: Bot) -> None:
    plain = texts(ask(bot, n=8))
    for stream in (False, True):
        cut = ask(bot, n=8, stream=stream, limits=Limits(stops=("the", "a ")))
        endings = {part.choice: part.finish for part in cut if part.finish}
        stopped = 0
        for choice, text in texts(cut).items():
            ends = [at for at in (plain[choice].find("the"), plain[choice].find("a ")) if at >= 0]
            assert text == plain[choice][: min(ends, default=None)].rstrip()
            stopped += bool(ends) and endings[choice] == "stop"
        assert stopped > 2


def test_a_limit_of_tokens_ends_a_completion(bot: Bot) -> None:
    plain = texts(ask(bot, n=6))
    for stream in (False, True):
        parts = ask(bot, n=6, stream=stream, limits=Limits(5))
        assert [(part.tokens, part.finish) for part in parts] == [(5, "length")] * 6
        for choice, text in texts(parts).items():
            assert plain[choice].startswith(text)


def test_a_stop_text_at_once_leaves_an_empty_completion(bot: Bot) -> None:
    (part,) = ask(bot, limits=Limits(stops=(" ",)), prompt="We")
    assert (part.text, part.finish) == ("", "stop")


def test_scores_are_the_log_probabilities_of_the_model(bot: Bot) -> None:
    import torch

    lm = bot.model
    for stream in (False, True):
        parts = ask(bot, stream=stream, limits=Limits(30, top=3), temperature=0.5)
        scores = [score for part in parts for score in part.scores]
        text = "".join(score.text for score in scores)
        assert text == "".join(part.text for part in parts)
        ids = [lm.separator, *lm.encode("We"), *lm.encode(text)]
        expected = lm.model(torch.tensor([ids])).logits[0].detach().log_softmax(-1)
        first = len(lm.encode("We"))
        assert len(scores) == len(ids) - 1 - first > 5
        for at, score in enumerate(scores):
            value = float(expected[first + at, ids[first + at + 1]])
            assert score.log_probability == pytest.approx(value, abs=1e-4)
            top = expected[first + at].topk(3).values.tolist()
            assert [log for _, log in score.likeliest] == pytest.approx(top, abs=1e-4)


def test_a_prompt_as_long_as_a_post_is_refused(bot: Bot) -> None:
    sampling = Sampling(max_chars=20)
    with pytest.raises(InputError, match=r"has 20 characters and a post at most 20; shorten it"):
        CompletionRequest(bot, "x" * 20, sampling, Wanted())


def test_a_completion_goes_on_from_what_another_server_handed_over(bot: Bot) -> None:
    sampling = Sampling(1.0, max_chars=LONG, seed=1)
    had = {number: HandedOver() for number in range(4)}
    for part in ask(bot, n=4, stream=True):
        if sum(it.finish is not None for it in had.values()) < 2:
            had[part.choice] += part
    assert any(it.text and not it.finish for it in had.values())
    wanted = Wanted(4, stream=True, limits=Limits(most_tokens=40))
    request = CompletionRequest(bot, "We", sampling, wanted, handed_over=had)
    whole = dict(had)
    for part in parts_of(request):
        assert had[part.choice].finish is None  # those that have ended don't go on
        whole[part.choice] += part
    assert all(it.finish for it in whole.values())
    assert any(len(whole[i].text) > len(had[i].text) for i in had)
    for number, it in whole.items():
        assert it.text.startswith(had[number].text)
        if had[number].finish is None:
            assert it.tokens <= max(40, had[number].tokens + 1)
