"""Unreadable sources: one sentence, exit code 2, and no files left behind."""

from __future__ import annotations

import json
import subprocess
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest
from tests.cli.program import PROGRAM, Outcome, contents
from tests.helpers.posts import made_up_posts
from tests.sources.cases import tar_gz

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.program import CommandLine

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


# The input, and words that the message must contain.
UNREADABLE: dict[str, tuple[Callable[[], Path], tuple[str, ...]]] = {
    "missing file": (lambda: Path("nowhere.zip"), ("no file or folder nowhere.zip",)),
    "missing folder": (lambda: Path("no/where"), ("no file or folder no/where",)),
    "an account": (lambda: Path("@NASA"), ("@NASA looks like an account", "archive")),
    "unknown ending": (lambda: _file("posts.xyz", b"x"), ("posts.xyz", ".csv", ".jsonl")),
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
        ("is truncated", "8 complete items"),
    ),
    "truncated tweets.js": (
        lambda: _file("tweets.js", (HEAD + _tweets(9))[:400].encode()),
        ("tweets.js is truncated",),
    ),
    "truncated jsonl": (
        lambda: _file("a.jsonl", b'{"text": "whole"}\n{"text": "ha'),
        ("Line 2 of a.jsonl is invalid JSON",),
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
        lambda: _file("a.csv", "text\nhello\n".encode("utf-16-le")),  # without a mark
        ("a.csv has a NUL byte", "UTF-8"),
    ),
    "NUL bytes": (lambda: _file("a.txt", b"hello\x00you\n" * 99), ("NUL byte at 5",)),
    "NUL in an archive": (
        lambda: _zip(Path("a.zip"), data__tweets_dot_js=HEAD + "[\x00]"),
        ("data/tweets.js in a.zip has a NUL byte",),
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
def test_unreadable_source_is_refused(
    cli: CommandLine, here: Path, command: str, case: str
) -> None:
    make, words = UNREADABLE[case]
    source = make()
    before = contents(here)
    outcome = cli(command, source)
    assert outcome.refused(*words)
    assert outcome.out == ""
    assert contents(here) == before
    assert not Path("runs").exists()


@COMMANDS
def test_unknown_speaker_is_refused(cli: CommandLine, here: Path, command: str) -> None:
    source = _chat(Path("result.json"), "Ann", "Bob")
    before = contents(here)
    assert cli(command, source, "--from", "Eve").refused("no message from 'Eve'", "Ann (1)")
    _file("a.txt", b"we lost the teapot\n")
    assert cli(command, "a.txt", "--from", "Eve").refused("--from Eve", "an export of chats")
    Path("a.txt").unlink()
    assert contents(here) == before


@pytest.mark.parametrize("case", UNREADABLE)
def test_unreadable_few_shot_source_is_refused(cli: CommandLine, here: Path, case: str) -> None:
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
        (["--from", "Ada"], ("--from applies to --few-shot SOURCE",)),
        (["--join"], ("--join applies to --few-shot SOURCE",)),
        (["--few-shot", "short.txt"], ("No post of short.txt is left after curation",)),
        (["--few-shot", "long.txt"], ("No post of those to imitate", "64 tokens")),
        (["--few-shot", "a.txt", "-p", "a " * 50], ("shorten the prompt",)),
    ],
)
def test_invalid_few_shot_options_are_refused(
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
def test_line_of_100_megabytes(
    here: Path, plain_environment: dict[str, str], command: str, name: str, head: bytes
) -> None:
    with (here / name).open("wb") as file:
        file.write(head)
        file.seek(BIG)
        file.truncate()
        file.seek(len(head))
        for _ in range(BIG // 1_000_000):
            file.write(b"a" * 1_000_000)
    # The program's own use is measured separately, as it differs between machines.
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
def test_js_variable_may_have_any_name(cli: CommandLine, head: str) -> None:
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
        (["مرحبا بالعالم هذا نص عربي"], ("in 1 post are left",)),
        (made_up_posts(20), ("20 posts are left",)),
    ],
    ids=["emoji only", "right to left", "few"],
)
def test_too_little_text_is_refused(
    cli: CommandLine, posts: list[str], words: tuple[str, ...]
) -> None:
    _file("a.txt", "\n".join(posts).encode())
    assert cli("train", "a.txt").refused("at least 6,000", *words)
    assert not Path("runs").exists()
