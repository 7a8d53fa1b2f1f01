"""What a general-purpose compressor makes of the author: the anchor of bits per byte.

PPMd (Shkarin 2002, "PPM: one step to practicality", DCC) predicts each byte from the few before
it. Primed with the training posts as history it is the strongest model that needs no training, so
a bot that does not beat it has learnt little about the author.

Each held-out post stands alone, as it does for the bot: it costs ``size(history + post) -
size(history)``, and no held-out post is history for another. (Compressing all of them in one
stream is quicker, but lets the compressor learn from the held-out posts: on NASA's newest 20 %
that reads 1.875 bits per byte instead of 2.083, and a bot that sees posts one by one can't be held
to it. :func:`ppmd_stream_bits_per_byte` gives that number as well, since it is what compressing
files gives elsewhere and the harder one to beat.)

Variant I (``Ppmd8Encoder``, the one of zip method 98) and H (7z) differ by under 0.5 % here and
are equally quick; I is pyppmd's default. No end mark is written, its cost would come with every
post.

Byte rounding: a size is a whole number of bytes, and the error of ``size(history)`` is in every
difference, up to a byte of a post's 20 or so. So the posts are spread over 16 histories that lack
the 0 to 15 oldest posts: their roundings are independent, and what is left is about 0.3 %.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_POSTS = 200
"""Held-out posts measured, evenly spaced; each costs a pass over the history."""

MAX_HISTORY_BYTES = 512 * 1024
"""Newest bytes of history used, about 5,000 posts."""

_MAX_WORK = 20_000_000  # bytes passed in all: 2 to 4 s on two cores
_FEWEST_POSTS = 50  # measured whatever the work: 50 passes over 512 kB are 26 MB
_HISTORIES = 16


def ppmd_bits_per_byte(
    history: Sequence[str], posts: Sequence[str], *, order: int = 8, memory_mb: int = 32
) -> float | None:
    """Bits a UTF-8 byte that PPMd needs for each of ``posts`` alone, after ``history``.

    A post counts its bytes and one for the newline that ends it; the mean is over bytes, not posts.

    Args:
        history: the training posts, oldest first.
        posts: the held-out posts.
        order: bytes of context, 2 to 64.
        memory_mb: memory of the model; when it is full PPMd starts to learn anew. 512 kB of
            history at order 8 fit into 16.

    Returns:
        None when there is no held-out post.
    """
    if not posts:
        return None
    lines = _newest([_line(post) for post in history], MAX_HISTORY_BYTES)
    joined = b"".join(lines)
    # Offsets of the oldest posts: history i starts after the i oldest.
    offsets = list(accumulate(map(len, lines[: _HISTORIES - 1]), initial=0))
    affordable = max(_FEWEST_POSTS, _MAX_WORK // max(1, len(joined)))
    targets = [_line(post) for post in evenly_spaced(posts, min(MAX_POSTS, affordable))]

    def size(offset: int, target: bytes) -> int:
        return _compressed_size(joined[offset:] + target, order, memory_mb << 20)

    # Threads suffice: the encoder releases the interpreter lock while it works.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        starts = [offsets[i % len(offsets)] for i in range(len(targets))]
        without = dict(
            zip(offsets, pool.map(lambda offset: size(offset, b""), offsets), strict=True)
        )
        with_post = pool.map(size, starts, targets)
        cost = sum(total - without[start] for total, start in zip(with_post, starts, strict=True))
    return cost * 8 / sum(map(len, targets))


def ppmd_stream_bits_per_byte(
    history: Sequence[str], posts: Sequence[str], *, order: int = 8, memory_mb: int = 32
) -> float | None:
    """Bits a UTF-8 byte of all ``posts`` in one stream after ``history``.

    PPMd goes on learning through the held-out posts, which a bot may not: a stricter anchor than
    :func:`ppmd_bits_per_byte`. One rounding to bytes is left in all, so every post counts, after
    the whole history. Arguments and what a post counts are the same.

    Returns:
        None when there is no held-out post.
    """
    if not posts:
        return None
    before, new = (b"".join(map(_line, texts)) for texts in (history, posts))
    without, total = (
        _compressed_size(data, order, memory_mb << 20) for data in (before, before + new)
    )
    return (total - without) * 8 / len(new)


def evenly_spaced(posts: Sequence[str], most: int) -> list[str]:
    """Take at most ``most`` posts at even distances, in order."""
    count = min(most, len(posts))
    return [posts[i * len(posts) // count] for i in range(count)]


def _line(post: str) -> bytes:
    # Half a surrogate pair can't be written as UTF-8; it becomes a question mark.
    return post.encode("utf-8", "replace") + b"\n"


def _newest(lines: list[bytes], most: int) -> list[bytes]:
    """Keep the last lines that fit into ``most`` bytes together."""
    sizes = list(accumulate(len(line) for line in reversed(lines)))
    kept = sum(size <= most for size in sizes)
    return lines[len(lines) - kept :]


def _compressed_size(data: bytes, order: int, memory: int) -> int:
    import pyppmd

    encoder = pyppmd.Ppmd8Encoder(order, memory, pyppmd.PPMD8_RESTORE_METHOD_RESTART)
    return len(encoder.encode(data)) + len(encoder.flush(endmark=False))
