"""Each command with valid input: help, output and exit code."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.cli.program import PROGRAM, as_the_demo, contents
from tests.helpers.posts import made_up_posts, write_csv

from huggingtweets.cli import demo
from huggingtweets.cli.commands import MODULES, PANELS
from huggingtweets.cli.console import ConsoleOutput, escape_control_chars
from huggingtweets.cli.train import show_outcome
from huggingtweets.generation.sampling import GeneratedPost
from huggingtweets.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from tests.cli.program import CommandLine, Process

LIKENESS = (
    "bits per byte",
    "copied posts",
    "longest copied run",
    "distinct word pairs",
    "repeats",
    "taken for the author",
)


@pytest.mark.parametrize("command", MODULES)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_shows_an_example(cli: CommandLine, command: str, option: str) -> None:
    outcome = cli(command, option)
    assert outcome.code == 0
    assert f"Example: huggingtweets {command}" in outcome.out
    assert f"Usage: huggingtweets {command}" in outcome.out
    assert outcome.err == ""


def test_help_lists_every_command(cli: CommandLine) -> None:
    outcome = cli("--help")
    assert outcome.code == 0
    assert re.findall(r"^│ (\w[\w-]*) ", outcome.out, re.MULTILINE) == list(MODULES)
    assert re.findall(r"^╭─ ([\w ,]+) ─", outcome.out, re.MULTILINE) == ["Options", *PANELS]


def test_no_arguments_show_the_help(cli: CommandLine) -> None:
    outcome = cli()
    assert outcome.code == 2
    assert "Try: huggingtweets demo" in outcome.out + outcome.err


def test_version(cli: CommandLine) -> None:
    assert re.fullmatch(r"huggingtweets \d+\.\d+\.\d+\n", cli("--version").out)


def test_debug_shows_where_an_error_comes_from(process: Process) -> None:
    outcome = process("--debug", "show", "nothing")
    assert outcome.code == 1
    assert "Traceback" in outcome.err
    assert "BotError: nothing is not a run folder" in outcome.err


def test_curate_shows_counts_examples_and_dropped_posts(cli: CommandLine) -> None:
    posts = ["RT @me: somebody else's words", "two words", *made_up_posts(3)]
    write_csv(Path("me.csv"), "me", [*posts, posts[-1]])
    outcome = cli("curate", "me.csv")
    assert outcome.code == 0
    assert outcome.out.startswith(
        "6 downloaded · 1 retweets · 1 short · 1 duplicates · 3 kept\n"
    ), outcome.out
    for text in posts:
        assert text in outcome.out
    assert not Path("runs").exists()


def test_curate_shows_all_dropped_posts(cli: CommandLine) -> None:
    write_csv(Path("me.csv"), "me", [f"short{i}" for i in range(20)])
    assert cli("curate", "me.csv").out.count("short, ") == 3
    assert cli("curate", "me.csv", "--show-dropped").out.count("short, ") == 20


def test_curate_counts_each_author(cli: CommandLine) -> None:
    for author, n in (("ann", 3), ("bob", 5)):
        write_csv(Path(f"{author}.csv"), author, made_up_posts(n, seed=n))
    outcome = cli("curate", "ann.csv", "bob.csv")
    assert "ann: 3 kept of 3" in outcome.out
    assert "bob: 5 kept of 5" in outcome.out


def test_curate_reads_several_sources_of_one_author(cli: CommandLine) -> None:
    for author, n in (("ann", 3), ("bob", 5)):
        write_csv(Path(f"{author}.csv"), author, made_up_posts(n, seed=n))
    messages = [
        {"id": i, "type": "message", "from": who, "from_id": who, "text": text}
        for i, (who, text) in enumerate(zip("xyy", made_up_posts(3, seed=9), strict=True))
    ]
    chat = {"name": "x", "type": "x", "id": 1, "messages": messages}
    Path("result.json").write_text(json.dumps(chat))
    outcome = cli("curate", "ann.csv", "bob.csv", "result.json", "--from", "y", "--as", "ann")
    assert outcome.out.startswith("left out: 1 of other people\n10 downloaded"), outcome.out
    assert "@" not in outcome.out.split("\n")[2]
    both = cli("curate", "ann.csv", "result.json", "--from", "y")
    assert "ann: 3 kept of 3" in both.out
    assert "y: 2 kept of 2" in both.out


def test_curate_options(cli: CommandLine) -> None:
    Path("a.csv").write_text('words\n"write to me@example.org\nor to @you, please"\n')
    assert cli("curate", "a.csv").refused("words")
    plain = cli("curate", "a.csv", "--text-column", "words")
    assert "write to <email> or to @you, please" in plain.out
    assert "masked: 1 e-mail address" in plain.out
    kept = cli("curate", "a.csv", "--text-column", "words", "--keep-personal")
    assert "write to me@example.org or to @you, please" in kept.out
    assert cli("curate", "a.csv", "--keep-personal", "--scrub").refused("--keep-personal")
    kept = cli("curate", "a.csv", "--text-column", "words", "--keep-newlines")
    assert "<email>\nor to" in kept.out
    masked = cli("curate", "a.csv", "--text-column", "words", "--scrub")
    assert "example.org" not in masked.out
    assert "@you" not in masked.out


def test_train_makes_a_bot(cli: CommandLine, tiny_base: Path) -> None:
    source = write_csv(Path("gardener.csv"), "gardener", made_up_posts(150))
    outcome = cli("train", source, "--base", tiny_base, "--epochs", "1", "--name", "me")
    assert outcome.code == 0, outcome.err
    assert outcome.err == ""
    lines = outcome.out.splitlines()
    assert lines[0].startswith("150 downloaded · 0 retweets")
    assert lines[1].startswith("warning: Only ")
    assert lines[2].startswith("training on ")
    assert lines[3].startswith("training: step ")
    found = [line for line in lines if line.startswith(LIKENESS)]
    assert [line[:7] for line in found] == [name[:7] for name in LIKENESS]
    assert "The bot is in runs/me/bot" in lines
    assert sum("runs/me" in line and line.startswith("  ") for line in lines) == 3
    assert sorted(path.name for path in Path("runs/me").iterdir() if path.name[0] != ".") == [
        *("bot", "data", "events.jsonl", "report", "run.json")
    ]


def test_interrupted_run_is_listed_and_resumes(cli: CommandLine, halfway: Path) -> None:
    assert "interrupted (training)" in cli("runs").out
    shown = cli("show", halfway)
    assert shown.code == 0
    assert "train --resume runs/halfway" in shown.out
    outcome = cli("train", "--resume", halfway)
    assert outcome.code == 0, outcome.err
    assert "The bot is in runs/halfway/bot" in outcome.out
    assert " done" in cli("runs").out


def test_runs(cli: CommandLine, finished: Path, halfway: Path) -> None:
    shutil.copytree(finished, "runs/broken")
    Path("runs/broken/run.json").write_text("{")
    Path("runs/notes").mkdir()
    outcome = cli("runs")
    assert outcome.code == 0
    assert f"{finished} " in outcome.out
    assert f"{halfway} " in outcome.out
    assert "@gardener" in outcome.out
    assert re.search(r"runs/broken .*damaged", outcome.out)
    assert "notes" not in outcome.out


@pytest.mark.parametrize("out", ["runs", "nowhere"])
def test_runs_without_runs(cli: CommandLine, out: str) -> None:
    outcome = cli("runs", "--out", out)
    assert outcome.code == 0
    assert f"No runs in {out} yet" in outcome.out
    assert "demo" in outcome.out
    assert not Path(out).exists()


def test_markup_in_handles_stays_text(cli: CommandLine, finished: Path) -> None:
    record = finished / "run.json"
    record.write_text(record.read_text().replace('"gardener"', '"[red]g[/] [/] \\u001b[31m"'))
    listed = cli("runs")
    assert listed.code == 0
    assert "@[red]g[/] [/] ␛[31m" in listed.out
    shown = cli("show", finished)
    assert shown.code == 0
    assert "@[red]g[/] [/] ␛[31m" in shown.out


def test_show(cli: CommandLine, finished: Path, source: Path) -> None:
    outcome = cli("show", finished)
    assert outcome.code == 0
    for part in ("me: done", "@gardener: 300 downloaded", str(source), "recipe fast", *LIKENESS):
        assert part in outcome.out, part
    record = json.loads((finished / "run.json").read_text())
    record["result"] |= {"way": 0.55, "best": 1.25}
    (finished / "run.json").write_text(json.dumps(record))
    assert (
        "weights interpolated 55% of the way from the base: held-out 1.250 bits"
        in cli("show", finished).out
    )


@pytest.mark.parametrize("bot", ["runs/me", "runs/me/bot", "alone"])
def test_generate(cli: CommandLine, finished: Path, bot: str) -> None:
    if bot == "alone":
        shutil.copytree(finished / "bot", bot)
    outcome = cli("generate", bot, "-n", "3", "--seed", "1")
    assert outcome.code == 0
    assert outcome.out.count("•") == 3
    assert ("the training posts are missing" in outcome.out) == (bot == "alone")
    assert cli("generate", bot, "-n", "3", "--seed", "1").out == outcome.out
    assert cli("generate", bot, "-n", "3", "--seed", "2").out != outcome.out


def test_piped_posts_are_not_wrapped(capsys: pytest.CaptureFixture[str]) -> None:
    long = "word " * 50 + "end"
    ConsoleOutput().posts(iter([GeneratedPost(long), GeneratedPost("one\n\ntwo", copied=True)]))
    assert capsys.readouterr().out == f" • {long}\n • one\n   \n   two  (a copy)\n"


def test_generate_with_a_built_in_base(cli: CommandLine) -> None:
    outcome = cli("generate", "pocket", "-n", "2", "-p", "My dream is", "--max-chars", "40")
    assert outcome.code == 0, outcome.err
    assert outcome.out.count("• My dream is") == 2


def test_generate_few_shot(
    cli: CommandLine, tiny_base: Path, source: Path, posts: list[str]
) -> None:
    draw = ("-n", "3", "--seed", "1", "--temperature", "1", "--top-p", "0.95", "--max-chars", "60")
    asked = ("generate", tiny_base, *draw, "-p", "The cat")
    outcome = cli(*asked, "--few-shot", source)
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("context: 1 of gardener's posts (no more fit)\nThe cat\n")
    assert outcome.out.count("• The cat") == 3
    assert "no training posts" not in outcome.out
    assert posts[-1] not in outcome.out
    assert cli(*asked, "--few-shot", source).out == outcome.out
    assert (
        f"(300 posts are enough for a bot, which comes closer: huggingtweets train {source})"
        in (" ".join(outcome.out.split()))
    )
    # only the newest post matters
    write_csv(Path("newest.csv"), "gardener", posts[-1:])
    one = cli(*asked, "--few-shot", "newest.csv").out
    assert new_posts(one) == new_posts(outcome.out)
    assert "enough for a bot" not in one
    write_csv(Path("other.csv"), "gardener", posts[-2:-1])
    assert new_posts(cli(*asked, "--few-shot", "other.csv").out) != new_posts(outcome.out)


def new_posts(printed: str) -> list[str]:
    """The lines with a new post."""
    return [line for line in printed.splitlines() if line.startswith(" • ")]


def test_train_with_few_posts_names_the_command_that_reads_them(
    cli: CommandLine, tiny_base: Path, posts: list[str]
) -> None:
    write_csv(Path("few posts.csv"), "gardener", posts[:9])
    write_csv(Path("more.csv"), "gardener", posts[9:12])
    asked = ("train", "few posts.csv", "more.csv", "--base", tiny_base, "--text-column", "text")
    outcome = cli(*asked)
    assert outcome.refused("in 12 posts", "at least 6,000 are needed")
    assert not Path("runs").exists()
    named = shlex.split(" ".join(outcome.err.split()).split("trained on them: huggingtweets ")[1])
    files = ["--few-shot", "few posts.csv", "--few-shot", "more.csv"]
    files += ["--few-shot-posts", "12"]
    assert named == ["generate", str(tiny_base), *files, "--text-column", "text"]
    done = cli(*named, "-n", "2")
    assert done.code == 0, done.err
    assert len(new_posts(done.out)) == 2
    Path("none.txt").write_text("too short\n")
    assert "generate" not in cli("train", "none.txt").err


def test_generate_reads_one_person_of_a_chat(
    cli: CommandLine, tiny_base: Path, posts: list[str]
) -> None:
    said = [("Ada", "we lost the blue teapot"), ("Bob", "Ada, look in the shed"), ("Ada", "no Bob")]
    lines = [f"1/2/24, 10:{at:02d} - {who}: {text}\n" for at, (who, text) in enumerate(said * 3)]
    Path("WhatsApp Chat with Bob.txt").write_text("".join(lines), "utf-8")
    asked = ("generate", tiny_base, "-n", "1", "--few-shot", "WhatsApp Chat with Bob.txt")
    assert cli(*asked).refused("Ada", "Bob", "--from")
    one = cli(*asked, "--from", "Ada")
    assert one.code == 0, one.err
    assert one.out.startswith("context: 1 of Ada's posts (there are no more)\n")
    assert cli(*asked, "--from", "Bob").out.startswith("context: 1 of Bob's posts")
    assert cli(*asked, "--from", "Eve").refused("Eve", "Ada")
    many = [f"1/2/24, 11:{at % 60:02d} - Ada: {text}\n" for at, text in enumerate(posts[:90])]
    Path("WhatsApp Chat with Bob.txt").write_text("".join(lines + many), "utf-8")
    enough = " ".join(cli(*asked, "--from", "Ada", "--keep-names").out.split())
    assert "huggingtweets train 'WhatsApp Chat with Bob.txt' --from Ada --keep-names)" in enough


def test_generate_shows_the_number_of_context_posts(cli: CommandLine, tiny_base: Path) -> None:
    Path("a.csv").write_text("who,words\n" + "".join(f"ann,we lost it {i}\n" for i in range(9)))
    asked = ("generate", tiny_base, "-n", "1", "--few-shot", "a.csv", "--text-column", "words")
    assert "context: 2 of a's posts\n" in cli(*asked, "--few-shot-posts", "2").out
    long = "The old cat " * 3
    both = cli(*asked, "--few-shot-posts", "9", "-p", "We", "-p", long).out
    found = re.match(r"context: (\d) to (\d) of a's posts \(no more fit\)\n", both)
    assert found, both
    assert 1 <= int(found[1]) < int(found[2]) < 9
    Path("a.csv").write_text("who,words\nann,RT @you: we lost it\nann,we lost it\n")
    assert "context: 1 of a's posts (there are no more)\n" in cli(*asked).out


@pytest.mark.parametrize(
    "prompt", ["My dream is", "[red]x[/] [/]", "<script>", "مرحبا بالعالم", "👩‍👩‍👧", "\x1b[31mred"]
)
def test_generate_accepts_any_prompt(cli: CommandLine, finished: Path, prompt: str) -> None:
    outcome = cli("generate", finished, "-n", "2", "-p", prompt, "--max-chars", "60")
    assert outcome.code == 0
    assert outcome.out.count(escape_control_chars(prompt)) == 3, (
        outcome.out
    )  # the heading and two posts
    assert "\x1b" not in outcome.out


def test_evaluate_reproduces_the_report(cli: CommandLine, finished: Path) -> None:
    before = contents(finished / "report")
    shutil.rmtree(finished / "report")
    outcome = cli("evaluate", finished)
    assert outcome.code == 0, outcome.err
    after = contents(finished / "report")
    assert after["likeness.json"] == before["likeness.json"]
    assert after["generations.json"] == before["generations.json"]
    for name in LIKENESS:
        assert name in outcome.out


def test_demo_leaves_other_runs_alone(cli: CommandLine, finished: Path) -> None:
    finished.rename("runs/demo")
    before = sorted(Path("runs").rglob("*"))
    assert cli("demo").refused("runs/demo")
    assert cli("demo", "--again").refused("runs/demo")
    assert sorted(Path("runs").rglob("*")) == before


def test_old_demo_is_restored_after_a_failure(finished: Path) -> None:
    before = sorted(finished.rglob("*"))
    with pytest.raises(KeyboardInterrupt), demo._backup_run(finished):
        assert not finished.exists()
        raise KeyboardInterrupt
    assert sorted(finished.rglob("*")) == before
    with demo._backup_run(finished):
        finished.mkdir()
    assert [path.name for path in finished.parent.iterdir()] == [finished.name]


def test_existing_demo_is_reused(cli: CommandLine, finished: Path) -> None:
    as_the_demo(finished)
    outcome = cli("demo")
    assert outcome.code == 0, outcome.err
    assert "exists already" in outcome.out
    assert "demo --again" in outcome.out
    assert outcome.out.count("•") == 10
    for name in LIKENESS:
        assert name in outcome.out


@pytest.mark.parametrize("content", [b"{", b""])
def test_damaged_demo_is_refused(cli: CommandLine, finished: Path, content: bytes) -> None:
    finished.rename("runs/demo")
    Path("runs/demo/run.json").write_bytes(content)
    assert cli("demo").refused("runs/demo")


def test_a_run_is_found_by_its_name(cli: CommandLine, finished: Path) -> None:
    assert cli("show", "me").code == 0
    assert cli("generate", "me", "-n", "1").code == 0
    assert cli("share", "me", "--post", "Hello").code == 0
    assert cli("show", "mee").refused("Did you mean runs/me?")
    assert cli("generate", "ME2").refused("Did you mean runs/me?")
    assert cli("show", "runs/mee").refused("Did you mean runs/me?")
    assert cli("show", "something-else").refused("huggingtweets runs lists yours.")
    finished.rename("me")  # a folder of that name comes first
    assert cli("show", "me").code == 0


def test_share_begins_with_the_prompt(cli: CommandLine, finished: Path) -> None:
    shared = cli("share", finished, "--prompt", "The old cat", "--json")
    assert json.loads(shared.out)["post"].startswith("The old cat")


def test_nobody_reads_to_the_end(finished: Path, plain_environment: dict[str, str]) -> None:
    for command in (
        "--help",
        "runs",
        f"show {finished}",
        f"show {finished} --json",
        f"generate {finished} -n 300",
        f"share {finished} --post Hello",
    ):
        with subprocess.Popen(
            [*PROGRAM, *command.split()],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=plain_environment,
        ) as process:
            assert process.stdout
            assert process.stderr
            process.stdout.close()
            assert process.wait(60) == 0, command
            assert process.stderr.read() == b"", command


def test_training_ends_with_posts_and_the_paths_of_report_and_picture(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunFolder(finished)
    kept = run.table("kept").filter(split="train")["text"].to_list()
    new = ["The moon has a new teapot", "Nobody painted my umbrella", "We fly to the kite shop"]
    loop = "again and again and again and again and again and again"
    run.generations_file.write_text(json.dumps([kept[0], loop, " ", *new, "A fourth one"]))
    show_outcome(ConsoleOutput(), run)
    shown = capsys.readouterr().out
    assert "".join(f" • {post}\n" for post in new) in shown
    assert kept[0] not in shown
    assert "A fourth" not in shown
    for path in (run.report_page, run.picture, run.bot):
        assert str(path) in shown
    run.generations_file.unlink()
    show_outcome(ConsoleOutput(), run)
    assert "for example" not in capsys.readouterr().out
