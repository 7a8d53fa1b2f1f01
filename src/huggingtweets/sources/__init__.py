"""Where posts come from: one Protocol, one function that finds the source for a path."""

from huggingtweets.sources._open import Source, open_source, read_posts
from huggingtweets.sources._privacy_filter import behind
from huggingtweets.sources.reading import Confirm, Reading, refuse

__all__ = ["Confirm", "Reading", "Source", "behind", "open_source", "read_posts", "refuse"]
