"""Failing network, disk or folder: one sentence, exit code 2, and no files left behind."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.cli.program import PROGRAM, Outcome, contents
from tests.helpers.posts import made_up_posts, write_csv

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.program import CommandLine, Process

COMMANDS = pytest.mark.parametrize("command", ["curate", "train"])


# -- the Hub ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def _silent_server() -> Iterator[int]:
    """A server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept: list[socket.socket] = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    kept.append(server.accept()[0])

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        for connection in kept:
            connection.close()


@contextlib.contextmanager
def _server(answer: bytes) -> Iterator[int]:
    """A server with one answer to every request."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    status, _, header = answer.partition(b" ")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(int(status))
            self.send_header("Content-Length", "0")
            if header:
                self.send_header("X-Error-Code", header.decode())
            self.end_headers()

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            del code, size  # don't log requests

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def _without_hub(process: Process, source: Path, **environment: str) -> Outcome:
    began = time.monotonic()
    outcome = process("train", source, "--base", "someone/something", **environment)
    assert time.monotonic() - began < 50  # the clients' own retries alone take that long
    assert not Path("runs").exists()
    return outcome


@pytest.mark.parametrize(
    "environment",
    [
        {"HF_HUB_OFFLINE": "1"},
        {"HF_ENDPOINT": "http://127.0.0.1:9"},
        {"HF_ENDPOINT": "http://nowhere.invalid"},
    ],
    ids=["told to be offline", "refused", "no such host"],
)
def test_missing_base_without_network(
    process: Process, source: Path, environment: dict[str, str]
) -> None:
    outcome = _without_hub(process, source, **environment)
    assert outcome.refused(
        "'someone/something' is not on this machine", "reached", "the base pocket"
    )


def test_unresponsive_network(process: Process, source: Path) -> None:
    with _silent_server() as port:
        outcome = _without_hub(process, source, HF_ENDPOINT=f"http://127.0.0.1:{port}")
    assert outcome.refused("'someone/something' is not on this machine", "the base pocket")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"404 RepoNotFound", ("no model 'someone/something' on the Hugging Face Hub",)),
        (b"403 GatedRepo", ("accepted its terms", "hf auth login")),
        (b"500", ("not on this machine",)),
    ],
)
def test_hub_errors(process: Process, source: Path, answer: bytes, words: tuple[str, ...]) -> None:
    with _server(answer) as port:
        outcome = _without_hub(process, source, HF_ENDPOINT=f"http://127.0.0.1:{port}")
    assert outcome.refused("the base pocket", *words)


# -- disks -----------------------------------------------------------------------------------------

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount or become another")


@contextlib.contextmanager
def _mounted(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"mounting is not allowed here: {done.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@needs_root
def test_nearly_full_disk(cli: CommandLine, here: Path, source: Path) -> None:
    with _mounted(here / "small", "size=4m") as small:
        assert cli("train", source, "--out", small / "runs").refused("MB left", "--out")
        assert list(small.iterdir()) == []


@needs_root
def test_disk_fills_up_while_writing(cli: CommandLine, here: Path, tiny_base: Path) -> None:
    noise = random.Random(0)
    texts = [" ".join(f"{noise.getrandbits(40):x}" for _ in range(25)) for _ in range(10_000)]
    source = write_csv(here / "gardener.csv", "gardener", texts)
    with _mounted(here / "small", "size=2m") as small:
        (small / "other").write_bytes(b"mine")
        outcome = cli("train", source, "--base", tiny_base, "--out", small / "runs")
        assert outcome.refused("disk is full")
        assert [path.name for path in small.iterdir()] == ["other"]


def test_file_size_limit(
    here: Path, source: Path, tiny_base: Path, plain_environment: dict[str, str]
) -> None:
    """Simulate a full disk without mounting one: posts fit, later files don't."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    done = subprocess.run(
        [*PROGRAM, "train", source, "--base", tiny_base, "--name", "me"],
        cwd=here,
        # Python doesn't notice when it can't write a compiled module completely.
        env=plain_environment | {"PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=False,
    )
    assert Outcome(done.returncode, done.stdout, done.stderr).refused("runs/me")
    left = contents(here)
    assert all(not name.endswith((".tmp", ".new")) for name in left), left.keys()


@needs_root
def test_read_only_file_system(cli: CommandLine, here: Path, source: Path, tiny_base: Path) -> None:
    with _mounted(here / "fixed", "size=9m,ro") as fixed:
        outcome = cli("train", source, "--base", tiny_base, "--out", fixed / "runs")
        assert outcome.refused("read-only file system", "choose another folder")


@pytest.fixture
def somebody() -> list[str]:
    """Prefix of a command that runs without root's access to all files.

    It keeps the user, because another one may not run the Python in root's home.
    """
    if os.geteuid() != 0:
        return []
    rights = "-dac_override,-dac_read_search"
    return ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}"]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A temporary folder that every user may enter, unlike pytest's."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("out", ["closed", "closed/new/runs"])
def test_folder_without_write_permission(
    open_folder: Path,
    somebody: list[str],
    tiny_base: Path,
    plain_environment: dict[str, str],
    out: str,
) -> None:
    write_csv(open_folder / "posts.csv", "gardener", made_up_posts(200))
    shutil.copytree(tiny_base, open_folder / "base", copy_function=shutil.copyfile)
    (open_folder / "base").chmod(0o755)
    (open_folder / "closed").mkdir(mode=0o555)
    done = subprocess.run(
        [*somebody, *PROGRAM, "train", "posts.csv", "--base", "base", "--out", out],
        cwd=open_folder,
        env=plain_environment | {"HOME": str(open_folder)},  # readable by the other user
        capture_output=True,
        text=True,
        check=False,
    )
    assert Outcome(done.returncode, done.stdout, done.stderr).refused(out, "permission denied")
    assert list((open_folder / "closed").iterdir()) == []


@COMMANDS
def test_source_without_read_permission(
    open_folder: Path, somebody: list[str], plain_environment: dict[str, str], command: str
) -> None:
    (open_folder / "secret.txt").touch(mode=0)
    done = subprocess.run(
        [*somebody, *PROGRAM, command, "secret.txt"],
        cwd=open_folder,
        env=plain_environment | {"HOME": str(open_folder)},  # readable by the other user
        capture_output=True,
        text=True,
        check=False,
    )
    outcome = Outcome(done.returncode, done.stdout, done.stderr)
    assert outcome.refused("secret.txt can't be read: Permission denied")


def test_out_is_a_file(cli: CommandLine, source: Path, tiny_base: Path) -> None:
    out = Path("runs")
    out.write_bytes(b"mine")
    assert cli("train", source, "--base", tiny_base).refused("runs")
    assert out.read_bytes() == b"mine"
