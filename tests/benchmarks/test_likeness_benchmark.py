"""Tests of the parts of the likeness benchmark that need no bot."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from benchmarks.likeness_results import TEST_ONLY, Result, Results, Setup, load_results

from benchmarks import (
    likeness,
    likeness_measure,
    likeness_pictures,
    likeness_samples,
    likeness_tables,
)
from huggingtweets.errors import BaseModelError, InputError, Interrupted
from huggingtweets.evaluation.authorship import Authorship
from huggingtweets.evaluation.report import (
    BitsPerByte,
    BotVsHeldOut,
    Copied,
    DiversityPair,
    LikenessReport,
    LongestCopiedRun,
    Sizes,
)
from huggingtweets.nn import language_model
from huggingtweets.training.recipe import FAST

SETUP = Setup({"name": "pocket", "sha256": "ab" * 32}, asdict(FAST), 0.2)


def make_result(author: str, bot: float, compressor: float = 2.0, **changes: Any) -> Result:  # noqa: ANN401 - fields
    report = LikenessReport(
        authors=(author,),
        sizes=Sizes(800, 200, 20_000, 200),
        bits_per_byte=BitsPerByte(bot, bot + 0.5, compressor),
        copied=Copied(0.0, 0.4),
        longest_copied_run=LongestCopiedRun(5, 20, "a", "b"),
        diversity=DiversityPair(BotVsHeldOut(0.9, 0.8), BotVsHeldOut(0.0, 0.01)),
        taken_for_author=Authorship(bot=0.99, held_out=0.98, panel=0.05),
        seed=0,
    )
    values: dict[str, Any] = {
        "seconds": 60.0,
        "tokens_per_second": 4400.0,
        "compressor_stream": compressor - 0.2,
        "source": {"name": f"{author}.parquet", "sha256": author},
    }
    return Result(report, **(values | changes))


def results(*found: Result) -> Results:
    machine = {
        "device": "cpu",
        "precision": "bf16",
        "cores": 2,
        "processor": "Some CPU",
        "system": "Linux x86_64",
    }
    return Results(SETUP, "2026-11-21T13:00:00+00:00", machine, {"torch": "1"}, list(found))


def three_results() -> Results:
    return results(
        make_result("RepJeffries", 1.0),
        make_result("SenSanders", 1.5, 3.0),
        make_result("NASA", 1.7),
    )


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_row_has_both_gains_and_marks_test_only_authors() -> None:
    line = likeness_tables.row(make_result("SenSanders", 1.5, 3.0))
    titles = cells(likeness_tables.head().split("\n")[0])
    assert len(cells(line)) == len(titles) == len(cells(likeness_tables.head().split("\n")[1]))
    assert cells(line)[:8] == [
        "SenSanders*", "1,000", "2.000", "1.500", "3.000", "+50.0 %", "2.800", "+46.4 %"
    ]  # fmt: skip
    assert likeness_tables.row(make_result("NASA", 2.5, 2.0)).startswith("| NASA | ")
    assert "-25.0 %" in likeness_tables.row(make_result("NASA", 2.5, 2.0))


def test_a_missing_measurement_is_a_dash() -> None:
    whole = make_result("NASA", 1.5)
    bits = replace(whole.report.bits_per_byte, compressor=None)
    report = replace(whole.report, bits_per_byte=bits, taken_for_author=None)
    line = likeness_tables.row(replace(whole, report=report, compressor_stream=None))
    assert cells(line).count("–") == 7
    assert cells(likeness_tables.medians([replace(whole, report=report)])[0])[4] == "–"


def test_there_are_medians_of_all_and_of_test_only_authors() -> None:
    lines = likeness_tables.medians(three_results().reports)
    assert [(cells(line)[0], cells(line)[3]) for line in lines] == [
        ("median, 3 all", "1.500"),
        ("median, 2 without NASA and WhiteHouse", "1.250"),
        ("median, 1 test only*", "1.500"),
    ]
    assert len(likeness_tables.medians([make_result("me", 1.0)])) == 1


def test_only_the_text_between_the_markers_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text(f"before\n{likeness_tables.BEGIN}\nold\n{likeness_tables.END}\nafter\n")
    for _ in range(2):
        likeness_tables.put_markdown(file, [three_results()])
    text = file.read_text("utf-8")
    assert text.startswith(
        f"before\n{likeness_tables.BEGIN}\n\n21 November 2026, Some CPU, 2 cores"
    )
    assert text.endswith(f"\n\n{likeness_tables.END}\nafter\n")
    assert "old" not in text
    assert "### Base `pocket` (abababababab)" in text
    assert text.count("| SenSanders* |") == 1


@pytest.mark.parametrize("text", ["", likeness_tables.BEGIN, "{1}\n{0}", "{0}{1}{0}{1}"])
def test_a_page_without_the_markers_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "page.md"
    file.write_text(text.format(likeness_tables.BEGIN, likeness_tables.END))
    with pytest.raises(InputError, match="needs one line <!-- likeness:begin -->"):
        likeness_tables.put_markdown(file, [three_results()])
    with pytest.raises(InputError, match="can't be read"):
        likeness_tables.check_markers(tmp_path / "nothing.md")


def test_the_benchmarks_page_has_the_markers() -> None:
    likeness_tables.check_markers(Path(__file__).parents[2] / "docs" / "benchmarks.md")


def test_the_plot_has_a_row_per_author_best_first() -> None:
    svg = likeness_pictures.dots(three_results())
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    assert [t for t in texts if t in ("NASA", "SenSanders*", "RepJeffries")] == [
        "RepJeffries", "SenSanders*", "NASA"
    ]  # fmt: skip
    assert {"bot", "compressor", "untouched base"} <= set(texts)
    assert "bits per byte of held-out posts (lower is better)" in texts


def with_posts(base: str, *texts: str) -> Results:
    bot = [{"text": text, "copied": text == "b"} for text in texts]
    found = results(make_result("NASA", 1.0, samples={"bot": bot, "markov": [{"text": "#m"}]}))
    return replace(found, setup=replace(SETUP, base={"name": base, "sha256": None}))


def test_samples_are_side_by_side_with_markup_escaped() -> None:
    found = with_posts("pocket", "My *dream* is | <b>\nyou", "b")
    text = likeness_samples.samples([found, with_posts("some/first", "c")], ["NASA", "nobody"])
    assert "| bot from `pocket` | bot from `first` | Markov chain |" in text
    assert r"| My \*dream\* is \| \<b\> you | c | \#m |" in text
    assert "| b **(copy)** | – | – |" in text
    assert text.count("<details>") == text.count("</details>") == 1


def test_results_are_added_to_the_card_of_a_base(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    card.write_text("# A base\n\nread\n\n## What it must not be used for\n\nposing\n")
    for post in ("one", "other"):
        likeness_samples.put_card(card, [with_posts("pocket", post)], ["NASA"])
    text = card.read_text()
    assert text.startswith("# A base\n\nread\n\n## Results\n")
    assert text.endswith("## What it must not be used for\n\nposing\n")
    assert "| author | posts | base | bot | compressor, each post alone | gain | copied |" in text
    assert "| NASA | 1,000 | 1.500 | 1.000 | 2.000 | +50.0 % | 0 % |" in text
    assert "| other |" in text
    assert "| one |" not in text
    card.write_text("something else")
    with pytest.raises(InputError, match="no card of a base"):
        likeness_samples.put_card(card, [with_posts("pocket", "one")], ["NASA"])
    assert card.read_text() == "something else"


def test_saved_results_are_loaded_unchanged(tmp_path: Path) -> None:
    file = tmp_path / "likeness.json"
    written = three_results()
    file.write_text(json.dumps(written.to_json()))
    assert load_results(file, SETUP) == written
    data = json.loads(file.read_text())
    assert data["base"] == {"name": "pocket", "sha256": "ab" * 32}
    assert data["reports"][1]["authors"] == ["SenSanders"]
    assert data["reports"][1]["bits_per_byte"]["bot"] == 1.5
    assert [report["test_only"] for report in data["reports"]] == [False, True, False]


@pytest.mark.parametrize(
    "other",
    [
        replace(SETUP, base={"name": "pocket", "sha256": "cd" * 32}),
        replace(SETUP, recipe=asdict(FAST.changed(epochs=3))),
        replace(SETUP, holdout=0.1),
        replace(SETUP, posts=400),
        replace(SETUP, settings=0),
    ],
)
def test_results_of_another_setup_are_set_aside(tmp_path: Path, other: Setup) -> None:
    file = tmp_path / "likeness.json"
    file.write_text(json.dumps(three_results().to_json()))
    assert load_results(file, other) == Results(other)
    assert [path.name for path in tmp_path.iterdir()] == ["likeness.20261121T130000.json"]


@pytest.mark.parametrize("text", ["", "[]", "{}", "[1", '{"reports": 3}'])
def test_an_unrelated_file_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "likeness.json"
    file.write_text(text)
    with pytest.raises(InputError, match="doesn't hold results"):
        load_results(file, SETUP)
    assert file.read_text() == text


def test_a_rerun_measures_only_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "likeness.json"
    sources = [tmp_path / f"{name}.csv" for name in ("ann", "bob", "cid")]
    for source in sources:
        source.write_text(source.name)
    measured: list[str] = []

    def measure(plan: likeness_measure.Plan, source: Path, setup: Setup) -> Result:
        assert (plan.holdout, setup) == (0.2, SETUP)
        if source.stem == "cid" and "cid" not in measured:
            measured.append("cid")
            raise Interrupted("Stopped.")
        measured.append(source.stem)
        return make_result(source.stem, 1.0, source=likeness_measure.identity(source))

    plan = likeness_measure.Plan(sources, FAST, 0.2)
    with pytest.raises(Interrupted):
        likeness.measured(plan, load_results(file, SETUP), file, measure)
    assert [r.name for r in load_results(file, SETUP).reports] == ["ann", "bob"]
    sources[1].write_text("other posts")
    found = likeness.measured(plan, load_results(file, SETUP), file, measure)
    assert measured == ["ann", "bob", "cid", "bob", "cid"]
    assert [r.name for r in found.reports] == ["ann", "bob", "cid"]
    assert "| ann | 1,000 |" in capsys.readouterr().out


def test_the_plot_is_drawn_from_the_file_of_any_setup(tmp_path: Path) -> None:
    file, plot = tmp_path / "results.json", tmp_path / "plot.svg"
    file.write_text(json.dumps(results(make_result("NASA", 1.5)).to_json()))
    assert likeness.main(["--json", str(file), "--plot", str(plot), "--render"]) == 0
    assert "NASA" in plot.read_text()


def test_the_default_authors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no .*bench"):
        likeness.default_sources(tmp_path)
    for name in ("bench/b", "bench/a", "demo/NASA", "demo/WhiteHouse"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.parquet").touch()
    names = [source.stem for source in likeness.default_sources(tmp_path)]
    assert names == ["a", "b", "NASA", "WhiteHouse"]
    assert [s.stem for s in likeness.default_sources(tmp_path, quick=True)] == ["NASA"]
    assert len(TEST_ONLY) == 5
    assert TEST_ONLY.isdisjoint({"RepJeffries", "SenJohnThune", "NASA"})


def test_a_missing_peer_is_reported_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = str(tmp_path / "nowhere")
    assert likeness.usable([language_model.POCKET, nowhere], optional=[nowhere]) == [
        language_model.POCKET
    ]
    assert capsys.readouterr().out.startswith("Left out: There is no model folder")
    with pytest.raises(BaseModelError):
        likeness.usable([nowhere], optional=[])


def test_each_base_has_its_own_file(tmp_path: Path, tiny_base: Path) -> None:
    file = tmp_path / "l.json"
    assert likeness.own_file(file, "gpt2", several=False) == file
    assert likeness.own_file(file, "a/b", several=True).name == "l-a_b.json"
    weights = likeness_measure.sha256(tiny_base / "model.safetensors")
    assert weights is not None
    assert likeness_measure.fingerprint(str(tiny_base)) == weights
    assert likeness_measure.fingerprint("nobody/nothing") is None


def test_bad_options_are_reported_before_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for bad_options in (
        ["nothing.csv"],
        ["--data", str(tmp_path)],
        ["--quick", "--holdout", "1"],
        ["--quick", "--epochs", "0"],
        ["--quick", "--markdown", str(tmp_path / "nothing.md")],
    ):
        assert likeness.main(bad_options) == 2
        assert capsys.readouterr().err.count("\n") == 1
