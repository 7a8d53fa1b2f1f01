from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from huggingtweets.curation import Curated, CurationOptions, clean, count_words, curate
from huggingtweets.curation._clean import _mojibake
from huggingtweets.curation._duplicates import find_duplicates
from huggingtweets.curation._unicode import NOT_INERT, normalise
from huggingtweets.curation._words import FEWEST_WORDS, are_short
from huggingtweets.data.posts import Kind, Post, posts_table
from huggingtweets.errors import InputError
from huggingtweets.privacy import masking

START = datetime(2020, 1, 1, tzinfo=UTC)
SENTENCE = (
    "the committee will hold a public hearing on tuesday about water rights for farmers "
    "in the northern valley and beyond"
)


def table(
    *texts: str, kind: Kind = "original", authors: tuple[str, ...] = ("nasa",)
) -> pl.DataFrame:
    """Return posts one hour apart with ids p0, p1, … and alternating authors."""
    return posts_table(
        Post(
            author=authors[number % len(authors)],
            id=f"p{number}",
            text=text,
            created_at=START + timedelta(hours=number),
            kind=kind,
        )
        for number, text in enumerate(texts)
    )


def cleaned(text: str, *, keep_newlines: bool = False, scrub: bool = False) -> str:
    options = CurationOptions(keep_newlines=keep_newlines, scrub=scrub)
    result: str = clean(pl.Series([text]), options, ["NASA"])[0]
    return result


def words(text: str) -> int:
    return int(count_words(pl.Series([text]))[0])


def details(curated: Curated) -> list[tuple[str, str, str]]:
    return curated.dropped.select("id", "reason", "detail").rows()


# --- properties ---------------------------------------------------------------------------------

FRAGMENTS = [
    "RT @", "https://t.co/a1", "http://", "www.x.y", "pic.twitter.com/Z", "t.co/q", "&amp;", "&lt;",
    "amp;", "<|endoftext|>", "<|endof", "text|>", "\x00", "\x85", "\u200b", "\u2066", "\u2069", "é",
    "Ã©", "â€™", "Ð¿Ñ€", "@nasa", "@other", "#tag", "me@x.org", "202-224-3121", "+44 20 7946 0958",
    "\n", "\n\n\n", " ", "שלום", "日本語のテスト", "ภาษาไทย", "😀", "1️⃣", "…", "(", ").", "one",
    "two", "three", "four", "ß", "e\u0301", "ℹ️", "\ufeff",
]  # fmt: skip
TEXTS = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join),
    st.lists(st.sampled_from(FRAGMENTS), max_size=12).map(" ".join),
)
POSTS = st.builds(
    Post,
    author=st.sampled_from(["nasa", "WhiteHouse"]),
    id=st.integers(0, 99).map(str),
    text=TEXTS,
    created_at=st.one_of(
        st.none(), st.integers(0, 50).map(lambda hours: START + timedelta(hours=hours))
    ),
    kind=st.sampled_from(["original", "reply", "repost", "quote"]),
)
TABLES = st.lists(POSTS, max_size=12).map(posts_table)
OPTIONS = st.builds(
    CurationOptions,
    keep_newlines=st.booleans(),
    mask=st.sampled_from(masking.LEVELS),
    near_duplicates=st.sampled_from([0.3, 0.9, 1.0]),
)


@settings(deadline=None)
@given(TABLES, OPTIONS)
def test_counts_add_up_and_nothing_is_lost(posts: pl.DataFrame, options: CurationOptions) -> None:
    curated = curate(posts, options)
    for counts in [curated.counts, *curated.counts_by_author.values()]:
        assert counts["downloaded"] == sum(counts.values()) - counts["downloaded"]
    assert curated.counts["downloaded"] == posts.height
    assert set(curated.counts_by_author) == set(posts["author"])
    for name in curated.counts:
        of_authors = sum(counts[name] for counts in curated.counts_by_author.values())
        assert of_authors == curated.counts[name]
    assert curated.kept.schema == posts.schema
    assert curated.dropped.drop("reason", "detail").schema == posts.schema
    assert curated.dropped.null_count().select("reason", "detail").row(0) == (0, 0)
    raw = posts.select("author", "id", "text").rows()
    assert all(row in raw for row in curated.dropped.select("author", "id", "text").rows())


