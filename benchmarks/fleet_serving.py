"""A thousand small bots behind one server: memory, opening, and fifty people at once.

    python benchmarks/fleet_serving.py --run runs/demo [--bots 1000] [--clients 50] [--requests 3]

The fleet is made of one finished run: its adapter with 10 % of random noise for each bot (random
numbers of rank 16, if the run's bot is a whole model), and its posts, so that each bot has a copy
index of real size. It is written to a temporary folder, 10 GB for 1,000 bots. Then:

1. Opening: 200 bots that are not in memory, in this process: their files in the page cache, and
   dropped from it before.
2. Load: a server in a process of its own. All clients ask one bot, then each its own bot (opened by
   a warming request, then not), then one bot with its adapter folded in, served by itself. Every
   client sends its requests one after another. Tokens a second count from the first request to the
   last answer; those a processor second don't depend on what else the machine does.
3. Memory: the largest resident memory of the server, after each bot was asked once.
4. Equality: bots in fp32 in one batch, beside each with its adapter folded in, alone.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # benchmarks/ is not installed

from benchmarks.api_load import PROMPTS, running

from huggingtweets.generation import bots
from huggingtweets.generation.requests import PostRequest, RequestBatch
from huggingtweets.generation.sampling import Sampling
from huggingtweets.nn import adapters, devices, language_model
from huggingtweets.nn.adapters import Adapter
from huggingtweets.serving.fleet import Fleet
from huggingtweets.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from huggingtweets.nn.language_model import LanguageModel

RANK, NOISE = 16, 0.1
_OPENED, _COMPARED = 200, 4


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=Path("runs/demo"), help="a finished run")
    parser.add_argument("--bots", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--requests", type=int, default=3, help="of each client")
    parser.add_argument("--memory-gb", type=float, default=2.0)
    given = parser.parse_args()
    run = RunFolder(given.run)
    if not run.record_file.is_file():
        sys.exit(f"{run.path} is not a finished run; make one with: huggingtweets demo")
    device = devices.select_device()
    print(f"{device.describe()}, {device.processor}; load {os.getloadavg()[0]:.1f} before")
    with tempfile.TemporaryDirectory() as folder:
        fleet = Path(folder) / "fleet"
        made = make_fleet(run, fleet, given.bots)
        names = sorted(path.name for path in fleet.iterdir())
        posts = bots.training_posts(RunFolder(fleet / names[0]))
        print(f"{given.bots} bots of {made.base}, rank {made.rank}, {len(posts):,} posts each")
        measure_opening(fleet, names, given.memory_gb * 1e9)
        measure_load(fleet, names, given)
        compare(fleet, names[:_COMPARED])


def make_fleet(run: RunFolder, out: Path, number: int) -> Adapter:
    """Write run folders with different adapters; return the adapter that they were made of."""
    import torch

    real = adapters.read(run.bot) if adapters.is_adapter(run.bot) else random_adapter(run)
    generator = torch.Generator().manual_seed(1)

    def noisy(values: torch.Tensor) -> torch.Tensor:
        noise = torch.empty(values.shape).normal_(1, NOISE, generator=generator)
        return (values.float() * noise).bfloat16()

    kept = out.parent / "kept.parquet"  # all posts, as a training on all of them would use
    run.table("kept").with_columns(split=pl.lit("train")).write_parquet(kept)
    for i in range(number):
        one = RunFolder(out / f"author{i:04}")
        one.bot.mkdir(parents=True)
        shutil.copy(run.record_file, one.record_file)
        (one.path / "data").mkdir()
        os.link(kept, one.path / "data" / "kept.parquet")
        pairs = {name: (noisy(a), noisy(b)) for name, (a, b) in real.pairs.items()}
        adapters.write(replace(real, pairs=pairs), one.bot)
    return real


def random_adapter(run: RunFolder) -> Adapter:
    """Return an adapter of all linear layers of a run's base, of random numbers."""
    import torch

    base = language_model.load(str(run.record().config["base"]))
    head = base.model.get_output_embeddings()
    linear = {
        name: module.weight
        for name, module in base.model.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    }
    pairs = {
        name: (0.02 * torch.randn(RANK, weight.shape[1]), 0.02 * torch.randn(len(weight), RANK))
        for name, weight in linear.items()
    }
    return Adapter(base.source, base.digest(), 1.0, pairs)


def measure_opening(folder: Path, names: Sequence[str], memory: float) -> None:
    """Print how long it takes to open bots that are not in memory."""
    started = time.monotonic()
    fleet = Fleet(folder, memory)
    print(f"the server's start with {len(names):,} bots: {time.monotonic() - started:.1f} s")
    chosen = random.Random(1).sample(names, min(_OPENED, len(names)))
    fleet.open(names[-1])
    seconds: dict[str, list[float]] = {"in the page cache": [], "not in the page cache": []}
    for i, name in enumerate(chosen):
        kind = list(seconds)[i % 2]
        for file in sorted((folder / name).rglob("*.*")):
            with file.open("rb") as opened:
                if kind == "in the page cache":
                    opened.read()
                else:
                    os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        started = time.monotonic()
        fleet.open(name)
        seconds[kind].append(time.monotonic() - started)
    for kind, values in seconds.items():
        ninety = sorted(values)[int(0.9 * len(values))]
        print(
            f"opening a bot, files {kind}: {1000 * statistics.median(values):.0f} ms "
            f"(nine of ten within {1000 * ninety:.0f} ms)"
        )


