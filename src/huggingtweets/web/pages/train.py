"""Step 2: the progress of a training or an update, refreshed every second.

The page's address names the run, so the page can be closed and opened again.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import gradio as gr

from huggingtweets.errors import HuggingTweetsError
from huggingtweets.web import components
from huggingtweets.web.components import NO_PROGRESS, html_slot
from huggingtweets.web.loss_curve import loss_curve
from huggingtweets.web.templating import duration, render

if TYPE_CHECKING:
    from collections.abc import Callable

    from huggingtweets.serving.schemas import Status
    from huggingtweets.web.context import PageContext

_REFRESH_SECONDS = 1.0
_SAMPLED_STEPS = 4  # number of steps whose samples are shown, newest first
_HEADINGS = {
    "waiting": "Waiting in the queue",
    "reading": "Reading the posts",
    "training": "Training",
    "judging": "Ready to play; measuring its likeness",
    "done": "Your bot is ready",
    "stopped": "Stopped; you can resume it",
    "failed": "The training failed",
}
_UPDATE_HEADINGS = _HEADINGS | {
    "reading": "Looking for new posts",
    "training": "Learning the new posts",
    "judging": "The new version is better; measuring its likeness",
    "done": "The update is done",
    "stopped": "Stopped; the bot is as it was",
    "failed": "Nothing was updated",
}
_UNFINISHED = ("waiting", "reading", "training", "judging")


def build(context: PageContext, page: gr.Blocks) -> None:
    """Build the page."""
    header = html_slot(html=_header(context, is_update=False))
    live = html_slot("live")
    note = html_slot("note")
    with gr.Row():
        stop = gr.Button("Stop", visible=False, elem_id="stop")
        resume = gr.Button("Resume", variant="primary", visible=False, elem_id="resume")
    timer = gr.Timer(_REFRESH_SECONDS)

    def show_header(request: gr.Request) -> Any:  # noqa: ANN401 - what Gradio takes
        name = context.query_param(request, "run")
        try:
            is_update = context.service.status(context.visitor(request), name).is_update
        except HuggingTweetsError:  # the page below it says so
            return gr.skip()
        return _header(context, is_update=True) if is_update else gr.skip()

    def show(request: gr.Request) -> list[Any]:
        name = context.query_param(request, "run")
        try:
            status = context.service.status(context.visitor(request), name)
        except HuggingTweetsError as error:
            hidden = gr.update(visible=False)
            message = components.message(str(error), error=True)
            return [message, hidden, hidden, gr.Timer(active=False)]
        unfinished = status.state in _UNFINISHED
        return [
            progress_html(status),
            gr.update(visible=unfinished),
            gr.update(visible=status.state in ("stopped", "failed") and not status.is_update),
            gr.Timer(active=unfinished),
        ]

    def call(method: Callable[..., None], request: gr.Request, success: str, *more: str) -> str:
        try:
            method(context.visitor(request), context.query_param(request, "run"), *more)
        except HuggingTweetsError as error:
            return components.message(str(error), error=True)
        return components.message(success)

    def stop_run(request: gr.Request) -> str:
        success = "It stops at the next step."
        return call(context.service.stop_run, request, success)

    def resume_run(request: gr.Request) -> list[Any]:
        message = call(context.service.resume_run, request, "", context.client(request))
        return [message, gr.Timer(active=True)]

    page.load(show_header, None, header, **NO_PROGRESS)
    outputs = [live, stop, resume, timer]
    gr.on([page.load, timer.tick], show, None, outputs, **NO_PROGRESS)
    stop.click(stop_run, None, note, **NO_PROGRESS)
    resume.click(resume_run, None, [note, timer], **NO_PROGRESS)


def _header(context: PageContext, *, is_update: bool) -> str:
    """The top of the page; the three steps are those of a new bot."""
    what = "update" if is_update else "training"
    return context.header(
        "train",
        "It learns what is new" if is_update else "It learns to write",
        f"You may close this page: the {what} continues, and its link opens the page again.",
        step=0 if is_update else 2,
    )


def progress_html(status: Status) -> str:
    """The progress of a run."""
    heading = (_UPDATE_HEADINGS if status.is_update else _HEADINGS)[status.state]
    samples = [(step, list(of)) for step, of in groupby(status.samples, key=lambda s: s.step)]
    last = status.total if status.state == "training" else 0
    return render(
        "progress",
        status=status,
        heading=heading,
        numbers=_numbers(status),
        curve=loss_curve(
            [(point.step, point.loss) for point in status.curve],
            [(point.step, point.bits_per_byte) for point in status.held_out],
            last,
        ),
        samples=samples[::-1][:_SAMPLED_STEPS],
        announcement=_announcement(status, heading),
    )


def _numbers(status: Status) -> list[tuple[str, str]]:
    numbers = []
    if status.state == "training":
        numbers.append(("step", f"{status.done:,} of {status.total:,}"))
        if status.tokens_per_second is not None:
            numbers.append(("tokens/s", f"{status.tokens_per_second:,.0f}"))
        if status.seconds_left is not None:
            numbers.append(("left", duration(status.seconds_left)))
    if status.curve:
        numbers.append(("training loss", f"{status.curve[-1].loss:.2f}"))
    if status.held_out:
        numbers.append(("held-out loss", f"{status.held_out[-1].bits_per_byte:.3f}"))
    if (kept := status.counts.get("kept")) is not None:
        numbers.append(("posts", f"{kept:,}"))
    return numbers


def _announcement(status: Status, heading: str) -> str:
    """Text for screen readers, which changes only at every quarter of the training."""
    if status.state == "waiting" and status.place:
        return f"{heading}, place {status.place}."
    if status.state == "training" and status.total:
        quarter = 25 * (4 * status.done // status.total)
        return f"{heading}, {quarter} per cent." if quarter else f"{heading}."
    return f"{heading}."
