"""A bot's own page: card, report, curve, lineage; download, publish, delete."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import gradio as gr
from markupsafe import Markup

from huggingtweets.errors import HuggingTweetsError
from huggingtweets.web import components
from huggingtweets.web.loss_curve import draw
from huggingtweets.web.pages.parts import NO_PROGRESS, WITH_PROGRESS, html_slot
from huggingtweets.web.templating import render

if TYPE_CHECKING:
    from huggingtweets.web.context import PageContext

_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)


def build(context: PageContext, page: gr.Blocks) -> None:
    """Lay the page out."""
    html_slot(
        html=context.header("bot", "One bot", "What it is, how alike, and what it was made from.")
    )
    about = html_slot("about")
    note = html_slot("note")
    with gr.Column(visible=False) as tools:
        _publish(context, note)
        _delete(context, note, about)

    def show(request: gr.Request) -> tuple[str, Any]:
        visitor, name = context.visitor(request), context.query_param(request, "name")
        try:
            return described(context, visitor, name)
        except HuggingTweetsError as error:
            return components.message(str(error), error=True), gr.update(visible=False)

    page.load(show, None, [about, tools], **NO_PROGRESS)


def described(context: PageContext, visitor: str, name: str) -> tuple[str, Any]:
    """All about it, and whether the visitor may publish and delete it."""
    page = context.service.bot(visitor, name)
    done = page.summary.state == "done"
    html = render(
        "bot",
        page=page,
        curve=draw(
            [(one.step, one.train_loss) for one in page.history if one.train_loss is not None],
            [(one.step, one.held_out_bits_per_byte) for one in page.history],
            0,
        ),
        card=card(context.service.card(visitor, name)) if done else "",
        has_report=page.report is not None and page.summary.mine,
        stamp=int(time.time()),  # so that a picture that was just changed is not the old one
        picture_text=f"New posts of the {page.summary.title}, as a picture.",
    )
    return html, gr.update(visible=page.summary.mine)


def card(markdown: str) -> Markup:
    """The card as HTML: no markup of its own gets through, no picture, headings two levels down."""
    from markdown_it import MarkdownIt

    reader = (
        MarkdownIt("commonmark", {"html": False})
        .enable("table")
        .disable(["image", "html_block", "html_inline"])
    )
    tokens = reader.parse(_FRONT_MATTER.sub("", markdown))
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"
    # a renderer that escapes all text; links to scripts are refused by its validator
    return Markup(reader.renderer.render(tokens, reader.options, {}))  # noqa: S704


def _publish(context: PageContext, note: gr.HTML) -> None:
    with gr.Accordion("Publish on the Hugging Face Hub", open=False):
        html_slot(
            html="<p>The bot and its card go up, never the posts. It says that it is an AI bot.</p>"
        )
        repo = gr.Textbox(label="Repository", placeholder="you/nasa-bot", max_length=200)
        token = gr.Textbox(
            label="Your access token", type="password", info="It is used once and kept nowhere."
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
                repo.strip(),
                token.strip(),
                private,
                consent,
            )
        except HuggingTweetsError as error:
            return components.message(str(error), error=True), ""
        return components.message(f"It is at {address}"), ""

    button.click(
        publish,
        [repo, token, private, consent],
        [note, token],
        **WITH_PROGRESS,
    )


def _delete(context: PageContext, note: gr.HTML, about: gr.HTML) -> None:
    with gr.Accordion("Delete", open=False):
        html_slot(
            html="<p>Everything of it goes: the posts it was made from, the bot, its report, its "
            "picture. There is no way back.</p>"
        )
        sure = gr.Checkbox(label="Yes, delete all of it", elem_id="sure")
        button = gr.Button("Delete this bot", variant="stop", elem_id="delete")

    def delete(request: gr.Request, sure: bool) -> tuple[str, Any]:
        if not sure:
            return components.message(
                "Say yes first, by the box above the button.", error=True
            ), gr.skip()
        try:
            context.service.delete(context.visitor(request), context.query_param(request, "name"))
        except HuggingTweetsError as error:
            return components.message(str(error), error=True), gr.skip()
        return components.message("It is deleted.", go="/gallery", link="To the gallery"), ""

    button.click(delete, sure, [note, about], **WITH_PROGRESS)
