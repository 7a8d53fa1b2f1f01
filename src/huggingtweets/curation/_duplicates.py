"""Find posts that say what an earlier post already said.

Two kinds: the *same text* once case, punctuation, emoji and spacing are set aside, and
*near-duplicates*, whose sets of words have a Jaccard similarity (shared words over all words,
Jaccard 1901) of at least a threshold. Candidates come from MinHash signatures and
locality-sensitive hashing (Broder 1997; Leskovec, Rajaraman & Ullman, *Mining of Massive
Datasets*, ch. 3), computed by ``rensa``; each is then checked on the words themselves, so that no
post is dropped by an accident of hashing.

Words rather than character n-grams: at 0.9 one changed word makes a near-duplicate in a post of 19
words or more, and a changed name or number doesn't in a post of ten. A number is taken together
with the word before it, or a score turned round would be the same set. In scripts without spaces
each character is a word.
"""

from __future__ import annotations

import gc
from collections import defaultdict
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from huggingtweets.curation._scripts import UNSPACED
from huggingtweets.curation._slices import change_where, each_slice, in_slices
from huggingtweets.curation._unicode import beyond_ascii, normalise

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    import rensa
    from numpy.typing import NDArray

_HASHES = 96
"""Values of a signature: 384 bytes a post, in bands of 1 to 16 values."""

_SEED = 42
_NO_WORD = r"(?:[^\p{L}\p{M}\p{N} ]|[\x{FE00}-\x{FE0F}\x{20E3}])"
"""Variation selectors and the keycap are marks to Unicode but belong to emoji."""

_BETWEEN_WORDS = rf"(?: *{_NO_WORD})+ *| {{2,}}"
"""All that stands between two words unless it is one space, which needn't be replaced by itself:
replacing takes longer than searching."""

_RECALL = 0.998
"""Share of the pairs right at the threshold that become candidates; more above it."""

_AT_ONCE = 2_000
"""Signatures that become Python numbers at a time: 6 MB, twice as fast as 60 MB."""

_MOST_COMPARED = 16
"""Earlier posts a post is compared with in each band. Only made-up data has more that look alike
and yet differ; the bound keeps a million of those from taking a million squared comparisons."""


def find_duplicates(texts: pl.Series, threshold: float) -> pl.DataFrame:
    """Find the texts to drop, given cleaned texts in time order.

    Returns:
        Columns ``row`` (to drop), ``of`` (the earlier row it repeats, which is kept itself unless
        it is a near-duplicate of another) and ``similarity`` (null for the same text).
    """
    keys = pl.concat(in_slices(texts, _normalise), rechunk=True)
    rows = pl.DataFrame({"key": keys}).with_row_index("row")
    rows = rows.with_columns(of=pl.col("row").first().over("key"))
    same = rows.filter(pl.col("row") != pl.col("of")).select(
        "row", "of", similarity=pl.lit(None, pl.Float64)
    )
    first = rows.filter(pl.col("row") == pl.col("of"))
    near = _near_duplicates(first["row"], first["key"], threshold)
    return pl.concat([same, near]).sort("row")


def _normalise(texts: pl.Series) -> pl.Series:
    """Reduce texts to their lower-case words, one space between them, a number with its word."""
    # NFKC makes one of the wide and fancy forms of a letter.
    keys = normalise(texts, "NFKC").str.to_lowercase().str.replace_many(["'", "’"], ["", ""])
    keys = keys.str.replace_all(_BETWEEN_WORDS, " ").str.strip_chars()
    keys = change_where(keys, beyond_ascii(keys), _space_out_where_unspaced)
    # Digits first, then the few texts with others: ten times as fast as a search for any number.
    keys = _join_numbers_where(keys, " [0-9]")
    others = partial(_join_numbers_where, pattern=r" \p{N}")
    return change_where(keys, beyond_ascii(keys), others)


def _join_numbers_where(keys: pl.Series, pattern: str) -> pl.Series:
    return change_where(
        keys,
        keys.str.contains(pattern),
        lambda chosen: chosen.str.replace_all(r" (\p{N})", "_${1}"),
    )


def _space_out_where_unspaced(keys: pl.Series) -> pl.Series:
    return change_where(keys, keys.str.contains(f"[{UNSPACED}]"), _space_out)


def _space_out(keys: pl.Series) -> pl.Series:
    # A mark stays with the letter it stands on.
    spaced = keys.str.replace_all(rf"([{UNSPACED}]\p{{M}}*)", " ${1} ")
    return spaced.str.replace_all(" {2,}", " ").str.strip_chars()


