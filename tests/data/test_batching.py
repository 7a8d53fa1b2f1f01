from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huggingtweets.data import batching
from huggingtweets.errors import InsufficientTextError
from huggingtweets.nn import language_model, likelihood

if TYPE_CHECKING:
    from pathlib import Path

    from huggingtweets.data.batching import Row

ROWS = st.lists(st.lists(st.integers(1, 99), max_size=40), min_size=1, max_size=60)
SIZES = st.lists(st.lists(st.integers(1, 50), min_size=1, max_size=30), min_size=1, max_size=4)


def table(counts: dict[str, int]) -> pl.DataFrame:
    """Return posts of alternating authors; the text is a counter per author."""
    rows = [(author, str(i)) for author, n in counts.items() for i in range(n)]
    rows.sort(key=lambda row: (int(row[1]), row[0]))
    return pl.DataFrame(rows, schema={"author": pl.String, "text": pl.String}, orient="row")


@given(
    counts=st.dictionaries(st.sampled_from("abc"), st.integers(2, 60), min_size=1),
    holdout=st.floats(0.001, 0.999),
)
@settings(deadline=None, max_examples=60)
def test_newest_holds_out_the_share_of_each_author_and_really_the_newest(
    counts: dict[str, int], holdout: float
) -> None:
    parts = batching.split(table(counts), holdout=holdout)
    train = batching.texts_by_author(parts, "train", [*counts])
    held_out = batching.texts_by_author(parts, "held_out", [*counts])
    for author, n in counts.items():
        size = len(held_out[author])
        assert size == pytest.approx(min(max(n * holdout, 1), n - 1), abs=0.5)
        assert train[author] + held_out[author] == [str(i) for i in range(n)]


def test_random_is_decided_by_the_seed_and_sizes_are_the_same() -> None:
    kept = table({"ann": 100, "bob": 40})

    def held_out(seed: int) -> dict[str, list[str]]:
        parts = batching.split(kept, holdout=0.2, rule="random", seed=seed)
        return batching.texts_by_author(parts, "held_out", ["ann", "bob"])

    assert held_out(1) == held_out(1)
    assert held_out(1) != held_out(2)
    assert {author: len(texts) for author, texts in held_out(1).items()} == {"ann": 20, "bob": 8}
    assert held_out(1)["ann"] != [str(i) for i in range(80, 100)]


def test_a_single_post_cannot_be_split() -> None:
    with pytest.raises(InsufficientTextError, match=r"^bob has only one post left"):
        batching.split(table({"ann": 9, "bob": 1}), holdout=0.1)


@pytest.mark.parametrize(("characters", "warned"), [(39_999, True), (40_000, False), (6_000, True)])
def test_little_text_is_a_warning(characters: int, warned: bool) -> None:
    warning = batching.text_amount_warning(pl.DataFrame({"text": ["é" * characters]}))
    assert (warning is not None) is warned
    assert warning is None or f"Only {characters:,} characters" in warning


@pytest.mark.parametrize("texts", [["é" * 5_999], []])
def test_too_little_text_is_an_error(texts: list[str]) -> None:
    kept = pl.DataFrame({"text": texts}, schema={"text": pl.String})
    with pytest.raises(InsufficientTextError, match="at least 6,000 are needed"):
        batching.text_amount_warning(kept)


@given(posts=ROWS, context=st.integers(1, 20))
@settings(deadline=None)
def test_every_token_and_the_end_are_predicted_exactly_once(
    posts: list[list[int]], context: int
) -> None:
    rows = batching.make_rows(posts, 0, context)
    assert [token for row in rows for token in row[1:]] == [
        token for post in posts for token in [*post, 0]
    ]
    assert all(2 <= len(row) <= context + 1 for row in rows)
    before = 0
    for row in rows:
        assert row[0] == before  # the separator, or the last token of the row before
        before = row[-1]


@given(sizes=SIZES, seed=st.integers(0, 5))
@settings(deadline=None)
def test_an_epoch_balances_authors_to_the_longest(sizes: list[list[int]], seed: int) -> None:
    order = Counter(batching.epoch_order(sizes, seed, 0))
    longest = max(map(sum, sizes))
    start = 0
    for of_author in sizes:
        numbers = range(start, start + len(of_author))
        total = sum(order[i] * of_author[i - start] for i in numbers)
        assert longest <= total < longest + max(of_author)
        times = [order[i] for i in numbers]
        assert max(times) - min(times) <= 1  # every post once before any is repeated
        if sum(of_author) == longest:
            assert set(times) == {1}
        start += len(of_author)
    assert max(order) < start


def test_epochs_differ_from_each_other_but_not_from_run_to_run() -> None:
    sizes = [[3] * 50, [2] * 20]
    epochs = [tuple(batching.epoch_order(sizes, 7, epoch)) for epoch in range(4)]
    assert len(set(epochs)) == 4
    assert epochs == [tuple(batching.epoch_order(sizes, 7, epoch)) for epoch in range(4)]
    assert tuple(batching.epoch_order(sizes, 8, 0)) != epochs[0]


@given(
    posts=ROWS, budget=st.integers(1, 120), seed=st.integers(0, 3), multiple=st.sampled_from([1, 8])
)
@settings(deadline=None)
def test_batches_hold_every_row_once_within_the_budget(
    posts: list[list[int]], budget: int, seed: int, multiple: int
) -> None:
    rows = batching.make_rows(posts, 0, 50)
    order = batching.epoch_order([[len(row) for row in rows]], seed, 0)
    groups = batching.batches_by_length(rows, order, budget, seed, 0, multiple=multiple)
    assert sorted(i for group in groups for i in group) == list(range(len(rows)))
    assert groups == batching.batches_by_length(rows, order, budget, seed, 0, multiple=multiple)
    for group in groups:
        batch = batching.to_batch([rows[i] for i in group], multiple=multiple, longest=50)
        assert batch.inputs.numel() <= budget or len(group) == 1
        assert batch.inputs.shape[1] % multiple == 0 or batch.inputs.shape[1] == 50