def compare(folder: Path, names: Sequence[str]) -> None:
    """Print how many posts in fp32 are equal to those that each bot writes alone."""
    fleet = Fleet(folder, 4e9, device="cpu", precision="fp32")
    how = Sampling(seed=1)
    opened = [fleet.open(name).bot for name in names]
    batch = RequestBatch(opened[0].model)
    asked = {}
    for bot, name in zip(opened, names, strict=True):
        request = PostRequest(bot.model, PROMPTS[0], 4, how, bot.index, mask=bot.mask)
        batch.add(request)
        asked[request] = name
    together: dict[str, set[str]] = {name: set() for name in names}
    while batch.requests:
        for request, post in batch.step():
            if post is not None:
                together[asked[request]].add(post.text)
    equal = wanted = 0
    for name in names:
        bot = replace(fleet.open(name).bot, model=folded(RunFolder(folder / name).bot))
        alone = {post.text for post in bot.generate(PROMPTS[0], 4, seed=1)}
        equal, wanted = equal + len(alone & together[name]), wanted + len(alone)
    print(f"fp32: {equal} of {wanted} posts of {len(names)} bots equal to each bot's alone")


def folded(folder: Path) -> LanguageModel:
    """Return a bot with its adapter folded into the weights of its base in fp32.

    Loading the bot folds into the base's own precision, which rounds if that is bfloat16.
    """
    adapter = adapters.read(folder)
    lm = language_model.load(adapter.base).to(devices.select_device("cpu", "fp32"))
    adapters.fold(lm.model, adapter)
    return lm


def measure_load(folder: Path, names: Sequence[str], given: argparse.Namespace) -> None:
    """Print tokens a second for one bot and for many, and the server's memory."""
    chosen = random.Random(2).sample(names, 2 * given.clients)
    warm, cold = chosen[: given.clients], chosen[given.clients :]
    options = ("--fleet", str(folder), "--memory-gb", f"{given.memory_gb:g}")
    with running(*options) as (address, process):
        ask_all(address, warm, 1)  # opens them
        one = rates(address, process, warm[:1] * given.clients, given.requests)
        print_rates(f"{given.clients} clients of one bot", one, one)
        many = rates(address, process, warm, given.requests)
        print_rates("... each of its own bot", many, one)
        fresh = rates(address, process, cold, given.requests)
        print_rates("... each of a bot that isn't in memory", fresh, one)
        print(f"memory so far {memory_gb(process):.2f} GB")
        ask_all(address, names, 1, tokens=4, at_once=given.clients)
        print(f"memory after each of {len(names):,} bots was asked: {memory_gb(process):.2f} GB")
    with running(str(folder / warm[0])) as (address, process):
        ask_all(address, warm[:1], 1)
        alone = rates(address, process, warm[:1] * given.clients, given.requests)
    print_rates("... of one bot with its adapter folded in, without a fleet", alone, one)
    print(f"load {os.getloadavg()[0]:.1f}")


def rates(address: str, process: int, models: Sequence[str], requests: int) -> tuple[float, float]:
    """Return tokens a second, and tokens a second of the server's processor time."""
    started, used = time.monotonic(), processor_seconds(process)
    tokens = ask_all(address, models, requests)
    elapsed, used = time.monotonic() - started, processor_seconds(process) - used
    return tokens / elapsed, tokens / used


def print_rates(what: str, found: tuple[float, float], one: tuple[float, float]) -> None:
    """Print a measurement beside that of one bot."""
    (rate, each), (its_rate, its_each) = found, one
    print(
        f"{what}: {rate:.0f} tokens/s ({rate / its_rate:.0%}), {each:.0f} a processor second "
        f"({each / its_each:.0%})"
    )


def ask_all(
    address: str,
    models: Sequence[str],
    requests: int,
    *,
    tokens: int | None = None,
    at_once: int | None = None,
) -> int:
    """Let a client for each model send its requests; return the tokens. Any error ends it."""
    counts: list[int] = []
    errors: list[str] = []
    places = threading.Semaphore(at_once or len(models))

    def work(number: int, model: str) -> None:
        with places, httpx.Client(timeout=600) as client:
            for turn in range(requests):
                seed = number * requests + turn
                body = {"model": model, "prompt": PROMPTS[seed % len(PROMPTS)], "seed": seed}
                limit = {"max_tokens": tokens} if tokens else {}
                answer = client.post(f"{address}/completions", json={**body, **limit})
                if answer.status_code != 200:
                    errors.append(f"{model}: {answer.text[:200]}")
                    return
                counts.append(answer.json()["usage"]["completion_tokens"])

    threads = [threading.Thread(target=work, args=pair) for pair in enumerate(models)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        sys.exit(f"{len(errors)} requests failed; the first: {errors[0]}")
    return sum(counts)


def processor_seconds(process: int) -> float:
    """The processor time of a process so far; on a busy machine it tells more than the clock."""
    fields = Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_gb(process: int) -> float:
    """The largest resident memory of a process so far, in GB."""
    lines = Path(f"/proc/{process}/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e9


if __name__ == "__main__":
    main()
