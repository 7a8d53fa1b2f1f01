"""What goes with a bot, its card and picture, and where it goes, the Hugging Face Hub."""

from huggingtweets.publish._avatar import hue, initial
from huggingtweets.publish._text import clean
from huggingtweets.publish.card import render_card, template, write_card
from huggingtweets.publish.facts import Facts, read_report, title
from huggingtweets.publish.files import parts_of
from huggingtweets.publish.picture import PROMPT, Picture
from huggingtweets.publish.predictions import nth_post, save, write_picture
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
