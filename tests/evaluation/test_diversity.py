from __future__ import annotations

import pytest

from huggingtweets.evaluation.diversity import Diversity, compare_diversity


def test_distinct_2_counts_pairs_within_posts() -> None:
    # Pairs a b, b c | a b, b d: three of four are distinct; c a is not a pair.
    bot, real = compare_diversity(["a b c", "A, b d!"], ["a b c", "d e f"])
    assert bot == Diversity(distinct_2=3 / 4, repeats=0.0)
    assert real == Diversity(distinct_2=1.0, repeats=0.0)


def test_repeats_are_repeated_posts_and_repeated_ngrams() -> None:
    bot, real = compare_diversity(
        ["one two", "ONE two!", "we go to the moon and we go to the stars", "three four"],
        ["some long post of real words here", "b b b b b", "c d", "e f g h i j k"],
    )
    # the second post, and the third, which contains "we go to the" twice
    assert bot.repeats == pytest.approx(2 / 4)
    assert real.repeats == pytest.approx(1 / 4)  # the loop


def test_both_sets_are_cut_to_the_same_size() -> None:
    post = "every word here is another one"
    # Without the cut, thirty times the text would divide distinct-2 by thirty.
    bot, real = compare_diversity([post], [post] * 30)
    assert bot == real == Diversity(1.0, 0.0)
    long, short = compare_diversity(["a b a b a b a b"], ["a b"])
    assert long == short == Diversity(1.0, 0.0)


@pytest.mark.parametrize("generated", [[], ["", "🚀 🚀"], ["word"]])
def test_posts_without_word_pairs_have_no_diversity(generated: list[str]) -> None:
    bot, _ = compare_diversity(generated, ["real posts are here"])
    assert bot == Diversity(0.0, 0.0)
