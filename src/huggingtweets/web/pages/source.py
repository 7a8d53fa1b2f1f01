"""Step 1: whose words. One field for a handle or a file, and at once what was found there."""

from __future__ import annotations

from collections.abc import Iterator  # noqa: TC003 - Gradio reads annotations
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from huggingtweets.errors import HuggingTweetsError
from huggingtweets.nn.bases import POCKET, missing_weights
from huggingtweets.serving.schemas import MOST_SOURCES, SAMPLE, TrainingRequest
from huggingtweets.training import RECIPES
from huggingtweets.web import components
from huggingtweets.web.pages.parts import NO_PROGRESS, WITH_PROGRESS, html_slot
from huggingtweets.web.templating import link_to, render

if TYPE_CHECKING:
    from huggingtweets.web.context import PageContext

_PLACEHOLDER = "@name, bsky:name.bsky.social, mastodon:@name@server, or drop a file"
_FIRST = "A handle, or an archive or file dropped here"
_MORE = "Add another for a cyborg"
Value = str | float | bool | None
"""What Gradio hands over of an option."""


@dataclass(frozen=True)
class Chosen:
    """Sources so far: what people are shown, and what the service takes."""

    labels: tuple[str, ...] = ()
    specs: tuple[str, ...] = ()

    def with_one(self, label: str, spec: str) -> Chosen:
        """One more."""
        return Chosen((*self.labels, label), (*self.specs, spec))


@dataclass
class Fields:
    """Everything the page changes."""

    box: gr.MultimodalTextbox
    chosen: gr.State
    note: gr.HTML
    sources: gr.HTML
    found: gr.HTML
    go: gr.Column
    again: gr.Button
    options: list[Any]

    @property
    def all(self) -> list[Any]:
        """In the order of :func:`_shown`."""
        return [self.box, self.chosen, self.note, self.sources, self.found, self.go, self.again]


def build(context: PageContext, page: gr.Blocks) -> None:  # noqa: ARG001 - as all pages
    """Lay the page out."""
    html_slot(
        html=context.header(
            "",
            "Whose words should it learn?",
            "Give a handle, or drop an archive of posts. Everything happens on this machine; the "
            "posts never leave it.",
            step=1,
        )
    )
    box = gr.MultimodalTextbox(
        label=_FIRST, placeholder=_PLACEHOLDER, file_count="single", sources=["upload"],
        submit_btn="Look", max_lines=1, elem_id="source",
    )  # fmt: skip
    with gr.Row():
        sample = gr.Button("Use NASA’s posts, which come with this", elem_id="sample")
        again = gr.Button("Start over", visible=False, elem_id="again")
    note = html_slot("note")
    sources = html_slot()
    with gr.Column(visible=False) as go:
        make = gr.Button("Make the bot", variant="primary", elem_id="make")
        options = _options(context)
    found = html_slot("found")
    fields = Fields(box, gr.State(Chosen()), note, sources, found, go, again, options)
    _wire(context, fields, sample, make)


def _options(context: PageContext) -> list[Any]:
    """What few will change, in the order of :func:`_order`."""
    settings = context.settings
    with gr.Accordion("More", open=False):
        bases = list(dict.fromkeys((settings.base, *settings.bases)))
        info = "What it starts from. pocket is small and quick; gpt2 is fetched."
        if settings.base == POCKET and (missing := missing_weights()):
            info = f"{info} {missing}"
        labels = [(Path(base).name, base) for base in bases]
        base = gr.Radio(
            labels, value=settings.base, label="Base",
            info=info,
        )  # fmt: skip
        recipe = gr.Radio(
            list(RECIPES), value="fast", label="Recipe",
            info="classic is the published one of 2020: four epochs, as slow as it is faithful.",
        )  # fmt: skip
        epochs = gr.Slider(
            0, settings.most_epochs, 0, step=1, label="Epochs", info="0 takes the recipe’s."
        )
        name = gr.Textbox(label="Name of the bot", placeholder="the author’s")
        author = gr.Textbox(
            label="All are posts of one person, called", placeholder="each source’s own"
        )
        speaker = gr.Textbox(label="Whose messages, in a Telegram export", placeholder="yours")
        own = gr.Checkbox(label="These are my own accounts, though they ask not to be read")
    return [base, recipe, epochs, name, author, speaker, own]


