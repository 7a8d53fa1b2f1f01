"""All pages as one Gradio app; each has an address of its own, so that every link leads back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

from huggingtweets.web import api
from huggingtweets.web.pages import blend, bot, gallery, play, quiz, source, train

if TYPE_CHECKING:
    from huggingtweets.web.context import PageContext

_PAGES = (
    ("Train", "train", train.build),
    ("Play", "play", play.build),
    ("Real or bot?", "quiz", quiz.build),
    ("Blend", "blend", blend.build),
    ("Gallery", "gallery", gallery.build),
    ("Bot", "bot", bot.build),
)
_THREADS = 128  # events that run at once; fifty who let bots write wait for them in one each


def build(context: PageContext) -> gr.Blocks:
    """Lay out the whole app."""
    site: gr.Blocks = gr.Blocks(title="huggingtweets", analytics_enabled=False)
    with site:
        source.build(context, site)
        api.add(context)
    for name, path, lay_out in _PAGES:
        with site.route(name, path, show_in_navbar=False):
            lay_out(context, site)
    site.queue(default_concurrency_limit=None, max_size=500, api_open=False)
    site.max_threads = _THREADS
    return site
