from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers.posts import made_up_posts, write_csv

from huggingtweets.curation import CurationOptions
from huggingtweets.errors import InputError, InsufficientTextError, SourceError
from huggingtweets.events import ignore
from huggingtweets.pretraining import encode as preparing
from huggingtweets.pretraining.bloom_filter import BloomFilter
from huggingtweets.pretraining.corpus import (
    Corpus,
    Counts,
    curated_pieces,
    grouped,
    parse_corpora,
)
from huggingtweets.pretraining.encode import EncodingConfig, Prepared, authors_named, prepare
from huggingtweets.pretraining.tokenizer import SEPARATOR, parts, train_tokenizer
from huggingtweets.pretraining.tokens import CorpusMixture, Stream, encode

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from transformers import PreTrainedTokenizerFast


def test_a_weight_is_parsed_from_the_end_of_a_path(tmp_path: Path) -> None:
    with_colon = tmp_path / "a:2"
    with_colon.touch()
    assert parse_corpora([f"{with_colon}", "b.csv:0.5", "c.csv", "d:e.csv"]) == [
        Corpus(str(with_colon)),
        Corpus("b.csv", 0.5),
        Corpus("c.csv"),
        Corpus("d:e.csv"),
    ]


@pytest.mark.parametrize("weight", ["0", "-1", "inf", "nan"])
def test_invalid_weights_are_refused(weight: str) -> None:
    with pytest.raises(InputError, match="must be a number over 0"):
        parse_corpora([f"b.csv:{weight}"])


def test_the_same_corpus_twice_is_refused() -> None:
    with pytest.raises(InputError, match="given twice"):
        parse_corpora(["b.csv", "./b.csv:2"])


def test_an_empty_list_of_corpora_is_refused() -> None:
    with pytest.raises(InputError, match="No CORPUS"):
        parse_corpora([])


def test_a_folder_of_parquet_files_is_one_corpus(tmp_path: Path) -> None:
    for name in ("b", "a"):
        pl.DataFrame({"author": [name], "text": [f"A post of {name}."]}).write_parquet(
            tmp_path / f"{name}.parquet"
        )
    assert [post.author for post in Corpus(str(tmp_path)).posts()] == ["a", "b"]


def test_a_missing_corpus_is_reported() -> None:
    with pytest.raises(SourceError, match=r"no file or folder nowhere\.csv"):
        list(Corpus("nowhere.csv").posts())


def corpus_file(path: Path, authors: int = 3, posts: int = 60, seed: int = 0) -> Path:
    """Write a table of made-up authors with posts in time order."""
    rows = [
        {
            "author": f"someone{a}",
            "created_at": f"2024-01-01T{i // 60:02}:{i % 60:02}:00Z",
            "text": t,
        }
        for a in range(authors)
        for i, t in enumerate(made_up_posts(posts, seed=seed + a))
    ]
    pl.DataFrame(rows).write_csv(path)
    return path


def test_counts_add_up_and_excluded_authors_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    texts = [*made_up_posts(30), "RT @a: somebody else's", "too short", made_up_posts(1)[0]]
    write_csv(path, "one", texts)
    other = corpus_file(tmp_path / "d.csv")
    pl.concat(
        [pl.read_csv(path).select("author", "text"), pl.read_csv(other).select("author", "text")]
    ).write_csv(path)
    counts = Counts()
    pieces = curated_pieces(
        Corpus(str(path)),
        counts,
        seen=BloomFilter(),
        excluded=frozenset({"someone1"}),
        options=CurationOptions(),
    )
    kept = pl.concat(pieces)
    assert set(kept["author"]) == {"one", "someone0", "someone2"}
    values = asdict(counts)
    assert values.pop("read") == 33 + 180
    assert counts.excluded == 60
    assert counts.retweets == 1
    assert counts.short == 1
    # made_up_posts(30) with seed 0 are also the first of someone0's
    assert counts.duplicates == 1 + 30
    assert sum(values.values()) + kept.height == 33 + 180


def test_repeated_texts_are_detected_regardless_of_case_and_punctuation() -> None:
    seen = BloomFilter(2**20)
    first = seen.first_time(pl.Series(["One two!", "three", "one TWO", "four"]))
    assert first.to_list() == [True, True, False, True]
    assert seen.first_time(pl.Series(["Three?", "five"])).to_list() == [False, True]


def test_few_new_texts_are_mistaken_for_repetitions() -> None:
    seen = BloomFilter(2**22)  # 21 bits per text, as for 50 million texts in the real filter
    fresh = seen.first_time(pl.Series([f"text number {i}" for i in range(200_000)]))
    assert fresh.len() - fresh.sum() < 400