class _SourcePageHandlers:
    """What the page does; Gradio calls these with the values of its fields."""

    def __init__(self, context: PageContext) -> None:
        self._context = context

    def look(
        self, request: gr.Request, box: dict[str, Any] | None, chosen: Chosen, *options: Value
    ) -> Iterator[list[Any]]:
        """Take what was typed and dropped, and show what is in it."""
        text, files = (box or {}).get("text") or "", (box or {}).get("files") or []
        specs = [text.strip()] if text.strip() else []
        if not specs and not files:
            yield _faulty(chosen, "Give a handle or a file first.")
        elif len(chosen.specs) + len(files) + len(specs) > MOST_SOURCES:
            yield _faulty(chosen, f"A cyborg is made of at most {MOST_SOURCES}.")
        else:
            try:
                more = self._kept(request, chosen, files)
            except HuggingTweetsError as error:
                yield _faulty(chosen, str(error))
                return
            for spec in specs:
                more = more.with_one(spec, spec)
            yield from self._inspect(request, chosen, more, options)

    def take_sample(
        self, request: gr.Request, chosen: Chosen, *options: Value
    ) -> Iterator[list[Any]]:
        """NASA's posts, in one click."""
        if SAMPLE in chosen.specs or len(chosen.specs) >= MOST_SOURCES:
            yield _shown(chosen, keep=True)
        else:
            more = chosen.with_one("NASA’s posts of 2015", SAMPLE)
            yield from self._inspect(request, chosen, more, options)

    def change(self, request: gr.Request, chosen: Chosen, *options: Value) -> Iterator[list[Any]]:
        """Look again with other options."""
        if chosen.specs:
            yield from self._inspect(request, chosen, chosen, options)
        else:
            yield _shown(chosen, keep=True)

    def train(self, request: gr.Request, chosen: Chosen, *options: Value) -> str:
        """Order the bot, and lead to where one can watch it learn."""
        try:
            visitor = self._context.visitor(request)
            name = self._context.service.submit(visitor, _order(chosen, options))
        except HuggingTweetsError as error:
            return components.message(str(error), error=True)
        return components.message(
            "It is on its way.", go=link_to("train", run=name), link="Watch it"
        )

    def _kept(self, request: gr.Request, chosen: Chosen, files: list[str]) -> Chosen:
        visitor = self._context.visitor(request)
        for path in map(self._context.uploaded_file, files):
            kept = self._context.service.keep_upload(visitor, path, path.name)
            chosen = chosen.with_one(path.name, str(kept))
        return chosen

    def _inspect(
        self, request: gr.Request, before: Chosen, chosen: Chosen, options: tuple[Value, ...]
    ) -> Iterator[list[Any]]:
        """Say that it reads, then what was found; on a fault all stays as it was before."""
        yield _shown(chosen, note=components.message("Reading the posts…"), keep=True)
        try:
            visitor = self._context.visitor(request)
            found = self._context.service.inspect(visitor, _order(chosen, options))
        except HuggingTweetsError as error:
            yield _faulty(before, str(error))
        else:
            yield _shown(chosen, found=components.found(found))


def _wire(context: PageContext, fields: Fields, sample: gr.Button, make: gr.Button) -> None:
    acts = _SourcePageHandlers(context)
    given = [fields.chosen, *fields.options]
    fields.box.submit(acts.look, [fields.box, *given], fields.all, **NO_PROGRESS)
    sample.click(acts.take_sample, given, fields.all, **NO_PROGRESS)
    fields.again.click(lambda: _shown(Chosen()), None, fields.all, **NO_PROGRESS)
    make.click(acts.train, given, fields.note, **WITH_PROGRESS)
    for option in fields.options[:3] + fields.options[6:]:
        option.input(acts.change, given, fields.all, **NO_PROGRESS)
    for option in fields.options[4:6]:
        option.submit(acts.change, given, fields.all, **NO_PROGRESS)


def _order(chosen: Chosen, options: tuple[Value, ...]) -> TrainingRequest:
    base, recipe, epochs, name, author, speaker, own = options
    return TrainingRequest(
        sources=chosen.specs,
        base=str(base or ""),
        recipe=str(recipe or "fast"),
        epochs=int(epochs or 0) or None,
        name=str(name or "").strip() or None,
        author=str(author or "").strip() or None,
        speaker=str(speaker or "").strip() or None,
        i_am_the_author=bool(own),
    )


def _faulty(chosen: Chosen, sentence: str) -> list[Any]:
    """What is wrong; all else stays."""
    return _shown(chosen, note=components.message(sentence, error=True), keep=True)


def _shown(chosen: Chosen, *, note: str = "", found: str = "", keep: bool = False) -> list[Any]:
    """The page's fields anew.

    Args:
        chosen: the sources.
        note: a sentence above them.
        found: what was found.
        keep: leave the field and what was found before as they are.
    """
    some, full = bool(chosen.specs), len(chosen.specs) >= MOST_SOURCES
    box = gr.update(label=_MORE if some else _FIRST, interactive=not full)
    if not keep:
        box["value"] = None
    return [
        box,
        chosen,
        note,
        render("sources", sources=chosen.labels),
        gr.skip() if keep else found,
        gr.skip() if keep else gr.update(visible=bool(found)),
        gr.update(visible=some),
    ]
