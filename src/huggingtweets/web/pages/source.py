"""Step 1: choose the sources, and preview the posts in them."""

from __future__ import annotations

import re
from collections.abc import Iterator  # noqa: TC003 - Gradio reads annotations
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from huggingtweets.errors import ColumnError, HuggingTweetsError, SpeakerError
from huggingtweets.nn.bases import POCKET, missing_weights
from huggingtweets.serving.schemas import MOST_SOURCES, SAMPLE, TrainingRequest
from huggingtweets.training import RECIPES
from huggingtweets.web import components
from huggingtweets.web.components import NO_PROGRESS, WITH_PROGRESS, html_slot
from huggingtweets.web.templating import link_to, render
from huggingtweets.web.waiting import until_done
from huggingtweets.web.wording import for_browser

if TYPE_CHECKING:
    from huggingtweets.serving.schemas import SourcePreview
    from huggingtweets.web.context import PageContext

_PLACEHOLDER = "@name"  # a phone shows 16 characters
_FIRST_SOURCE = "A handle, or an archive or file dropped here"
_NEXT_SOURCE = "Add another author (optional)"
_BARE_NAME = re.compile(r"@?([\w.-]{1,100})")
Value = str | float | bool | None
"""The value of an option, as Gradio passes it."""


@dataclass(frozen=True)
class Chosen:
    """The chosen sources.

    Attributes:
        labels: as the page shows them.
        specs: as the service takes them.
    """

    labels: tuple[str, ...] = ()
    specs: tuple[str, ...] = ()

    def add(self, label: str, spec: str) -> Chosen:
        """A copy with one more source."""
        return Chosen((*self.labels, label), (*self.specs, spec))


@dataclass
class Fields:
    """The components that the page updates."""

    box: gr.MultimodalTextbox
    chosen: gr.State
    note: gr.HTML
    sources: gr.HTML
    preview: gr.HTML
    make_column: gr.Column
    start_over: gr.Button
    speaker: gr.Dropdown
    chat: gr.Column
    column: gr.Dropdown
    network: gr.Radio
    make: gr.Button
    options: list[Any]

    @property
    def all(self) -> list[Any]:
        """All but the options, in the order of :func:`_update`."""
        return [
            self.box,
            self.chosen,
            self.note,
            self.sources,
            self.preview,
            self.make_column,
            self.start_over,
            self.speaker,
            self.chat,
            self.column,
            self.network,
            self.make,
        ]


def build(context: PageContext, page: gr.Blocks) -> None:  # noqa: ARG001 - same signature as other pages
    """Build the page."""
    html_slot(
        html=context.header(
            "",
            "Whose posts should it learn from?",
            "Enter a handle (on Mastodon @name@server), or drop an archive of posts. Everything "
            "runs on this machine; the posts never leave it.",
            step=1,
        )
    )
    box = gr.MultimodalTextbox(
        label=_FIRST_SOURCE, placeholder=_PLACEHOLDER, file_count="single", sources=["upload"],
        submit_btn="Preview", max_lines=1, elem_id="source",
    )  # fmt: skip
    with gr.Row():
        sample = gr.Button("Try it with NASA’s posts", elem_id="sample")
        start_over = gr.Button("Start over", visible=False, elem_id="again")
    note = html_slot("note")
    sources = html_slot()
    speaker = gr.Dropdown(
        [], label="Whose messages should it learn from?", visible=False, allow_custom_value=True,
        info="Other people’s messages are not learnt.", elem_id="speaker",
    )  # fmt: skip
    with gr.Column(visible=False, elem_id="chat") as chat:
        join = gr.Checkbox(
            label="Join messages sent within two minutes of each other into one post"
        )
        keep_names = gr.Checkbox(
            label="Keep the names of the other people",
            info="If not, each of their names becomes @user.",
        )
    column = gr.Dropdown([], label="Which column holds the posts?", visible=False, elem_id="column")
    network = gr.Radio(
        [], label="Which network?", visible=False, elem_id="network",
        info="For another Mastodon server write @name@server.",
    )  # fmt: skip
    with gr.Column(visible=False) as make_column:
        make = gr.Button("Make the bot", variant="primary", elem_id="make")
        options = [*_options(context), speaker, column, join, keep_names]
    preview = html_slot("found")
    fields = Fields(
        box, gr.State(Chosen()), note, sources, preview, make_column, start_over, speaker, chat,
        column, network, make, options,
    )  # fmt: skip
    _add_listeners(context, fields, sample, make)


