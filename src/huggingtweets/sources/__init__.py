"""Where posts come from: one Protocol, one function that finds the source for a path."""

from huggingtweets.sources._open import Source, open_source, read_posts
from huggingtweets.sources._privacy_filter import unwrap
from huggingtweets.sources.reading import Confirm, ReadOptions, decline

__all__ = ["Confirm", "ReadOptions", "Source", "decline", "open_source", "read_posts", "unwrap"]
