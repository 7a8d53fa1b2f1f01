"""A sweep and a fleet on a Ray cluster of two hosts, each with one host cut off on the way.

The hosts are network namespaces of this machine with one core each (tests/helpers/two_hosts.py). It
needs root, iproute2 and the extra ``ray``.

    python benchmarks/two_hosts.py TABLES... [--base pocket] [--posts 150] [--trials 4]

The tables are one author each. It prints what happens when, in seconds since the driver started,
and the end of the cut-off host's log.
"""

from __future__ import annotations

import argparse
import queue
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

_PROGRAM = [sys.executable, "-c", "import huggingtweets.cli as c; c.main()"]
_SECONDS = 1500.0


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
    """Run both; return 0 if both finished."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("tables", type=Path, nargs="+")
    parser.add_argument("--base", default="pocket")
    parser.add_argument("--posts", type=int, default=150)
    parser.add_argument("--trials", type=int, default=4)
    given = parser.parse_args()
    if fault := missing():
        raise SystemExit(f"This needs two hosts: {fault}.")
    tables = [str(table.absolute()) for table in given.tables]
    common = ["--workers", TwoHosts.address, "--base", given.base, "--posts", str(given.posts)]
    with tempfile.TemporaryDirectory() as folder:
        sweep = ["sweep", *tables[:2], *common, "--trials", str(given.trials)]
        fleet = ["fleet", "train", *tables, *common, "--out", f"{folder}/fleet"]
        return run("sweep", [*sweep, "--out", f"{folder}/sweep"]) or run("fleet", fleet)


if __name__ == "__main__":
    raise SystemExit(main())
