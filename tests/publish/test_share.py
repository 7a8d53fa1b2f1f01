from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st

from huggingtweets.errors import InputError
from huggingtweets.publish import share
from huggingtweets.publish._text import clean, cut, graphemes, reads_right_to_left
from huggingtweets.publish.share import Sharing, drafts

FAMILY, WAVE, FLAG, RAINBOW, KEYCAP = "👨‍👩‍👧‍👦", "👋🏽", "🇫🇷", "🏳️‍🌈", "1️⃣"
LINK = "https://huggingface.co/somebody/some-bot"
FITS = {"X": share.fits_x, "Bluesky": share.fits_bluesky, "Mastodon": share.fits_mastodon}
# A superset of what twitter-text, Mastodon and Bluesky treat as a mention.
MENTION = regex.compile(r"[@＠]\w")
AUTO_LINK = regex.compile(r"\w://|\w\.[^\W\d_]{2}")

pieces = st.sampled_from(
    [FAMILY, WAVE, FLAG, RAINBOW, KEYCAP, "夢", "мечта", "e\u0301", "@NASA", "＠ann", "ناسا", "\n"]
)
posts = st.lists(pieces | st.text(max_size=20), min_size=1, max_size=200).map(" ".join)
handles = st.lists(st.text(min_size=1, max_size=40), min_size=1, max_size=5)
links = st.none() | st.integers(0, 120).map(lambda n: "https://example.org/" + "x" * n)


def text_of(network: str, post: str, authors: list[str], link: str | None = None) -> str:
    made = drafts(post, authors, Sharing(link=link))
    return next(draft.text for draft in made if draft.network == network)


@settings(deadline=None)
@given(posts, handles, links)
@example(FAMILY * 400, ["a"], None)
@example("夢" * 1000, ["a" * 400, "b" * 400], "https://example.org/" + "x" * 120)
def test_drafts_fit_and_name_the_bot(post: str, authors: list[str], link: str | None) -> None:
    if not share.neutralize_mentions(clean(post, lines=True)):
        return
    for draft in drafts(post, authors, Sharing(link=link)):
        assert FITS[draft.network](draft.text), draft
        kind = "bot" if len(authors) == 1 else "cyborg"
        assert f"\n\n— from my AI {kind}" in draft.text
        assert draft.text.endswith(link or "")
        assert parse_qs(urlsplit(draft.url).query, strict_parsing=True)["text"] == [draft.text]


@settings(deadline=None)
@given(posts, handles)
def test_posts_are_cut_between_graphemes(post: str, authors: list[str]) -> None:
    whole = share.neutralize_mentions(clean(post, lines=True))
    if not whole:
        return
    for draft in drafts(post, authors, Sharing()):
        shown = draft.text.rpartition("\n\n— from my AI ")[0]
        if shown != whole:
            kept = shown.removesuffix("…")
            assert shown.endswith("…")
            assert graphemes(whole)[: len(graphemes(kept))] == graphemes(kept)


@settings(deadline=None)
@given(posts)
@example("RT@NASA .@NASA @@NASA はい@NASA a@b@c me@nasa.gov")
@example("www.nasa.gov/x https://t.co/a nasa.gov HTTP://X.y x.рф a...com b.c.de")
def test_mentions_and_links_are_neutralized(post: str) -> None:
    text = share.neutralize_mentions(post)
    assert not MENTION.search(text)
    assert not AUTO_LINK.search(text)


@pytest.mark.parametrize(
    ("post", "shown"),
    [
        ("Thanks @NASA!", "Thanks NASA!"),
        ("write to me@nasa.gov", "write to me at nasa. gov"),
        ("look: https://t.co/abc now", "look: [link] now"),
        ("node.js 3.5 e.g. U.S. wait... ok", "node. js 3.5 e.g. U.S. wait... ok"),
        ("meet @ 5, $AAPL #Mars", "meet @ 5, $AAPL #Mars"),
    ],
)
def test_neutralize_mentions(post: str, shown: str) -> None:
    assert share.neutralize_mentions(post) == shown


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("abc", 3),
        ("e\u0301", 1),
        ("夢", 2),
        ("“–”…", 5),
        (FAMILY, 2),
        (WAVE, 2),
        (FLAG, 2),
        (RAINBOW, 2),
        (KEYCAP, 2),
        ("❤️", 2),
        ("\u200d".join(["👩"] * 9), 26),
        ("see https://example.org/a-long-address-that-goes-on-and-on", 27),
    ],
)
def test_x_length(text: str, length: int) -> None:
    assert share.x_length(text) == length


