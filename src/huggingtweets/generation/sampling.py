"""The settings of a new post and the post itself; nothing here needs torch."""

from __future__ import annotations

from dataclasses import dataclass

from huggingtweets.errors import InputError
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
        InputError: a value is out of range.
    """

    temperature: float = TEMPERATURE
    top_p: float = TOP_P
    max_chars: int = 280
    seed: int | None = None

    def __post_init__(self) -> None:
        faults = []
        if not 0 < self.temperature <= 100:
            faults.append(f"temperature must be over 0 and at most 100, not {self.temperature}")
        if not 0 < self.top_p <= 1:
            faults.append(f"top-p must be over 0 and at most 1, not {self.top_p}")
        if not 1 <= self.max_chars <= 100_000:
            faults.append(f"max-chars must be from 1 to 100,000, not {self.max_chars}")
        if self.seed is not None and not 0 <= self.seed < 2**63:
            faults.append(f"seed must be from 0 to 2^63 - 1, not {self.seed}")
        if faults:
            raise InputError("These settings can't be used: " + "; ".join(faults) + ".")


@dataclass(frozen=True, slots=True)
class GeneratedPost:
    """A new post.

    Attributes:
        text: the whole post, prompt included.
        prompt: what the post had to begin with; empty for none.
        copied_words: longest run of words shared with a training post; None without the training
            posts.
        copied: whether :mod:`~huggingtweets.generation.copy_index` calls it a copy; None without
            the training posts.
    """

    text: str
    prompt: str = ""
    copied_words: int | None = None
    copied: bool | None = None


NewPost = GeneratedPost  # its name until 0.1