@settings(deadline=None)
@given(TABLES, OPTIONS)
def test_curating_again_changes_nothing(posts: pl.DataFrame, options: CurationOptions) -> None:
    once = curate(posts, options).kept
    if options.mask == "mentions":
        assume(set(once["author"]) == set(posts["author"]))
    assert curate(once, options).kept.equals(once)


@settings(deadline=None)
@given(TEXTS, st.booleans(), st.booleans())
def test_clean_text_is_clean(text: str, keep_newlines: bool, scrub: bool) -> None:
    result = cleaned(text, keep_newlines=keep_newlines, scrub=scrub)
    assert cleaned(result, keep_newlines=keep_newlines, scrub=scrub) == result
    # In Rust a mark is part of a word, in Python it isn't, so t.co only matches after ASCII.
    links = r"https?://|pic\.twitter\.com/|(?<![^\x00-\x7f])\bt\.co/\w"
    assert not re.search(links, result, re.IGNORECASE | re.ASCII)
    assert "<|endoftext|>" not in result
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\ufeff\u200b]", result)
    assert result == result.strip()
    assert "\n\n\n" not in result
    assert not re.search(r"[^\S\n ]| {2}| \n|\n ", result)
    assert keep_newlines or "\n" not in result


@settings(deadline=None)
@given(st.permutations(range(8)), st.lists(TEXTS, min_size=8, max_size=8))
def test_order_of_rows_does_not_matter(order: list[int], texts: list[str]) -> None:
    posts = table(*texts)
    shuffled = curate(posts[order])
    expected = curate(posts)
    assert shuffled.kept.equals(expected.kept)
    assert shuffled.dropped.equals(expected.dropped)


@settings(deadline=None)
@given(st.text(st.sampled_from("aé Ââ€™ÃÐÑœ°•”“×²ØÙ£\n\x92\u00a0ß½ВГ"), max_size=8) | st.text())
def test_filter_lets_no_mojibake_through(text: str) -> None:
    from ftfy.badness import is_bad

    found = pl.Series([text]).str.contains(_mojibake())[0]
    assert found or not any(is_bad(line) for line in text.split("\n"))


