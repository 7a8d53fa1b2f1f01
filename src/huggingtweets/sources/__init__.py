"""Where posts come from: one Protocol, one function that finds the source for a path."""

from huggingtweets.sources._open import Source, open_source, read_posts

__all__ = ["Source", "open_source", "read_posts"]
