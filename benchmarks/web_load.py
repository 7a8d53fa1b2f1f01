"""Load test: fifty users request ten posts each from one bot, while another bot is trained.

    python benchmarks/web_load.py [--direct] [--people 50] [--posts 10] [--run runs/demo]
    python benchmarks/web_load.py --open 20     # twenty bots of GPT-2's size opened in turn

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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingtweets.nn import devices, language_model
from huggingtweets.serving.schemas import SAMPLE, Settings, TrainingRequest
from huggingtweets.serving.service import Service
from huggingtweets.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Callable

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
    parser.add_argument("--open", type=int, help="open so many bots in turn, tell the memory")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(Path(given.serve[0]), int(given.serve[1]))
        return
    if not (given.run / "bot" / "config.json").is_file():
        sys.exit(f"{given.run} is no finished run; make one with: huggingtweets demo")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "runs"
        if given.open:
            open_in_turn(given.run, out, given.open)
        else:
            shutil.copytree(given.run, out / "bot")
            (direct if given.direct else over_http)(out, given)


def settings(out: Path) -> Settings:
    """Of the server; its owner's bots are for everybody, and each may ask sixty times a minute."""
    return Settings(out=out, shared=True, share_gallery=True)


def direct(out: Path, given: argparse.Namespace) -> None:
    """People as threads."""
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
    """People as browsers of the app."""
    import httpx

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, __file__, "--serve", str(out), str(port)])
    address = f"http://127.0.0.1:{port}"
    people = [httpx.Client(base_url=address, timeout=300) for _ in range(given.people)]
    try:
        while True:
            try:
                people[0].get("/login")
                break
            except httpx.TransportError:
                time.sleep(0.2)
        for person in people:
            person.post("/login", data={"password": PASSWORD}).raise_for_status()
        (name,) = (bot["name"] for bot in call(people[0], "gallery", []))
        call(people[0], "submit", [[SAMPLE], "", "fast", 0, "load", ""])

        def ask(person: int) -> int:
            prompt = PROMPTS[person % len(PROMPTS)]
            posts = call(people[person], "write", [name, prompt, given.posts, 0.7, 280, -1])
            return len(posts)

        def folder() -> RunFolder | None:
            found = list((out / ".app" / "visitors").glob("*/runs/load"))
            return RunFolder(found[0]) if found else None

        while (run := folder()) is None:
            time.sleep(0.2)
        measure(given, run, ask)
    finally:
        server.terminate()
        server.wait()
        for person in people:
            person.close()


def call(client: Any, name: str, values: list[Any]) -> Any:  # noqa: ANN401 - JSON
    """Ask one of the app's endpoints, as its API says, and wait for the last answer."""
    asked = client.post(f"/gradio_api/call/{name}", json={"data": values}).raise_for_status()
    last, event = None, ""
    with client.stream("GET", f"/gradio_api/call/{name}/{asked.json()['event_id']}") as lines:
        for line in lines.iter_lines():
            if line.startswith("event: "):
                event = line.removeprefix("event: ")
            elif line.startswith("data: "):
                value = json.loads(line.removeprefix("data: "))
                if event == "error":
                    raise RuntimeError(f"{name}: {value}")
                last = value if value is not None else last
    if last is None:
        raise RuntimeError(f"{name}: no answer")
    return last[0]


def serve(out: Path, port: int) -> None:
    """The app itself, in a process of its own."""
    from huggingtweets.web.server import Options
    from huggingtweets.web.server import serve as serve_app

    serve_app(Options(settings=settings(out), port=port, password=PASSWORD), lambda _: None)


def measure(given: argparse.Namespace, run: RunFolder, ask: Callable[[int], int]) -> None:
    """Let all people ask at once, as soon as the training trains; print what came of it."""
    where = devices.select_device()
    while not run.events_file.is_file() or len(speeds(run)) < 8:
        time.sleep(0.2)
    before = speeds(run)
    print(f"{where.describe()}, {where.processor}; load {os.getloadavg()[0]:.1f}")
    for number in range(given.rounds):
        seconds: list[float] = []
        faults: list[str] = []

        def person(who: int, seconds: list[float] = seconds, faults: list[str] = faults) -> None:
            started = time.monotonic()
            try:
                got = ask(who)
                if got != given.posts:
                    faults.append(f"{got} posts instead of {given.posts}")
            except Exception as error:  # noqa: BLE001 - counted and printed
                faults.append(str(error))
            seconds.append(time.monotonic() - started)

        steps, started = progress(run), time.monotonic()
        threads = [threading.Thread(target=person, args=(i,)) for i in range(given.people)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.monotonic() - started
        tell(number, seconds, faults)
        learnt = (progress(run) - steps) / took
        print(f"  training meanwhile {learnt:.2f} steps/s; load {os.getloadavg()[0]:.1f}")
        time.sleep(5)
    print(f"training before: {statistics.median(before):,.0f} tokens/s")
    while run.record().state != "done":
        if run.record().state == "failed":
            sys.exit(f"the training failed: {run.record().error}")
        time.sleep(0.5)
    result = run.record().result
    print(f"the training got through: {result['tokens'] / result['seconds']:,.0f} tokens/s in all")


def tell(number: int, seconds: list[float], faults: list[str]) -> None:
    """One round's figures."""
    ordered = sorted(seconds)
    p50, p95 = (ordered[min(len(ordered) - 1, int(q * len(ordered)))] for q in (0.5, GOAL_SHARE))
    within = sum(one <= GOAL_SECONDS for one in seconds) / len(seconds)
    name = "warm-up" if number == 0 else f"round {number}"
    print(
        f"{name}: half within {p50:.1f} s, 95 % within {p95:.1f} s, all within {ordered[-1]:.1f} s;"
        f" {within:.0%} within {GOAL_SECONDS:.0f} s; {len(faults)} errors {sorted(set(faults))[:3]}"
    )


def speeds(run: RunFolder) -> list[float]:
    """Tokens a second as the training told them."""
    return [event["tokens_per_second"] for event in run.events() if event.get("tokens_per_second")]


def progress(run: RunFolder) -> int:
    """Steps taken."""
    return max(
        (int(e.get("done", 0)) for e in run.events() if e.get("stage") == "train"), default=0
    )


def open_in_turn(finished: Path, out: Path, number: int) -> None:
    """Open many bots as large as GPT-2 small, write a post with each, tell the memory."""
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
    most = 0.0
    for i in range(1, number + 1):
        started = time.monotonic()
        list(service.write("me", f"bot-{i}", "My dream is", 1, max_chars=60))
        memory = resident_gb()
        most = max(most, memory)
        held = f"{len(service.open_bots)} open, process {memory:.2f} GB"
        print(f"bot {i}: {time.monotonic() - started:.1f} s, {held}", flush=True)
    peak = devices.peak_memory_mb() or 0
    print(f"{number} bots of 124 million weights: at most {most:.2f} GB, peak {peak / 1e3:.2f} GB")
    service.stop()


def resident_gb() -> float:
    """Memory of this process (Linux)."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e9


if __name__ == "__main__":
    main()
