"""What can be chosen about curation."""

from __future__ import annotations

from dataclasses import dataclass

from huggingtweets.errors import InputError


@dataclass(frozen=True, slots=True)
class CurationOptions:
    """How posts are cleaned and when two of them count as one.

    Attributes:
        keep_newlines: keep line breaks (at most one empty line) instead of making them spaces.
        scrub: mask e-mail addresses, phone numbers and mentions of others.
        near_duplicates: Jaccard similarity of two posts' word sets, in (0, 1], from which the
            later one is dropped. 1 drops only posts of the very same words.
    """

    keep_newlines: bool = False
    scrub: bool = False
    near_duplicates: float = 0.9

    def __post_init__(self) -> None:
        """Check what the types can't say."""
        if not 0 < self.near_duplicates <= 1:  # not a number fails this too
            raise InputError(
                f"near_duplicates must be above 0 and at most 1, not {self.near_duplicates}."
            )
