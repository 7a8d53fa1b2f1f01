"""A bot mentions whom its author mentioned, begins as its author does, and varies hashtags less."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from huggingtweets.generation.copy_index import CopyIndex
from huggingtweets.generation.sampling import Sampling
from huggingtweets.generation.token_rules import (
    HASHTAG_FACTOR,
    MIN_OPENINGS,
    TokenRules,
    handles_in,
)
from huggingtweets.generation.writer import Writer
from huggingtweets.nn import language_model

if TYPE_CHECKING:
    from pathlib import Path

    from huggingtweets.nn.language_model import LanguageModel

POSTS = [
    "Thank you, @harbour_cat and @mill! Write to baker@example.org.",
    ".@Mill_owner@social.example says: @gardener.example.com is back.",
]
HANDLES = ["Mill_owner@social.example", "gardener", "gardener.example.com", "harbour_cat", "mill"]


@pytest.fixture(scope="module")
def lm(tiny_base: Path) -> LanguageModel:
    """A model of random weights, which would write any handle."""
    return language_model.load(tiny_base)


@pytest.fixture
def rules(lm: LanguageModel) -> TokenRules:
    return TokenRules(lm, CopyIndex(POSTS))


def allowed(lm: LanguageModel, rules: TokenRules, text: str) -> set[str]:
    """What tokens may follow a text."""
    import torch

    logits = torch.zeros(len(lm.tokenizer) + 3)  # as with padded embeddings
    rules.restrict(logits, rules.tail(text))
    return {lm.decode([token]) for token in logits.isfinite().nonzero()[:, 0].tolist()}


def test_handles_are_found_in_posts() -> None:
    assert handles_in(POSTS) == HANDLES
    assert handles_in(["No handle: a@b, 5 @ 3 and @."]) == []
    assert handles_in(["@NASAの新しい写真", "写真@NASA"]) == ["NASA"]


def test_only_known_handles_follow_an_at_sign(lm: LanguageModel, rules: TokenRules) -> None:
    begun = {"M", "g", "h", "m"}
    after_sign = allowed(lm, rules, "Thank you @")
    assert begun <= after_sign
    assert not [text for text in after_sign if text.isalnum() and text[0] not in "Mghm"]
    assert allowed(lm, rules, "@harbour_c") == {"a", "at"} & set(lm.tokenizer.get_vocab())
    assert "@" in allowed(lm, rules, "(@Mill_owner")
    assert " " not in allowed(lm, rules, "(@Mill_owner@social")


@pytest.mark.parametrize("text", ["@mill", "Hello @gardener", "@gardener.example.com", "@stranger"])
def test_a_whole_handle_and_a_users_own_can_end(
    lm: LanguageModel, rules: TokenRules, text: str
) -> None:
    follows = allowed(lm, rules, text)
    assert {" ", ":", "!", ""} <= follows
    assert not {"a", "s", "1", "_", "@"} & follows


@pytest.mark.parametrize("text", ["", "Hello", "baker@", "@mill ", "@mill: we", "@mill-", "@x."])
def test_nothing_else_is_restricted(lm: LanguageModel, rules: TokenRules, text: str) -> None:
    assert len(allowed(lm, rules, text)) == len({lm.decode([i]) for i in range(len(lm.tokenizer))})


def test_the_allowed_tokens_keep_their_proportions(lm: LanguageModel, rules: TokenRules) -> None:
    import torch

    before = torch.randn(len(lm.tokenizer), generator=torch.Generator().manual_seed(0))
    after = before.clone()
    rules.restrict(after, "@mill")
    kept = after.isfinite()
    assert 0 < int(kept.sum()) < len(before)
    assert torch.equal(after[kept], before[kept])


@pytest.mark.parametrize(
    ("begun", "known"),
    [("", {"", *HANDLES}), ("h", {"harbour_cat"}), ("m", {"mill"}), ("M", {HANDLES[0]})],
)
def test_a_bot_invents_no_handle(lm: LanguageModel, begun: str, known: set[str]) -> None:
    writer = Writer(lm, Sampling(seed=1, max_chars=60), CopyIndex(POSTS), allow_loops=True)
    posts = [post.text for post in writer.write(f"Thank you, @{begun}", n=20)]
    assert len(posts) == 20
    for text in posts:
        written = text.removeprefix("Thank you, @")
        whole = (re.compile(rf"{re.escape(name)}(?![\w@])", re.ASCII) for name in known)
        assert any(pattern.match(written) for pattern in whole), text


def test_a_prompt_may_mention_anybody(lm: LanguageModel) -> None:
    writer = Writer(lm, Sampling(seed=1, max_chars=60), CopyIndex(POSTS), allow_loops=True)
    for post in writer.write("@stranger", n=5):
        assert re.match(r"@stranger\b", post.text, re.ASCII)


def test_a_base_without_posts_writes_what_it_likes(lm: LanguageModel) -> None:
    posts = [post.text for post in Writer(lm, Sampling(seed=1)).write("Thank you, @", n=20)]
    assert len({text[:14] for text in posts}) > 8


def test_tokens_that_are_unknown_handles_by_themselves_are_never_sampled(tiny_base: Path) -> None:
    import torch

    own = language_model.load(tiny_base)  # as tokens are added
    tokenizer = own.tokenizer
    tokenizer.add_tokens(["@mi", "@Override", "@mill!", "@gardene?"])
    rules = TokenRules(own, CopyIndex(POSTS))
    logits = torch.zeros(len(tokenizer))
    rules.restrict(logits, "Hello ")
    tokens = logits.isinf().nonzero()[:, 0].tolist()
    assert tokenizer.convert_ids_to_tokens(tokens) == ["@Override", "@gardene?"]


def test_tokens_that_stand_for_a_space_before_them_end_a_handle(lm: LanguageModel) -> None:
    """As in Llama 2 and Gemma, whose decoder strips the first space of a text."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    plain = Tokenizer(models.BPE())
    plain.pre_tokenizer = pre_tokenizers.Metaspace()
    plain.decoder = decoders.Metaspace()
    plain.train_from_iterator(POSTS * 3, trainers.BpeTrainer(show_progress=False))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain)
    rules = TokenRules(replace(lm, tokenizer=tokenizer), CopyIndex(POSTS))
    logits = torch.zeros(len(tokenizer))
    rules.restrict(logits, "Hello @mill")
    names = tokenizer.convert_ids_to_tokens(logits.isfinite().nonzero()[:, 0].tolist())
    assert "▁is" in names or "▁and" in names
    assert "m" not in names
    token = tokenizer.get_vocab()["▁and"]
    assert rules.tail("Hello @mill", token) == "Hello @mill and"


