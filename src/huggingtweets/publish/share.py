"""Links that open a ready post on X, Bluesky or Mastodon; nothing is posted until somebody says so.

A bot may name anybody and make up any address, and nobody has read its post yet. So in the post

- ``@name`` becomes ``name``: nobody is notified because a machine named them, and no unseen
  character stands in the way of copying or searching. ``me@site`` becomes ``me at site``.
- an address with a scheme becomes ``[link]``: where it leads is the bot's invention.
- ``site.com`` becomes ``site. com``, which no network turns into a link.

What the sharer adds stays as it is: the authors' handles after "AI bot of", and ``--link``.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import regex

from huggingtweets.errors import InputError
from huggingtweets.publish._text import clean, cut, graphemes
from huggingtweets.publish.facts import title

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

INSTANCE = "mastodon.social"
X_LIMIT, X_URL = 280, 23
BLUESKY_LIMIT, BLUESKY_BYTES = 300, 3000
MASTODON_LIMIT, MASTODON_URL = 500, 23
MOST_LINK = 150
"""Characters of a link; Bluesky counts each of them."""

_URL = regex.compile(r"https?://\S+")
_ADDRESS = regex.compile(r"[a-z][a-z0-9+.-]*://\S*", regex.IGNORECASE)
_SITE = regex.compile(r"(?<=\S)\.(?=[^\W\d_]{2})")
_INNER_AT, _AT = regex.compile(r"(?<=\w)[@＠]+(?=\w)"), regex.compile(r"[@＠]+(?=\w)")
_HANDLE = regex.compile(r"[\w.-]+(@[\w.-]+)?")
_HOST = regex.compile(
    r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]"
)
_PICTOGRAPH = r"\p{Extended_Pictographic}[\ufe0f\p{Emoji_Modifier}]*"
# No emoji joins more than four; what does isn't shown, nor counted, as one.
_EMOJI = regex.compile(
    rf"\p{{Regional_Indicator}}{{2}}|[#*0-9]\ufe0f?\u20e3"
    rf"|{_PICTOGRAPH}(?:\u200d{_PICTOGRAPH}){{0,3}}[\U000e0020-\U000e007f]*"
)


@dataclass(frozen=True, slots=True)
class Draft:
    """A post as it will stand in a network's own editor.

    Attributes:
        network: ``X``, ``Bluesky`` or ``Mastodon``.
        text: what the editor holds.
        url: opens it.
    """

    network: str
    text: str
    url: str


@dataclass(frozen=True, slots=True)
class Sharing:
    """How a post is shared.

    Attributes:
        instance: the Mastodon server of the one who shares.
        link: an address to put under the post.

    Raises:
        InputError: one of them is none.
    """

    instance: str = INSTANCE
    link: str | None = None

    def __post_init__(self) -> None:
        if not _HOST.fullmatch(self.host):
            raise InputError(
                f"--instance must be a server such as {INSTANCE}, not {self.instance!r}."
            )
        if self.link is None:
            return
        if not (_URL.fullmatch(self.link) and _is_plain(self.link)):
            raise InputError(f"--link must be a web address (https://...), not {self.link!r}.")
        if len(self.link) > MOST_LINK:
            raise InputError(
                f"--link has {len(self.link)} characters; at most {MOST_LINK} fit in a post."
            )

    @property
    def host(self) -> str:
        """The Mastodon server's name alone."""
        return self.instance.strip().lower().removeprefix("https://").rstrip("/")


def drafts(post: str, authors: Sequence[str], sharing: Sharing) -> list[Draft]:
    """The post on each network, cut to what fits there.

    Args:
        post: what the bot wrote.
        authors: whose manner the bot has.
        sharing: where, and with which link.

    Raises:
        InputError: the post is empty.
    """
    body = neutralize_mentions(clean(post, lines=True))
    if not body:
        raise InputError("There is nothing to share: the post is empty.")
    networks = (
        ("X", "https://x.com/intent/post?text=", fits_x, X_LIMIT),
        ("Bluesky", "https://bsky.app/intent/compose?text=", fits_bluesky, BLUESKY_LIMIT),
        ("Mastodon", f"https://{sharing.host}/share?text=", fits_mastodon, MASTODON_LIMIT),
    )
    made = []
    for network, address, fits, limit in networks:
        text = _composed(body, authors, sharing.link, fits, limit)
        made.append(Draft(network, text, address + quote(text, safe="")))
    return made


def neutralize_mentions(post: str) -> str:
    """A bot's post that notifies nobody and links to nothing."""
    post = _ADDRESS.sub("[link]", post)
    post = _SITE.sub(". ", post)
    return _AT.sub("", _INNER_AT.sub(" at ", post))


def x_length(text: str) -> int:
    """Characters as X counts them: an emoji 2, an address 23, East Asian characters 2 each."""
    text = unicodedata.normalize("NFC", text)
    parts = graphemes(_URL.sub("", text))
    return X_URL * len(_URL.findall(text)) + sum(map(_x_weight, parts))


def mastodon_length(text: str) -> int:
    """Characters as any server counts them at most: code points, an address 23."""
    return MASTODON_URL * len(_URL.findall(text)) + len(_URL.sub("", text))


def fits_x(text: str) -> bool:
    """Whether X takes it."""
    return x_length(text) <= X_LIMIT


def fits_bluesky(text: str) -> bool:
    """Whether Bluesky takes it: it counts what people see, and bytes."""
    return len(graphemes(text)) <= BLUESKY_LIMIT and len(text.encode()) <= BLUESKY_BYTES


def fits_mastodon(text: str) -> bool:
    """Whether Mastodon takes it, with the limit that servers have unless they raise it."""
    return mastodon_length(text) <= MASTODON_LIMIT


def _x_weight(part: str) -> int:
    if _EMOJI.fullmatch(part):
        return 2
    return sum(1 if _is_light(ord(char)) else 2 for char in part)


def _is_light(code: int) -> bool:
    """X's own table (twitter-text, configuration 3)."""
    return (
        code <= 0x10FF
        or 0x2000 <= code <= 0x200D
        or 0x2010 <= code <= 0x201F
        or 0x2032 <= code <= 0x2037
    )


def _composed(
    body: str, authors: Sequence[str], link: str | None, fits: Callable[[str], bool], limit: int
) -> str:
    """Post, whose bot wrote it, and the link."""
    under = f"\n{link}" if link else ""
    # A third is the post's. Names are whole or not there: half a handle is somebody else's.
    tail = f"\n\n— from my {title([_handle(author) for author in authors])}{under}"
    if not fits("x" * (limit // 3) + tail):
        tail = f"\n\n— from my AI {'bot' if len(authors) == 1 else 'cyborg'}{under}"
    return cut(body, lambda text: fits(text + tail)) + tail


def _handle(author: str) -> str:
    """A handle as it is; a name that is none may hold anything."""
    name = clean(author)
    return name if _HANDLE.fullmatch(name) else neutralize_mentions(name)


def _is_plain(link: str) -> bool:
    """Whether an address has a host, and no character that a network might end it at."""
    try:
        return bool(urlsplit(link).hostname) and link.isascii() and link.isprintable()
    except ValueError:  # half an IPv6 address
        return False
