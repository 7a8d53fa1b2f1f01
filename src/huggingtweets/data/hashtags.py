"""Hashtags in posts: which an author uses, how often, and at which place in the post.

Nothing is stored: the tags of a bot are those in the posts it learnt, so a post that is forgotten
takes its tags along.
"""

from __future__ import annotations

import difflib
import reprlib
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, get_args

import regex

from huggingtweets.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Place = Literal["beginning", "middle", "end"]
PLACES: tuple[Place, ...] = get_args(Place)

_CHARACTER = r"[\p{L}\p{M}\p{N}_]"
_JOINED = rf"{_CHARACTER}+(?:[\u200c\u200d·]{_CHARACTER}+)*+"
_WORD = rf"(?=[\p{{N}}_]*\p{{L}}){_JOINED}"
_TAG = regex.compile(rf"(?<![\p{{L}}\p{{M}}\p{{N}}_&/])[#＃]({_WORD})")
"""Letters, marks, digits and underscores, at least one letter: what X and Mastodon link. ``&#39;``
and the anchor of an address are no tags."""
_ONE_WORD = regex.compile(_WORD)
_NO_WORDS = regex.compile(rf"[#＃]{_JOINED}|[@＠][\w.@-]+|<\w+>|https?://\S+")
"""Tags, mentions, placeholders and links: a tag that only they precede begins the post."""
_UNFINISHED = regex.compile(
    rf"(?<![\p{{L}}\p{{M}}\p{{N}}_&/])[#＃](?:{_CHARACTER}|[\u200c\u200d·\ufffd])*+\Z"
)
_LETTER = regex.compile(r"[\p{L}\p{N}]")
_LAST_LETTER = regex.compile(r"(?r)[\p{L}\p{N}]")
_SPACE = regex.compile(r"\s+")
_GAP = regex.compile(r"\s+(?=[.,;:!?…)])")

_SHOWN = 5  # tags in a message


@dataclass(frozen=True, slots=True)
class Hashtag:
    """A tag of an author.

    Attributes:
        name: without ``#``, in its most frequent spelling.
        posts: number of posts with it.
        places: of those, how many have it at the beginning, in the middle and at the end.
        shares: how likely each place is; all tags of the author count as one more post with it.
    """

    name: str
    posts: int
    places: dict[Place, int]
    shares: dict[Place, float]

    @property
    def text(self) -> str:
        """The tag as it stands in a post."""
        return f"#{self.name}"

    @property
    def key(self) -> str:
        """The same for all spellings of the tag."""
        return key_of(self.name)


class Hashtags:
    """The tags in an author's posts.

    Args:
        posts: curated posts.
        least: tags of fewer posts are left out.
    """

    def __init__(self, posts: Iterable[str], least: int = 1) -> None:
        spellings: dict[str, Counter[str]] = {}
        places: dict[str, Counter[Place]] = {}
        for post in posts:
            for key, (name, place) in _first_of_each(post).items():
                spellings.setdefault(key, Counter())[name] += 1
                places.setdefault(key, Counter())[place] += 1
        total = sum(places.values(), Counter[Place]())
        tags = [
            Hashtag(
                names.most_common(1)[0][0],
                names.total(),
                {place: places[key][place] for place in PLACES},
                {
                    place: (places[key][place] + total[place] / total.total()) / (names.total() + 1)
                    for place in PLACES
                },
            )
            for key, names in spellings.items()
            if names.total() >= least
        ]
        self.ranked: list[Hashtag] = sorted(tags, key=lambda tag: (-tag.posts, tag.key))
        """All tags, the most frequent first."""

    @cached_property
    def by_key(self) -> dict[str, Hashtag]:
        """All tags by :func:`key_of`."""
        return {tag.key: tag for tag in self.ranked}

    def find(self, wanted: str) -> Hashtag:
        """Return the author's tag that a user means, with or without ``#``.

        Raises:
            InputError: it is no tag, or the author never used it.
        """
        key = key_of(parse(wanted))
        self.check_any()
        if found := self.by_key.get(key):
            return found
        close = difflib.get_close_matches(key, list(self.by_key), _SHOWN, 0.6)
        hint = "Did you mean" if close else "The most frequent are"
        tags = [self.by_key[name] for name in close] or self.ranked[:_SHOWN]
        raise InputError(
            f"No post that this bot learnt has the tag {_shown(wanted)}. {hint} "
            f"{', '.join(tag.text for tag in tags)}{'?' if close else '.'}"
        )

    def check_any(self) -> None:
        """Check that there are tags.

        Raises:
            InputError: there are none.
        """
        if not self.ranked:
            raise InputError("No post that this bot learnt has a hashtag.")


