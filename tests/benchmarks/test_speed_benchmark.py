"""Tests of the speed benchmark: quick mode runs it for real; checks of tables and files."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from benchmarks.ours import training
from benchmarks.peers import datasets_map, trainer_classic
from benchmarks.speed_plan import QUICK, Plan, Runs, compare, ratio, run_alternately
from benchmarks.speed_results import CLAIMS, FAMILIES, Result, Results, load_results

from benchmarks import (
    markers,
    speed,
    speed_distribution,
    speed_loss,
    speed_process,
    speed_tables,
    speed_training,
)
from huggingtweets.errors import InputError
from huggingtweets.events import Event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.speed_plan import Start
    from benchmarks.speed_process import Task, TaskResult

ROOT = Path(__file__).parents[2]
HERE = "tests.benchmarks.test_speed_benchmark"
MACHINE = {
    "device": "cpu",
    "precision": "bf16",
    "cores": 2,
    "processor": "Some CPU",
    "system": "Linux x86_64",
    "gpu": None,
}
PAGE = f"before\n{speed_tables.BEGIN}\nold\n{speed_tables.END}\nafter\n"


def is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def measure(task: Task) -> TaskResult:
    """Measuring function, called by :func:`speed_process.run`."""
    if task.get("needs"):
        raise ModuleNotFoundError("none", name=task["needs"])
    if task.get("wrong"):
        raise ValueError("two\nlines")
    return {"said": task["say"]}


# --- the quick mode -----------------------------------------------------------------------------


def test_training_and_generation_are_measured(tmp_path: Path) -> None:
    file, page = tmp_path / "speed.json", tmp_path / "page.md"
    page.write_text(PAGE)
    command = [sys.executable, str(ROOT / "benchmarks" / "speed.py"), "--quick", "--here"]
    families = ["training", "generation", "first-token", "gpu"]
    written = ["--cache", str(tmp_path), "--json", str(file), "--markdown", str(page)]
    done = subprocess.run(
        [*command, "--repeats", "1", "--only", *families, *written],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    data = json.loads(file.read_text())
    rows = {row["name"]: row for row in data["rows"]}
    assert set(rows) == {claim.name for claim in CLAIMS if claim.family in families}
    assert data["setup"]["quick"] is True
    assert data["machine"]["cores"] >= 1
    assert {"torch", "transformers", "python"} <= set(data["versions"])
    for name in ("training-classic", "training-matmul", "training-memory", "generation"):
        row = rows[name]
        assert row["value"] > 0, row
        assert row["ours"] > 0
        assert row["commit"] and row["date"]
    assert rows["first-token"]["value"] == pytest.approx(
        rows["first-token"]["ours"] / rows["first-token"]["theirs"]
    )
    ours = rows["training-classic"]["runs"]["ours"][0]
    assert ours["tokens"] >= QUICK.tokens
    classic = rows["training-classic"]["runs"]["classic"][0]
    assert classic["tokens"] == 128 * classic["steps"]  # full blocks
    assert any("distribution" in note for note in rows["generation"]["notes"])
    if is_installed("trl"):
        assert rows["training-sft"]["value"] > 0
        # the same posts, each with one end-of-text token
        assert rows["training-sft"]["runs"]["sft"][0]["tokens"] == ours["tokens"]
    else:
        assert "needs the package" in rows["training-sft"]["why_not"]
    text = page.read_text("utf-8")
    assert "A test with tiny sizes" in text
    assert text.count("| **no** |") + text.count("| yes |") >= 5
    assert "old" not in text


def test_startup_and_curation_are_measured_in_processes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def start(module: str, task: Task, cores: int | None) -> TaskResult:
        if module == "benchmarks.speed_prepare":  # needs torch, unlike these rows
            return {"machine": MACHINE, "versions": {"torch": "1"}, "weights": "none"}
        return speed_process.run(module, task, cores)

    file = tmp_path / "speed.json"
    chosen = ["--quick", "--repeats", "1", "--json", str(file)]
    assert speed.main([*chosen, "--only", "startup", "curation"], start) == 0
    rows = {row["name"]: row for row in json.loads(file.read_text())["rows"]}
    assert list(rows) == ["startup-help", "startup-runs", "curation"]
    assert rows["startup-help"]["ours"] > rows["startup-help"]["theirs"] > 0
    if is_installed("datasets"):
        ours, theirs = (rows["curation"]["runs"][side][0] for side in ("ours", "datasets"))
        assert ours["peak_mb"] > 20
        assert 0.9 < ours["kept"] / theirs["kept"] <= 1
    else:
        assert "needs the package datasets" in rows["curation"]["why_not"]
    output = capsys.readouterr().out
    assert "| `huggingtweets --help`, s |" in output
    assert "GPU" not in output  # not measured


# --- processes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("run", [speed_process.run, speed_process.run_here])
def test_an_error_is_part_of_the_result(run: Start) -> None:
    module = "benchmarks.peers.datasets_map"
    found = run(module, {"file": "nothing.parquet"}, 1)
    if is_installed("datasets"):
        assert re.search(r"^\w+Error at \w+\.py:\d+: ", found["failed"])
    else:
        assert found["missing"] == "datasets"
    assert found["peak_mb"] > 5


def test_a_process_without_a_result_has_failed() -> None:
    found = speed_process.run("benchmarks.nothing", {})
    assert found["failed"].startswith("benchmarks.nothing ended with status 1: ")
    assert "No module named" in found["failed"]


def test_a_missing_package_is_named() -> None:
    assert speed_process.run_here(HERE, {"needs": "trl"})["missing"] == "trl"
    assert speed_process.run_here(HERE, {"wrong": True})["failed"].endswith("two lines")
    assert speed_process.run_here(HERE, {"say": 3})["said"] == 3


def test_peers_do_not_inherit_our_environment_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOMP_SPINCOUNT", "10000")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    inherited = speed_process.environment()
    assert "GOMP_SPINCOUNT" not in inherited
    assert inherited["OMP_NUM_THREADS"] == "1"


# --- order and comparison -----------------------------------------------------------------------


def plan(start: Start, repeats: int = 2) -> Plan:
    return Plan(start, repeats, 2, QUICK, {}, Path(), [])


def test_sides_alternate_and_a_failed_one_is_not_retried() -> None:
    order: list[str] = []

    def start(module: str, task: Task, cores: int | None) -> TaskResult:
        assert cores == 2
        order.append(module)
        return {"missing": "trl"} if module == "sft" else {"rate": task["rate"] * len(order)}

    jobs = {name: (name, {"rate": 2.0}) for name in ("ours", "classic", "sft")}
    runs = run_alternately(plan(start, 3), jobs)
    assert order == ["ours", "classic", "sft", "ours", "classic", "ours", "classic"]
    row = compare("training-classic", runs, ("ours", "classic"), lambda a: a["rate"], ratio)
    assert (row.ours, row.theirs, row.value) == (8.0, 10.0, 0.8)
    assert row.reached is False
    assert set(row.runs) == {"ours", "classic"}
    row = compare("training-sft", runs, ("ours", "sft"), lambda a: a["rate"], ratio)
    assert row.value is None
    assert row.reached is None
    assert row.why_not == "not run: needs the package trl (`pip install -e '.[bench]'`)"


def test_a_goal_is_reached_only_if_its_condition_holds() -> None:
    assert Result("generation", value=4.0).reached is True
    assert Result("generation", value=4.0, holds=False).reached is False
    assert Result("training-memory", value=0.5).reached is True
    assert Result("training-memory", value=0.51).reached is False
    assert Result("startup-help", value=0.31).reached is False
    assert Result("training-sft-plain", value=9.0).reached is None
    assert Result("loss-lowest", value=14).reached is False


def test_the_rate_of_emulated_bf16_is_not_the_limit() -> None:
    ours = {"parameters": 1e6, "tokens_per_second": 1e4, "precision": "fp32"}
    hardware = {"bf16": 1e10, "fp32": 1e11}
    runs = Runs({"ours": [ours], "hardware": [hardware]})
    row = speed_training._of_hardware(runs)
    assert (row.ours, row.theirs, row.value) == (60.0, 100.0, 0.6)
    assert speed_training._is_emulated(runs)
    hardware["bf16"] = 2e11
    assert speed_training._of_hardware(runs).theirs == 200.0
    assert not speed_training._is_emulated(runs)


def test_tokens_are_counted_when_steps_differ_in_size() -> None:
    reported = [(1, 900, 2.0), (2, 1000, 4.0), (3, 2000, 6.0)]  # steps, tokens, seconds so far
    events = [
        Event(
            stage="train",
            done=done,
            total=3,
            tokens_per_second=tokens / seconds,
            seconds_left=seconds / done * (3 - done),
        )
        for done, tokens, seconds in reported
    ]
    assert [training.tokens_by(event) for event in events] == [900, 1000, None]
    recorder = training.Recorder(None, [], 0)  # type: ignore[arg-type]
    recorder.steps = [(2.0, 900), (6.0, None)]
    assert recorder.tokens_per_second(2000) == 275.0


def test_time_to_a_loss_and_lowest_kept_loss() -> None:
    curve = [(0.0, 2.0), (1.0, 1.5), (2.0, 1.6), (3.0, 1.2)]
    assert speed_loss.seconds_to(curve, 1.5) == 1.0
    assert speed_loss.seconds_to(curve, 1.55) == 1.0
    assert speed_loss.seconds_to(curve, 1.0) is None
    assert speed_loss.lowest_kept(curve, 2.5) == 1.5
    assert speed_loss.lowest_kept([(5.0, 2.0), (9.0, 1.0)], 3.0) == 2.0


def test_loss_rows_cover_all_authors() -> None:
    def author(start: float, peer: float) -> tuple[TaskResult, TaskResult]:
        mine = {"curve": [(1.0, 2.0), (2.0, start)], "kept": [(1.0, 2.0), (4.0, start)]}
        return mine, {"curve": [(10.0, peer)], "seconds": 10.0}

    found = {"SenSanders": author(1.0, 1.5), "Someone": author(1.6, 1.5)}
    soonest, lowest = (
        speed_loss._soonest(found, Runs(), "loss-seconds"),
        speed_loss._lowest(found, Runs(), 2, "loss-lowest"),
    )
    assert (soonest.ours, soonest.theirs, soonest.value) == (2.0, 10.0, 5.0)
    assert "SenSanders" in soonest.notes[0]
    assert "Someone" not in soonest.notes[0]  # settings may have been chosen on it
    assert len(soonest.notes) == 1
    harmed = speed_loss._soonest({"SenSanders": author(1.0, 2.5)}, Runs(), "loss-seconds")
    assert harmed.value == 10.0
    assert harmed.notes[1].startswith("classic ends above the untouched base")
    assert lowest.value == 1
    assert "not lower: Someone" in lowest.notes
    unfinished = speed_loss._lowest(found, Runs(), 15, "loss-lowest")
    assert (unfinished.value, unfinished.reached) == (None, None)
    assert unfinished.why_not.startswith("lower for 1 of 2 authors")


def test_the_default_base_has_a_memory_row() -> None:
    found = {"A": ({"peak_mb": 600}, {"peak_mb": 1000}), "B": ({"peak_mb": 500}, {"peak_mb": 1000})}
    row = speed_loss._memory(found, Runs(), "default-memory")
    assert (row.ours, row.theirs, row.value, row.reached) == (550.0, 1000.0, 0.55, True)


def test_an_interrupted_loss_benchmark_continues_after_its_last_author(tmp_path: Path) -> None:
    curve = [(1.0, 2.0), (2.0, 1.0)]
    trained: list[str] = []

    def start(module: str, task: Task, _cores: int | None) -> TaskResult:
        if module != "benchmarks.speed_prepare":
            trained.append(Path(task["posts"]).stem)
            if len(trained) == 4:
                raise KeyboardInterrupt
        return {"curve": curve, "kept": curve, "seconds": 2.0}

    saves: list[Sequence[Result]] = []
    names = [Path("A.parquet"), Path("B.parquet"), Path("C.parquet")]
    plan = Plan(start, 3, 2, QUICK, {"pocket": ""}, tmp_path, names, save=saves.append)
    with pytest.raises(KeyboardInterrupt):
        speed_loss.measure(plan)
    assert trained == ["A", "A", "B", "B"]
    saved = [Result.from_json(json.loads(json.dumps(row.to_json()))) for row in saves[-1]]
    soonest, lowest = speed_loss.measure(replace(plan, earlier=saved))
    assert trained[4:] == ["B", "B", "C", "C"]
    assert set(soonest.runs) == {f"{side}, {name}" for side in speed_loss.SIDES for name in "ABC"}
    assert lowest.value == 0  # both sides have the same loss
    assert speed_loss.earlier(replace(plan, earlier=[soonest])) == {}  # complete: repeat all

    def fails(_module: str, _task: Task, _cores: int | None) -> TaskResult:
        return {"failed": "out of memory"}

    rows = speed_loss.measure(replace(plan, start=fails, earlier=saved))
    assert [(row.value, row.why_not) for row in rows] == [(None, "not run: out of memory (B)")] * 2
    assert set(speed_loss.earlier(replace(plan, earlier=rows))) == {"A"}  # A is kept


def test_different_distributions_have_small_p_values() -> None:
    same = [f"{word} and on" for word in ("the", "a", "we", "my") for _ in range(50)]
    other = [f"{word} and so on and on" for word in ("the", "a") for _ in range(100)]
    assert speed_distribution.first_words(same, same) > 0.9
    assert speed_distribution.first_words(same, other) < 1e-6
    assert speed_distribution.lengths(same, other) < 1e-6


def test_peers_follow_the_original_notebook() -> None:
    found = trainer_classic.blocks([[1, 2], [3], [4, 5, 6]], 0, 4, epochs=2)
    assert [len(block["input_ids"]) for block in found] == [4, 4, 4, 4]
    assert found[0]["input_ids"][0] == 0
    texts = ["RT @a: b", "Fish &amp; chips  https://t.co/x now", "@you #so good"]
    own = [
        t for t, kept in zip(texts, datasets_map.no_retweets({"text": texts}), strict=True) if kept
    ]
    cleaned = datasets_map.clean({"text": own})
    assert cleaned["text"] == ["Fish & chips now", "@you #so good"]
    assert datasets_map.has_three_words(cleaned) == [True, False]
    assert datasets_map.is_new({"text": ["a", "b", "a"]}, set()) == [True, True, False]


# --- table and file -----------------------------------------------------------------------------


def results(*rows: Result) -> Results:
    setup = {"quick": False, "repeats": 3, "weights": "random"}
    return Results(setup, dict(MACHINE), {"torch": "1"}, list(rows))


def make_result(name: str = "training-classic", **changes: Any) -> Result:  # noqa: ANN401 - fields
    row = Result(name, 1234.5, 300.0, 4.115, date="2026-11-21T13:00:00+00:00", commit="abc1234")
    return replace(row, **changes)


def test_every_claim_has_a_row() -> None:
    lines = speed_tables.table([make_result()]).split("\n")
    assert len(lines) == 2 + len(CLAIMS)
    assert len({len(cells(line)) for line in lines}) == 1
    assert cells(lines[2])[2:] == ["1,234", "300", "4.1 x", "≥ 4 x", "yes"]
    assert cells(lines[3])[4:] == [speed_tables.NOT_YET, "≥ 2.5 x", "–"]
    line = speed_tables.row(CLAIMS[-1], Result("gpu", why_not="not run: no GPU"))
    assert cells(line)[2:] == ["", "", "not run: no GPU", "≥ 5 x", "–"]
    assert list(speed.MEASURES) == list(FAMILIES)


def test_numbers_of_a_busy_machine_are_marked() -> None:
    rows = [make_result(busy=1.5), make_result("curation", busy=0.1, notes=["kept 3"])]
    assert speed_tables.notes(rows).split("\n") == [
        "- **Unreliable, as other processes kept up to 1.5 cores busy:** `training-classic`",
        "- `curation`: kept 3",
    ]


def test_only_the_text_between_the_markers_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    for _ in range(2):
        speed_tables.put_markdown(page, results(make_result()))
    text = page.read_text("utf-8")
    assert text.startswith(
        f"before\n{speed_tables.BEGIN}\n\n21 November 2026, commit abc1234. Some"
    )
    assert text.endswith(f"\n{speed_tables.END}\nafter\n")
    assert text.count(speed_tables.HEAD) == 1
    page.write_text("nothing")
    with pytest.raises(InputError, match="needs one line <!-- speed:begin -->"):
        speed_tables.put_markdown(page, results())


def test_the_performance_page_has_the_markers() -> None:
    page = ROOT / "docs" / "performance.md"
    markers.check(page, speed_tables.BEGIN, speed_tables.END)


def test_a_file_keeps_rows_of_the_same_machine_and_settings(tmp_path: Path) -> None:
    file = tmp_path / "speed.json"
    first = results()
    first.put([make_result("curation"), make_result(runs={"ours": [{"seconds": 1.0}]})])
    file.write_text(json.dumps(first.to_json()))
    data = json.loads(file.read_text())
    assert [row["name"] for row in data["rows"]] == ["training-classic", "curation"]
    assert data["rows"][0]["reached"] is True
    again = load_results(file, results())
    assert again.rows == first.rows
    again.put([make_result("curation", value=9.0)])
    assert [row.value for row in again.rows] == [4.115, 9.0]
    other = results()
    other.setup["repeats"] = 1
    assert load_results(file, other).rows == []
    assert [path.name for path in tmp_path.iterdir()] == ["speed.20261121T130000.json"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"rows": [3]}'])
def test_an_unrelated_file_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "speed.json"
    file.write_text(text)
    with pytest.raises(InputError, match="doesn't hold results"):
        load_results(file, results())
    assert file.read_text() == text


def test_bad_options_are_reported_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def start(*_: object) -> TaskResult:
        raise AssertionError("started a process")

    for bad_options in (
        ["--markdown", str(tmp_path / "nothing.md")],
        ["--repeats", "0"],
        ["--seconds", "-1"],
        ["--here"],
    ):
        assert speed.main(bad_options, start) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_test_only_authors_come_first(tmp_path: Path) -> None:
    assert [source.name for source in speed.authors(tmp_path, None)] == ["NASA.zip"]
    (tmp_path / "bench").mkdir()
    for name in ("Aaron", "SenSanders", "PattyMurray"):
        (tmp_path / "bench" / f"{name}.parquet").touch()
    assert [s.stem for s in speed.authors(tmp_path, 2)] == ["PattyMurray", "SenSanders"]
