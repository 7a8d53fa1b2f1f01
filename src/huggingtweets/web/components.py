"""Components that several pages share: post cards, messages, the bot picker, form fields."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import gradio as gr

from huggingtweets import publish
from huggingtweets.errors import InputError
from huggingtweets.events import counted
from huggingtweets.publish import title
from huggingtweets.web.templating import render, run_name
from huggingtweets.web.wording import for_browser

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from huggingtweets.serving.schemas import BotPage, BotSummary, SourcePreview, WrittenPost
    from huggingtweets.serving.service import Service

WITH_PROGRESS: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}
"""Event listener options that show Gradio's progress indicator."""


def progress_on(*shown: Any) -> dict[str, Any]:  # noqa: ANN401 - components
    """Event listener options with one progress indicator, not one for every output."""
    return {**WITH_PROGRESS, "show_progress_on": list(shown)}


NO_PROGRESS: dict[str, Any] = {**WITH_PROGRESS, "show_progress": "hidden"}
"""Event listener options without Gradio's progress indicator."""

_FRESH = 0.6  # share of new words from which a post gets the best novelty badge
_MAX_PICKER_BOTS = 24
_REASONS = {
    "retweets": "reposts are someone else’s words.",
    "short": "posts with fewer than three words, not counting links and names, say little.",
    "duplicates": "an earlier post has the same words.",
}


@dataclass(frozen=True, slots=True)
class Card:
    """The card of a generated post.

    Attributes:
        text: of the post.
        prompt: the text it had to begin with.
        novelty: share of new words, or None.
        level: colour of the novelty badge: ``fresh``, ``some`` or ``copy``.
        nearest: the real post that shares the longest run of words, or None.
        copied_words: length of that run.
        links: pairs of network name and share link.
        draft: text for the share sheet of a phone; empty if nothing can be shared.
        is_favourite: whether it is a favourite.
    """

    text: str
    prompt: str
    novelty: float | None
    level: str
    nearest: str | None
    copied_words: int | None
    links: tuple[tuple[str, str], ...]
    draft: str
    is_favourite: bool


class PostList:
    """A growing list of cards for one bot's new posts.

    Args:
        service: makes the share links.
        visitor: who views the list.
        page: of the bot.
        expected: number of posts that were requested.
        mixed_with: the page of the other bot, whose probabilities are mixed in; such posts are of
            the authors of both and can't be favourites of one.
    """

    def __init__(
        self,
        service: Service,
        visitor: str,
        page: BotPage,
        expected: int,
        *,
        mixed_with: BotPage | None = None,
    ) -> None:
        self._service, self._visitor, self._page = service, visitor, page
        self._expected, self._other = expected, mixed_with
        self._cards: list[Card] = []

    def add(self, post: WrittenPost) -> None:
        """Add a post."""
        links = self._links(post.text)
        self._cards.append(
            Card(
                text=post.text,
                prompt=post.prompt,
                novelty=post.novelty,
                level=_level(post),
                nearest=post.nearest,
                copied_words=post.copied_words,
                links=links,
                draft=_draft(links),
                is_favourite=post.text in self._page.favourites,
            )
        )

    def html(self, *, done: bool = False) -> str:
        """All cards so far, and placeholders for posts that are still missing."""
        bot, count = self._shown_bot(), len(self._cards)
        return render(
            "posts",
            cards=self._cards,
            bot=bot.name,
            authors=bot.names or (bot.name,),
            mine=bot.mine,
            label="New posts by the " + bot.title,
            bot_title=bot.title,
            missing=0 if done else self._expected - count,
            announcement=f"{counted(count, 'post')} written." if done else "",
        )

    def _shown_bot(self) -> BotSummary:
        """The bot that the cards name: the one, or the mixture of both."""
        bot = self._page.summary
        if self._other is None:
            return bot
        names = tuple(dict.fromkeys((*bot.names, *self._other.summary.names)))
        return replace(bot, title=title(names), names=names, mine=False)

    def _links(self, text: str) -> tuple[tuple[str, str], ...]:
        try:
            name, other = self._page.summary.name, self._other
            blend = other.summary.name if other else ""
            return tuple(self._service.share_links(self._visitor, name, text, blend))
        except InputError:  # nothing of the post can be shared
            return ()


def _draft(links: tuple[tuple[str, str], ...]) -> str:
    """The text of the longest draft."""
    return max((parse_qs(urlsplit(url).query)["text"][0] for _, url in links), key=len, default="")


def html_slot(elem_id: str | None = None, html: str = "") -> gr.HTML:
    """A container for our own HTML, without Gradio's styles and scripts."""
    return gr.HTML(html, elem_id=elem_id, apply_default_css=False, js_on_load=None)


def prompt_box() -> gr.Textbox:
    """The field for a prompt, and beginnings to choose from; ``app.js`` fills them in."""
    box = gr.Textbox(label="Beginning", placeholder="My dream is", max_length=200, elem_id="prompt")
    html_slot(html=render("prompts", prompts=publish.PROMPTS))
    return box


def sampling_sliders() -> tuple[gr.Slider, gr.Slider]:
    """Sliders for temperature and length."""
    with gr.Row():
        temperature = gr.Slider(
            0.2, 1.5, 0.7, step=0.1, label="Temperature",
            info="low is predictable, high is surprising", elem_id="temperature",
        )  # fmt: skip
        length = gr.Slider(
            40, 500, 280, step=10, label="Length", info="in characters, at most", elem_id="length"
        )
    return temperature, length


def message(
    text: str, *, error: bool = False, busy: bool = False, go_to: str = "", link: str = "Continue"
) -> str:
    """A sentence for the visitor.

    Args:
        text: the sentence.
        error: whether to style it as an error.
        busy: whether to show that something is going on.
        go_to: address that the browser opens right away.
        link: text of the link to that address.
    """
    kind = "error" if error else "reading" if busy else ""
    text = for_browser(text) if error else text
    return render("message", text=text, kind=kind, go_to=go_to, link=link)


def source_preview(preview: SourcePreview) -> str:
    """The content of a request's sources."""
    return render("preview", preview=preview, reasons=_REASONS)


def bot_picker(
    bots: Sequence[BotSummary],
    chosen: str,
    address: Callable[[str], str],
    label: str = "",
) -> str:
    """Links that open the same page with another bot, newest first.

    Args:
        bots: to choose from.
        chosen: name of the current bot.
        address: returns the address of the page with a given bot.
        label: heading, for a page with two pickers.
    """
    offered = bots[:_MAX_PICKER_BOTS]
    uses = Counter(run_name(bot.name) for bot in offered)
    return render(
        "bot_picker",
        bots=[(bot, address(bot.name), uses[run_name(bot.name)] > 1) for bot in offered],
        chosen=chosen,
        total=len(bots) if len(bots) > _MAX_PICKER_BOTS else 0,
        label=label or "Choose a bot",
        has_heading=bool(label),
    )


def _level(post: WrittenPost) -> str:
    if post.copied:
        return "copy"
    return "fresh" if (post.novelty or 0) >= _FRESH else "some"
