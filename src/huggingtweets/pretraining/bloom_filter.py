"""A Bloom filter that detects repeated texts in a fixed amount of memory (Bloom 1970).

With 2^30 bits (128 MB) and four hashes, one in a thousand of 50 million posts is mistaken for a
repetition; with fewer posts hardly any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BITS = 2**30
_HASHES = 4

_BETWEEN_WORDS = r"(?: *[^\p{L}\p{N} ])+ *| {2,}"
"""Everything between two words except a single space, which needs no replacement."""


class BloomFilter:
    """A set of texts that ignores case, punctuation and spacing.

    Args:
        bits: size of the filter, a power of two and at least 8.
    """

    def __init__(self, bits: int = _BITS) -> None:
        import numpy as np

        self._bits = bits
        self._filter = np.zeros(bits // 8, np.uint8)

    def first_time(self, texts: pl.Series) -> pl.Series:
        """Add texts and return whether each one was new.

        Args:
            texts: strings.

        Returns:
            Booleans. Of equal texts in one call, only the first is new.
        """
        keys = texts.str.to_lowercase().str.replace_all(_BETWEEN_WORDS, " ").str.strip_chars()
        positions = self._positions(keys)
        known = self._contains(positions)
        self._add(positions)
        return pl.Series(~known) & keys.is_first_distinct()

    def _positions(self, keys: pl.Series) -> NDArray[np.uint64]:
        """Bit positions (texts, hashes) by double hashing (Kirsch & Mitzenmacher 2006)."""
        import numpy as np

        first, second = keys.hash(seed=1).to_numpy(), keys.hash(seed=2).to_numpy() | np.uint64(1)
        steps = np.arange(_HASHES, dtype=np.uint64)
        positions: NDArray[np.uint64] = (first[:, None] + steps * second[:, None]) % np.uint64(
            self._bits
        )
        return positions

    def _contains(self, positions: NDArray[np.uint64]) -> NDArray[np.bool_]:
        import numpy as np

        bits = self._filter[positions >> np.uint64(3)] >> (positions & np.uint64(7))
        known: NDArray[np.bool_] = (bits & np.uint8(1)).astype(bool).all(axis=1)
        return known

    def _add(self, positions: NDArray[np.uint64]) -> None:
        import numpy as np

        flat = positions.ravel()
        masks = (1 << (flat & np.uint64(7))).astype(np.uint8)
        np.bitwise_or.at(self._filter, flat >> np.uint64(3), masks)
