"""A Ray cluster of two hosts: network namespaces of this machine, joined by a virtual cable.

Nothing outside the namespaces is reached or changed, and all that runs in them is killed at the
end. It needs root and Debian's iproute2.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

HEAD, WORKER = "10.231.7.1", "10.231.7.2"
"""Addresses inside the namespaces; no other network has them there."""

_GCS_PORT, _CLIENT_PORT = 6379, 10001
_SECONDS_TO_START, _TRIES = 120.0, 3
_QUICK_NOTICE = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "5000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_grpc_client_keepalive_time_ms": "3000",
    "RAY_grpc_client_keepalive_timeout_ms": "10000",
}
"""Ray notices a lost host within seconds instead of minutes (docs/how-to/fleets.md)."""


def missing() -> str | None:
    """Say what this machine lacks for such a cluster; None if it has all."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "only root may make network namespaces"
    if shutil.which("ip") is None:
        return "there is no iproute2"
    if find_spec("ray") is None or find_spec("grpc") is None:
        return "ray or grpcio isn't installed"
    probe = f"ht-probe-{os.getpid()}"  # all workers of a test run ask at the same time
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False)
    if made.returncode:
        return f"network namespaces are not allowed here: {made.stderr.decode().strip()}"
    subprocess.run(["ip", "netns", "delete", probe], check=True)
    return None


class TwoHosts:
    """Two hosts with one core each; the first has the head of the cluster.

    Attributes:
        address: for ``--workers``, from the first host.
    """

    address = f"ray://{HEAD}:{_CLIENT_PORT}"

    def __init__(self) -> None:
        mark = secrets.token_hex(2)
        self._names = (f"ht-{mark}-a", f"ht-{mark}-b")
        self._cables = (f"ht{mark}a", f"ht{mark}b")
        self._folder = Path(tempfile.mkdtemp(prefix="ray"))  # short: it holds Unix sockets
        self._environment = (
            os.environ
            | _QUICK_NOTICE
            | {
                "RAY_AUTH_MODE": "token",
                "RAY_AUTH_TOKEN": secrets.token_hex(16),
                "RAY_USAGE_STATS_ENABLED": "0",
                "HOME": str(self._folder),
                "RES_OPTIONS": "timeout:1 attempts:1",  # no name server answers in there
                "OMP_NUM_THREADS": "1",
            }
        )
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        try:
            self._connect()
            self._start_ray_patiently()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def popen(
        self, command: Sequence[str], host: int = 0, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start a command on a host, with pipes for what it prints."""
        return subprocess.Popen(
            ["ip", "netns", "exec", self._names[host], *command],
            env=self._environment | dict(environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def cut_off(self) -> None:
        """Pull the second host's cable."""
        _ip("-n", self._names[1], "link", "set", self._cables[1], "down")

    def tasks(self, host: int) -> set[str]:
        """Return the names of our tasks that run on a host now."""
        known = ("ray::train_remotely", "ray::run_job")
        return {title for title in known if self.processes_titled(host, title)}

    def processes_titled(self, host: int, title: str) -> list[int]:
        """Return the processes of a host whose title begins so; Ray names them after their work."""
        found = []
        for process in self._processes(host):
            with suppress(OSError):
                words = Path(f"/proc/{process}/cmdline").read_bytes().rstrip(b"\0").decode()
                if words.startswith(title):
                    found.append(process)
        return found

    def log(self) -> str:
        """Return what the second host's Ray wrote to its log."""
        file = self._folder / "worker.log"
        return file.read_text("utf-8", errors="replace") if file.is_file() else ""

    def _connect(self) -> None:
        one, two = self._names
        for name in self._names:
            _ip("netns", "add", name)
        cable = ("type", "veth", "peer", "name", self._cables[1], "netns", two)
        _ip("link", "add", self._cables[0], "netns", one, *cable)
        for name, cable_end, address in zip(self._names, self._cables, (HEAD, WORKER), strict=True):
            _ip("-n", name, "addr", "add", f"{address}/30", "dev", cable_end)
            for device in ("lo", cable_end):
                _ip("-n", name, "link", "set", device, "up")

    def _start_ray_patiently(self) -> None:
        """Start the cluster; on a busy machine Ray gives up on itself after 30 seconds."""
        for _ in range(_TRIES - 1):
            with suppress(RuntimeError):
                self._start_ray()
                return
            self._kill_all()
        self._start_ray()

    def _start_ray(self) -> None:
        head = ["--head", "--port", str(_GCS_PORT), "--ray-client-server-port", str(_CLIENT_PORT)]
        head += ["--include-dashboard", "false", "--temp-dir", str(self._folder / "ray")]
        self._ray(0, HEAD, head, "head.log")
        self._wait_for(_GCS_PORT)
        self._ray(1, WORKER, ["--address", f"{HEAD}:{_GCS_PORT}"], "worker.log")
        self._wait_for(_CLIENT_PORT)
        self._wait_until_joined()

    def _wait_until_joined(self) -> None:
        until = time.monotonic() + _SECONDS_TO_START
        while time.monotonic() < until and self._started[-1].poll() is None:
            if "Ray runtime started" in self.log():
                return
            time.sleep(0.1)
        raise RuntimeError(f"The second host didn't join: {self.log()[-800:]}")

    def _ray(self, host: int, address: str, arguments: list[str], log: str) -> None:
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--node-ip-address"]
        command += [address, "--num-cpus", "1", "--object-store-memory", "100000000"]
        command += ["--include-log-monitor", "false", "--disable-usage-stats", "--block"]
        command += arguments
        with (self._folder / log).open("wb") as output:
            self._started.append(
                subprocess.Popen(
                    ["ip", "netns", "exec", self._names[host], *command],
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                )
            )

    def _wait_for(self, port: int) -> None:
        """Wait until a port of the first host answers, asked from inside."""
        code = f"import socket; socket.create_connection(({HEAD!r}, {port}), 1)"
        until = time.monotonic() + _SECONDS_TO_START
        while time.monotonic() < until:
            asked = ["ip", "netns", "exec", self._names[0], sys.executable, "-S", "-c", code]
            if subprocess.run(asked, capture_output=True, check=False).returncode == 0:
                return
            if any(process.poll() is not None for process in self._started):
                break
            time.sleep(0.1)
        logs = [file.read_text("utf-8", "replace")[-800:] for file in self._folder.glob("*.log")]
        raise RuntimeError(f"Ray didn't start on port {port}: {logs}")

    def _processes(self, host: int) -> list[int]:
        command = ["ip", "netns", "pids", self._names[host]]
        listed = subprocess.run(command, capture_output=True, text=True, check=False)
        return [int(pid) for pid in listed.stdout.split()]

    def _kill_all(self) -> None:
        for host in (0, 1):
            for _ in range(50):  # a process may start another one meanwhile
                processes = self._processes(host)
                for process in processes:
                    with suppress(ProcessLookupError):
                        os.kill(process, signal.SIGKILL)
                if not processes:
                    break
                time.sleep(0.1)
        for started in self._started:
            started.wait()
        self._started.clear()

    def _end(self) -> None:
        self._kill_all()
        for name in self._names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)
        shutil.rmtree(self._folder, ignore_errors=True)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