# --- cleaning -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("cafÃ©", "café"),
        ("itâ€™s â€œfineâ€\x9d", "it’s “fine”"),
        ("ðŸ˜€ hi", "😀 hi"),
        ("Ð¿Ñ€Ð¸Ð²ÐµÑ‚", "привет"),
        ("æ—¥æœ¬èªž", "日本語"),
        ("L’été à “Paris” — ﬁn", "L’été à “Paris” — ﬁn"),
        ("Venus &amp; Jupiter &lt;3 &#39;ok&#39; &hellip;", "Venus & Jupiter <3 'ok' …"),
        ("&amp;amp;amp;lt;b", "<b"),
        ("AT&T R&notes fun&times", "AT&T R&notes fun&times"),
        ("e\u0301te\u0301", "été"),
        ("null\x00 byte\x07 \ufeffsoft\xadhyphen", "null byte softhyphen"),
        ("👨\u200d👩\u200d👧 می\u200cخواهم ❤\ufe0f", "👨\u200d👩\u200d👧 می\u200cخواهم ❤\ufe0f"),
        ("When \u2066@Comey\u2069 says", "When @Comey says"),
        ("\u2067שלום\u2069 עולם\u200f!", "\u2067שלום\u2069 עולם\u200f!"),
        ("a\n\n b\t\u00a0 c\u3000d\u2028e", "a b c d e"),
        ("one<|endoftext|>two &lt;|endoftext|&gt;", "one two"),
        ("<|endof<|endoftext|>text|>", "<|endof text|>"),
    ],
)
def test_clean(raw: str, expected: str) -> None:
    assert cleaned(raw) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("More https://t.co/KVgzA8h6QZ https://t.co/3EJ3cMogTj", "More"),
        ("Look\nhttps://t.co/a #Mars", "Look #Mars"),
        ("See https://t.co/abc.", "See."),
        ("Why (https://t.co/abc)? Because", "Why? Because"),
        ("a http://en.wikipedia.org/wiki/X_(y), b", "a, b"),
        ("glued textpic.twitter.com/AbC12 more", "glued text more"),
        ("pic.x.com/abc www.nasa.gov/a?b=c#d yes", "yes"),
        ("HTTPS://T.CO/X yes t.co/abc!", "yes!"),
        ("at.co/x and http and www. stay", "at.co/x and http and www. stay"),
        ("今日はhttps://t.co/abcです", "今日はです"),
        ("cut off https://t.c…", "cut off"),
        ("cut off htt…", "cut off"),
        ("https://t.co/a, she said", "she said"),
        ("שלום https://t.co/abc עולם", "שלום עולם"),
    ],
)
def test_links_go_with_the_space_before_them(raw: str, expected: str) -> None:
    assert cleaned(raw) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("We land at noon. Details: https://t.co/a", "We land at noon."),
        ("We land at noon! Watch live → http://t.co/a http://t.co/b", "We land at noon!"),
        ("We land. Watch: http://t.co/a Details: http://t.co/b", "We land."),
        ("We land. More: https://t.co/a #Mars @esa", "We land. #Mars @esa"),
        ("We land. Learn more here https://t.co/a", "We land."),
        ("Wir landen. Mehr dazu: https://t.co/a", "Wir landen."),
        ("We land on Mars: https://t.co/a", "We land on Mars"),
        ("Next attempt June 3: htt…", "Next attempt June 3"),
        ("Details: we land on Mars https://t.co/a", "Details: we land on Mars"),
        ("Details: https://t.co/a and then we land", "Details: and then we land"),
        ("Three things I like: cats", "Three things I like: cats"),
        ("Three things I like:", "Three things I like:"),
    ],
)
def test_words_that_only_introduce_a_link_go_with_it(raw: str, expected: str) -> None:
    assert cleaned(raw) == expected


def test_newlines_can_stay() -> None:
    raw = "one  \n\n\n\n two\r\nthree\u2028four https://t.co/x\nfive\n"
    assert cleaned(raw, keep_newlines=True) == "one\n\ntwo\nthree\nfour\nfive"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("mail bob.smith+x@mail.example.co.uk!", "mail <email>!"),
        ("_bob@example.org", "<email>"),
        (".@bob and @nasa, @NASA's @alice.bsky.social", ".@user and @nasa, @NASA's @user"),
        ("@x@mastodon.social @NASA@mastodon.social", "@user @NASA@mastodon.social"),
        ("me@work @ home", "me@work @ home"),
        ("call 202-224-3121 or (202) 224-3121.", "call <phone> or <phone>."),
        ("tel:202.224.3121 1-800-555-0199", "tel:<phone> <phone>"),
        ("+44 20 7946 0958, 020 7946 0958, 0171/1234567", "<phone>, <phone>, <phone>"),
        ("06 12 34 56 78 2022243121", "<phone> <phone>"),
    ],
)
def test_scrub_masks(raw: str, expected: str) -> None:
    assert cleaned(raw, scrub=True) == expected


@pytest.mark.parametrize(
    "text",
    [
        "in 2015 2016 2017, 2010-2015",
        "on 2015-05-26, 05/26/2015 10:30, 01.02.2015 10:30",
        "$1,234,567,890 or $2025551234 or 2025551234 €",
        "Lakers 102-99, 110-108; 5-4; 3.14159265358979",
        "10 000 000 people, +1000000, 1,234,567 km",
        "id 603275497183846402, 192.168.100.200, 978-3-16-148410-0",
    ],
)
def test_scrub_leaves_other_numbers(text: str) -> None:
    assert cleaned(text, scrub=True) == text