def key_of(name: str) -> str:
    """Return what is the same for all spellings of a tag: ``ＭＡＲＳ`` and ``Mars``."""
    return unicodedata.normalize("NFKC", name).casefold()


def parse(wanted: str) -> str:
    """Return the name of a tag as a user types it, with or without ``#``.

    Raises:
        InputError: it is not one word of letters, digits and underscores.
    """
    name = wanted.strip()
    name = name[1:] if name[:1] in ("#", "＃") else name
    if not _ONE_WORD.fullmatch(name):
        raise InputError(
            "A hashtag is one word of letters, digits and underscores, such as ConvNets, not "
            f"{_shown(wanted)}."
        )
    return name


def keys_in(post: str) -> list[str]:
    """Return the keys of the tags in a post, each once, in their order."""
    return list(dict.fromkeys(key_of(match[1]) for match in _TAG.finditer(post)))


def ends_inside(text: str) -> bool:
    """Whether a text ends in a hashtag that can go on, such as ``Look: #Plu``, or in its sign.

    Half a character (U+FFFD) at its end belongs to it.
    """
    return _UNFINISHED.search(text) is not None


def place_in(post: str, key: str) -> Place | None:
    """Return the place of the first occurrence of a tag; None if the post doesn't have it."""
    found = _first_of_each(post).get(key)
    return found[1] if found else None


def has_words(post: str) -> bool:
    """Whether a post has letters or digits besides tags, mentions and links."""
    return bool(_LETTER.search(_NO_WORDS.sub(" ", post)))


def without_tags(post: str, *, keep_words: bool = False) -> str:
    """Return a post without its tags.

    Args:
        post: the post.
        keep_words: of a tag in the middle, remove only the ``#``: it is a word of its sentence.
    """
    place_of = _places(post) if keep_words else lambda _: "end"

    def left(match: regex.Match[str]) -> str:
        return match[1] if place_of(match) == "middle" else " "

    return _GAP.sub("", _SPACE.sub(" ", _TAG.sub(left, post))).strip()


def _first_of_each(post: str) -> dict[str, tuple[str, Place]]:
    """Spelling and place of each tag's first occurrence, by key."""
    found: dict[str, tuple[str, Place]] = {}
    place_of = _places(post)
    for match in _TAG.finditer(post):
        found.setdefault(key_of(match[1]), (match[1], place_of(match)))
    return found


def _places(post: str) -> Callable[[regex.Match[str]], Place]:
    """Return a function from a tag in a post to its place; the post is read once."""
    words = _NO_WORDS.sub(lambda match: " " * len(match[0]), post)
    found = _LETTER.search(words), _LAST_LETTER.search(words)
    first, last = (len(post) if one is None else one.start() for one in found)

    def place_of(match: regex.Match[str]) -> Place:
        if match.start() < first:
            return "beginning"
        return "middle" if match.start() < last else "end"

    return place_of


def _shown(text: str) -> str:
    """A user's text in a message: one line, in whole characters."""
    shown = reprlib.repr(text)
    return shown if shown.isprintable() else ascii(text[:20])
