"""Options of curation."""

from __future__ import annotations

from dataclasses import dataclass

from huggingtweets.errors import InputError


@dataclass(frozen=True, slots=True)
class CurationOptions:
    """How posts are cleaned and when they count as duplicates.

    Attributes:
        keep_newlines: keep line breaks, with at most one empty line, instead of using spaces.
        scrub: mask e-mail addresses, phone numbers and mentions of others.
        near_duplicates: Jaccard similarity of two posts' word sets, in (0, 1], from which the later
            one is dropped. 1 drops only posts with exactly the same words.
    """

    keep_newlines: bool = False
    scrub: bool = False
    near_duplicates: float = 0.9

    def __post_init__(self) -> None:
        """Check the range of the threshold."""
        if not 0 < self.near_duplicates <= 1:  # also rejects NaN
            raise InputError(
                f"near_duplicates must be above 0 and at most 1, not {self.near_duplicates}."
            )