# --- short --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("one two three", 3),
        (".@NASA's big day #space", 2),
        ("@a@mastodon.social @b.bsky.social hi", 1),
        ("— … → !", 0),
        ("😀 😀 ❤️ 🇺🇸", 0),
        ("1️⃣ 2️⃣ 3️⃣ ℹ️", 0),
        ("今日は花見です", 3),
        ("スーパー#花見", 2),
        ("สวัสดีครับ", 3),
        ("مرحبا يا عالم", 3),
        ("नमस्ते दुनिया कैसे", 3),
        ("2015 was 5", 3),
    ],
)
def test_count_words(text: str, expected: int) -> None:
    assert words(text) == expected


@settings(deadline=None)
@given(TEXTS)
def test_short_posts_are_those_of_few_words(text: str) -> None:
    assert are_short(pl.Series([text])).to_list() == [words(text) < FEWEST_WORDS]


def test_inert_characters_are_changed_by_no_neighbour() -> None:
    everything = pl.Series([chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000])
    inert = everything.filter(~everything.str.contains(NOT_INERT)).to_list()
    decompositions = (unicodedata.decomposition(character).split() for character in everything)
    second = {chr(int(d[1], 16)) for d in decompositions if len(d) == 2 and d[0][0] != "<"}
    conjoining = {chr(code) for code in (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))}
    assert not (second | conjoining) & set(inert)
    assert not any(unicodedata.combining(character) for character in inert)
    assert all(unicodedata.normalize("NFC", character) == character for character in inert)
    changed = [one for one in inert if unicodedata.normalize("NFKC", one) != one]
    assert changed == ["…"]


@settings(deadline=None)
@given(TEXTS)
def test_normal_form_where_it_is_needed(text: str) -> None:
    assert normalise(pl.Series([text]), "NFC")[0] == pl.Series([text]).str.normalize("NFC")[0]


def test_reasons() -> None:
    posts = pl.concat(
        [
            table("RT @bob: what a day this is", "\x00RT @bob: what a day this was", "Yes. 😀"),
            table("Happy Monday everyone!!", "Happy Monday, everyone https://t.co/x"),
        ]
    ).with_columns(id=pl.Series(["rt1", "rt2", "s", "first", "again"]))
    posts = posts.with_columns(created_at=pl.lit(None, posts.schema["created_at"]))
    repost = table("somebody else wrote all this", kind="repost").with_columns(id=pl.lit("rt3"))
    curated = curate(pl.concat([repost, posts]))
    assert details(curated) == [
        ("rt1", "retweets", "a repost of somebody else"),
        ("rt2", "retweets", "a repost of somebody else"),
        ("s", "short", "fewer than 3 words"),
        ("again", "duplicates", "same text as first"),
        ("rt3", "retweets", "a repost of somebody else"),
    ]
    assert curated.kept["text"].to_list() == ["Happy Monday everyone!!"]
    assert curated.counts == {
        "downloaded": 6, "retweets": 3, "short": 1, "duplicates": 1, "kept": 1,
    }  # fmt: skip


def test_empty_and_null() -> None:
    assert sum(curate(table()).counts.values()) == 0
    nothing = table("x").with_columns(text=pl.lit(None, pl.String), kind=pl.lit(None))
    assert curate(nothing.cast(dict(table().schema.items()))).counts["short"] == 1


# --- duplicates ---------------------------------------------------------------------------------