def _near_duplicates(rows: pl.Series, keys: pl.Series, threshold: float) -> pl.DataFrame:
    """Go through the posts in time order and drop each that is too like one kept before.

    Comparing with kept posts only, in an order that depends on nothing else, makes the result the
    same when what was kept is curated again.
    """
    kept_in: defaultdict[int, list[int]] = defaultdict(list)
    words_of: dict[int, frozenset[str]] = {}
    found: list[tuple[int, int, float]] = []
    candidates = _candidates(keys, _rows_of_a_band(threshold))
    position = candidates["position"]
    table = [rows.gather(position), keys.gather(position), candidates["buckets"]]
    with _uncollected():
        for row, key, buckets in pl.DataFrame(table).iter_rows():
            words = frozenset(key.split(" "))
            alike = {other for bucket in buckets for other in kept_in[bucket]}
            match = _first_match(words, sorted(alike), words_of, threshold)
            if match is not None:
                found.append((row, *match))
                continue
            words_of[row] = words
            for bucket in buckets:
                if len(kept_in[bucket]) < _MOST_COMPARED:
                    kept_in[bucket].append(row)
    schema = {"row": rows.dtype, "of": rows.dtype, "similarity": pl.Float64()}
    return pl.DataFrame(found, schema=schema, orient="row")


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep Python from searching all those sets and lists, none in a cycle, for garbage.

    It would do so again and again as they become more, for half of the loop's time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _first_match(
    words: frozenset[str],
    others: Iterable[int],
    words_of: dict[int, frozenset[str]],
    threshold: float,
) -> tuple[int, float] | None:
    """Return the earliest other post that is similar enough, with its exact similarity."""
    for other in others:
        shared = len(words & words_of[other])
        similarity = shared / (len(words) + len(words_of[other]) - shared)
        if similarity >= threshold:
            return other, similarity
    return None


def _rows_of_a_band(threshold: float) -> int:
    """Choose how many values make a band: as many as leave the recall at the threshold.

    Two signatures agree in one value with probability ``s``, their similarity, hence in at least
    one of ``b`` bands of ``r`` values with ``1 - (1 - s^r)^b``. Longer bands mean fewer pairs to
    compare. At 0.9 that is 12 bands of 8, with a recall of 0.9988; at 0.95, 0.999998.
    """
    for rows in (16, 8, 4, 2):
        if 1 - (1 - threshold**rows) ** (_HASHES // rows) >= _RECALL:
            return rows
    return 1


def _candidates(keys: pl.Series, band_rows: int) -> pl.DataFrame:
    """Find the keys whose signature has a band in common with any other.

    Returns:
        Columns ``position`` of the key and ``buckets``, one number for each such band.
    """
    import numpy as np
    import rensa

    index = rensa.RMinHashLSH(0.5, _HASHES, _HASHES // band_rows)  # it uses no threshold here
    flags = index.query_duplicate_flags_matrix_one_shot(_signatures(keys))
    positions = pl.Series("position", flags, dtype=pl.Boolean).arg_true()
    chosen = keys.gather(positions)
    number = partial(_number_bands, band_rows=band_rows)
    bands = np.concatenate(in_slices(chosen, number, _AT_ONCE))
    table = pl.DataFrame(
        {"position": positions.to_numpy().repeat(bands.shape[1]), "buckets": bands.ravel()}
    )
    shared = table.filter(pl.len().over("buckets") > 1)
    return shared.group_by("position", maintain_order=True).agg("buckets")


def _number_bands(keys: pl.Series, band_rows: int) -> NDArray[np.uint64]:
    """Give each band of each signature a number, ``(keys, bands)``, the same for equal bands.

    Different ones may too, once in 2^64; that only costs a comparison.
    """
    import numpy as np

    rows = _signatures(keys).to_rows()
    values = np.array(rows, np.uint64).reshape(len(keys), _HASHES // band_rows, band_rows)
    # Odd random factors: multiply-add hashing modulo 2^64.
    factors = np.random.default_rng(_SEED).integers(2**63, size=values.shape[1:], dtype=np.uint64)
    bands: NDArray[np.uint64] = (values * (2 * factors + 1)).sum(axis=2, dtype=np.uint64)
    return bands


def _signatures(keys: pl.Series) -> rensa.RMinHashDigestMatrix:
    """Compute the MinHash signatures of all keys, ``(keys, _HASHES)`` values of 32 bits."""
    import rensa

    hashes, offsets = _hash_all_words(keys)
    return rensa.RMinHash.digest_matrix_from_flat_token_hashes(hashes, offsets, _HASHES, _SEED)


def _hash_all_words(keys: pl.Series) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return the hashes of all words one after another, and where each key's begin and end."""
    import numpy as np

    # Words have a byte at least and a space between them. What of this stays empty takes no memory,
    # while pieces to be joined at the end would be there twice, 0.3 GB.
    most = int(keys.str.len_bytes().sum()) // 2 + len(keys)
    hashes = np.empty(most, np.uint64)
    ends = np.zeros(len(keys) + 1, np.uint64)
    words = posts = 0
    for counts, piece in each_slice(keys, _hash_words):
        ends[posts + 1 : posts + 1 + len(counts)] = words + np.cumsum(counts, dtype=np.uint64)
        hashes[words : words + len(piece)] = piece
        posts, words = posts + len(counts), words + len(piece)
    return hashes[:words], ends


def _hash_words(keys: pl.Series) -> tuple[NDArray[np.uint32], NDArray[np.uint64]]:
    """Return how many words each key has, and the hashes of all words one after another."""
    words = keys.str.split(" ")
    hashes = words.explode(empty_as_null=False).hash(seed=_SEED)
    return words.list.len().to_numpy(), hashes.to_numpy()
