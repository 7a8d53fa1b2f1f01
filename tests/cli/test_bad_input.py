"""Whatever is given by mistake or malice: one sentence, exit code 2, and nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest
from tests.cli.program import PROGRAM, Outcome, contents
from tests.helpers.posts import made_up_posts, write_csv
from tests.sources.cases import tar_gz

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cli.program import CommandLine, Process

HEAD = "window.YTD.tweets.part0 = "
BIG = 100_000_000
COMMANDS = pytest.mark.parametrize("command", ["curate", "train"])


def _tweet(number: int, text: str) -> dict[str, object]:
    return {"tweet": {"id_str": str(number), "full_text": text}}


def _tweets(n: int) -> str:
    return json.dumps([_tweet(i, text) for i, text in enumerate(made_up_posts(n))])


def _zip(path: Path, **members: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), text)
    return path


def _file(name: str, content: bytes) -> Path:
    path = Path(name)
    path.write_bytes(content)
    return path


def _table(name: str) -> Path:
    pl.DataFrame({"number": [1], "colour": ["red"]}).write_parquet(name)
    return Path(name)


def _folder(name: str) -> Path:
    Path(name).mkdir()
    return Path(name)


def _chat(path: Path, *people: str) -> Path:
    messages = [
        {"id": i, "type": "message", "from": who, "from_id": who, "text": text}
        for i, (who, text) in enumerate(zip(people, made_up_posts(len(people)), strict=True))
    ]
    path.write_text(json.dumps({"name": "x", "type": "x", "id": 1, "messages": messages}))
    return path


# What is given, and words that the one sentence must hold.
UNREADABLE: dict[str, tuple[Callable[[], Path], tuple[str, ...]]] = {
    "missing file": (lambda: Path("nowhere.zip"), ("no file or folder nowhere.zip",)),
    "missing folder": (lambda: Path("no/where"), ("no file or folder no/where",)),
    "an account": (lambda: Path("@NASA"), ("@NASA looks like an account", "archive")),
    "unknown ending": (lambda: _file("posts.docx", b"x"), ("posts.docx", ".csv", ".jsonl")),
    "zip of zero bytes": (lambda: _file("a.zip", b""), ("a.zip is empty",)),
    "zip without members": (lambda: _zip(Path("a.zip")), ("no data/tweets.js", "nothing")),
    "empty folder": (lambda: _folder("archive"), ("no data/tweets.js", "nothing")),
    "empty text": (lambda: _file("a.txt", b""), ("a.txt holds no posts",)),
    "empty table": (lambda: _file("a.csv", b""), ("a.csv is empty",)),
    "empty lines": (lambda: _file("a.jsonl", b"\n\n"), ("a.jsonl holds no posts",)),
    "head only": (lambda: _file("a.csv", b"id,text\n"), ("a.csv holds no posts",)),
    "no tweets": (
        lambda: _zip(Path("a.zip"), data__tweets_dot_js=HEAD + "[]"),
        ("a.zip holds no tweets",),
    ),
    "a zip of something else": (
        lambda: _zip(Path("a.zip"), holiday_dot_jpg="x"),
        ("is it an X archive?", "holiday.jpg"),
    ),
    "not a zip": (lambda: _file("a.zip", b"GIF89a" * 99), ("a.zip is not a zip file",)),
    "truncated archive": (
        lambda: _zip(Path("a.zip"), data__tweets_dot_js=(HEAD + _tweets(9))[:-20]),
        ("cut short", "8 whole items"),
    ),
    "truncated tweets.js": (
        lambda: _file("tweets.js", (HEAD + _tweets(9))[:400].encode()),
        ("tweets.js ends in the middle",),
    ),
    "truncated jsonl": (
        lambda: _file("a.jsonl", b'{"text": "whole"}\n{"text": "ha'),
        ("Line 2 of a.jsonl is broken JSON",),
    ),
    "half a parquet": (
        lambda: _file("a.parquet", _table("b.parquet").read_bytes()[:200]),
        ("a.parquet is not a Parquet file",),
    ),
    "latin-1": (
        lambda: _file("a.txt", "Ça va très bien\n".encode("latin-1") * 99),
        ("a.txt is not UTF-8", "0xC7"),
    ),
    "UTF-16": (
        lambda: _file("a.csv", "text\nhello\n".encode("utf-16")),
        ("a.csv holds a NUL byte", "UTF-8"),
    ),
    "NUL bytes": (lambda: _file("a.txt", b"hello\x00you\n" * 99), ("NUL byte at 5",)),
    "NUL in an archive": (
        lambda: _zip(Path("a.zip"), data__tweets_dot_js=HEAD + "[\x00]"),
        ("data/tweets.js in a.zip holds a NUL byte",),
    ),
    "no text column": (
        lambda: _file("a.csv", b"number,colour\n1,red\n"),
        ("no text column", "(number, colour)", "--text-column"),
    ),
    "no text column in parquet": (
        lambda: _table("a.parquet"),
        ("no text column", "(number, colour)"),
    ),
    "zip bomb": (
        lambda: _zip(Path("a.zip"), data__tweets_dot_js=" " * (BIG + 1)),
        ("looks like a zip bomb",),
    ),
    "path out of the zip": (
        lambda: _zip(Path("a.zip"), **{"..__..__data__tweets_dot_js": HEAD + "[]"}),
        ("unsafe name '../../data/tweets.js'",),
    ),
    "path out of the tar": (
        lambda: tar_gz(Path("a.tar.gz"), {"../outbox.json": b"[]"}),
        ("unsafe name '../outbox.json'",),
    ),
    "a tar of something else": (
        lambda: tar_gz(Path("a.tar.gz"), {"holiday.jpg": b"x"}),
        ("no outbox.json", "holiday.jpg"),
    ),
    "a chat of several people": (
        lambda: _chat(Path("result.json"), "Ann", "Bob", "Bob"),
        ("messages of several people", "--from NAME", "Bob (2), Ann (1)"),
    ),
    "no list of posts": (lambda: _file("a.json", b'{"a": 1}'), ("a.json holds no posts",)),
    "terminal commands in a name": (
        lambda: Path("\x1b]0;gotcha\x07\x1b[31m.zip"),
        ("␛]0;gotcha␇␛[31m.zip",),
    ),
}


@COMMANDS
@pytest.mark.parametrize("case", UNREADABLE)
def test_a_source_that_cant_be_read(cli: CommandLine, here: Path, command: str, case: str) -> None:
    make, words = UNREADABLE[case]
    source = make()
    before = contents(here)
    outcome = cli(command, source)
    assert outcome.refused(*words)
    assert outcome.out == ""
    assert contents(here) == before
    assert not Path("runs").exists()


@COMMANDS
def test_a_person_who_is_not_there(cli: CommandLine, here: Path, command: str) -> None:
    source = _chat(Path("result.json"), "Ann", "Bob")
    before = contents(here)
    assert cli(command, source, "--from", "Eve").refused("no message from 'Eve'", "Ann (1)")
    _file("a.txt", b"we lost the teapot\n")
    assert cli(command, "a.txt", "--from", "Eve").refused("--from Eve", "Telegram")
    Path("a.txt").unlink()
    assert contents(here) == before


@pytest.mark.parametrize("case", UNREADABLE)
def test_posts_to_imitate_that_cant_be_read(cli: CommandLine, here: Path, case: str) -> None:
    make, words = UNREADABLE[case]
    source = make()
    before = contents(here)
    outcome = cli("generate", "pocket", "--few-shot", source)
    assert outcome.refused(*words)
    assert outcome.out == ""
    assert contents(here) == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--few-shot", "a.txt", "--few-shot-posts", "0"], ("--few-shot-posts", "not 0")),
        (["--text-column", "words"], ("--text-column", "--few-shot SOURCE")),
        (["--few-shot", "short.txt"], ("No post of short.txt is left after curation",)),
        (["--few-shot", "long.txt"], ("None of the 1 posts to imitate", "64 tokens")),
        (["--few-shot", "a.txt", "-p", "a " * 50], ("shorten the prompt",)),
    ],
)
def test_options_of_imitating(
    cli: CommandLine, tiny_base: Path, options: list[str], words: tuple[str, ...]
) -> None:
    _file("a.txt", b"we lost the teapot\n")
    _file("short.txt", b"too short\n")
    _file("long.txt", " ".join(made_up_posts(9)).encode())
    outcome = cli("generate", tiny_base, *options)
    assert outcome.refused(*words)
    assert outcome.out == ""


@pytest.mark.parametrize(
    ("command", "name", "head"),
    [
        ("train", "a.txt", b""),
        ("curate", "a.csv", b"text\n"),
        ("curate", "a.jsonl", b'{"text": "'),
        ("curate", "tweets.js", b'window.YTD.tweets.part0 = ["'),
    ],
)
def test_a_hundred_megabytes_of_one_line(
    here: Path, plain_environment: dict[str, str], command: str, name: str, head: bytes
) -> None:
    with (here / name).open("wb") as file:
        file.write(head)
        file.seek(BIG)
        file.truncate()
        file.seek(len(head))
        for _ in range(BIG // 1_000_000):
            file.write(b"a" * 1_000_000)
    # What the program itself takes is measured beside it, as it differs between machines.
    report = "import resource as r; u = r.getrusage(r.RUSAGE_SELF); print(u.ru_maxrss, u.ru_utime)"
    code = f"""
