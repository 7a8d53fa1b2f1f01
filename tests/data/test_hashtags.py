from __future__ import annotations

import pytest

from huggingtweets.data import hashtags
from huggingtweets.data.hashtags import Hashtags
from huggingtweets.errors import InputError

POSTS = [
    "#Mars is red today",
    "We will walk on #mars one day",
    "We go there, too! #Mars #Pluto",
    ".@nasa: #Pluto is cold",
    "नमस्ते #हिन्दी कैसे हो",
    "全角も ＃宇宙旅行 です",
]


def test_tags_are_counted_by_posts_with_their_usual_spelling_and_places() -> None:
    mars, pluto, *others = Hashtags(POSTS).ranked
    assert (mars.name, mars.posts) == ("Mars", 3)
    assert mars.places == {"beginning": 1, "middle": 1, "end": 1}
    assert pluto.places == {"beginning": 1, "middle": 0, "end": 1}
    assert {tag.name for tag in others} == {"हिन्दी", "宇宙旅行"}
    assert sum(mars.shares.values()) == pytest.approx(1)
    assert pluto.shares["middle"] < pluto.shares["beginning"]
    assert [tag.name for tag in Hashtags(POSTS, least=2).ranked] == ["Mars", "Pluto"]


@pytest.mark.parametrize(
    "text", ["C# and F#", "&#39;quoted&#39;", "a.org/#top", "we are #1", "x#y", "# heading", "#"]
)
def test_what_is_no_tag_is_none(text: str) -> None:
    assert hashtags.keys_in(text) == []


@pytest.mark.parametrize("wanted", ["mars", "#MARS", " ＃Ｍａｒｓ ", "#Mars"])
def test_a_tag_is_found_in_any_spelling(wanted: str) -> None:
    assert Hashtags(POSTS).find(wanted).name == "Mars"


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("two words", "is one word of letters"),
        ("", "is one word of letters"),
        ("#", "is one word of letters"),
        ("2015", "is one word of letters"),
        ("##Mars", "is one word of letters"),
        ("a\nb", "is one word of letters"),
        ("\udc80", "is one word of letters"),
        ("Marz", "Did you mean #Mars?"),
        ("Venus", "The most frequent are #Mars, #Pluto"),
        ("x" * 5000, "The most frequent are"),
    ],
)
def test_other_tags_are_refused_in_one_short_sentence(wanted: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as refused:
        Hashtags(POSTS).find(wanted)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 200


def test_an_author_without_tags_is_told_so() -> None:
    with pytest.raises(InputError, match="No post that this bot learnt has a hashtag"):
        Hashtags(["no tag at all", ""]).find("Mars")


@pytest.mark.parametrize(
    ("post", "removed", "kept"),
    [
        ("We go to #Mars today! #Pluto #x.", "We go to today!.", "We go to Mars today!."),
        ("#Mars is red", "is red", "is red"),
        ("no tag", "no tag", "no tag"),
    ],
)
def test_tags_are_removed_and_words_of_a_sentence_may_stay(
    post: str, removed: str, kept: str
) -> None:
    assert hashtags.without_tags(post) == removed
    assert hashtags.without_tags(post, keep_words=True) == kept
