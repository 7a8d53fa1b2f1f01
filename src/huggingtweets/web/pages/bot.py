"""The page of a bot: likeness, versions, lineage, card; download, update, publish, delete."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import gradio as gr
from markupsafe import Markup

from huggingtweets.errors import HuggingTweetsError
from huggingtweets.serving.schemas import UpdateRequest
from huggingtweets.web import components
from huggingtweets.web.components import NO_PROGRESS, html_slot, progress_on
from huggingtweets.web.loss_curve import loss_curve
from huggingtweets.web.templating import link_to, render

if TYPE_CHECKING:
    from markdown_it.token import Token

    from huggingtweets.serving.schemas import BotPage
    from huggingtweets.web.context import PageContext

_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)


def build(context: PageContext, page: gr.Blocks) -> None:
    """Build the page."""
    html_slot(
        html=context.header("bot", "One bot", "What it is, how well it does, and how it was made.")
    )
    about = html_slot("about")
    update = _UpdateForm(context)
    note = html_slot("note")
    with gr.Column(visible=False) as tools:
        _publish(context, note)
        _delete(context, note, about)
    update.listen(note)

    def show(request: gr.Request) -> list[Any]:
        visitor, name = context.visitor(request), context.query_param(request, "name")
        hidden = gr.update(visible=False)
        try:
            page = context.service.bot(visitor, name)
            html = bot_html(context, visitor, page)
        except HuggingTweetsError as error:
            return [components.message(str(error), error=True), hidden, *update.hidden()]
        return [html, gr.update(visible=page.summary.mine), *update.shown(page)]

    page.load(show, None, [about, tools, *update.outputs], **NO_PROGRESS)


def bot_html(context: PageContext, visitor: str, page: BotPage) -> str:
    """The page's HTML, without the tools that only the owner may use."""
    name, done = page.summary.name, page.summary.state == "done"
    under_way = context.service.trainings(visitor) if page.summary.mine else []
    return render(
        "bot",
        page=page,
        updating=any(status.is_update and status.name == name for status in under_way),
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


class _UpdateForm:
    """What starts an update: a button, and a file for bots whose own sources can't be read again.

    Args:
        context: of the page.
    """

    def __init__(self, context: PageContext) -> None:
        self._context = context
        with gr.Column(visible=False, elem_id="update") as self._panel:
            self._about = html_slot()
            with gr.Column() as self._form:
                self._file = gr.File(
                    label="A newer export of the posts", height=150, elem_id="newer"
                )
                self._author = gr.Dropdown(
                    [], label="Whose posts are in the file?", visible=False, elem_id="whose",
                    info="Choose the author if the file names nobody, or another name.",
                )  # fmt: skip
                self._button = gr.Button(
                    "Update with new posts", variant="primary", elem_id="start-update"
                )
        self.outputs: list[Any] = [self._panel, self._about, self._form, self._author]

    def listen(self, note: gr.HTML) -> None:
        """Add the listeners; ``note`` shows what went wrong."""
        self._file.upload(lambda: gr.update(visible=True), None, self._author, **NO_PROGRESS)
        self._file.clear(lambda: gr.update(visible=False), None, self._author, **NO_PROGRESS)
        self._button.click(self._start, [self._file, self._author], note, **progress_on(note))

    def hidden(self) -> list[Any]:
        """New values of the outputs for a bot that can't be updated here."""
        return [gr.update(visible=False), *[gr.skip()] * 3]

    def shown(self, page: BotPage) -> list[Any]:
        """New values of the outputs for a bot."""
        if page.offer is None:
            return self.hidden()
        authors = zip(page.summary.names, page.summary.authors, strict=True)
        return [
            gr.update(visible=True),
            render("update", offer=page.offer),
            gr.update(visible=page.offer.obstacle is None),
            gr.update(choices=[("as the file says", ""), *authors], value=""),
        ]

    def _start(self, request: gr.Request, file: str | None, author: str | None) -> str:
        context = self._context
        name = context.query_param(request, "name")
        try:
            sources = (context.uploaded_file(request, file).parent.name,) if file else ()
            order = UpdateRequest(sources, (author or None) if file else None)
            context.service.update(context.visitor(request), name, order, context.client(request))
        except HuggingTweetsError as error:
            return components.message(str(error), error=True)
        return components.message(
            "The update is queued.", go_to=link_to("train", run=name), link="Watch it"
        )


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
