"""Options of curation."""

from __future__ import annotations

from dataclasses import InitVar, dataclass
from typing import TYPE_CHECKING

from huggingtweets.errors import InputError
from huggingtweets.privacy import masking

if TYPE_CHECKING:
    from huggingtweets.privacy.masking import Mask


@dataclass(frozen=True, slots=True)
class CurationOptions:
    """How posts are cleaned and when they count as duplicates.

    Attributes:
        keep_newlines: keep line breaks, with at most one empty line, instead of using spaces.
        scrub: an older spelling of ``mask="mentions"``.
        near_duplicates: Jaccard similarity of two posts' word sets, in (0, 1], from which the later
            one is dropped. 1 drops only posts with exactly the same words.
        mask: what becomes a placeholder: ``secrets`` alone (keys, passwords, card numbers, IBANs);
            ``personal`` also e-mail addresses, phone numbers and street addresses; ``mentions``
            also mentions of others.
    """

    keep_newlines: bool = False
    scrub: InitVar[bool] = False
    near_duplicates: float = 0.9
    mask: Mask = "personal"

    def __post_init__(self, scrub: bool) -> None:
        """Check the level of masking and the range of the threshold."""
        masking.check(self.mask)
        if scrub:
            if self.mask == "secrets":
                raise InputError("Mentions can't be masked while personal data is kept.")
            object.__setattr__(self, "mask", "mentions")
        if not 0 < self.near_duplicates <= 1:  # also rejects NaN
            raise InputError(
                f"near_duplicates must be above 0 and at most 1, not {self.near_duplicates}."
            )
