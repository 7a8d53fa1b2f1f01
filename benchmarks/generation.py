"""Speed of generating ten posts with the embedded base, against `model.generate`.

    python benchmarks/generation.py [--rounds 7]

Both sample ten posts of at most 60 tokens from the same weights in the same process. Loading is not
timed. The numbers are medians.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import TYPE_CHECKING

from huggingtweets.generation.sampling import Sampling
from huggingtweets.generation.writer import Writer
from huggingtweets.nn import devices, language_model

if TYPE_CHECKING:
    from collections.abc import Callable

POSTS = 10
TOKENS = 60


def main() -> None:
    """Time both alternately; print the medians and their ratio."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    device = devices.select_device()
    fast = language_model.load(language_model.POCKET).to(device)
    plain = language_model.load(language_model.POCKET).to(devices.select_device("cpu", "fp32"))
    start = torch.tensor([[plain.separator]])

    def ours() -> None:
        list(Writer(fast, Sampling(seed=0)).write(n=POSTS))

    def theirs() -> None:
        plain.model.generate(  # type: ignore[operator]
            start, do_sample=True, top_p=0.95, max_new_tokens=TOKENS, num_return_sequences=POSTS
        )

    times = {"huggingtweets": [seconds(ours)], "transformers": [seconds(theirs)]}  # warm-up
    for values in times.values():
        values.clear()
    for _ in range(rounds):
        times["huggingtweets"].append(seconds(ours))
        times["transformers"].append(seconds(theirs))
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, median in medians.items():
        print(f"{name:>13}: ten posts in {median:.2f} s")
    print(f"ratio: {medians['transformers'] / medians['huggingtweets']:.1f} ({device.describe()})")


def seconds(work: Callable[[], None]) -> float:
    """Return the wall-clock seconds of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
