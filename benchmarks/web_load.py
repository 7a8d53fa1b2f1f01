"""Load test: fifty users request ten posts each from one bot, while another bot trains.

    python benchmarks/web_load.py [--direct] [--people 50] [--posts 10] [--run runs/demo]
    python benchmarks/web_load.py --open 20     # open twenty bots of GPT-2's size in turn

The first command uses HTTP and the real app in its own process: each user is a browser session that
has logged in to a shared server and calls the endpoint ``/write``. With ``--direct`` the users are
threads that call the service. Times are from the request to the last post.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingtweets.nn import devices, language_model
from huggingtweets.serving.schemas import SAMPLE, Settings, TrainingRequest
from huggingtweets.serving.service import Service
from huggingtweets.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PASSWORD = "only for this benchmark"  # noqa: S105
TRAINER = "trainer-0123456789"
PROMPTS = ("My dream is", "I like", "", "Tonight we", "The best thing about space")
GOAL_SECONDS, GOAL_SHARE = 10.0, 0.95


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=Path("runs/demo"), help="a finished run")
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--posts", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=2, help="the first warms up")
    parser.add_argument("--direct", action="store_true", help="without HTTP")
    parser.add_argument("--open", type=int, help="open this many bots in turn; print the memory")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(Path(given.serve[0]), int(given.serve[1]))
        return
    if not RunFolder(given.run).has_bot:
        sys.exit(f"{given.run} is not a finished run; make one with: huggingtweets demo")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "runs"
        if given.open:
            open_in_turn(given.run, out, given.open)
        else:
            shutil.copytree(given.run, out / "bot")
            (direct if given.direct else over_http)(out, given)


def settings(out: Path) -> Settings:
    """Return the server's settings: shared, and the owner's bots are visible to everybody."""
    return Settings(out=out, shared=True, share_gallery=True)


def direct(out: Path, given: argparse.Namespace) -> None:
    """Simulate the users with threads that call the service."""
    service = Service(settings(out))
    service.start()
    (name,) = (bot.name for bot in service.gallery(TRAINER))

    def ask(person: int) -> int:
        visitor = f"person-{person:04}-0123456789"
        prompt = PROMPTS[person % len(PROMPTS)]
        return len(list(service.write(visitor, name, prompt, given.posts)))

    service.submit(TRAINER, TrainingRequest((SAMPLE,), name="load"))
    folder = RunFolder(out / ".app" / "visitors" / TRAINER / "runs" / "load")
    try:
        measure(given, folder, ask)
    finally:
        service.stop()


def over_http(out: Path, given: argparse.Namespace) -> None:
    """Simulate the users with HTTP sessions."""
    with running(out) as address:
        _over_http(address, out, given)


@contextmanager
def running(out: Path) -> Iterator[str]:
    """Run the app in a process of its own and yield its address."""
    import httpx

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, __file__, "--serve", str(out), str(port)])
    address = f"http://127.0.0.1:{port}"
    try:
        while True:
            try:
                httpx.get(f"{address}/login")
                break
            except httpx.TransportError:
                time.sleep(0.2)
        yield address
    finally:
        server.terminate()
        server.wait()


def _over_http(address: str, out: Path, given: argparse.Namespace) -> None:
    import httpx

    people = [httpx.Client(base_url=address, timeout=300) for _ in range(given.people)]
    try:
        for person in people:
            person.post("/login", data={"password": PASSWORD}).raise_for_status()
        (name,) = (bot["name"] for bot in call(people[0], "gallery"))
        call(people[0], "submit", sources=[SAMPLE], name="load")

        def ask(person: int) -> int:
            prompt = PROMPTS[person % len(PROMPTS)]
            return len(call(people[person], "write", name=name, prompt=prompt, n=given.posts))

        def folder() -> RunFolder | None:
            found = list((out / ".app" / "visitors").glob("*/runs/load"))
            return RunFolder(found[0]) if found else None

        while (run := folder()) is None:
            time.sleep(0.2)
        measure(given, run, ask)
    finally:
        for person in people:
            person.close()


def call(client: Any, endpoint: str, **values: Any) -> Any:  # noqa: ANN401 - JSON
    """Call an endpoint of the app with named values and return its last result."""
    address = f"/gradio_api/call/v2/{endpoint}"
    response = client.post(address, json=values).raise_for_status()
    last, event = None, ""
    with client.stream("GET", f"{address}/{response.json()['event_id']}") as lines:
        for line in lines.iter_lines():
            if line.startswith("event: "):
                event = line.removeprefix("event: ")
            elif line.startswith("data: "):
                value = json.loads(line.removeprefix("data: "))
                if event == "error":
                    raise RuntimeError(f"{endpoint}: {value}")
                last = value if value is not None else last
    if last is None:
        raise RuntimeError(f"{endpoint}: no result")
    return last[0]


def serve(out: Path, port: int) -> None:
    """Run the app in this process."""
    from huggingtweets.web.server import Options
    from huggingtweets.web.server import serve as serve_app

    serve_app(Options(settings=settings(out), port=port, password=PASSWORD), lambda _: None)


def measure(given: argparse.Namespace, run: RunFolder, ask: Callable[[int], int]) -> None:
    """Send all requests at once when the training has started; print the times."""
    device = devices.select_device()
    while not run.events_file.is_file() or len(speeds(run)) < 8:
        time.sleep(0.2)
    before = speeds(run)
    print(f"{device.describe()}, {device.processor}; load {os.getloadavg()[0]:.1f}")
    for number in range(given.rounds):
        seconds: list[float] = []
        errors: list[str] = []

        def user(index: int, seconds: list[float] = seconds, errors: list[str] = errors) -> None:
            started = time.monotonic()
            try:
                received = ask(index)
                if received != given.posts:
                    errors.append(f"{received} posts instead of {given.posts}")
            except Exception as error:  # noqa: BLE001 - counted and printed
                errors.append(str(error))
            seconds.append(time.monotonic() - started)

        steps, started = progress(run), time.monotonic()
        threads = [threading.Thread(target=user, args=(i,)) for i in range(given.people)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        elapsed = time.monotonic() - started
        print_round(number, seconds, errors)
        rate = (progress(run) - steps) / elapsed
        print(f"  training meanwhile {rate:.2f} steps/s; load {os.getloadavg()[0]:.1f}")
        time.sleep(5)
    print(f"training before: {statistics.median(before):,.0f} tokens/s")
    while run.record().state != "done":
        if run.record().state == "failed":
            sys.exit(f"the training failed: {run.record().error}")
        time.sleep(0.5)
    result = run.record().result
    print(f"the training finished: {result['tokens'] / result['seconds']:,.0f} tokens/s overall")


def print_round(number: int, seconds: list[float], errors: list[str]) -> None:
    """Print the times and errors of one round."""
    ordered = sorted(seconds)
    p50, p95 = (ordered[min(len(ordered) - 1, int(q * len(ordered)))] for q in (0.5, GOAL_SHARE))
    within = sum(value <= GOAL_SECONDS for value in seconds) / len(seconds)
    name = "warm-up" if number == 0 else f"round {number}"
    print(
        f"{name}: half within {p50:.1f} s, 95 % within {p95:.1f} s, all within {ordered[-1]:.1f} s;"
        f" {within:.0%} within {GOAL_SECONDS:.0f} s; {len(errors)} errors {sorted(set(errors))[:3]}"
    )


def speeds(run: RunFolder) -> list[float]:
    """Return the tokens per second that the training has reported."""
    return [event["tokens_per_second"] for event in run.events() if event.get("tokens_per_second")]


def progress(run: RunFolder) -> int:
    """Return the number of steps so far."""
    return max(
        (int(e.get("done", 0)) for e in run.events() if e.get("stage") == "train"), default=0
    )


def open_in_turn(finished: Path, out: Path, number: int) -> None:
    """Open bots as large as GPT-2 small, generate a post with each, print the memory."""
    from transformers import GPT2Config, GPT2LMHeadModel

    tokenizer = language_model.load(language_model.POCKET)
    large = GPT2LMHeadModel(GPT2Config(bos_token_id=0, eos_token_id=0))  # 124 million weights
    first = shutil.copytree(finished, out / "bot-1")
    shutil.rmtree(first / "bot")
    language_model.LanguageModel(large, tokenizer.tokenizer, 0, 1024, "").save(first / "bot")
    del large
    for i in range(2, number + 1):
        shutil.copytree(first, out / f"bot-{i}", copy_function=os.link)
    service = Service(Settings(out=out, workers=0))
    service.start()
    highest = 0.0
    for i in range(1, number + 1):
        started = time.monotonic()
        list(service.write("me", f"bot-{i}", "My dream is", 1, max_chars=60))
        memory = resident_gb()
        highest = max(highest, memory)
        status = f"{len(service.open_bots)} open, process {memory:.2f} GB"
        print(f"bot {i}: {time.monotonic() - started:.1f} s, {status}", flush=True)
    peak = devices.peak_memory_mb() or 0
    print(
        f"{number} bots of 124 million weights: at most {highest:.2f} GB, peak {peak / 1e3:.2f} GB"
    )
    service.stop()


def resident_gb() -> float:
    """Return the resident memory of this process in GB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e9


if __name__ == "__main__":
    main()
