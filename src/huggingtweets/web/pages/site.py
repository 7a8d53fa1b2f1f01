"""All pages as one Gradio app. Each page has its own address, so that links to it work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

from huggingtweets.web import api
from huggingtweets.web.pages import blend, bot, explore, fleets, gallery, play, quiz, source, train

if TYPE_CHECKING:
    from huggingtweets.web.context import PageContext

_PAGES = (
    ("Train", "train", train.build),
    ("Play", "play", play.build),
    ("Real or bot?", "quiz", quiz.build),
    ("Blend", "blend", blend.build),
    ("Explore", "explore", explore.build),
    ("Gallery", "gallery", gallery.build),
    ("Fleets", "fleets", fleets.build),
    ("Bot", "bot", bot.build),
)
_MAX_THREADS = 128  # concurrent events; each visitor who waits for posts occupies one
_FONTS = ("Inter", "system-ui", "sans-serif")


def build(context: PageContext) -> gr.Blocks:
    """Build the whole app."""
    site: gr.Blocks = gr.Blocks(title="huggingtweets", analytics_enabled=False)
    with site:
        source.build(context, site)
        api.add(context)
    for name, path, build_page in _PAGES:
        with site.route(name, path, show_in_navbar=False):
            build_page(context, site)
    site.queue(default_concurrency_limit=None, max_size=500, api_open=False)
    site.max_threads = _MAX_THREADS
    return site


def theme() -> gr.themes.Base:
    """Gradio's controls in the colours of ``static/app.css``; no font comes from another host."""
    both = {
        "body_background_fill": ("#f7f4ee", "#10141b"),
        "body_text_color": ("#1c2330", "#e9ebf0"),
        "body_text_color_subdued": ("#525b6b", "#a9b2c1"),
        "background_fill_primary": ("#fffdf9", "#181e28"),
        "background_fill_secondary": ("#f7f4ee", "#10141b"),
        "block_background_fill": ("#fffdf9", "#181e28"),
        "block_label_background_fill": ("#fffdf9", "#181e28"),
        "block_label_text_color": ("#1c2330", "#e9ebf0"),
        "block_title_text_color": ("#1c2330", "#e9ebf0"),
        "block_info_text_color": ("#525b6b", "#a9b2c1"),
        "border_color_primary": ("#ded8cc", "#2c3543"),
        "border_color_accent": ("#0b6a64", "#6fd3c6"),
        "color_accent_soft": ("#e0efec", "#17322f"),
        "input_background_fill": ("#f7f4ee", "#10141b"),
        "input_border_color": ("#8a8577", "#6f7b8e"),
        "input_placeholder_color": ("#525b6b", "#a9b2c1"),
        "checkbox_background_color_selected": ("#0b6a64", "#0b6a64"),
        "checkbox_border_color": ("#8a8577", "#6f7b8e"),
        "checkbox_label_background_fill": ("#f7f4ee", "#10141b"),
        "checkbox_label_background_fill_selected": ("#e0efec", "#17322f"),
        "checkbox_label_text_color": ("#1c2330", "#e9ebf0"),
        "checkbox_label_text_color_selected": ("#1c2330", "#e9ebf0"),
        "slider_color": ("#0b6a64", "#6fd3c6"),
        "button_primary_background_fill": ("#0b6a64", "#6fd3c6"),
        "button_primary_text_color": ("#ffffff", "#07211e"),
        "error_background_fill": ("#fbe9e1", "#3a221a"),
    }
    values = {name: light for name, (light, _) in both.items()}
    values |= {f"{name}_dark": dark for name, (_, dark) in both.items()}
    return gr.themes.Base(font=_FONTS, font_mono=("ui-monospace", "monospace")).set(**values)
