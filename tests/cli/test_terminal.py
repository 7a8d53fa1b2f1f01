"""Terminal behaviour: progress bar, Ctrl-C, a narrow window, a closed pipe."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shlex
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.cli.program import PROGRAM
from tests.helpers.posts import made_up_posts, write_csv

from huggingtweets.cli.console import ConsoleOutput
from huggingtweets.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cli.program import CommandLine

WAIT = 200  # seconds for something to appear
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
QUESTION = "Stop here? [Y/n]"


class Terminal:
    """The program in a pseudo-terminal."""

    def __init__(self, args: list[str], environment: dict[str, str], columns: int) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self._process = subprocess.Popen(
            ["setsid", "--ctty", "--wait", *PROGRAM, *args],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
        )
        os.close(slave)
        self.raw = ""

    @property
    def text(self) -> str:
        """The output so far, without control sequences."""
        return ESCAPES.sub("", self.raw).replace("\r\n", "\n")

    def wait_for(self, words: str, times: int = 1) -> None:
        """Read until the words appear."""
        end = time.monotonic() + WAIT
        while self.text.count(words) < times:
            assert time.monotonic() < end, self.text
            assert self._read(), f"ended without {words!r}: {self.text}"

    def type(self, keys: str) -> None:
        """Press keys; ``\\x03`` is Ctrl-C, ``\\x04`` Ctrl-D."""
        os.write(self._master, keys.encode())

    def end(self) -> int:
        """Wait for the end and return the exit code."""
        while self._read():
            pass
        return self._process.wait(WAIT)

    def close(self) -> None:
        """Stop the process if it is running."""
        os.close(self._master)
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(WAIT)

    def _read(self) -> bool:
        if not select.select([self._master], [], [], WAIT)[0]:
            return False
        try:
            read = os.read(self._master, 65536)
        except OSError:  # the other end is closed
            return False
        self.raw += read.decode("utf-8", "replace")
        return bool(read)


@pytest.fixture
def terminal(here: Path, plain_environment: dict[str, str]) -> Iterator[Callable[..., Terminal]]:
    """Opens pseudo-terminals and closes them after the test."""
    assert here == Path.cwd()
    opened: list[Terminal] = []

    def start(*args: str | Path, columns: int = 100, **environment: str) -> Terminal:
        known = plain_environment | {"TERM": "xterm-256color"} | environment
        opened.append(Terminal([str(arg) for arg in args], known, columns))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


@pytest.fixture
def training(
    terminal: Callable[..., Terminal], source: Path, tiny_base: Path
) -> Callable[..., Terminal]:
    """Starts a long training and waits for its first step."""

    def start(columns: int = 100) -> Terminal:
        # At this learning rate the held-out loss keeps falling, so training doesn't stop early.
        slow = ["--epochs", "1000", "--learning-rate", "1e-5"]
        shown = terminal(
            "train", source, "--base", tiny_base, "--name", "me", *slow, columns=columns
        )
        shown.wait_for("tokens/s")
        return shown

    return start


@pytest.mark.parametrize("columns", [100, 40])
def test_progress_bar(terminal: Callable[..., Terminal], tiny_base: Path, columns: int) -> None:
    write_csv(Path("me.csv"), "me", made_up_posts(1_500))  # so that a fast machine shows a loss
    args = ["--base", str(tiny_base), "--epochs", "2", "--learning-rate", "1e-4"]
    shown = terminal("train", "me.csv", *args, columns=columns)
    assert shown.end() == 0
    lines = re.split(r"[\r\n]+", shown.text)
    bars = [line for line in lines if line.startswith("training ")]
    assert any("100%" in line for line in bars)
    assert any(re.search(r"\d% loss \d\.\d\d · .*\d+:\d\d left", line) for line in bars)
    assert all(len(line) <= columns for line in bars)
    if columns == 100:
        assert any(re.search(r"━.* tokens/s · \d+:\d\d left", line) for line in bars)
    assert shown.text.count("The bot is in runs/me/bot") == 1
    assert shown.raw.count("\x1b[?25l") == shown.raw.count(
        "\x1b[?25h"
    )  # the cursor is visible again


@pytest.mark.parametrize("keys", ["Yes\n", "\x03", "\x04"])
def test_ctrl_c_saves_asks_and_prints_how_to_resume(
    training: Callable[..., Terminal], cli: CommandLine, keys: str
) -> None:
    shown = training()
    shown.type("\x03")
    shown.wait_for(QUESTION)
    assert Path("runs/me/checkpoint/state.safetensors").exists()
    time.sleep(0.5)  # no user answers before the program reads
    shown.type(keys)
    assert shown.end() == 130
    assert "Stopped at step" in shown.text
    assert "train --resume runs/me" in shown.text
    assert "Traceback" not in shown.text
    assert "interrupted (training)" in cli("runs").out


def test_answering_no_continues_and_asks_again(training: Callable[..., Terminal]) -> None:
    shown = training()
    shown.type("\x03")
    shown.wait_for(QUESTION)
    shown.type("n\n")
    shown.wait_for("tokens/s", shown.text.count("tokens/s") + 2)
    shown.type("\x03")
    shown.wait_for(QUESTION, 2)
    shown.type("\n")
    assert shown.end() == 130


def test_ctrl_c_while_reading(terminal: Callable[..., Terminal]) -> None:
    with Path("long.txt").open("w") as file:
        for i in range(60):
            file.writelines(f"{text} {i}\n" for text in made_up_posts(20_000))
    shown = terminal("train", "long.txt")
    shown.wait_for("reading · ")
    time.sleep(0.5)
    shown.type("\x03")
    assert shown.end() == 130
    assert "Stopped; nothing was written." in shown.text
    assert "Traceback" not in shown.text
    assert not Path("runs").exists()


def test_ctrl_c_during_an_import_waits_for_its_end(here: Path) -> None:
    (here / "slow.py").write_text(
        "import time\n"
        "print('importing', flush=True)\n"
        "end = time.monotonic() + 1\n"
        "while time.monotonic() < end:\n"
        "    time.sleep(0.01)\n"
        "print('imported', flush=True)\n"
    )
    program = (
        "import sys\n"
        "from huggingtweets import cli\n"
        "def command(prog_name):\n"
        "    import slow\n"
        "    while True:\n"
        "        pass\n"
        "cli.app = command\n"
        "try:\n"
        "    cli.main()\n"
        "except KeyboardInterrupt:\n"
        "    print('stopped')\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=here, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=WAIT)
    assert out == "imported\nstopped\n"


def test_ctrl_c_while_evaluating(
    terminal: Callable[..., Terminal], cli: CommandLine, tiny_base: Path
) -> None:
    write_csv(Path("me.csv"), "me", made_up_posts(300))
    shown = terminal("train", "me.csv", "--base", tiny_base, "--epochs", "1")
    shown.wait_for("measuring likeness")
    shown.type("\x03")
    assert shown.end() == 130
    assert "train --resume runs/me" in shown.text
    assert "Traceback" not in shown.text
    assert "interrupted (trained)" in cli("runs").out
    assert cli("train", "--resume", "runs/me").code == 0


def test_signal_without_terminal_saves_and_stops(
    here: Path,
    source: Path,
    tiny_base: Path,
    plain_environment: dict[str, str],
) -> None:
    args = ["train", str(source), "--base", str(tiny_base), "--name", "me", "--epochs", "1000"]
    with subprocess.Popen(
        [*PROGRAM, *args, "--learning-rate", "1e-5"],
        cwd=here,
        env=plain_environment | {"PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert any(line.startswith("training: step") for line in process.stdout)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=WAIT)
    assert process.returncode == 130
    assert "Stopped at step" in err
    assert "train --resume runs/me" in err
    assert Path("runs/me/checkpoint/state.safetensors").exists()


@pytest.mark.parametrize("command", ["curate", "generate", "runs", "help"])
def test_closed_pipe(
    finished: Path, source: Path, plain_environment: dict[str, str], command: str
) -> None:
    args = {
        "curate": f"curate {source} --show-dropped",
        "generate": f"generate {finished} -n 5",
        "runs": "runs --json",
        "help": "train --help",
    }[command]
    done = subprocess.run(
        ["bash", "-c", f"{shlex.join(PROGRAM)} {args} | head -c 1"],
        env=plain_environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert len(done.stdout) == 1
    assert done.stderr == ""


@pytest.mark.parametrize("args", [["runs"], ["runs", "--json"], ["show", "nothing"]])
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams(
    here: Path, plain_environment: dict[str, str], args: list[str], closed: str
) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{shlex.join([*PROGRAM, *args])} {closed}"],
        cwd=here,
        env=plain_environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == (2 if args[0] == "show" else 0)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("args", [["runs"], ["runs", "--json"]])
def test_output_to_a_full_disk(
    here: Path, plain_environment: dict[str, str], args: list[str]
) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*PROGRAM, *args],
            cwd=here,
            env=plain_environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "huggingtweets: The output can't be used: No space left on device.\n"


@pytest.mark.parametrize(
    "environment",
    [{"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}],
)
def test_ascii_locale(terminal: Callable[..., Terminal], environment: dict[str, str]) -> None:
    Path("a.txt").write_text("مرحبا بالعالم هذا نص\none 👋 two three\n", encoding="utf-8")
    shown = terminal("curate", "a.txt", **environment)
    assert shown.end() == 0
    assert "2 kept" in shown.text
    assert "two three" in shown.text


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colours(
    terminal: Callable[..., Terminal], finished: Path, environment: dict[str, str]
) -> None:
    shown = terminal("generate", finished, "-n", "1", "-p", "My dream", **environment)
    assert shown.end() == 0
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", shown.raw)
    assert "My dream" in shown.text


def test_narrow_window(terminal: Callable[..., Terminal], finished: Path) -> None:
    shown = terminal("show", finished, columns=40)
    assert shown.end() == 0
    assert "\x1b[1m" in shown.raw
    assert "me: done" in shown.text


def test_missing_home(terminal: Callable[..., Terminal], finished: Path) -> None:
    shown = terminal("generate", finished, "-n", "1", HOME="/nowhere")
    assert shown.end() == 0
    assert shown.text.count("•") == 1


def test_a_log_gets_a_line_for_each_measurement_and_minute(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    screen = ConsoleOutput()
    for now in range(0, 150, 10):
        measured = {0: 1.86, 70: 1.5, 140: 1.317}.get(now)
        epoch = None if now == 140 else 1  # as in a pre-training
        screen(Event("train", now, 150, epoch=epoch, held_out_bits_per_byte=measured))
    assert capsys.readouterr().out.splitlines() == [
        "training: step 0 of 150, held-out 1.860 bits per byte",
        "training: step 60 of 150",
        "training: step 70 of 150, held-out 1.500 bits per byte",
        "training: step 130 of 150",
        "training: 93%, held-out 1.317 bits per byte",
    ]
