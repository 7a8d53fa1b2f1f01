"""Compare a run that was killed with ``kill -9`` and resumed with an uninterrupted one.

    python benchmarks/resume.py [--kill-after 12] [--kills 2]

Both train the embedded base on the bundled sample with the same seed; their held-out losses must be
equal.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from huggingtweets.sample import sample_path
from huggingtweets.storage.run_folder import RunFolder

PROGRAM = [sys.executable, "-c", "from huggingtweets.cli import main; main()"]


def main() -> int:
    """Run both and print their losses; return 0 if they are equal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kill-after", type=float, default=12, help="seconds after each start")
    parser.add_argument("--kills", type=int, default=2)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        train = [*PROGRAM, "train", str(sample_path()), "--out", str(out)]
        subprocess.run([*train, "--name", "whole"], check=True, capture_output=True)
        command = [*train, "--name", "killed", "--checkpoint-seconds", "3"]
        for _ in range(chosen.kills):
            print(
                "killed at", start_and_kill(command, RunFolder(out / "killed"), chosen.kill_after)
            )
            command = [*PROGRAM, "train", "--resume", str(out / "killed")]
        subprocess.run(command, check=True, capture_output=True)
        losses = {name: history(RunFolder(out / name)) for name in ("whole", "killed")}
    for name, values in losses.items():
        print(f"{name:>7}: " + "  ".join(f"{value:.6f}" for value in values))
    same = losses["whole"] == losses["killed"]
    print("equal" if same else "NOT equal")
    return 0 if same else 1


def start_and_kill(command: list[str], run: RunFolder, seconds: float) -> str:
    """Start a command, kill it after ``seconds``, and return its last step as JSON."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    steps = [event for event in run.events() if event["stage"] == "train"]
    return json.dumps({key: steps[-1][key] for key in ("done", "total")}) if steps else "no step"


def history(run: RunFolder) -> list[float]:
    """Return held-out bits per byte before training and after each epoch."""
    return [point["held_out_bits_per_byte"] for point in run.record().result["history"]]


if __name__ == "__main__":
    sys.exit(main())