def test_drafts_use_the_whole_limit() -> None:
    tail = "\n\n— from my AI bot of @ann"
    for network, limit in (("X", 280), ("Bluesky", 300), ("Mastodon", 500)):
        text = text_of(network, "a" * 1000, ["@ann"])
        assert text == "a" * (limit - len(tail) - (2 if network == "X" else 1)) + "…" + tail
    room = 500 - len(tail) - 23 - 1
    assert text_of("Mastodon", "a" * room, ["@ann"], LINK).startswith("a" * room + tail)


def test_bluesky_counts_bytes_too() -> None:
    text = text_of("Bluesky", FAMILY * 299, ["@ann"])
    assert len(graphemes(text)) < 300
    assert 2900 < len(text.encode()) <= 3000


def test_title_in_drafts() -> None:
    assert "from my AI bot of @ann@example.org" in text_of("X", "hello", ["@ann@example.org"])
    assert "from my AI cyborg of @ann & @bob" in text_of("X", "hello", ["@ann", "@bob"])
    assert "AI bot of ann and bob" in text_of("X", "hello", ["ann and @bob"])
    assert "AI bot of posts" in text_of("X", "hello", ["posts"])  # a file's name addresses nobody
    many = text_of("X", "hello", [f"@somebody_{i}" for i in range(30)])
    assert many == "hello\n\n— from my AI cyborg"  # half a handle would be somebody else's


def test_draft_urls() -> None:
    made = drafts("Hi & bye #1", ["@ann"], Sharing("https://Chaos.Social/", LINK))
    addresses = [draft.url.partition("text=")[0] for draft in made]
    assert addresses == [
        "https://x.com/intent/post?",
        "https://bsky.app/intent/compose?",
        "https://chaos.social/share?",
    ]
    assert made[0].url.endswith(
        "text=Hi%20%26%20bye%20%231%0A%0A%E2%80%94%20from%20my%20AI%20bot%20of%20%40ann%0A"
        "https%3A%2F%2Fhuggingface.co%2Fsomebody%2Fsome-bot"
    )


@pytest.mark.parametrize(
    "instance",
    ["", "mastodon", "a b.org", "x.org/share?text=", "user@x.org", "http://x.org", "🐘.org"],
)
def test_invalid_instance_is_refused(instance: str) -> None:
    with pytest.raises(InputError, match="--instance must be a server"):
        Sharing(instance)


@pytest.mark.parametrize(
    "link", ["", "x.org", "ftp://x.org", "https://", "https://a b", "https://ä.org", "https://["]
)
def test_invalid_link_is_refused(link: str) -> None:
    with pytest.raises(InputError, match="--link must be a web address"):
        Sharing(link=link)


def test_long_link_is_refused() -> None:
    with pytest.raises(InputError, match="--link has 220 characters"):
        Sharing(link="https://example.org/" + "x" * 200)


@pytest.mark.parametrize("post", ["", " \n ", "\u202e\x00", "\ud800"])
def test_empty_post_is_refused(post: str) -> None:
    with pytest.raises(InputError, match="The post is empty"):
        drafts(post, ["@ann"], Sharing())


@settings(deadline=None)
@given(st.text())
def test_clean_removes_invisible_characters(text: str) -> None:
    for shown in (clean(text), clean(text, lines=True).replace("\n", "")):
        assert not regex.search(r"[\p{Cc}\p{Cs}\u202a-\u202e\u2066-\u2069]", shown)
        assert not regex.search(r"\p{M}{5}", shown)
        shown.encode()
    assert "\n" not in clean(text)


@settings(deadline=None)
@given(st.text(), st.integers(1, 50))
def test_cut_returns_the_longest_fitting_prefix(text: str, limit: int) -> None:
    def fits(part: str) -> bool:
        return len(graphemes(part)) <= limit

    shown = cut(text, fits)
    assert fits(shown)
    assert shown == text or len(graphemes(text)) > limit


@pytest.mark.parametrize(
    ("text", "rtl"),
    [("", False), ("123 !", False), ("abc שלום", False), ("… 42 שלום abc", True), ("ناسا", True)],
)
def test_direction_of_the_first_strong_character(text: str, rtl: bool) -> None:
    assert reads_right_to_left(text) == rtl