def _options(context: PageContext) -> list[Any]:
    """Options that are rarely changed, in the order of :func:`_request`."""
    settings = context.settings
    with gr.Accordion("More", open=False):
        bases = list(dict.fromkeys((settings.base, *settings.bases)))
        info = "The language model that training starts from. pocket is small and fast; gpt2 is "
        info += "downloaded."
        if settings.base == POCKET and (missing := missing_weights()):
            info = f"{info} {for_browser(missing)}"
        labels = [(Path(base).name, base) for base in bases]
        base = gr.Radio(
            labels, value=settings.base, label="Base",
            info=info,
        )  # fmt: skip
        recipe = gr.Radio(
            list(RECIPES), value="fast", label="Recipe",
            info="classic is the original recipe of 2020: four epochs, slower.",
        )  # fmt: skip
        epochs = gr.Slider(
            0, settings.most_epochs, 0, step=1, label="Epochs", info="0 uses the recipe’s."
        )
        name = gr.Textbox(label="Name of the bot", placeholder="the author’s")
        author = gr.Textbox(
            label="Author of all posts", placeholder="each source’s own",
            info="A name, or a handle that begins with @.",
        )  # fmt: skip
        own = gr.Checkbox(label="These accounts are mine; read them although they opted out")
    return [base, recipe, epochs, name, author, own]


class _SourcePageHandlers:
    """Event handlers of the page; Gradio calls them with the values of its fields."""

    def __init__(self, context: PageContext) -> None:
        self._context = context

    def add(
        self, request: gr.Request, box: dict[str, Any] | None, chosen: Chosen, *options: Value
    ) -> Iterator[list[Any]]:
        """Add the typed or dropped sources and preview them."""
        text, files = (box or {}).get("text") or "", (box or {}).get("files") or []
        specs = [text.strip()] if text.strip() else []
        if not specs and not files:
            yield _error(chosen, "Enter a handle or drop a file first.")
        elif specs and not files and (name := _BARE_NAME.fullmatch(specs[0])):
            yield _ask_for_network(chosen, name[1])
        elif len(chosen.specs) + len(files) + len(specs) > MOST_SOURCES:
            yield _error(chosen, f"A bot can have at most {MOST_SOURCES} sources.")
        else:
            try:
                extended = self._add_files(request, chosen, files)
            except HuggingTweetsError as error:
                yield _error(chosen, str(error))
                return
            for spec in specs:
                is_mastodon = spec.startswith("@")  # @name@server
                extended = extended.add(spec, f"mastodon:{spec}" if is_mastodon else spec)
            yield from self._inspect(request, chosen, extended, options)

    def add_account(
        self, request: gr.Request, account: str | None, chosen: Chosen, *options: Value
    ) -> Iterator[list[Any]]:
        """Add the account on the network that was asked for, and preview it."""
        if not account or len(chosen.specs) >= MOST_SOURCES:
            yield _update(chosen, keep=True)
        else:
            yield from self._inspect(request, chosen, chosen.add(account, account), options)

    def add_sample(
        self, request: gr.Request, chosen: Chosen, *options: Value
    ) -> Iterator[list[Any]]:
        """Add the bundled posts of NASA and preview them."""
        if SAMPLE in chosen.specs or len(chosen.specs) >= MOST_SOURCES:
            yield _update(chosen, keep=True)
        else:
            extended = chosen.add("NASA’s posts of 2015", SAMPLE)
            yield from self._inspect(request, chosen, extended, options)

    def refresh(self, request: gr.Request, chosen: Chosen, *options: Value) -> Iterator[list[Any]]:
        """Preview the sources again with other options."""
        if chosen.specs:
            yield from self._inspect(request, chosen, chosen, options)
        else:
            yield _update(chosen, keep=True)

    def train(self, request: gr.Request, chosen: Chosen, *options: Value) -> str:
        """Queue the training and open its page."""
        try:
            visitor = self._context.visitor(request)
            client = self._context.client(request)
            name = self._context.service.submit(visitor, _request(chosen, options), client)
        except HuggingTweetsError as error:
            return components.message(str(error), error=True)
        return components.message(
            "The training is queued.", go_to=link_to("train", run=name), link="Watch it"
        )

    def _add_files(self, request: gr.Request, chosen: Chosen, files: list[str]) -> Chosen:
        for path in files:
            upload = self._context.uploaded_file(request, path)
            chosen = chosen.add(upload.name, upload.parent.name)
        return chosen

    def _inspect(
        self, request: gr.Request, before: Chosen, chosen: Chosen, options: tuple[Value, ...]
    ) -> Iterator[list[Any]]:
        """Preview the chosen sources; on an error go back to those chosen before."""
        what = ", ".join(chosen.labels)
        note = components.message(f"Reading {what}…", busy=True)
        update = _update(chosen, note=note, keep=True)
        yield update
        service = self._context.service
        try:
            visitor, order = self._context.visitor(request), _request(chosen, options)
            preview: SourcePreview | None = None
            for preview in until_done(partial(service.inspect, visitor, order)):
                if preview is None:
                    yield [gr.skip()] * len(update)
        except SpeakerError as error:
            yield _ask_for_speaker(chosen, error.people)
        except ColumnError as error:
            ask = _ask_for_column(chosen, error.columns) if error.columns else None
            yield ask or _error(before, str(error))
        except HuggingTweetsError as error:
            yield _error(before, str(error))
        else:
            assert preview is not None  # noqa: S101 - the last value
            html = components.source_preview(preview)
            is_chat = bool(preview.chats)
            trainable = preview.obstacle is None
            yield _update(chosen, preview=html, trainable=trainable, is_chat=is_chat)


