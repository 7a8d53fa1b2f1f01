"""Links that open a draft post on X, Bluesky or Mastodon. Nothing is sent.

A bot can mention anybody and invent addresses, so in the generated post

- ``@name`` becomes ``name``, so that nobody is notified. No invisible character is inserted, so
  that copying and searching work. ``me@site`` becomes ``me at site``.
- an address with a scheme becomes ``[link]``, because the bot made it up.
- ``site.com`` becomes ``site. com``, which no network turns into a link.

The user's additions don't change: the authors' handles after "AI bot of", and ``--link``.
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
"""Longest link in characters; Bluesky counts all of them."""
_LONGEST_BODY = 10_000
"""Code points of a post that may become a draft; even 500 characters of emoji have fewer."""

_URL = regex.compile(r"https?://\S+")
_ADDRESS = regex.compile(r"[a-z][a-z0-9+.-]*://\S*", regex.IGNORECASE)
_SITE = regex.compile(r"(?<=\S)\.(?=[^\W\d_]{2})")
_INNER_AT = regex.compile(r"(?<=\w)[@＠]++(?=\w)")
_AT = regex.compile(r"(?<![@＠])[@＠]++(?=\w)")  # tried once for each run, however long
_HANDLE = regex.compile(r"[\w.-]+(@[\w.-]+)?")
_HOST = regex.compile(
    r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]"
)
_PICTOGRAPH = r"\p{Extended_Pictographic}[\ufe0f\p{Emoji_Modifier}]*"
# No emoji joins more than four pictographs; longer sequences are not shown as one emoji.
_EMOJI = regex.compile(
    rf"\p{{Regional_Indicator}}{{2}}|[#*0-9]\ufe0f?\u20e3"
    rf"|{_PICTOGRAPH}(?:\u200d{_PICTOGRAPH}){{0,3}}[\U000e0020-\U000e007f]*"
)


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft post for one network.

    Attributes:
        network: ``X``, ``Bluesky`` or ``Mastodon``.
        text: text of the draft.
        url: address that opens it in the network's editor.
    """

    network: str
    text: str
    url: str


@dataclass(frozen=True, slots=True)
class Sharing:
    """Options of sharing.

    Attributes:
        instance: the user's Mastodon server.
        link: an address to add below the post.

    Raises:
        InputError: the server or the address is invalid.
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
            raise InputError(f"--link has {len(self.link)} characters; the limit is {MOST_LINK}.")

    @property
    def host(self) -> str:
        """Host name of the Mastodon server."""
        return self.instance.strip().lower().removeprefix("https://").rstrip("/")


def drafts(post: str, authors: Sequence[str], sharing: Sharing) -> list[Draft]:
    """Return a draft for each network, shortened to the network's limit.

    Args:
        post: the generated post.
        authors: the bot's authors as people read them, such as ``@name`` for a handle.
        sharing: options.

    Raises:
        InputError: the post is empty.
    """
    body = neutralize_mentions(clean(post, lines=True))[:_LONGEST_BODY]
    if not body:
        raise InputError("The post is empty; there is nothing to share.")
    networks = (
        ("X", "https://x.com/intent/post?text=", fits_x, X_LIMIT),
        ("Bluesky", "https://bsky.app/intent/compose?text=", fits_bluesky, BLUESKY_LIMIT),
        ("Mastodon", f"https://{sharing.host}/share?text=", fits_mastodon, MASTODON_LIMIT),
    )
    result = []
    for network, address, fits, limit in networks:
        text = _compose(body, authors, sharing.link, fits, limit)
        result.append(Draft(network, text, address + quote(text, safe="")))
    return result


def neutralize_mentions(post: str) -> str:
    """Remove mentions and links from a generated post."""
    post = _ADDRESS.sub("[link]", post)
    post = _SITE.sub(". ", post)
    return _AT.sub("", _INNER_AT.sub(" at ", post))


def x_length(text: str) -> int:
    """Count characters as X does: an emoji 2, an address 23, East Asian characters 2 each."""
    text = unicodedata.normalize("NFC", text)
    parts = graphemes(_URL.sub("", text))
    return X_URL * len(_URL.findall(text)) + sum(map(_x_weight, parts))


def mastodon_length(text: str) -> int:
    """Count characters as the strictest Mastodon server does: code points, an address 23."""
    return MASTODON_URL * len(_URL.findall(text)) + len(_URL.sub("", text))


def fits_x(text: str) -> bool:
    """Whether a text is within X's limit."""
    return x_length(text) <= X_LIMIT


def fits_bluesky(text: str) -> bool:
    """Whether a text is within Bluesky's limits, which count graphemes and bytes."""
    return len(graphemes(text)) <= BLUESKY_LIMIT and len(text.encode()) <= BLUESKY_BYTES


def fits_mastodon(text: str) -> bool:
    """Whether a text is within Mastodon's default limit."""
    return mastodon_length(text) <= MASTODON_LIMIT


def _x_weight(part: str) -> int:
    if _EMOJI.fullmatch(part):
        return 2
    return sum(1 if _is_single_weight(ord(char)) else 2 for char in part)


def _is_single_weight(code: int) -> bool:
    """Whether X counts a code point as 1 (twitter-text, configuration 3)."""
    return (
        code <= 0x10FF
        or 0x2000 <= code <= 0x200D
        or 0x2010 <= code <= 0x201F
        or 0x2032 <= code <= 0x2037
    )


def _compose(
    body: str, authors: Sequence[str], link: str | None, fits: Callable[[str], bool], limit: int
) -> str:
    """Join the post, the bot's title and the link."""
    last_line = f"\n{link}" if link else ""
    # At least a third is for the post. Handles are never shortened: half a handle is somebody
    # else's.
    tail = f"\n\n— from my {title([handle(author) for author in authors])}{last_line}"
    if not fits("x" * (limit // 3) + tail):
        tail = f"\n\n— from my AI {'bot' if len(authors) == 1 else 'cyborg'}{last_line}"
    return cut(body, lambda text: fits(text + tail)) + tail


def handle(author: str) -> str:
    """Return a valid handle unchanged; neutralize any other name."""
    name = clean(author)
    is_handle = name.startswith("@") and _HANDLE.fullmatch(name[1:])
    return name if is_handle else neutralize_mentions(name)


def _is_plain(link: str) -> bool:
    """Whether an address has a host and only characters that networks keep in links."""
    try:
        return bool(urlsplit(link).hostname) and link.isascii() and link.isprintable()
    except ValueError:  # an invalid IPv6 address
        return False
