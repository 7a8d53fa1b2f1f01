"""A sweep, a fleet and a server on a Ray cluster of two hosts, one of which is lost on the way.

The hosts are network namespaces of this machine with one core each (tests/helpers/two_hosts.py). It
needs root, iproute2 and the extra ``ray``.

    python benchmarks/two_hosts.py TABLES... [--base pocket] [--posts 150] [--trials 4]

The tables are one author each. It prints what happens when, in seconds since the driver started,
and the end of the cut-off host's log. The server has a replica on each host, with the fleet's bots;
while clients wait for posts, the second host's replica is killed, and then the host is cut off.
"""

from __future__ import annotations

import argparse
import os
import queue
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.helpers.two_hosts import TwoHosts, missing

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

_PROGRAM = [sys.executable, "-m", "huggingtweets"]
_SECONDS = 1500.0
_SERVER = "http://127.0.0.1:8437"
_CLIENTS = r"""
import json, sys, threading, time
import httpx

address, posts, *bots = sys.argv[1:]
answers = []

def ask(number):
    body = {"model": bots[number % len(bots)], "n": int(posts), "seed": number, "max_tokens": 60}
    began = time.monotonic()
    answer = httpx.post(f"{address}/v1/completions", json=body, timeout=600)
    ends = [choice["finish_reason"] for choice in answer.json().get("choices", [])]
    whole = answer.status_code == 200 and len(ends) == int(posts) and all(ends)
    answers.append((whole, time.monotonic() - began, answer.text[:200]))

threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
lines = httpx.get(f"{address}/metrics").text.splitlines()
retried = next(line.split()[-1] for line in lines if line.startswith("huggingtweets_retried"))
failed = [text for whole, _, text in answers if not whole]
print(f"{len(answers) - len(failed)} of {len(answers)} answers arrived whole, the last after "
      f"{max(seconds for _, seconds, _ in answers):.1f} s; {float(retried):.0f} sent again so far "
      f"{failed[:1] or ''}")
"""
"""Sixteen clients at once, each of which asks one bot for some posts."""


def run(title: str, arguments: list[str]) -> int:
    """Run a command on a new cluster, cut off its second host, and print what happens."""
    print(f"\n== {title}: huggingtweets {' '.join(arguments)}", flush=True)
    with TwoHosts() as hosts:
        started = time.monotonic()

        def say(text: str) -> None:
            print(f"{time.monotonic() - started:6.1f} s  {text}", flush=True)

        driver = hosts.popen([*_PROGRAM, *arguments])
        lines = _lines_of(driver)
        seen, is_cut = [False, False], False
        while driver.poll() is None and time.monotonic() < started + _SECONDS:
            for host in (0, 1):
                if not seen[host] and hosts.tasks(host):
                    seen[host] = True
                    say(f"host {host + 1} trains")
            if all(seen) and not is_cut and hosts.tasks(1):
                time.sleep(2)  # in the middle of a training
                hosts.cut_off()
                is_cut = True
                say("host 2 is cut off")
            _print(lines, say)
            time.sleep(0.05)
        _print(lines, say)
        say(f"ended with exit code {driver.poll()}")
        print("the end of host 2's log:")
        for line in hosts.log().splitlines()[-6:]:
            print(f"    {line[:200]}")
        return driver.poll() or 0


def serve(fleet: Path, posts: int) -> int:
    """Serve a fleet from both hosts, lose a replica and then a host, and print what happens."""
    arguments = ["serve", "--fleet", str(fleet), "--ray", "--replicas", "2", "--port", "8437"]
    print(f"\n== server: huggingtweets {' '.join(arguments)}", flush=True)
    names = sorted(path.name for path in (fleet / "authors").iterdir() if path.is_dir())
    with TwoHosts() as hosts:
        started = time.monotonic()

        def say(text: str) -> None:
            print(f"{time.monotonic() - started:6.1f} s  {text}", flush=True)

        def ask(meanwhile: Callable[[], None]) -> None:
            clients = hosts.popen([sys.executable, "-c", _CLIENTS, _SERVER, str(posts), *names])
            time.sleep(6)  # they have begun to receive posts
            meanwhile()
            printed, _ = clients.communicate(timeout=_SECONDS)
            say(f"  {printed.strip()}")

        def kill() -> None:
            replicas = hosts.processes_titled(1, "ray::ServeReplica")
            say(f"{len(replicas)} replica on host 2 is killed")
            for process in replicas:
                os.kill(process, signal.SIGKILL)

        def cut() -> None:
            hosts.cut_off()
            say("host 2 is cut off")

        server = hosts.popen([*_PROGRAM, *arguments], environment={"RAY_ADDRESS": "auto"})
        lines = _lines_of(server)
        while server.poll() is None and not (seen := lines.get()).startswith("Serving"):
            say(f"  {seen[:160]}")
        if server.poll() is not None:
            say(f"ended with exit code {server.poll()}")
            return 1
        say("both replicas serve")
        ask(lambda: None)
        ask(kill)
        while not hosts.processes_titled(1, "ray::ServeReplica"):
            time.sleep(0.5)
        say("host 2 has a replica again")
        time.sleep(20)  # it has loaded its base
        ask(cut)
        ask(lambda: None)
        server.terminate()
        say(f"ended with exit code {server.wait(60)}")
    return 0


def _lines_of(process: subprocess.Popen[str]) -> queue.SimpleQueue[str]:
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        with process:
            for line in process.stdout or ():
                lines.put(line.rstrip())

    threading.Thread(target=read, daemon=True).start()
    return lines


def _print(lines: queue.SimpleQueue[str], say: Callable[[str], None]) -> None:
    while not lines.empty():
        if line := lines.get():
            say(f"  {line[:160]}")


def main() -> int:
    """Run all; return 0 if all finished."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("tables", type=Path, nargs="*")
    parser.add_argument("--base", default="pocket")
    parser.add_argument("--posts", type=int, default=150)
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--fleet", type=Path, help="only serve this fleet")
    parser.add_argument("--asked", type=int, default=10, help="posts that each client asks for")
    given = parser.parse_args()
    if fault := missing():
        raise SystemExit(f"This needs two hosts: {fault}.")
    if given.fleet:
        return serve(given.fleet.absolute(), given.asked)
    if not given.tables:
        parser.error("give tables to train on, or --fleet")
    tables = [str(table.absolute()) for table in given.tables]
    common = ["--workers", TwoHosts.address, "--base", given.base, "--posts", str(given.posts)]
    with tempfile.TemporaryDirectory() as folder:
        sweep = ["sweep", *tables[:2], *common, "--trials", str(given.trials)]
        fleet = ["fleet", "train", *tables, *common, "--out", f"{folder}/fleet"]
        return (
            run("sweep", [*sweep, "--out", f"{folder}/sweep"])
            or run("fleet", fleet)
            or serve(Path(folder) / "fleet", given.asked)
        )


if __name__ == "__main__":
    raise SystemExit(main())