@pytest.mark.parametrize("size", [1, 4])
def test_groups_contain_consecutive_posts_of_one_author(size: int) -> None:
    piece = pl.DataFrame(
        {"author": ["a", "b"] * 20, "text": [f"{'ab'[i % 2]}{i // 2}" for i in range(40)]}
    )
    groups = grouped(piece, size, seed=1)
    assert sorted(text for group in groups for text in group) == sorted(piece["text"])
    assert {len(group) for group in groups} == {size}
    for group in groups:
        assert len({text[0] for text in group}) == 1
        numbers = [int(text[1:]) for text in group]
        assert numbers == list(range(numbers[0], numbers[0] + size))
    assert groups != sorted(groups)
    assert groups == grouped(piece, size, seed=1)
    assert groups != grouped(piece, size, seed=2)


@cache
def small_tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(made_up_posts(300), 400, longest=64)


STRANGE = [
    "naïve café 👩‍👩‍👧",
    "مرحبا",
    "  two  spaces\n",
    "@a #b 2024 $5",
    "\x00\x1b",
    "日本語",
    SEPARATOR,
]


def test_the_tokenizer_encodes_any_text(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(made_up_posts(300), 400, longest=64)
    assert len(tokenizer) == 400
    assert tokenizer.convert_tokens_to_ids(SEPARATOR) == 0 == tokenizer.eos_token_id
    tokenizer.save_pretrained(tmp_path)
    from transformers import PreTrainedTokenizerFast

    loaded = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    for text in STRANGE:
        ids = loaded.encode(text, split_special_tokens=True, add_special_tokens=False)
        assert 0 not in ids
        assert loaded.decode(ids, clean_up_tokenization_spaces=False) == text
        assert encode(loaded, 0, [text]).tolist() == [0, *ids]


def encode_whole(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> list[int]:
    """Token ids when ``tokenizers`` encodes the whole texts."""
    backend = tokenizer.backend_tokenizer
    backend.encode_special_tokens = True
    encodings = backend.encode_batch_fast(texts, add_special_tokens=False)
    return [token for encoding in encodings for token in (0, *encoding.ids)]


@settings(deadline=None)
@given(st.lists(st.lists(st.one_of(st.sampled_from([*STRANGE, " ", "'s", "1"]), st.text()))))
def test_split_texts_have_the_tokens_of_whole_texts(pieces: list[list[str]]) -> None:
    tokenizer = small_tokenizer()
    texts = ["".join(words) for words in pieces] + [" ".join(words) for words in pieces] + [""]
    assert encode(tokenizer, 0, texts).tolist() == encode_whole(tokenizer, texts)


def test_splitting_at_any_character_does_not_change_its_tokens() -> None:
    tokenizer = small_tokenizer()
    characters = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    texts = pl.Series([f"a{character}b {character}1{character}'s" for character in characters])
    split = texts.filter(parts(tokenizer, texts).list.len() > 1)
    assert len(split) > 30_000
    assert encode(tokenizer, 0, split).tolist() == encode_whole(tokenizer, split.to_list())


def test_texts_are_not_split_for_a_tokenizer_with_another_pattern() -> None:
    from tokenizers import pre_tokenizers

    tokenizer = train_tokenizer(made_up_posts(300), 400, longest=64)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    texts = ["one two 2024", "three"]
    assert parts(tokenizer, pl.Series(texts)).to_list() == [["one two 2024"], ["three"]]
    assert encode(tokenizer, 0, texts).tolist() == encode_whole(tokenizer, texts)


def test_each_digit_is_a_token() -> None:
    tokenizer = train_tokenizer(["in 2020 and 2021 and 2020"] * 50, 300, longest=64)
    assert [tokenizer.decode([i]) for i in tokenizer.encode("2020")] == ["2", "0", "2", "0"]


def stream_of(path: Path, ids: list[int], *, length: int = 4, weight: float = 1.0) -> Stream:
    path.write_bytes(array("H", ids).tobytes())
    return Stream(path, weight, length, seed=0, separator=0)


def numbered(posts: int) -> list[int]:
    """Posts of three tokens, each after a separator: 0 n n n."""
    return [token for n in range(1, posts + 1) for token in (0, n, n, n)]


def test_rows_start_at_a_post_and_each_is_read_once_per_epoch(tmp_path: Path) -> None:
    stream = stream_of(tmp_path / "t", numbered(101))
    assert stream.rows == 100
    for epoch in range(3):
        rows = [stream.row(epoch * 100 + i).tolist() for i in range(100)]
        assert all(len(row) == 5 and row[0] == 0 for row in rows)
        assert Counter(row[1] for row in rows) == Counter(range(1, 101))
        assert [row[1] for row in rows] != list(range(1, 101))
    assert [stream.row(i)[1] for i in range(100)] != [stream.row(100 + i)[1] for i in range(100)]


def test_a_row_without_a_separator_starts_at_its_position(tmp_path: Path) -> None:
    stream = stream_of(tmp_path / "t", [0, *range(1, 41)])
    assert sorted(stream.row(i)[0] for i in range(stream.rows)) == [0, *range(4, 40, 4)]


def test_the_last_row_ends_with_the_file(tmp_path: Path) -> None:
    stream = stream_of(tmp_path / "t", [1, 2, 3, 4, 1, 2, 3, 0, 9])
    rows = {tuple(stream.row(i).tolist()) for i in range(stream.rows)}
    assert rows == {(1, 2, 3, 4, 1)} | {(1, 2, 3, 0, 9)}


def test_a_corpus_shorter_than_a_row_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fewer than 5 tokens"):
        stream_of(tmp_path / "small", [0, 1, 2])


def read_rows(mix: CorpusMixture, batches: int) -> torch.Tensor:
    import torch

    return torch.cat([mix.batch(8) for _ in range(batches)])


def test_a_mixture_reads_corpora_by_size_and_weight_and_can_be_resumed(tmp_path: Path) -> None:
    def streams() -> list[Stream]:
        big = stream_of(tmp_path / "big", numbered(301))
        small = stream_of(tmp_path / "small", [t + 1000 * (t > 0) for t in numbered(101)], weight=3)
        return [big, small]

    mix = CorpusMixture(streams())
    rows = read_rows(mix, 75)
    assert mix.rows_read == [300, 300]  # three times the weight makes up for a third of the size
    small = rows[rows[:, 1] > 1000]
    assert Counter(small[:, 1].tolist()) == Counter({1000 + n: 3 for n in range(1, 101)})

    first = CorpusMixture(streams())
    before = read_rows(first, 30)
    after = read_rows(CorpusMixture(streams(), first.rows_read), 45)
    assert [*before.tolist(), *after.tolist()] == rows.tolist()


def config(*corpora: Corpus, **values: object) -> EncodingConfig:
    defaults: dict[str, object] = {
        "excluded": frozenset(),
        "author_context": 3,
        "vocabulary": 300,
        "context": 64,
    }
    return EncodingConfig(corpora, **(defaults | values))  # type: ignore[arg-type]


def texts_of(data: Prepared, number: int) -> list[str]:
    """Decode the posts of an encoded corpus."""
    ids = array("H", data.tokens_file(number).read_bytes())
    starts = [i for i, token in enumerate(ids) if token == 0]
    assert starts[0] == 0
    ends = [*starts[1:], len(ids)]
    return [
        str(data.tokenizer.decode(ids[start + 1 : end].tolist()))
        for start, end in zip(starts, ends, strict=True)
    ]


def test_held_out_posts_are_never_trained_on(tmp_path: Path) -> None:
    path = corpus_file(tmp_path / "c.csv", authors=9, posts=90)
    data = prepare(tmp_path / "data", config(Corpus(str(path))), ignore)
    held_out, trained = data.held_out()["c"], texts_of(data, 0)
    record = data.corpora[0]
    assert len(held_out) == record["posts"]["held_out"] > 0
    assert len(trained) == record["posts"]["kept"]
    assert record["tokens"] * 2 == data.tokens_file(0).stat().st_size
    assert not set(held_out) & set(trained)
    assert set(held_out) | set(trained) <= set(pl.read_csv(path)["text"])
    assert not (tmp_path / "data" / "curated").exists()


def test_encoded_data_is_reused_until_a_corpus_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = corpus_file(tmp_path / "c.csv")
    first = prepare(tmp_path / "data", config(Corpus(str(path))), ignore)
    with monkeypatch.context() as patched:
        patched.setattr(preparing, "_Builder", None)  # fails if it is used
        again = prepare(tmp_path / "data", config(Corpus(str(path))), ignore)
    assert again.corpora == first.corpora
    assert again.held_out() == first.held_out()
    corpus_file(path, posts=90)
    other = prepare(tmp_path / "data", config(Corpus(str(path))), ignore)
    assert other.corpora[0]["posts"]["read"] == 270


def test_piece_size_does_not_change_the_curated_posts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = corpus_file(tmp_path / "c.csv", authors=5, posts=80)
    whole = prepare(tmp_path / "whole", config(Corpus(str(path))), ignore)
    monkeypatch.setattr("huggingtweets.pretraining.corpus.PIECE_POSTS", 50)
    pieces = prepare(tmp_path / "pieces", config(Corpus(str(path))), ignore)
    everything = [sorted([*texts_of(data, 0), *data.held_out()["c"]]) for data in (whole, pieces)]
    assert everything[0] == everything[1]


def test_a_corpus_without_posts_after_curation_is_refused(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "c.csv", "a", ["RT @b: no", "short"])
    with pytest.raises(InsufficientTextError, match=r"No post of the corpus .*c\.csv is left"):
        prepare(tmp_path / "data", config(Corpus(str(path))), ignore)
    assert list(tmp_path.iterdir()) == [path]


def test_excluded_authors_are_given_as_handles_or_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("@Someone\nother\n\n")
    assert authors_named([str(tmp_path / "list"), "third,@Fourth"]) == {
        "someone",
        "other",
        "third",
        "fourth",
    }
