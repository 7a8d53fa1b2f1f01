"""The report of a sweep: numbers against the synthetic loss, the page, invalid folders."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from tests.sweep.landscape import AUTHORS, POSTS, SPACE, Landscape, bits_per_byte, swept

from huggingtweets.errors import BotError, InputError
from huggingtweets.sweep import objective, study
from huggingtweets.sweep.folder import Settings, SweepFolder
from huggingtweets.sweep.loop import Limit, Loop
from huggingtweets.sweep.report import latest, write_report
from huggingtweets.training import Interrupt

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.timeout(900)  # seconds, more on a busy machine


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[SweepFolder, dict[str, Any]]:
    """A sweep of 40 trials and its report."""
    folder = swept(tmp_path_factory.mktemp("swept") / "sweep", 40)
    return folder, write_report(folder.path)


def test_best_default_and_gain(made: tuple[SweepFolder, dict[str, Any]]) -> None:
    _, report = made
    trials = {trial["trial"]: trial for trial in report["trials"]}
    assert report["counts"]["complete"] + report["counts"]["pruned"] == len(trials) == 40
    best, default = trials[report["best"]["trial"]], trials[report["default"]["trial"]]
    assert default["default"]
    complete = [trial for trial in trials.values() if trial["state"] == "complete"]
    assert best["objective"] == min(trial["objective"] for trial in complete)
    for trial in complete:
        values = [bits_per_byte(trial["recipe"], author) for author in AUTHORS]
        assert trial["objective"] == objective.judge("robust", values)
    assert report["gain"]["objective"] == 1 - best["objective"] / default["objective"]
    for author, gain in report["gain"]["authors"].items():
        assert gain == 1 - best["bits_per_byte"][author] / default["bits_per_byte"][author]
    assert all(trial["objective"] is None for trial in trials.values() if trial not in complete)


def test_importance_finds_the_decisive_parameter(
    made: tuple[SweepFolder, dict[str, Any]],
) -> None:
    _, report = made
    for shares in report["importance"].values():
        assert set(shares) == set(SPACE)
        assert sum(shares.values()) == pytest.approx(1)
        assert max(shares, key=shares.__getitem__) == "learning_rate"
        assert shares["learning_rate"] > 0.6
    assert report["trust"]["warnings"] == []
    assert report["trust"]["out_of_bag_r2"] > 0.5


def test_few_trials_give_a_warning(tmp_path: Path) -> None:
    report = write_report(swept(tmp_path / "sweep", 9).path)
    warnings = report["trust"]["warnings"]
    assert "9 trials are few for 3 hyper-parameters" in warnings[0]
    assert "needs about 30 (10 for each)" in warnings[0]
    fewer = write_report(swept(tmp_path / "other", 2).path)
    assert fewer["importance"] == {"random_forest": {}, "fanova": {}}
    assert "too few to compute importance" in fewer["trust"]["warnings"][0]
    page = (tmp_path / "other" / "report" / "sweep.html").read_text("utf-8")
    assert "too few to compute importance" in page


def test_region_and_own_best_of_each_author(made: tuple[SweepFolder, dict[str, Any]]) -> None:
    _, report = made
    trials = {trial["trial"]: trial for trial in report["trials"]}
    region = [trials[one["trial"]] for one in report["region"]["trials"]]
    for name, field in report["region"]["fields"].items():
        values = [trial["recipe"][name] for trial in region]
        assert field["best"] == [min(values), max(values)]
        assert field["searched"][0] <= field["best"][0] <= field["best"][1] <= field["searched"][1]
    found = {one["author"]: one for one in report["own_best"]}
    assert set(found) == set(AUTHORS)
    best = trials[report["best"]["trial"]]
    for author, one in found.items():
        met = [t["bits_per_byte"][author] for t in trials.values() if author in t["bits_per_byte"]]
        assert one["own"] == min(met)
        assert one["trials"] == len(met)
        assert trials[one["trial"]["trial"]]["bits_per_byte"][author] == one["own"]
        assert one["distance"] == best["bits_per_byte"][author] / one["own"] - 1 >= 0
    distances = [one["distance"] for one in report["own_best"]]
    assert distances == sorted(distances, reverse=True)


def test_cost_of_early_stopping(made: tuple[SweepFolder, dict[str, Any]]) -> None:
    _, report = made
    trials = {trial["trial"]: trial for trial in report["trials"]}
    for curve in report["impatience"]["curves"]:
        trial = trials[curve["trial"]]
        epochs = [epoch for epoch, _ in curve["points"]]
        values = [value for _, value in curve["points"]]
        assert epochs == list(range(trial["recipe"]["epochs"] + 1))
        assert values == sorted(values, reverse=True)
        assert values[-1] == pytest.approx(trial["objective"])
    allowed = report["impatience"]["allowed"]
    objectives = [one["objective"] for one in allowed]
    assert objectives == sorted(objectives, reverse=True)
    assert allowed[-1]["cost"] == 0
    for one in allowed:
        reached = [
            trial["objective"]
            for trial in trials.values()
            if trial["objective"] and trial["recipe"]["epochs"] <= one["epochs"]
        ]
        assert one["objective"] == min(reached)


def test_page_is_self_contained_without_posts(
    made: tuple[SweepFolder, dict[str, Any]],
) -> None:
    folder, report = made
    assert json.loads((folder.path / "report" / "sweep.json").read_text("utf-8")) == report
    page = (folder.path / "report" / "sweep.html").read_text("utf-8")
    assert not re.search(r"<script|<link|@import|<img|\bsrc=", page)
    assert set(re.findall(r"https?://[\w.]+", page)) <= {"http://www.w3.org"}
    assert page.count("<svg") == 4 + len(SPACE)
    assert "A SECRET" not in page
    assert "default-src 'none'" in page
    for author in AUTHORS:
        assert f"<bdi>{author}</bdi>" in page
    for heading in (
        "The best recipe",
        "Importance of hyper-parameters",
        "Loss by hyper-parameter",
        "Gain from a recipe per author",
        "Cost of early stopping",
    ):
        assert heading in page
    best = next(t for t in report["trials"] if t["trial"] == report["best"]["trial"])
    assert f"{best['objective']:.3f}" in page


def test_markup_in_names_stays_text(tmp_path: Path) -> None:
    folder = swept(tmp_path / "a <b> & sweep", 3, name="a <b> & sweep", base="/home/me/<base>")
    report = write_report(folder.path)
    assert report["sweep"]["base"] == "<base>"
    page = (folder.path / "report" / "sweep.html").read_text("utf-8")
    assert "a &lt;b&gt; &amp; sweep" in page
    assert "<b>" not in page
    assert "/home/me" not in page


def test_choices_are_plotted(tmp_path: Path) -> None:
    space = SPACE | {"beta2": [0.9, 0.99, 0.999], "rows": ["posts", "blocks"], "clip": 1.0}
    report = write_report(swept(tmp_path / "sweep", 12, space=space).path)
    assert set(report["importance"]["random_forest"]) == {*SPACE, "beta2", "rows"}
    assert report["region"]["fields"]["rows"]["searched"] == ["posts", "blocks"]


def test_report_has_both_stages(tmp_path: Path) -> None:
    folder = swept(tmp_path / "sweep", 20)
    settings = folder.settings()
    second = study.open_narrow(folder.storage(settings), settings, 0.2)
    Loop(second, settings, Landscape(), lambda _: None, Interrupt()).run(Limit(4, None))
    report = write_report(folder.path)
    assert [trial["stage"] for trial in report["trials"]].count("narrow") == 4
    assert report["counts"]["complete"] + report["counts"]["pruned"] == 24


def test_invalid_folders_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BotError, match=r"is not a sweep folder: it has no sweep\.json"):
        write_report(tmp_path)
    folder = swept(tmp_path / "sweep", 0)
    with pytest.raises(BotError, match=r"No trial of .* is finished yet"):
        write_report(folder.path)
    assert not (folder.path / "report").exists()
    monkeypatch.chdir(tmp_path / "sweep")
    with pytest.raises(InputError, match=r"There is no sweep in sweep\. Name its folder"):
        latest(None)
    monkeypatch.chdir(tmp_path)
    assert latest(None).name == "sweep"


def test_folder_of_an_earlier_version_loads(tmp_path: Path) -> None:
    """The table has no ids and sweep.json lacks later fields."""
    folder = swept(tmp_path / "sweep", 4)
    POSTS.drop("id").write_parquet(folder.authors_file)
    values = json.loads(folder.settings_file.read_text("utf-8"))
    del values["forgotten"]
    folder.settings_file.write_text(json.dumps(values), "utf-8")
    assert isinstance(folder.settings(), Settings)
    assert len(write_report(folder.path)["trials"]) == 4
