"""Load test of ``huggingtweets serve``: eight clients that stream at once, beside one alone.

    python benchmarks/api_load.py [--run runs/demo] [--clients 8] [--requests 6]

Each client sends one request after another for a whole post and reads it as a stream. Printed are
the tokens a second of all clients together, and the seconds until a request's first part and its
end. The server runs in a process of its own on the same machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from huggingtweets.nn import devices
from huggingtweets.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Iterator

PROMPTS = ("My dream is", "I like", "", "Tonight we", "The best thing about space")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=Path("runs/demo"), help="a finished run")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--requests", type=int, default=6, help="of each client")
    given = parser.parse_args()
    if not RunFolder(given.run).has_bot:
        sys.exit(f"{given.run} is not a finished run; make one with: huggingtweets demo")
    device = devices.select_device()
    print(f"{device.describe()}, {device.processor}; load {os.getloadavg()[0]:.1f} before")
    with running(str(given.run)) as (address, _):
        measure(address, 1, 1)  # the first request warms up
        alone = measure(address, 1, given.requests)
        print_result(1, *alone)
        together = measure(address, given.clients, given.requests)
        print_result(given.clients, *together)
    print(
        f"{together[0] / alone[0]:.1f} times as many tokens a second; load {os.getloadavg()[0]:.1f}"
    )


@contextmanager
def running(*args: str) -> Iterator[tuple[str, int]]:
    """Serve bots in a process of its own; yield the API's address and the number of the process."""
    options = ("--port", "0", "--requests-a-minute", "0")
    server = subprocess.Popen(
        [sys.executable, "-m", "huggingtweets", "serve", *args, *options],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "1000"},
    )
    assert server.stdout is not None  # noqa: S101 - it is a pipe
    try:
        words = next((line for line in server.stdout if "Serving" in line), "").split()
        if "at" not in words:
            sys.exit("The server didn't start.")
        yield words[words.index("at") + 1], server.pid
    finally:
        server.terminate()
        server.wait()


def measure(address: str, clients: int, requests: int) -> tuple[float, list[float], list[float]]:
    """Return tokens a second of all clients, and seconds to each first part and to each end."""
    with httpx.Client() as client:
        model = client.get(f"{address}/models").json()["data"][0]["id"]
    tokens: list[int] = []
    first: list[float] = []
    ends: list[float] = []

    def work(number: int) -> None:
        with httpx.Client(timeout=300) as client:
            for turn in range(requests):
                seed = number * requests + turn
                count, to_first, to_end = post(client, address, model, seed)
                tokens.append(count)
                first.append(to_first)
                ends.append(to_end)

    started = time.monotonic()
    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(tokens) / (time.monotonic() - started), first, ends


def post(client: httpx.Client, address: str, model: str, seed: int) -> tuple[int, float, float]:
    """Stream a post; return its tokens, and the seconds to its first part and to its end."""
    body = {
        "model": model,
        "prompt": PROMPTS[seed % len(PROMPTS)],
        "seed": seed,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    started, first, tokens = time.monotonic(), 0.0, 0
    with client.stream("POST", f"{address}/completions", json=body) as answer:
        answer.raise_for_status()
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                first = first or time.monotonic() - started
                usage = json.loads(line.removeprefix("data: ")).get("usage")
                tokens = usage["completion_tokens"] if usage else tokens
    return tokens, first, time.monotonic() - started


def print_result(clients: int, rate: float, first: list[float], ends: list[float]) -> None:
    """Print the numbers of one measurement."""
    who = "1 client" if clients == 1 else f"{clients} clients"
    print(
        f"{who}: {rate:.0f} tokens/s together, first part after {statistics.median(first):.2f} s, "
        f"whole post after {statistics.median(ends):.2f} s (medians of {len(ends)} posts)"
    )


if __name__ == "__main__":
    main()