def test_a_post_begins_as_one_of_the_authors(lm: LanguageModel, posts: list[str]) -> None:
    writer = Writer(lm, Sampling(seed=1, max_chars=40), CopyIndex(posts), allow_loops=True)
    new = [post.text for post in writer.write(n=40)]
    openings = {lm.decode(lm.encode(text)[:1]) for text in posts}
    assert all(any(text.startswith(opening) for opening in openings) for text in new)
    assert len({text[0] for text in new}) > 3
    prompted = Writer(lm, Sampling(seed=1, max_chars=40), CopyIndex(posts)).write("Zebra", n=2)
    assert all(post.text.startswith("Zebra") for post in prompted)


def test_few_posts_do_not_decide_how_a_new_one_begins(lm: LanguageModel, posts: list[str]) -> None:
    rules = TokenRules(lm, CopyIndex(posts[: MIN_OPENINGS - 1]))
    assert len(allowed(lm, rules, "")) > 200
    assert rules.temperature(0.7, "") == 0.7


@pytest.mark.parametrize(
    ("chosen", "first"), [(0.7, 1.0), (0.35, 0.5), (0.9, 1.0), (1.5, 1.5), (1e-9, 1e-9 / 0.7)]
)
def test_the_first_token_has_a_higher_temperature(
    lm: LanguageModel, posts: list[str], chosen: float, first: float
) -> None:
    rules = TokenRules(lm, CopyIndex(posts))
    assert rules.temperature(chosen, "") == pytest.approx(first)
    assert rules.temperature(chosen, "The") == chosen


@pytest.mark.parametrize(
    "tail", ["#", "Look: #Plu", "(#Pluto2", "＃", "写真 #月\ufffd", "#हिन्दी", "#a·b", "#1_"]
)
def test_the_tokens_of_a_hashtag_have_a_lower_temperature(rules: TokenRules, tail: str) -> None:
    assert rules.temperature(0.8, tail) == pytest.approx(0.8 * HASHTAG_FACTOR)


@pytest.mark.parametrize(
    "tail", ["#Pluto ", "#Pluto.", "C#", "&#39", "/#a", "the # ", "#Pluto @mi", "It's"]
)
def test_other_tokens_have_the_chosen_temperature(rules: TokenRules, tail: str) -> None:
    assert rules.temperature(0.8, tail) == 0.8
