"""Which texts have come by already, in a fixed amount of memory.

A Bloom filter (Bloom 1970): with 2^30 bits and four hashes, 128 MB, 50 million posts are told
apart with one in a thousand taken for a repetition by mistake; with fewer posts hardly any.
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
"""All that stands between two words unless it is one space, which needn't be replaced by itself."""


class BloomFilter:
    """Remembers texts, up to case, punctuation and spacing.

    Args:
        bits: size of the filter, a power of two of at least 8.
    """

    def __init__(self, bits: int = _BITS) -> None:
        import numpy as np

        self._bits = bits
        self._filter = np.zeros(bits // 8, np.uint8)

    def first_time(self, texts: pl.Series) -> pl.Series:
        """Whether each text is met for the first time; all are remembered.

        Args:
            texts: strings.

        Returns:
            Booleans. Of equal texts in one call the first is fresh.
        """
        keys = texts.str.to_lowercase().str.replace_all(_BETWEEN_WORDS, " ").str.strip_chars()
        positions = self._positions(keys)
        known = self._read(positions)
        self._remember(positions)
        return pl.Series(~known) & keys.is_first_distinct()

    def _positions(self, keys: pl.Series) -> NDArray[np.uint64]:
        """Bits of each text, (texts, hashes), by double hashing (Kirsch & Mitzenmacher 2006)."""
        import numpy as np

        first, second = keys.hash(seed=1).to_numpy(), keys.hash(seed=2).to_numpy() | np.uint64(1)
        steps = np.arange(_HASHES, dtype=np.uint64)
        positions: NDArray[np.uint64] = (first[:, None] + steps * second[:, None]) % np.uint64(
            self._bits
        )
        return positions

    def _read(self, positions: NDArray[np.uint64]) -> NDArray[np.bool_]:
        import numpy as np

        bits = self._filter[positions >> np.uint64(3)] >> (positions & np.uint64(7))
        known: NDArray[np.bool_] = (bits & np.uint8(1)).astype(bool).all(axis=1)
        return known

    def _remember(self, positions: NDArray[np.uint64]) -> None:
        import numpy as np

        flat = positions.ravel()
        masks = (1 << (flat & np.uint64(7))).astype(np.uint8)
        np.bitwise_or.at(self._filter, flat >> np.uint64(3), masks)
