"""A bot's card and picture, its upload to the Hugging Face Hub, and links that share its posts."""

from huggingtweets.publish._avatar import hue, initial
from huggingtweets.publish._text import clean
from huggingtweets.publish.card import PROMPTS, pipeline_drawing, render_card, template, write_card
from huggingtweets.publish.facts import Facts, read_report, title
from huggingtweets.publish.files import parts_of
from huggingtweets.publish.picture import (
    PROMPT,
    Picture,
    nth_post,
    save,
    save_to_run,
    write_picture,
)
from huggingtweets.publish.share import Draft, Sharing, drafts

__all__ = [
    "PROMPT",
    "PROMPTS",
    "Draft",
    "Facts",
    "Picture",
    "Sharing",
    "clean",
    "drafts",
    "hue",
    "initial",
    "nth_post",
    "parts_of",
    "pipeline_drawing",
    "read_report",
    "render_card",
    "save",
    "save_to_run",
    "template",
    "title",
    "write_card",
    "write_picture",
]
