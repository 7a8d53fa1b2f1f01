"""What goes with a bot: its card."""

from huggingtweets.publish.card import escape_markdown, render_card, title

__all__ = ["escape_markdown", "render_card", "title"]
