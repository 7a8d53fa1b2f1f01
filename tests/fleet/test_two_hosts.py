"""A fleet on a cluster of two hosts, one of which is cut off on the way.

benchmarks/two_hosts.py does the same with a sweep too, and prints what happens when.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
from tests.cli.program import PROGRAM
from tests.fleet.conftest import weights
from tests.helpers import two_hosts
from tests.helpers.two_hosts import TwoHosts

from huggingtweets.fleet.progress import read_progress
from huggingtweets.storage.fleets import FleetFolder

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

_MISSING = two_hosts.missing()
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(900),
    pytest.mark.skipif(_MISSING is not None, reason=str(_MISSING)),
]
_SECONDS = 400.0


def output_of(process: subprocess.Popen[str]) -> list[str]:
    """Return a list that gets each line that a process prints."""
    lines: list[str] = []

    def read() -> None:
        with process:
            lines.extend(line.rstrip() for line in process.stdout or ())

    threading.Thread(target=read, daemon=True).start()
    return lines


def test_fleet_finishes_when_a_host_is_cut_off(
    finished: FleetFolder, authors: list[Path], tiny_base: Path, tmp_path: Path
) -> None:
    """Two hosts train; then the second one's cable is pulled while it trains an author."""
    fleet = FleetFolder(tmp_path / "fleet")
    arguments = ["--workers", TwoHosts.address, "--base", str(tiny_base), "--out", str(fleet.path)]
    trained: list[set[str]] = [set(), set()]
    with TwoHosts() as hosts:
        driver = hosts.popen([*PROGRAM, "fleet", "train", *map(str, authors), *arguments])
        printed = output_of(driver)
        is_cut, until = False, time.monotonic() + _SECONDS
        while time.monotonic() < until and driver.poll() is None:
            for host in (0, 1):
                trained[host] |= hosts.tasks(host)
            if not is_cut and all(trained) and hosts.tasks(1):
                hosts.cut_off()
                is_cut = True
            time.sleep(0.05)
        code, log = driver.poll(), hosts.log()
    assert code == 0, (printed, log)
    assert is_cut, (trained, printed, log)
    assert trained[0] == trained[1] == {"ray::train_remotely"}
    assert any(line.endswith("trying again") for line in printed), printed
    assert read_progress(fleet).counts() == {"done": 3}
    assert weights(fleet) == weights(finished)
