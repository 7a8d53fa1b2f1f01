"""Small language models that write like one person, made on the machine in front of you.

>>> import huggingtweets as ht
>>> run = ht.train("my-archive.zip")
>>> for post in ht.open_bot(run.path).generate("My dream is", n=5):
...     print(post.text)

Names are loaded on first use, so importing this package is fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from huggingtweets.comparison.compare import compare
    from huggingtweets.comparison.result import Comparison
    from huggingtweets.curation import Curated, CurationOptions
    from huggingtweets.data.posts import Post
    from huggingtweets.errors import HuggingTweetsError, InputError
    from huggingtweets.evaluation import LikenessReport
    from huggingtweets.generation.bots import Bot, open_bot
    from huggingtweets.generation.hashtag_proposals import propose_hashtags
    from huggingtweets.generation.sampling import GeneratedPost, Sampling
    from huggingtweets.merging import MergeOptions, merge
    from huggingtweets.pipeline import TrainOptions, curate, evaluate, resume, train
    from huggingtweets.storage.run_folder import RunFolder, list_runs
    from huggingtweets.training import RECIPES, Recipe

_MODULES = {
    "comparison.compare": ("compare",),
    "comparison.result": ("Comparison",),
    "curation": ("Curated", "CurationOptions"),
    "data.posts": ("Post",),
    "errors": ("HuggingTweetsError", "InputError"),
    "evaluation": ("LikenessReport",),
    "generation.bots": ("Bot", "open_bot"),
    "generation.hashtag_proposals": ("propose_hashtags",),
    "generation.sampling": ("GeneratedPost", "NewPost", "Sampling"),
    "merging": ("MergeOptions", "merge"),
    "pipeline": ("TrainOptions", "curate", "evaluate", "resume", "train"),
    "storage.run_folder": ("RunFolder", "list_runs"),
    "training": ("RECIPES", "Recipe"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "RECIPES",
    "Bot",
    "Comparison",
    "Curated",
    "CurationOptions",
    "GeneratedPost",
    "HuggingTweetsError",
    "InputError",
    "LikenessReport",
    "MergeOptions",
    "Post",
    "Recipe",
    "RunFolder",
    "Sampling",
    "TrainOptions",
    "compare",
    "curate",
    "evaluate",
    "list_runs",
    "merge",
    "open_bot",
    "propose_hashtags",
    "resume",
    "train",
]


def __getattr__(name: str) -> object:
    """Import a public name from its module."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