import sys
sys.argv = ["huggingtweets", {command!r}, sys.argv[1]]
import torch, polars, huggingtweets.pipeline, huggingtweets.cli as c
{report}
try:
    c.main()
finally:
    {report}
"""
    done = subprocess.run(
        [PROGRAM[0], "-c", code, name],
        env=plain_environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert Outcome(done.returncode, "", done.stderr).refused(name)
    before, after = (
        [float(value) for value in line.split()] for line in done.stdout.splitlines()[:2]
    )
    assert after[0] - before[0] < 150_000  # kB
    assert after[1] - before[1] < 5  # seconds
    assert not (here / "runs").exists()


@pytest.mark.parametrize(
    "head",
    [
        "window.YTD.tweet.part0 = ",
        "window.YTD.anything_new.part17=",
        "var tweets = ",
        "Grailbird.data.tweets_2013_05 =\n ",
        "\ufeffwindow.YTD.tweets.part0 = ",
        "",
    ],
)
def test_the_variable_may_have_any_name(cli: CommandLine, head: str) -> None:
    archive = _zip(Path("a.zip"), data__tweets_dot_js=head + _tweets(20))
    outcome = cli("curate", archive)
    assert outcome.code == 0
    assert outcome.out.startswith("20 downloaded · ")


@pytest.mark.parametrize(
    ("posts", "kept"),
    [
        (["مرحبا بالعالم هذا نص عربي قصير", "שלום עולם זה טקסט קצר"], 2),
        (["😀🎉🚀", "👩‍👩‍👧👍🏽", "🇫🇷🇩🇪"], 0),
        (
            [
                "[red]not a colour here[/]",
                "[/] closes nothing at all",
                "<script>alert(1)</script> and so",
            ],
            3,
        ),
        (["\x1b[31mred or not\x1b[0m", "\x1b]0;a title\x07 for you"], 2),
    ],
    ids=["right to left", "emoji only", "markup", "terminal commands"],
)
def test_unusual_posts_are_read_and_shown(cli: CommandLine, posts: list[str], kept: int) -> None:
    _file("a.txt", "\n".join(posts).encode())
    outcome = cli("curate", "a.txt", "--show-dropped")
    assert outcome.code == 0
    assert f"{len(posts)} downloaded" in outcome.out
    assert f"{kept} kept" in outcome.out
    assert "\x1b" not in outcome.out
    assert "\x07" not in outcome.out
    for word in ("مرحبا", "עולם", "👩‍👩‍👧", "[red]", "[/] closes", "<script>"):
        assert (word in outcome.out) == any(word in post for post in posts)


@pytest.mark.parametrize(
    ("posts", "words"),
    [
        (["😀🎉🚀"] * 5_000, ("0 posts are left",)),
        (["مرحبا بالعالم هذا نص عربي"], ("1 posts are left",)),
        (made_up_posts(20), ("20 posts are left",)),
    ],
    ids=["emoji only", "right to left", "few"],
)
def test_too_little_text(cli: CommandLine, posts: list[str], words: tuple[str, ...]) -> None:
    _file("a.txt", "\n".join(posts).encode())
    assert cli("train", "a.txt").refused("at least 6,000", *words)
    assert not Path("runs").exists()


# -- options ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--holdout", "2"], ("--holdout", "not 2")),
        (["--holdout", "nan"], ("--holdout", "nan")),
        (["--split", "oldest"], ("--split", "newest or random")),
        (["--name", "a/b"], ("--name", "'a/b'")),
        (["--name", ".."], ("--name", "'..'")),
        (["--name", ""], ("--name", "''")),
        (["--recipe", "nope"], ("'nope'", "fast or classic")),
        (["--epochs", "0"], ("epochs", "not 0")),
        (["--learning-rate", "nan"], ("learning_rate", "nan")),
        (["--batch-tokens", "-3"], ("batch_tokens", "-3")),
        (["--seed", "-1"], ("--seed", "-1")),
        (["--seed", str(2**64)], ("--seed", str(2**64))),
        (["--checkpoint-seconds", "0"], ("--checkpoint-seconds", "not 0")),
        (["--near-duplicates", "7"], ("near_duplicates", "7")),
        (["--device", "tpu"], ("'tpu'", "cpu, cuda, mps")),
        (["--precision", "fp8"], ("'fp8'", "bf16 or fp32")),
        (["--track", "mlflow"], ("choose trackio or wandb", "--track none")),
        (["--raw-artifacts", "--no-raw-artifacts"], ("either --raw-artifacts or",)),
        (["--resume", "runs/me", "--track", "trackio"], ("SOURCE or --resume",)),
        (["--base", "missing/folder/here"], ("'missing/folder/here'", "--base pocket")),
        (["--base", "."], ("no config.json", "--base pocket")),
    ],
)
def test_options_of_train(
    cli: CommandLine, source: Path, options: list[str], words: tuple[str, ...]
) -> None:
    assert cli("train", source, *options).refused(*words)
    assert not Path("runs").exists()


def test_a_device_that_is_not_there(cli: CommandLine, source: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    assert cli("train", source, "--device", "cuda").refused("no working cuda", "--device cpu")
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--temperature", "0"], ("temperature", "not 0")),
        (["--top-p", "2"], ("top-p", "not 2")),
        (["--temperature", "-1", "--top-p", "nan"], ("temperature", "top-p")),
        (["--max-chars", "0"], ("max-chars", "not 0")),
        (["-n", "0"], ("-n", "not 0")),
        (["-n", "10001"], ("-n", "10,000")),
        (["--seed", "-1"], ("seed", "-1")),
        (["--seed", str(2**64)], ("seed",)),
        (["--device", "tpu"], ("'tpu'",)),
        (["--prompt", "word " * 100], ("prompt", "--max-chars")),
    ],
)
def test_options_of_generate(
    cli: CommandLine, finished: Path, options: list[str], words: tuple[str, ...]
) -> None:
    assert cli("generate", finished, *options).refused(*words)


@pytest.mark.parametrize(
    "args",
    [
        ["nope"],
        ["train", "--nope"],
        ["train", "a.txt", "--epochs", "many"],
        ["curate"],
        ["generate"],
        ["generate", "a", "b"],
        ["show"],
    ],
)
def test_usage(cli: CommandLine, args: list[str]) -> None:
    outcome = cli(*args)
    assert outcome.code == 2
    assert outcome.out == ""
    assert "Try 'huggingtweets" in outcome.err
    assert "Traceback" not in outcome.err


def test_train_without_a_source(cli: CommandLine) -> None:
    assert cli("train").refused("No SOURCE was given")


# -- bots and runs ---------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["generate", "evaluate"])
@pytest.mark.parametrize("bot", ["a.txt", "folder", "./missing", "~/missing", "not a name"])
def test_a_bot_that_is_none(cli: CommandLine, command: str, bot: str) -> None:
    _file("a.txt", b"x")
    _folder("folder")
    assert cli(command, bot).refused(bot)


def test_a_bot_without_its_run_cant_be_judged(cli: CommandLine, finished: Path) -> None:
    (finished / "bot").rename("alone")
    assert cli("evaluate", "alone").refused("alone is not a run folder")


@pytest.mark.parametrize("command", ["generate", "evaluate"])
def test_a_run_without_a_bot(cli: CommandLine, halfway: Path, command: str) -> None:
    assert cli(command, halfway).refused("no bot yet", "--resume runs/halfway")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("model.safetensors", b"short"),
        ("model.safetensors", b""),
        ("config.json", b"{"),
        ("config.json", b"[]"),
        ("config.json", b'{"model_type": "zork"}'),
        ("tokenizer.json", b"{}"),
    ],
)
def test_a_damaged_bot(cli: CommandLine, finished: Path, file: str, content: bytes) -> None:
    (finished / "bot" / file).write_bytes(content)
    assert cli("generate", finished).refused("runs/me/bot")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff", b'{"name": 1}'])
@pytest.mark.parametrize("args", [["show"], ["train", "--resume"], ["evaluate"]])
def test_a_damaged_record(
    cli: CommandLine, finished: Path, args: list[str], content: bytes
) -> None:
    (finished / "run.json").write_bytes(content)
    assert cli(*args, finished).refused("runs/me")


def test_damaged_posts(cli: CommandLine, finished: Path) -> None:
    (finished / "data" / "kept.parquet").write_bytes(b"PAR1")
    assert cli("generate", finished).refused("kept.parquet")


@pytest.mark.parametrize("content", [None, b"", b"{}", b"[1]"])
def test_a_damaged_report(cli: CommandLine, finished: Path, content: bytes | None) -> None:
    report = finished / "report" / "likeness.json"
    report.unlink()
    if content is not None:
        report.write_bytes(content)
        assert cli("show", finished).refused("likeness.json", "evaluate runs/me")
    else:
        assert cli("show", finished).code == 0


def test_resume_of_a_finished_run(cli: CommandLine, finished: Path) -> None:
    before = contents(finished)
    assert cli("train", "--resume", finished).refused("runs/me is done")
    assert contents(finished) == before


@pytest.mark.parametrize("run", ["missing", "folder", "a.txt"])
def test_resume_of_something_else(cli: CommandLine, here: Path, run: str) -> None:
    _file("a.txt", b"x")
    _folder("folder")
    assert cli("train", "--resume", run).refused(run)
    assert contents(here) == {"a.txt": b"x"}


def test_resume_of_a_run_made_by_a_newer_version(cli: CommandLine, finished: Path) -> None:
    record = json.loads((finished / "run.json").read_text())
    (finished / "run.json").write_text(json.dumps(record | {"format": 99}))
    assert cli("train", "--resume", finished).refused("newer huggingtweets")


def test_resume_with_a_source(cli: CommandLine, halfway: Path, source: Path) -> None:
    before = contents(halfway)
    assert cli("train", source, "--resume", halfway).refused("either SOURCE or --resume")
    assert contents(halfway) == before


def test_the_name_of_an_existing_run(cli: CommandLine, finished: Path, source: Path) -> None:
    before = contents(finished)
    assert cli("train", source, "--name", "me").refused("runs/me is already there", "--name")
    assert contents(finished) == before
    assert [path.name for path in Path("runs").iterdir()] == ["me"]


# -- the Hub ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def _silent_server() -> Iterator[int]:
    """Takes calls and never answers."""
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
    """Answers every call alike."""
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
            del code, size  # not on the screen

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def _without_hub(process: Process, source: Path, **environment: str) -> Outcome:
    began = time.monotonic()
    outcome = process("train", source, "--base", "someone/something", **environment)
    assert time.monotonic() - began < 30  # the clients alone would try for 50 s
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
def test_a_base_that_is_not_here_and_no_network(
    process: Process, source: Path, environment: dict[str, str]
) -> None:
    outcome = _without_hub(process, source, **environment)
    assert outcome.refused("'someone/something' is not on this machine", "reached", "--base pocket")


def test_a_network_that_swallows_everything(process: Process, source: Path) -> None:
    with _silent_server() as port:
        outcome = _without_hub(process, source, HF_ENDPOINT=f"http://127.0.0.1:{port}")
    assert outcome.refused("'someone/something' is not on this machine", "--base pocket")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"404 RepoNotFound", ("no model 'someone/something' on the Hugging Face Hub",)),
        (b"403 GatedRepo", ("accepted its terms", "hf auth login")),
        (b"500", ("not on this machine",)),
    ],
)
def test_what_the_hub_answers(
    process: Process, source: Path, answer: bytes, words: tuple[str, ...]
) -> None:
    with _server(answer) as port:
        outcome = _without_hub(process, source, HF_ENDPOINT=f"http://127.0.0.1:{port}")
    assert outcome.refused("--base pocket", *words)


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
def test_a_disk_that_is_nearly_full(cli: CommandLine, here: Path, source: Path) -> None:
    with _mounted(here / "small", "size=4m") as small:
        assert cli("train", source, "--out", small / "runs").refused("disk is full", "--out")
        assert list(small.iterdir()) == []


@needs_root
def test_a_disk_that_fills_up_while_posts_are_written(
    cli: CommandLine, here: Path, tiny_base: Path
) -> None:
    noise = random.Random(0)
    texts = [" ".join(f"{noise.getrandbits(40):x}" for _ in range(25)) for _ in range(10_000)]
    source = write_csv(here / "gardener.csv", "gardener", texts)
    with _mounted(here / "small", "size=2m") as small:
        (small / "other").write_bytes(b"mine")
        outcome = cli("train", source, "--base", tiny_base, "--out", small / "runs")
        assert outcome.refused("disk is full")
        assert [path.name for path in small.iterdir()] == ["other"]


def test_a_file_that_may_not_grow(
    here: Path, source: Path, tiny_base: Path, plain_environment: dict[str, str]
) -> None:
    """As a full disk, also where one may not mount: posts fit, and what comes later does not."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    done = subprocess.run(
        [*PROGRAM, "train", source, "--base", tiny_base, "--name", "me"],
        cwd=here,
        env=plain_environment,
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=False,
    )
    assert Outcome(done.returncode, done.stdout, done.stderr).refused("runs/me")
    left = contents(here)
    assert all(not name.endswith((".tmp", ".new")) for name in left), left.keys()


