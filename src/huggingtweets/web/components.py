"""Posts as cards, and the small pieces of pages that several of them show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from huggingtweets.errors import InputError
from huggingtweets.web.templating import render

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from huggingtweets.serving.schemas import BotPage, BotSummary, SourcePreview, WrittenPost
    from huggingtweets.serving.service import Service

_FRESH = 0.6  # share of new words from which a post counts as the bot's own on its badge
_CHIPS = 24
_REASONS = {
    "retweets": "reposts are somebody else’s words.",
    "short": "fewer than three words besides links and names say little.",
    "duplicates": "the same words stand in an earlier post.",
}


@dataclass(frozen=True, slots=True)
class Card:
    """A post as it is shown.

    Attributes:
        text: as the bot wrote it.
        prompt: what it was to begin with.
        novelty: share of new words, or None.
        level: ``fresh``, ``some`` or ``copy``; the colour of its badge.
        nearest: the real post it shares most with, or None.
        copied_words: how many in a row.
        links: network and address to share it.
        is_favourite: whether it is marked.
    """

    text: str
    prompt: str
    novelty: float | None
    level: str
    nearest: str | None
    copied_words: int | None
    links: tuple[tuple[str, str], ...]
    is_favourite: bool


class PostList:
    """The cards of one bot's new posts, drawn anew as they come.

    Args:
        service: makes the links.
        visitor: who looks.
        page: the bot.
        wanted: posts that are to come.
    """

    def __init__(self, service: Service, visitor: str, page: BotPage, wanted: int) -> None:
        self._service, self._visitor, self._page = service, visitor, page
        self._wanted = wanted
        self._cards: list[Card] = []

    def add(self, post: WrittenPost) -> None:
        """One more post."""
        self._cards.append(
            Card(
                text=post.text,
                prompt=post.prompt,
                novelty=post.novelty,
                level=_level(post),
                nearest=post.nearest,
                copied_words=post.copied_words,
                links=self._links(post.text),
                is_favourite=post.text in self._page.favourites,
            )
        )

    def html(self, *, done: bool = False) -> str:
        """All cards so far, and places for those that are still to come."""
        bot, count = self._page.summary, len(self._cards)
        return render(
            "posts",
            cards=self._cards,
            bot=bot.name,
            authors=bot.authors or (bot.name,),
            mine=bot.mine,
            label="New posts by the " + bot.title,
            label_of=bot.title,
            missing=0 if done else self._wanted - count,
            say=f"{count} posts written." if done else "",
        )

    def _links(self, text: str) -> tuple[tuple[str, str], ...]:
        try:
            return tuple(self._service.share_links(self._visitor, self._page.summary.name, text))
        except InputError:  # nothing is left of it that could be shared
            return ()


def message(text: str, *, error: bool = False, go: str = "", link: str = "Go on") -> str:
    """One sentence, and where it leads."""
    return render("message", text=text, kind="error" if error else "", go=go, link=link)


def found(value: SourcePreview) -> str:
    """What the sources hold."""
    return render("found", found=value, reasons=_REASONS)


def bot_picker(
    bots: Sequence[BotSummary],
    chosen: str,
    address: Callable[[str], str],
    label: str = "",
) -> str:
    """Links to the same page with each of the bots, newest first.

    Args:
        bots: to choose from.
        chosen: the name of the one that is.
        address: of the page with another bot.
        label: what is chosen, shown where a page has two of these.
    """
    return render(
        "chips",
        bots=[(bot, address(bot.name)) for bot in bots[:_CHIPS]],
        chosen=chosen,
        more=len(bots) if len(bots) > _CHIPS else 0,
        label=label or "Which bot",
        is_told=bool(label),
    )


def _level(post: WrittenPost) -> str:
    if post.copied:
        return "copy"
    return "fresh" if (post.novelty or 0) >= _FRESH else "some"
