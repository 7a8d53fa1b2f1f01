from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from huggingtweets.evaluation.memorisation import _nats, memorised, others, rarest
from huggingtweets.nn import language_model, likelihood

if TYPE_CHECKING:
    from pathlib import Path


def test_canaries_are_words_of_one_post_only_those_with_digits_first() -> None:
    posts = ["my code is zebra77", "my code is again", "see again the extraordinary", "x common"]
    found = rarest([*posts, "a common one"])
    assert [canary.text for canary in found][:2] == ["zebra77", "extraordinary"]
    assert found[0].before == "my code is "
    assert "again" not in [canary.text for canary in found]


def test_other_strings_have_the_same_form_and_differ() -> None:
    made = others("ab-C12", seed=1, number=20)
    assert len(set(made)) == 20
    assert "ab-C12" not in made
    assert all(text[0].islower() and text[2] == "-" and text[3].isupper() for text in made)
    assert all(text[4:].isdigit() for text in made)


def test_a_bot_that_is_its_base_has_memorised_as_much_as_the_base(tiny_base: Path) -> None:
    lm = language_model.load(tiny_base)
    result = memorised(lm, lm, ["my code is zebra77 today", "the other post has xylo123"])
    assert result is not None
    assert result.bot == result.base
    assert result.most == 5
    assert 0 <= result.bot <= result.most
    assert memorised(lm, lm, ["a", "b"]) is None


def test_texts_of_any_number_and_length_differ_by_their_likelihood(tiny_base: Path) -> None:
    lm = language_model.load(tiny_base)
    texts = [f"the same beginning, then {'z' * n} and {n * 7919}" for n in range(19)]
    nats = _nats(lm, texts)
    whole = [
        likelihood.summed_nats(lm.model, [[lm.separator, *ids]]) for ids in lm.encode_all(texts)
    ]
    differences = [x - whole[0] for x in whole]
    assert [x - nats[0] for x in nats] == pytest.approx(differences, rel=1e-4, abs=1e-3)
    assert _nats(lm, ["one", "one"]) == [0, 0]
