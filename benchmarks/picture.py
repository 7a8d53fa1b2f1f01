"""Time to render the picture of a post: the first one, and the median of the others.

python benchmarks/picture.py
"""

from __future__ import annotations

import statistics
import time

from huggingtweets.publish.picture import Picture

POSTS = {
    "short": ("My dream is to see the Earth from the Moon.", "My dream is"),
    "280 characters": (" ".join(["My dream is to see the Earth from the Moon"] * 7)[:280], ""),
    "emoji": ("My dream is 👨‍👩‍👧‍👦 👋🏽 🇫🇷 🏳️‍🌈 1️⃣ ❤️ 🚀 " * 3, "My dream is"),
    "Arabic": ("حلمي هو أن أكون مع @NASA في عام 2024 كل يوم، وأن أرى الأرض من القمر", "حلمي هو"),
    "Chinese": ("我的梦想是成为一名宇航员，在月球上写一首诗。" * 3, "我的梦想是"),
}
ROUNDS = 20


def main() -> None:
    """Print the milliseconds of each kind of post."""
    print(f"{'first, including typst and fonts':<40} {_milliseconds('first', ''):6.0f} ms")
    for name, (post, prompt) in POSTS.items():
        # typst caches its layout, so each post has a different number
        times = [_milliseconds(f"{post} {number}", prompt) for number in range(ROUNDS)]
        print(f"{name:<40} {statistics.median(times):6.0f} ms median of {ROUNDS}")


def _milliseconds(post: str, prompt: str) -> float:
    started = time.perf_counter()
    Picture(["NASA"], post, prompt).png()
    return 1000 * (time.perf_counter() - started)


if __name__ == "__main__":
    main()
