"""Posts that have a wanted hashtag, from a model of random weights: the worst case."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import pytest

from huggingtweets.data import hashtags
from huggingtweets.data.hashtags import Hashtag, Hashtags
from huggingtweets.errors import BotError, InputError
from huggingtweets.generation import tagged
from huggingtweets.generation.bots import Bot
from huggingtweets.generation.copy_index import CopyIndex
from huggingtweets.generation.sampling import Sampling
from huggingtweets.generation.tagged import TaggedStarts
from huggingtweets.generation.writer import Writer
from huggingtweets.nn import language_model, likelihood

if TYPE_CHECKING:
    from pathlib import Path

    from huggingtweets.nn.language_model import LanguageModel


@pytest.fixture(scope="module")
def lm(tiny_base: Path) -> LanguageModel:
    return language_model.load(tiny_base)


@pytest.fixture
def tag(posts: list[str]) -> Hashtag:
    return Hashtags(posts).find("harbourlife")


def test_every_post_has_the_tag_and_begins_with_the_prompt(
    lm: LanguageModel, posts: list[str], tag: Hashtag
) -> None:
    def texts(prompt: str = "") -> list[str]:
        writer = Writer(lm, Sampling(seed=1, max_chars=80), CopyIndex(posts))
        return [post.text for post in writer.write(prompt, 5, tag)]

    written = texts()
    assert len(written) == 5
    assert written == texts()
    assert all(hashtags.place_in(text, tag.key) for text in written)
    assert all(len(text) <= 80 for text in written)
    prompted = texts("The old cat")
    assert len(prompted) == 5
    assert all(text.startswith("The old cat") and tag.text in text for text in prompted)
    ready = texts("My #HarbourLife is")
    assert len(ready) == 5
    assert all(text.startswith("My #HarbourLife is") for text in ready)


def test_the_places_of_the_tag_are_those_of_the_author(lm: LanguageModel, tiny_base: Path) -> None:
    posts = [f"#kites Everyone saw number {n} by the mill" for n in range(40)]
    bot = Bot(language_model.load(tiny_base), CopyIndex(posts))
    written = list(bot.generate(n=6, seed=0, max_chars=80, hashtag="#Kites"))
    assert [hashtags.place_in(post.text, "kites") for post in written] == ["beginning"] * 6
    with pytest.raises(InputError, match="Did you mean #kites"):
        bot.generate(hashtag="kite")
    with pytest.raises(BotError, match="without the posts it learnt"):
        Bot(lm, None).generate(hashtag="kites")


def test_impossible_settings_are_refused_at_once(lm: LanguageModel, tag: Hashtag) -> None:
    writer = Writer(lm, Sampling(seed=1, max_chars=12))
    with pytest.raises(InputError, match="#harbourlife leaves no room"):
        writer.write("", 2, tag)
    with pytest.raises(InputError, match="n must be a whole number"):
        Writer(lm, Sampling(seed=1)).write("", 0, tag)


def test_starts_are_beginnings_of_drafts_before_the_tag(lm: LanguageModel, tag: Hashtag) -> None:
    drafts = ["We lost. Nobody found it", "The cat #HarbourLife sleeps", "A kite!"]
    found = tagged.find_starts(lm, drafts, tag, "", random.Random(0))
    assert found["beginning"] == [tag.text]
    ends = {"We lost. Nobody found it", "We lost.", "A kite!"}
    assert set(found["end"]) == {f"{text} {tag.text}" for text in ends}
    middles = {"We", "We lost.", "We lost. Nobody", "We lost. Nobody found", "The", "The cat", "A"}
    assert set(found["middle"]) == {f"{text} {tag.text}" for text in middles}
    assert len({text[:3] for text in found["middle"][:3]}) == 3  # each draft once before any again
    prompted = tagged.find_starts(lm, ["We lost it"], tag, "We lost", random.Random(0))
    assert prompted == {
        "beginning": [],
        "middle": [f"We lost {tag.text}"],
        "end": [f"We lost it {tag.text}"],
    }
    copies_only = tagged.find_starts(lm, [], tag, "We lost", random.Random(0))
    assert copies_only["middle"] == [f"We lost {tag.text}"]


def test_starts_are_drawn_by_their_probability() -> None:
    weights = [math.log(0.7), math.log(0.3), -math.inf]
    rng = random.Random(0)
    orders = [tagged._drawn(weights, rng) for _ in range(2000)]
    assert sum(order[0] == 0 for order in orders) / 2000 == pytest.approx(0.7, abs=0.03)
    assert {order[-1] for order in orders} == {2}


def test_the_likelihood_of_the_last_tokens_is_that_of_the_whole_less_the_first(
    lm: LanguageModel, posts: list[str]
) -> None:
    rows = [[lm.separator, *ids][: lm.context] for ids in lm.encode_all(posts[:5])]
    tails = tagged.tail_log_probs(lm, rows, 3)
    for row, tail in zip(rows, tails, strict=True):
        whole = likelihood.summed_nats(lm.model, [row])
        head = likelihood.summed_nats(lm.model, [row[:-3]])
        assert tail == pytest.approx(head - whole, abs=1e-3)


def test_a_tag_at_another_place_is_refused_a_few_times_then_taken(tag: Hashtag) -> None:
    starts = TaggedStarts(tag, {"end": ["A kite #harbourlife"]}, 1, random.Random(0))
    assert starts.next_start() == "A kite #harbourlife"
    assert not starts.accepts("A kite #harbourlifeguard")  # another tag
    assert not starts.accepts("#harbourlife")  # nothing besides
    verdicts = [starts.accepts("A kite #harbourlife flies") for _ in range(5)]
    assert verdicts == [False] * 4 + [True]
    assert starts.misplaced == 6