@needs_root
def test_a_file_system_that_is_read_only(
    cli: CommandLine, here: Path, source: Path, tiny_base: Path
) -> None:
    with _mounted(here / "fixed", "size=9m,ro") as fixed:
        outcome = cli("train", source, "--base", tiny_base, "--out", fixed / "runs")
        assert outcome.refused("read-only file system", "choose another folder")


@pytest.fixture
def somebody() -> list[str]:
    """Begins a command that runs as one who may not write everywhere."""
    if os.geteuid() != 0:
        return []
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    if subprocess.run([*nobody, PROGRAM[0], "-c", ""], check=False).returncode:
        pytest.skip("nobody else may run this Python")
    return nobody


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A temporary folder that everybody may enter; pytest closes its own."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("out", ["closed", "closed/new/runs"])
def test_a_folder_that_may_not_be_written(
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
        env=plain_environment | {"HOME": str(open_folder)},  # one that may be looked into
        capture_output=True,
        text=True,
        check=False,
    )
    assert Outcome(done.returncode, done.stdout, done.stderr).refused(out, "permission denied")
    assert list((open_folder / "closed").iterdir()) == []


@COMMANDS
def test_a_source_that_may_not_be_read(
    open_folder: Path, somebody: list[str], plain_environment: dict[str, str], command: str
) -> None:
    (open_folder / "secret.txt").touch(mode=0)
    done = subprocess.run(
        [*somebody, *PROGRAM, command, "secret.txt"],
        cwd=open_folder,
        env=plain_environment | {"HOME": str(open_folder)},  # one that may be looked into
        capture_output=True,
        text=True,
        check=False,
    )
    outcome = Outcome(done.returncode, done.stdout, done.stderr)
    assert outcome.refused("secret.txt can't be read: Permission denied")


def test_out_is_a_file(cli: CommandLine, source: Path, tiny_base: Path) -> None:
    out = _file("runs", b"mine")
    assert cli("train", source, "--base", tiny_base).refused("runs")
    assert out.read_bytes() == b"mine"