def test_batches_of_many_rows_waste_little_and_come_in_mixed_lengths() -> None:
    rows = [[0] * (2 + i % 40) for i in range(3000)]
    order = batching.epoch_order([[len(row) for row in rows]], 0, 0)
    groups = batching.batches_by_length(rows, order, 512, 0, 0)
    batches = [batching.to_batch([rows[i] for i in group]) for group in groups]
    positions = sum(batch.inputs.numel() for batch in batches)
    assert sum(batch.tokens for batch in batches) / positions > 0.95
    widths = [batch.inputs.shape[1] for batch in batches]
    assert widths != sorted(widths)


@given(posts=ROWS, size=st.integers(1, 30))
@settings(deadline=None)
def test_blocks_are_full_and_hold_the_posts_joined_by_separators(
    posts: list[list[int]], size: int
) -> None:
    rows = batching.make_rows(posts, 0, 1_000)
    stream = [0] + [token for post in posts for token in [*post, 0]]
    blocks = batching.pack_blocks(rows, range(len(rows)), 0, size)
    if len(stream) < size:
        assert blocks == [stream]
        return
    assert {len(block) for block in blocks} == {size}
    joined = [token for block in blocks for token in block]
    assert joined == stream[: len(joined)]
    assert len(stream) - len(joined) < size


def test_labels_are_the_next_tokens_and_padding_does_not_count() -> None:
    batch = batching.to_batch([[0, 5, 6, 0], [0, 7, 0]])
    assert batch.inputs.tolist() == [[0, 5, 6], [0, 7, 0]]
    assert batch.labels.tolist() == [[5, 6, 0], [7, 0, batching.IGNORED]]
    assert batch.tokens == 5


def test_the_width_is_rounded_up_but_not_above_the_context() -> None:
    rows = [[0, 5, 6, 7, 8, 0], [0, 7, 0]]
    batch = batching.to_batch(rows, multiple=8, longest=64)
    assert batch.inputs.tolist() == [[0, 5, 6, 7, 8, 0, 0, 0], [0, 7, 0, 0, 0, 0, 0, 0]]
    assert batch.labels.tolist()[1] == [7, 0, *[batching.IGNORED] * 6]
    assert batch.tokens == 7
    assert batching.to_batch(rows, multiple=8, longest=6).inputs.shape == (2, 6)
    assert [batching.padded_width(n, 8, 20) for n in (1, 8, 9, 17, 20)] == [8, 8, 16, 20, 20]


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_posts_of_a_batch_do_not_see_each_other(
    tiny_base: Path, posts: list[str], attention: str
) -> None:
    lm = language_model.load(tiny_base, attention=attention)
    rows: list[Row] = batching.make_rows(lm.encode_all(posts[:40]), lm.separator, lm.context)
    rows += [[0, 1, 0], [0, 0]]
    together = likelihood.summed_nats(lm.model, rows)
    alone = sum(likelihood.summed_nats(lm.model, [row]) for row in rows)
    assert together == pytest.approx(alone, rel=1e-5)


@given(sizes=st.lists(st.integers(0, 12), max_size=20), room=st.integers(-5, 60))
def test_the_newest_posts_fit_and_one_more_would_not(sizes: list[int], room: int) -> None:
    posts = [[i] * size for i, size in enumerate(sizes, start=1)]
    fitting = batching.fit_recent_posts(posts, room)
    row = batching.concat_with_separators(fitting, separator=0)
    assert row == [token for post in fitting for token in [0, *post]]
    assert len(row) <= max(room, 0)
    possible = [post for post in posts if len(post) + 1 <= room]
    older = possible[: len(possible) - len(fitting)]
    assert older + fitting == possible
    assert not older or len(row) + 1 + len(older[-1]) > room


def test_context_tokens_have_no_labels() -> None:
    batch = batching.to_batch([[0, 5, 0, 6, 0], [0, 7, 0]], context_lengths=[2, 0])
    assert batch.inputs.tolist() == [[0, 5, 0, 6], [0, 7, 0, 0]]
    no = batching.IGNORED
    assert batch.labels.tolist() == [[no, no, 6, 0], [7, 0, no, no]]
    assert batch.tokens == 4


def test_bits_per_byte_count_the_bytes_and_one_for_the_end(tiny_base: Path) -> None:
    lm = language_model.load(tiny_base)
    rows = batching.make_rows(lm.encode_all(["é🚀"]), lm.separator, lm.context)
    nats = likelihood.summed_nats(lm.model, rows)
    assert likelihood.bits_per_byte(lm, ["é🚀"]) == pytest.approx(nats / 0.693147180 / 7)
    with pytest.raises(ValueError, match="no posts"):
        likelihood.bits_per_byte(lm, [])


def test_a_split_by_time_says_what_undated_posts_mean() -> None:
    times = pl.Series("created_at", [None, 5, None], dtype=pl.Datetime("ms", "UTC"))
    some, none, all_of_them = times.to_frame(), times[:1].to_frame(), times[1:2].to_frame()
    assert "2 of 3 posts have no date" in (batching.undated_warning(some, "newest") or "")
    assert "use `--split random`" in (batching.undated_warning(none, "newest") or "")
    assert batching.undated_warning(all_of_them, "newest") is None
    assert batching.undated_warning(none, "random") is None
