"""Bits per byte of a general-purpose compressor: the anchor of the bot's bits per byte.

PPMd (Shkarin 2002, "PPM: one step to practicality", DCC) predicts each byte from the preceding
bytes. With the training posts as history it is the strongest model that needs no training, so a bot
that isn't better has learned little about the author.

Each held-out post is compressed alone, as the bot is measured: it costs ``size(history + post) -
size(history)``, and no held-out post is history for another. Compressing all of them in one stream
is faster, but the compressor then learns from held-out posts: for NASA's newest 20 % it needs 1.875
instead of 2.083 bits per byte. :func:`ppmd_stream_bits_per_byte` measures that stricter number too,
since it is the usual result of compressing a file.

Variant I (``Ppmd8Encoder``, zip method 98) and variant H (7z) differ by under 0.5 % here and are
equally fast; I is pyppmd's default. No end mark is written, because every post would pay for it.

Rounding: sizes are whole bytes, so the rounding error of ``size(history)`` is part of every
difference, up to one byte of a post's 20 compressed bytes. Posts are therefore spread over 16
histories that lack the 0 to 15 oldest posts. Their errors are independent and average to about
0.3 %.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_POSTS = 200
"""Maximum number of measured held-out posts; each needs a pass over the history."""

MAX_HISTORY_BYTES = 512 * 1024
"""Maximum size of the history, about 5,000 posts."""

_MAX_WORK = 20_000_000  # compressed bytes in total: 2 to 4 s on two cores
_MIN_POSTS = 50  # measured in any case: 50 passes over 512 kB are 26 MB
_HISTORIES = 16


def ppmd_bits_per_byte(
    history: Sequence[str], posts: Sequence[str], *, order: int = 8, memory_mb: int = 32
) -> float | None:
    """Bits per UTF-8 byte that PPMd needs for each of ``posts`` alone, after ``history``.

    A post has one byte more, for the newline at its end. The mean is over bytes, not posts.

    Args:
        history: the training posts, oldest first.
        posts: the held-out posts.
        order: bytes of context, 2 to 64.
        memory_mb: memory of the model; PPMd restarts learning when it is full. 512 kB of history
            at order 8 need less than 16 MB.

    Returns:
        None if there is no held-out post.
    """
    if not posts:
        return None
    lines = _newest([_line(post) for post in history], MAX_HISTORY_BYTES)
    joined = b"".join(lines)
    # Offsets of the oldest posts: history i starts after the i oldest.
    offsets = list(accumulate(map(len, lines[: _HISTORIES - 1]), initial=0))
    affordable = max(_MIN_POSTS, _MAX_WORK // max(1, len(joined)))
    targets = [_line(post) for post in evenly_spaced(posts, min(MAX_POSTS, affordable))]

    def size(offset: int, target: bytes) -> int:
        return _compressed_size(joined[offset:] + target, order, memory_mb << 20)

    # Threads suffice, as the encoder releases the interpreter lock.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        starts = [offsets[i % len(offsets)] for i in range(len(targets))]
        history_sizes = dict(
            zip(offsets, pool.map(lambda offset: size(offset, b""), offsets), strict=True)
        )
        totals = pool.map(size, starts, targets)
        cost = sum(
            total - history_sizes[start] for total, start in zip(totals, starts, strict=True)
        )
    return cost * 8 / sum(map(len, targets))


def ppmd_stream_bits_per_byte(
    history: Sequence[str], posts: Sequence[str], *, order: int = 8, memory_mb: int = 32
) -> float | None:
    """Bits per UTF-8 byte of all ``posts`` in one stream after ``history``.

    PPMd learns from the held-out posts as well, which a bot doesn't, so this is a stricter anchor
    than :func:`ppmd_bits_per_byte`. Arguments and the size of a post are the same. There is only
    one rounding error, so all posts and the whole history are used.

    Returns:
        None if there is no held-out post.
    """
    if not posts:
        return None
    old, new = (b"".join(map(_line, texts)) for texts in (history, posts))
    history_size, total = (
        _compressed_size(data, order, memory_mb << 20) for data in (old, old + new)
    )
    return (total - history_size) * 8 / len(new)


def evenly_spaced(posts: Sequence[str], limit: int) -> list[str]:
    """Select at most ``limit`` evenly spaced posts, in order."""
    count = min(limit, len(posts))
    return [posts[i * len(posts) // count] for i in range(count)]


def _line(post: str) -> bytes:
    # An unpaired surrogate can't be encoded as UTF-8; it becomes a question mark.
    return post.encode("utf-8", "replace") + b"\n"


def _newest(lines: list[bytes], max_bytes: int) -> list[bytes]:
    """The last lines that fit into ``max_bytes``."""
    sizes = list(accumulate(len(line) for line in reversed(lines)))
    count = sum(size <= max_bytes for size in sizes)
    return lines[len(lines) - count :]


def _compressed_size(data: bytes, order: int, memory: int) -> int:
    import pyppmd

    encoder = pyppmd.Ppmd8Encoder(order, memory, pyppmd.PPMD8_RESTORE_METHOD_RESTART)
    return len(encoder.encode(data)) + len(encoder.flush(endmark=False))
