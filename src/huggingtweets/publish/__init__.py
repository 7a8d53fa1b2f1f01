"""A bot's card and picture, its upload to the Hugging Face Hub, and links that share its posts."""

from huggingtweets.publish._avatar import hue, initial
from huggingtweets.publish._text import clean
from huggingtweets.publish.card import render_card, template, write_card
from huggingtweets.publish.facts import Facts, read_report, title
from huggingtweets.publish.files import parts_of
from huggingtweets.publish.picture import PROMPT, Picture, nth_post, save, write_picture
from huggingtweets.publish.share import Draft, Sharing, drafts

__all__ = [
    "PROMPT",
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
    "read_report",
    "render_card",
    "save",
    "template",
    "title",
    "write_card",
    "write_picture",
]
