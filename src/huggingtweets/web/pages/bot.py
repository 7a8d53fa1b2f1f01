"""The page of a bot: likeness, loss curve, lineage, card; download, publish, delete."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import gradio as gr
from markupsafe import Markup

from huggingtweets.errors import HuggingTweetsError
from huggingtweets.web import components
from huggingtweets.web.components import NO_PROGRESS, html_slot, progress_on
from huggingtweets.web.loss_curve import loss_curve
from huggingtweets.web.templating import render

if TYPE_CHECKING:
    from markdown_it.token import Token

    from huggingtweets.web.context import PageContext

_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)


def build(context: PageContext, page: gr.Blocks) -> None:
    """Build the page."""
    html_slot(
        html=context.header("bot", "One bot", "What it is, how well it does, and how it was made.")
    )
    about = html_slot("about")
    note = html_slot("note")
    with gr.Column(visible=False) as tools:
        _publish(context, note)
        _delete(context, note, about)

    def show(request: gr.Request) -> tuple[str, Any]:
        visitor, name = context.visitor(request), context.query_param(request, "name")
        try:
            return bot_page(context, visitor, name)
        except HuggingTweetsError as error:
            return components.message(str(error), error=True), gr.update(visible=False)

    page.load(show, None, [about, tools], **NO_PROGRESS)


def bot_page(context: PageContext, visitor: str, name: str) -> tuple[str, Any]:
    """The page's HTML, and whether to show the tools that only the owner may use."""
    page = context.service.bot(visitor, name)
    done = page.summary.state == "done"
    html = render(
        "bot",
        page=page,
        curve=loss_curve(
            [(point.step, point.loss) for point in page.curve]
            or [(p.step, p.train_loss) for p in page.history if p.train_loss is not None],
            [(p.step, p.held_out_bits_per_byte) for p in page.history],
            0,
        ),
        card=card_html(context.service.card(visitor, name), name) if done else "",
        has_report=page.report is not None and page.summary.mine,
        picture_version=int(time.time()),  # so that browsers don't show an old picture
        picture_alt=f"New posts of the {page.summary.title}, as a picture.",
    )
    return html, gr.update(visible=page.summary.mine)


def card_html(markdown: str, name: str) -> Markup:
    """Render a card, with headings two levels lower.

    The page has the card's top, which is raw HTML, in its own form; HTML is left out. The two
    pictures of a card are shown, any other is a link.
    """
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark").enable("table")
    tokens = [
        token
        for token in reader.parse(_FRONT_MATTER.sub("", markdown))
        if token.type != "html_block"
    ]
    address = f"/picture/{quote(name, safe='')}"
    pictures = {"predictions.png": address, "pipeline.svg": "/ui/pipeline.svg"}
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"
        token.children = [
            shown for child in token.children or () for shown in _inline(child, pictures)
        ]
    # the renderer escapes all text, and its validator rejects javascript: links
    return Markup(reader.renderer.render(tokens, reader.options, {}))  # noqa: S704


def _inline(token: Token, pictures: dict[str, str]) -> list[Token]:
    """A part of a paragraph without HTML, and a picture of elsewhere as a link."""
    from markdown_it.token import Token

    if token.type == "html_inline":
        return []
    if token.type != "image":
        return [token]
    if known := pictures.get(str(token.attrs["src"])):
        token.attrs |= {"src": known, "loading": "lazy"}
        return [token]
    link = Token("link_open", "a", 1, attrs={"href": token.attrs["src"]})
    return [link, Token("text", "", 0, content=token.content), Token("link_close", "a", -1)]


def _publish(context: PageContext, note: gr.HTML) -> None:
    with gr.Accordion("Publish on the Hugging Face Hub", open=False):
        html_slot(
            html="<p>Uploads the bot and its card, never the posts. The card says that it is an AI "
            "bot.</p>"
        )
        repo = gr.Textbox(label="Repository", placeholder="you/nasa-bot", max_length=200)
        token = gr.Textbox(
            label="Your access token", type="password", info="Used once and never stored."
        )
        private = gr.Checkbox(value=True, label="Private")
        consent = gr.Checkbox(label="I am the author, or the author agrees that I publish this bot")
        button = gr.Button("Publish", elem_id="publish")

    def publish(
        request: gr.Request, repo: str, token: str, private: bool, consent: bool
    ) -> tuple[str, str]:
        try:
            address = context.service.publish(
                context.visitor(request),
                context.query_param(request, "name"),
                repo,
                token,
                private,
                consent,
            )
        except HuggingTweetsError as error:
            return components.message(str(error), error=True), ""
        return components.message(f"Published at {address}"), ""

    button.click(
        publish,
        [repo, token, private, consent],
        [note, token],
        **progress_on(note),
    )


def _delete(context: PageContext, note: gr.HTML, about: gr.HTML) -> None:
    with gr.Accordion("Delete", open=False):
        html_slot(
            html="<p>Deletes the bot, the posts it was trained on, its report, its picture and "
            "copies in trackio. This can’t be undone.</p>"
        )
        sure = gr.Checkbox(label="Yes, delete everything", elem_id="sure")
        button = gr.Button("Delete this bot", variant="stop", elem_id="delete")

    def delete(request: gr.Request, sure: bool) -> tuple[str, Any]:
        if not sure:
            return components.message("Tick the box above the button first.", error=True), gr.skip()
        try:
            left = context.service.delete(
                context.visitor(request), context.query_param(request, "name")
            )
        except HuggingTweetsError as error:
            return components.message(str(error), error=True), gr.skip()
        told = f"Deleted. Out of reach: {'; '.join(left)}." if left else "Deleted."
        return components.message(told, go_to="/gallery", link="To the gallery"), ""

    button.click(delete, sure, [note, about], **progress_on(note))
