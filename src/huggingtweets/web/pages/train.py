"""Step 2: the run as it learns, drawn anew every second from what the service knows of it.

The page holds nothing: its address names the run, so closing it loses nothing.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import gradio as gr

from huggingtweets.errors import HuggingTweetsError
from huggingtweets.web import components
from huggingtweets.web.loss_curve import draw
from huggingtweets.web.pages.parts import NO_PROGRESS, html_slot
from huggingtweets.web.templating import duration, render

if TYPE_CHECKING:
    from huggingtweets.serving.schemas import Status
    from huggingtweets.web.context import PageContext

_SECONDS = 1.0
_SAMPLES_SHOWN = 4  # measurements of which posts are shown, the newest first
_HEADINGS = {
    "waiting": "Waiting for its turn",
    "reading": "Reading the posts",
    "training": "Learning",
    "judging": "Being judged",
    "done": "Your bot is ready",
    "stopped": "Stopped; it can go on where it was",
    "failed": "That did not work",
}
_UNDER_WAY = ("waiting", "reading", "training", "judging")


def build(context: PageContext, page: gr.Blocks) -> None:
    """Lay the page out."""
    html_slot(
        html=context.header(
            "train",
            "It reads, and learns to write",
            "Close this page whenever you like: the training goes on, and its link finds it again.",
            step=2,
        )
    )
    live = html_slot("live")
    note = html_slot("note")
    with gr.Row():
        stop = gr.Button("Stop", visible=False, elem_id="stop")
        resume = gr.Button("Go on", variant="primary", visible=False, elem_id="resume")
    timer = gr.Timer(_SECONDS)

    def show(request: gr.Request) -> list[Any]:
        name = context.query_param(request, "run")
        try:
            status = context.service.status(context.visitor(request), name)
        except HuggingTweetsError as error:
            text = components.message(str(error), error=True, go="", link="")
            return [
                text,
                gr.update(visible=False),
                gr.update(visible=False),
                gr.Timer(active=False),
            ]
        under_way = status.state in _UNDER_WAY
        return [
            progress(status),
            gr.update(visible=under_way),
            gr.update(visible=status.state in ("stopped", "failed")),
            gr.Timer(active=under_way),
        ]

    def halt(request: gr.Request) -> str:
        return _do(context.service.stop_run, request, "It stops at the next step, and is saved.")

    def go_on(request: gr.Request) -> list[Any]:
        return [_do(context.service.resume_run, request, ""), gr.Timer(active=True)]

    def _do(act: Any, request: gr.Request, done: str) -> str:  # noqa: ANN401 - of the service
        try:
            act(context.visitor(request), context.query_param(request, "run"))
        except HuggingTweetsError as error:
            return components.message(str(error), error=True)
        return components.message(done)

    shown = [live, stop, resume, timer]
    gr.on([page.load, timer.tick], show, None, shown, **NO_PROGRESS)
    stop.click(halt, None, note, **NO_PROGRESS)
    resume.click(go_on, None, [note, timer], **NO_PROGRESS)


def progress(status: Status) -> str:
    """A run as HTML."""
    heading = _HEADINGS[status.state]
    steps = [(step, list(of)) for step, of in groupby(status.samples, key=lambda one: one.step)]
    last = status.total if status.state == "training" else 0
    return render(
        "progress",
        status=status,
        heading=heading,
        numbers=_numbers(status),
        curve=draw(
            [(point.step, point.loss) for point in status.curve],
            [(point.step, point.bits_per_byte) for point in status.held_out],
            last,
        ),
        samples=steps[::-1][:_SAMPLES_SHOWN],
        say=_said(status, heading),
    )


def _numbers(status: Status) -> list[tuple[str, str]]:
    found = []
    if status.state == "training":
        found.append(("step", f"{status.done:,} of {status.total:,}"))
        if status.tokens_per_second is not None:
            found.append(("tokens/s", f"{status.tokens_per_second:,.0f}"))
        if status.seconds_left is not None:
            found.append(("left", duration(status.seconds_left)))
    if status.curve:
        found.append(("training loss", f"{status.curve[-1].loss:.2f}"))
    if status.held_out:
        found.append(("held-out", f"{status.held_out[-1].bits_per_byte:.3f}"))
    if (kept := status.counts.get("kept")) is not None:
        found.append(("posts", f"{kept:,}"))
    return found


def _said(status: Status, heading: str) -> str:
    """What a screen reader says: only what is new, in quarters, not every second."""
    if status.state == "waiting" and status.place:
        return f"{heading}, place {status.place}."
    if status.state == "training" and status.total:
        quarter = 25 * (4 * status.done // status.total)
        return f"{heading}, {quarter} per cent." if quarter else f"{heading}."
    return f"{heading}."