def _add_listeners(
    context: PageContext, fields: Fields, sample: gr.Button, make: gr.Button
) -> None:
    handlers = _SourcePageHandlers(context)
    inputs = [fields.chosen, *fields.options]
    fields.box.submit(handlers.add, [fields.box, *inputs], fields.all, **NO_PROGRESS)
    sample.click(handlers.add_sample, inputs, fields.all, **NO_PROGRESS)
    fields.start_over.click(lambda: _update(Chosen()), None, fields.all, **NO_PROGRESS)
    fields.start_over.click(lambda: [False, False], None, fields.options[-2:], **NO_PROGRESS)
    make.click(handlers.train, inputs, fields.note, **WITH_PROGRESS)
    fields.network.input(handlers.add_account, [fields.network, *inputs], fields.all, **NO_PROGRESS)
    for option in fields.options[:3] + fields.options[5:]:
        option.input(handlers.refresh, inputs, fields.all, **NO_PROGRESS)
    fields.options[4].submit(handlers.refresh, inputs, fields.all, **NO_PROGRESS)


def _request(chosen: Chosen, options: tuple[Any, ...]) -> TrainingRequest:
    """The request for the chosen sources; it refuses values that the page can't send.

    Raises:
        InputError: an option is invalid.
    """
    base, recipe, epochs, name, author, own, speaker, column, join, keep = map(_strip, options)
    return TrainingRequest(
        sources=chosen.specs,
        base=base or "",
        recipe=recipe or "fast",
        epochs=epochs or None,
        name=name or None,
        author=author or None,
        speaker=speaker or None,
        i_am_the_author=own or False,
        text_column=column or None,
        join=join or False,
        keep_names=keep or False,
    )


def _strip(value: Any) -> Any:  # noqa: ANN401 - whatever the page sent
    return value.strip() if isinstance(value, str) else value


def _error(chosen: Chosen, text: str) -> list[Any]:
    """Show an error and keep the rest of the page."""
    return _update(chosen, note=components.message(text, error=True), keep=True)


def _ask_for_speaker(chosen: Chosen, people: dict[str, int]) -> list[Any]:
    """Ask which person of a chat the bot should learn from."""
    labels = [(f"{name} ({count:,} messages)", name) for name, count in people.items()]
    note = "This chat has messages of several people. Choose whose the bot should learn from."
    speaker = gr.update(choices=labels, value=None, visible=True)
    return _update(chosen, note=components.message(note), speaker=speaker, is_chat=True)


def _ask_for_column(chosen: Chosen, columns: tuple[str, ...]) -> list[Any]:
    """Ask which column of a table holds the posts."""
    note = "Which column of this table holds the posts? Choose one."
    column = gr.update(choices=list(columns), value=None, visible=True)
    return _update(chosen, note=components.message(note), column=column)


def _ask_for_network(chosen: Chosen, name: str) -> list[Any]:
    """Ask on which network a handle is."""
    bluesky = name if "." in name else f"{name}.bsky.social"
    choices = [
        (f"Bluesky: {bluesky}", f"bsky:{bluesky}"),
        (f"Mastodon: @{name}@mastodon.social", f"mastodon:@{name}@mastodon.social"),
        (f"X: @{name}", f"x:@{name}"),
    ]
    label = f"Which network is @{name} on?"
    network = gr.update(choices=choices, value=None, visible=True, label=label)
    return _update(chosen, note=components.message(label), keep=True, network=network)


def _update(
    chosen: Chosen,
    *,
    note: str = "",
    preview: str = "",
    keep: bool = False,
    trainable: bool = True,
    speaker: object = None,
    is_chat: bool = False,
    column: object = None,
    network: object = None,
) -> list[Any]:
    """New values for the page's components.

    Args:
        chosen: the sources.
        note: HTML of a message above them.
        preview: HTML of the preview.
        keep: whether to leave the input field and the previous preview unchanged.
        trainable: whether the sources hold enough text.
        speaker: update of the choice of a chat's person; None keeps it while there are sources.
        is_chat: whether to show the options of chats; False keeps them while there are sources.
        column: the same for the column of a table.
        network: update of the choice of a network; None hides it.
    """
    is_new = not chosen.specs and not keep
    unasked = gr.update(choices=[], value=None, visible=False)
    has_sources, is_full = bool(chosen.specs), len(chosen.specs) >= MOST_SOURCES
    label = _NEXT_SOURCE if has_sources else _FIRST_SOURCE
    box = gr.update(label=label, interactive=not is_full)
    if not keep:
        box["value"] = None
    return [
        box,
        chosen,
        note,
        render("sources", sources=chosen.labels),
        gr.skip() if keep else preview,
        gr.skip() if keep else gr.update(visible=bool(preview)),
        gr.update(visible=has_sources),
        speaker or (unasked if is_new else gr.skip()),
        gr.update(visible=is_chat) if is_chat or is_new else gr.skip(),
        column or (unasked if is_new else gr.skip()),
        network or unasked,
        gr.skip() if keep else gr.update(interactive=trainable),
    ]
