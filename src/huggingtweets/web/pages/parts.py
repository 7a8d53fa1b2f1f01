"""What several pages are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

if TYPE_CHECKING:
    from huggingtweets.serving.schemas import BotSummary

WITH_PROGRESS: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}
"""How pages listen to events, with Gradio's own sign that something is under way."""

NO_PROGRESS: dict[str, Any] = {**WITH_PROGRESS, "show_progress": "hidden"}
"""The same where the page itself shows it, or where there is nothing to wait for."""


def html_slot(elem_id: str | None = None, html: str = "") -> gr.HTML:
    """A place for HTML of ours, without Gradio's styles and scripts."""
    return gr.HTML(html, elem_id=elem_id, apply_default_css=False, js_on_load=None)


def prompt_box() -> gr.Textbox:
    """What the bot goes on from."""
    return gr.Textbox(
        label="Beginning", placeholder="My dream is", max_length=200, elem_id="prompt"
    )


def settings() -> tuple[gr.Slider, gr.Slider]:
    """How wild, and how long."""
    with gr.Row():
        temperature = gr.Slider(
            0.2, 1.5, 0.7, step=0.1, label="Temperature", info="low is safe, high is wild",
            elem_id="temperature",
        )  # fmt: skip
        length = gr.Slider(
            40, 500, 280, step=10, label="Length", info="characters at most", elem_id="length"
        )
    return temperature, length


def chosen(bots: list[BotSummary], asked: str) -> str:
    """The bot that the address names, else the newest; what is asked for is never put right."""
    return asked or (bots[0].name if bots else "")
