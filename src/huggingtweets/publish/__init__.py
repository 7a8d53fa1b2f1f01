"""What goes with a bot: its card."""

from huggingtweets.publish.card import render_card, template, title

__all__ = ["render_card", "template", "title"]
