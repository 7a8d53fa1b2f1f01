from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huggingtweets.generation.copy_index import CopyIndex, SharedSpan, copy_length, is_loop, words

FOX = (
    "The quick brown fox jumps over the lazy dog near the old mill every morning at dawn, they say"
)
POSTS = ["My dream is to fly to Mars.", FOX, "We can't wait for #Pluto! Can you?"]


@pytest.mark.parametrize(
    ("n_words", "needed"), [(1, 1), (2, 2), (3, 3), (4, 3), (10, 7), (20, 14), (21, 15), (60, 15)]
)
def test_copy_length_equals_markovifys(n_words: int, needed: int) -> None:
    assert copy_length(n_words) == needed


def test_longest_run_and_its_source() -> None:
    index = CopyIndex(POSTS)
    assert index.longest_run("A brown fox jumps over the moon") == SharedSpan(5, FOX)
    assert index.longest_run("Zebras xylophones") == SharedSpan(0, "")


@pytest.mark.parametrize(
    ("text", "copied"),
    [
        ("My dream is to fly to Mars.", True),  # whole post
        ("MY DREAM is to fly, to #mars!!", True),  # case, punctuation
        ("my dream is to fly to the moon now", False),  # 6 of 9 words, 7 needed
        ("my dream is to fly to the moon", True),  # 6 of 8 words
        ("dream to is my fly Mars to", False),  # same words in another order
        ("fly to Mars. The quick brown", False),  # 3 + 3 words, of two posts
        ("We can’t wait for #Pluto", True),  # curly apostrophe
        ("y ream is to fly to Mar", False),  # words, not letters
        ("quick", True),
        ("quick fox", False),
        ("🚀🚀 !!!", False),
        ("", False),
    ],
)
def test_copy_rule(text: str, copied: bool) -> None:
    assert CopyIndex(POSTS).is_copy(text) is copied


def test_fifteen_words_are_a_copy_in_a_text_of_any_length() -> None:
    index = CopyIndex(POSTS)
    taken = " ".join(FOX.split()[2:17])
    assert index.is_copy(f"{'something else altogether ' * 10} {taken} {'and more ' * 10}")
    assert not index.is_copy(f"{'something else altogether ' * 10} {taken[:-6]}")


def test_scripts_without_spaces_count_characters() -> None:
    index = CopyIndex(["今日はとても良い天気ですね", "สวัสดีครับ"])
    assert words("今日は NASA") == ["今", "日", "は", "nasa"]
    assert index.is_copy("今日はとても良い天気だ")  # 10 of 11 characters
    assert not index.is_copy("明日もたぶん良い天気だ")
    assert index.is_copy("สวัสดีครับ")


def test_words_keep_vowel_marks_and_inner_punctuation() -> None:
    assert words("की का — can't e.g. 😀👍🏽 👩‍🚀 ❤️ “Straße”") == [
        "की",
        "का",
        "can't",
        "e.g",
        "strasse",
    ]


def test_an_index_without_words_finds_no_copies() -> None:
    for posts in ([], ["", "🚀"]):
        index = CopyIndex(posts)
        assert not index.is_copy("My dream")
        assert index.longest_run("My dream") == SharedSpan(0, "")


@given(
    st.lists(st.lists(st.sampled_from("abc"), max_size=8), max_size=6),
    st.lists(st.lists(st.sampled_from("abcd"), max_size=8), min_size=1, max_size=3),
)
def test_longest_run_equals_a_plain_search(
    posts: list[list[str]], queries: list[list[str]]
) -> None:
    index = CopyIndex([" ".join(post) for post in posts])
    corpus = [f" {' '.join(post)} " for post in posts]
    for query in queries:  # several, because the index keeps a table between queries
        runs = [
            end - start
            for start in range(len(query))
            for end in range(start + 1, len(query) + 1)
            if any(f" {' '.join(query[start:end])} " in post for post in corpus)
        ]
        assert index.longest_run(" ".join(query)).words == max(runs, default=0)


def test_200_posts_against_50_000_take_well_under_a_second() -> None:
    # Zipf's law: the most common word is at 90,000 positions, as "the" would be.
    generator = random.Random(0)
    vocabulary = [f"word{i}" for i in range(20_000)]
    weights = [1 / (i + 1) for i in range(20_000)]
    words_of_posts = iter(generator.choices(vocabulary, weights, k=50_200 * 18))
    posts = [" ".join(next(words_of_posts) for _ in range(18)) for _ in range(50_200)]
    index = CopyIndex(posts[200:])
    started = time.process_time()
    assert sum(map(index.is_copy, posts[:200])) < 5
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "text",
    [
        "the 1500th anniversary of the 1501st anniversary of the moon landing",
        "It's a living, a living, and a living",
        "They're too dumb. They're too dumb. They're too dumb.",
        "_17_18 and so on and so on and so on",
        "我们去月球我们去月球",
        "A flying saucer. It's an aircraft carrier. It's an aircraft carrier. Crew training today.",
        ".@StationCDRKelly made a liftoff to @Space_Station today with food for @Space_Station",
        "It's 2015 and #EarthRightNow is today. #earthrightnow",
        "We saw their #Station_Station_Station.",
        "@Space_2619_2619_2619 is here",
        f"The number is {'73' * 30}.",
    ],
)
def test_repetitive_posts_are_loops(text: str) -> None:
    assert is_loop(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "🎈🎈🎈🎈🎈🎈",
        "thank you thank you",
        "My dream is to teach the Science of Superheroes to the world. But I've never been asked.",
        "The vote is at 5:30. The vote is on live TV, with 12 members of the House and 20 guests.",
        "Happy birthday to the Space Station! It has been 15 years since the first crew moved in.",
        "hahahahahahahahahaha, soooooooooooooooooo good, 100010001000",
        "Happy #AsianAmericanPacificIslanderHeritageMonth!",
        "@NASA and @NASA_Orion: #Mars and #MarsRover are different tags.",
    ],
)
def test_posts_that_repeat_little_are_no_loops(text: str) -> None:
    assert not is_loop(text)