def test_near_duplicate_of_earlier_post_by_another_author() -> None:
    changed = SENTENCE.replace("tuesday", "wednesday")
    curated = curate(table(SENTENCE, changed, authors=("nasa", "esa")))
    assert details(curated) == [("p1", "duplicates", "near-duplicate of p0 by nasa (0.90)")]
    strict = CurationOptions(near_duplicates=0.95)
    assert curate(table(SENTENCE, changed), strict).counts["kept"] == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Lakers 102, Celtics 99 at the half", "Lakers 99, Celtics 102 at the half"),
        (
            "We landed on Mars at 5 pm with all systems go",
            "We landed on Mars at 6 pm with all systems go",
        ),
        ("Thank you so much Anna for a lovely day", "Thank you so much Berta for a lovely day"),
        ("今日は本当にとても寒いですね", "昨日は映画を見に行きました"),
    ],
)
def test_different_posts_stay(one: str, other: str) -> None:
    assert curate(table(one, other)).counts["kept"] == 2


def test_japanese_near_duplicate() -> None:
    post = "今日は久しぶりに友達と会って美味しい寿司を食べながら昔話に花を咲かせました"
    assert curate(table(post, post + "ね")).counts["duplicates"] == 1


def test_earliest_stays_and_a_chain_is_not_dropped_as_a_whole() -> None:
    tokens = [f"w{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    chain = [" ".join(tokens[start : start + 20]) for start in range(3)]
    # Neighbours share 19 of 21 words, the ends 18 of 22.
    curated = curate(table(*chain))
    assert curated.kept["id"].to_list() == ["p0", "p2"]
    assert curate(table(*chain)[::-1]).kept["id"].to_list() == ["p0", "p2"]


def test_no_near_duplicates_cross_a_split_in_time() -> None:
    tokens = SENTENCE.split()
    texts = []
    for number in range(200):
        varied = list(tokens)
        varied[number % len(varied)] = f"other{number % 7}"
        varied[(number * 5) % len(varied)] = f"more{number % 3}"
        texts.append(" ".join(varied))
    kept = [set(text.split()) for text in curate(table(*texts)).kept["text"]]
    split = len(kept) * 9 // 10
    assert 1 < len(kept) < 200
    for held_out in kept[split:]:
        assert all(len(held_out & seen) / len(held_out | seen) < 0.9 for seen in kept[:split])


@pytest.mark.parametrize("threshold", [0.3, 0.6, 0.8, 0.9, 1.0])
def test_found_pairs_are_exact(threshold: float) -> None:
    tokens = SENTENCE.split()
    texts = [" ".join(tokens[:end]) for end in range(3, len(tokens) + 1)]
    found = find_duplicates(pl.Series(texts), threshold)
    kept: list[set[str]] = []
    expected = []
    for row, text in enumerate(texts):
        mine = set(text.split())
        if any(len(mine & other) / len(mine | other) >= threshold for other in kept):
            expected.append(row)
        else:
            kept.append(mine)
    assert found["row"].to_list() == expected


def test_time_order_with_undated_first() -> None:
    posts = table("second post of all", "first post of all", "an undated post here")
    times = [START + timedelta(days=1), START, None]
    posts = posts.with_columns(created_at=pl.Series(times, dtype=posts.schema["created_at"]))
    kept = curate(posts).kept
    assert kept["id"].to_list() == ["p2", "p1", "p0"]
    dated = kept["created_at"].drop_nulls().to_list()
    assert all(before <= after for before, after in pairwise(dated))


def test_deterministic_over_many_slices() -> None:
    texts = [f"post number {number} about topic {number % 977} today" for number in range(45_000)]
    posts = table(*texts, authors=("a", "b"))
    first, second = curate(posts), curate(posts)
    assert first.kept.equals(second.kept)
    assert first.dropped.equals(second.dropped)
    assert first.counts["downloaded"] == len(texts)


@pytest.mark.parametrize("similarity", [0, -1, 1.1, float("nan")])
def test_options_are_checked(similarity: float) -> None:
    with pytest.raises(InputError, match="near_duplicates must be above 0"):
        CurationOptions(near_duplicates=similarity)
