"""The settings of a new post and the post itself; nothing here needs torch."""

from __future__ import annotations

from dataclasses import dataclass

from huggingtweets.arguments import PostLength, Seed, Temperature, TopP, check_fields
from huggingtweets.nn.language_model import TEMPERATURE, TOP_P


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling settings. One error reports every invalid value.

    Attributes:
        temperature: over 0 to 100; 1 samples from the model's own distribution, lower is safer.
        top_p: probability mass that tokens are sampled from, over 0 to 1 (nucleus sampling,
            Holtzman et al. 2020, arXiv 1904.09751).
        max_chars: maximum length in characters; a longer post is cut between words.
        seed: the same seed and settings give the same posts; None gives new ones each time.

    Raises:
        InputError: a value is of another kind, not finite or out of range.
    """

    temperature: Temperature = TEMPERATURE
    top_p: TopP = TOP_P
    max_chars: PostLength = 280
    seed: Seed | None = None

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class GeneratedPost:
    """A new post.

    Attributes:
        text: the whole post, prompt included.
        prompt: what the post had to begin with; empty for none.
        copied_words: longest run of words shared with a training post; None without the training
            posts.
        masked: whether private data in it was replaced by placeholders.
        copied: whether :mod:`~huggingtweets.generation.copy_index` calls it a copy; None without
            the training posts.
    """

    text: str
    prompt: str = ""
    copied_words: int | None = None
    copied: bool | None = None
    masked: bool = False


NewPost = GeneratedPost  # its name until 0.1
