from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.helpers.posts import made_up_posts, write_csv

from huggingtweets import pipeline
from huggingtweets.data import batching
from huggingtweets.errors import BaseModelError, InputError, InsufficientTextError, TrainingError
from huggingtweets.evaluation import LikenessReport
from huggingtweets.events import ignore
from huggingtweets.nn import language_model
from huggingtweets.pipeline import TrainOptions, preparing
from huggingtweets.storage import run_folder as run
from huggingtweets.storage.run_folder import RunFolder
from huggingtweets.training.recipe import CLASSIC, FAST

if TYPE_CHECKING:
    from huggingtweets.events import Event

RECIPE = FAST.changed(learning_rate=1e-2, epochs=2)
EVENTS: list[Event] = []


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """150 posts of one author and 60 of another, some of which must be dropped."""
    folder = tmp_path_factory.mktemp("sources")
    found = made_up_posts(210, seed=1)
    ann = [*found[:150], "RT @bob: hello there you all", "so short", found[3]]
    return [
        write_csv(folder / "ann.csv", "ann", ann),
        write_csv(folder / "bob.csv", "bob", found[150:]),
    ]


@pytest.fixture(scope="module")
def options(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainOptions:
    return TrainOptions(
        base=str(tiny_base),
        recipe=RECIPE,
        out=tmp_path_factory.mktemp("out") / "runs",
        device="cpu",
        precision="fp32",
        holdout=0.2,
        seed=1,
    )


@pytest.fixture(scope="module")
def done(sources: list[Path], options: TrainOptions) -> RunFolder:
    """A finished run of two authors."""
    return pipeline.train(sources, options, EVENTS.append)


def changed(
    options: TrainOptions,
    **values: Any,  # noqa: ANN401 - fields of TrainOptions
) -> TrainOptions:
    return TrainOptions(**{**vars(options), **values})


def test_two_authors_become_one_bot(done: RunFolder) -> None:
    record = done.record()
    assert done.path.name == record.name == "ann-and-bob"
    assert (record.state, record.error, record.authors) == ("done", None, ["ann", "bob"])
    assert record.counts == {
        "downloaded": 213,
        "retweets": 1,
        "short": 1,
        "duplicates": 1,
        "kept": 210,
    }
    assert record.counts_by_author["bob"]["kept"] == 60
    assert {"read and curate", "train", "evaluate"} == set(record.seconds)
    assert record.result["best"] < record.result["history"][0]["held_out_bits_per_byte"]
    # the second author's posts are repeated, so that both have equal weight
    tokens = record.result["tokens"] / RECIPE.epochs
    lm = language_model.load(done.bot)
    train = batching.texts_by_author(done.table("kept"), "train", record.authors)
    of = {author: sum(len(i) + 1 for i in lm.encode_all(train[author])) for author in train}
    assert tokens == pytest.approx(2 * of["ann"], rel=0.01)
    assert of["ann"] > 2 * of["bob"]


def test_authors_keep_the_given_order(
    sources: list[Path], options: TrainOptions, tmp_path: Path
) -> None:
    turned = changed(options, name=None, out=tmp_path)
    assert preparing.read_and_prepare(sources[::-1], turned, ignore).record().name == "bob-and-ann"


def test_newest_posts_of_each_author_are_held_out(done: RunFolder) -> None:
    kept = done.table("kept")
    train = batching.texts_by_author(kept, "train", ["ann", "bob"])
    held_out = batching.texts_by_author(kept, "held_out", ["ann", "bob"])
    assert {author: len(texts) for author, texts in held_out.items()} == {"ann": 30, "bob": 12}
    found = made_up_posts(210, seed=1)
    assert held_out["ann"] == found[120:150]
    assert held_out["bob"] == found[198:]
    assert not set(train["ann"] + train["bob"]) & set(held_out["ann"] + held_out["bob"])


def test_run_folder_layout(done: RunFolder) -> None:
    files = {str(file.relative_to(done.path)) for file in done.path.rglob("*") if file.is_file()}
    assert files - {".lock"} == {
        "run.json",
        "events.jsonl",
        "data/posts.parquet",
        "data/kept.parquet",
        "data/dropped.parquet",
        "bot/config.json",
        "bot/generation_config.json",
        "bot/model.safetensors",
        "bot/tokenizer.json",
        "bot/tokenizer_config.json",
        "bot/README.md",
        "bot/pipeline.svg",
        "bot/predictions.png",
        "report/likeness.json",
        "report/likeness.html",
        "report/generations.json",
        "report/predictions-dark.png",
    }
    assert done.table("posts").height == 213
    assert done.table("dropped")["reason"].sort().to_list() == ["duplicates", "retweets", "short"]
    assert "<svg" in done.report_page.read_text() or "<img" in done.report_page.read_text()
    assert len(json.loads(done.generations_file.read_text())) == 200


def test_report_belongs_to_the_run(done: RunFolder) -> None:
    report = LikenessReport.from_json(json.loads(done.report_json.read_text()))
    result = done.record().result
    assert report.authors == ("ann", "bob")
    assert (report.sizes.train, report.sizes.held_out, report.sizes.generated) == (168, 42, 200)
    assert report.bits_per_byte.bot == pytest.approx(result["best"], rel=1e-5)
    first = result["history"][0]["held_out_bits_per_byte"]
    assert report.bits_per_byte.base == pytest.approx(first, rel=1e-5)
    assert [point.step for point in report.loss] == [p["step"] for p in result["history"]]


def test_card_agrees_with_run_json(done: RunFolder) -> None:
    record, card = done.record(), (done.bot / "README.md").read_text()
    for author, counts in record.counts_by_author.items():
        keys = ("downloaded", "retweets", "short", "duplicates", "kept")
        row = " | ".join(str(counts[key]) for key in keys)
        assert f"| @{author} | {row} |" in card
    assert "42 were held out and 168 were used for training" in card
    assert f"| steps | {record.result['steps']:,} |" in card
    assert f"| tokens | {record.result['tokens']:,} |" in card
    report = LikenessReport.from_json(json.loads(done.report_json.read_text()))
    for cells in report.rows():
        assert f"| {' | '.join(cells)} |" in card
    assert "language: en\n" in card
    assert f"value: {report.bits_per_byte.bot:.4f}".rstrip("0") in card
    assert "AI cyborg of @ann & @bob" in card.replace("&amp;", "&")


def test_little_text_gives_a_warning(done: RunFolder) -> None:
    warnings = [event.message for event in EVENTS if event.stage == "curate" and event.message]
    assert len(warnings) == 1
    assert warnings[0].startswith("Only 2")
    assert [event.counts for event in EVENTS if event.counts] == [done.record().counts]
    stages = list(dict.fromkeys(event.stage for event in EVENTS))
    assert stages == ["read", "curate", "train", "evaluate"]
    logged = [event["stage"] for event in done.events()]
    assert logged == [event.stage for event in EVENTS if event.stage in ("train", "evaluate")]


def test_evaluation_is_reproducible(done: RunFolder) -> None:
    before = {file: file.read_bytes() for file in (done.report_json, done.generations_file)}
    card = (done.bot / "README.md").read_text()
    assert pipeline.evaluate(done.bot).to_json() == json.loads(before[done.report_json])
    assert {file: file.read_bytes() for file in before} == before
    assert (done.bot / "README.md").read_text() == card


def test_the_base_is_measured_again_only_if_training_did_not_begin_with_it(
    sources: list[Path], options: TrainOptions
) -> None:
    run = pipeline.train(sources[0], changed(options, name="alone"))
    record = run.record()
    before = record.result["history"][0]["held_out_bits_per_byte"]
    assert json.loads(run.report_json.read_text())["bits_per_byte"]["base"] == before
    record.result["history"][0]["held_out_bits_per_byte"] = 9.0
    run.save(record)
    assert pipeline.evaluate(run).bits_per_byte.base == 9
    record.forgotten = 1
    run.save(record)
    assert pipeline.evaluate(run).bits_per_byte.base == pytest.approx(before, rel=1e-5)


def test_trained_run_is_only_evaluated(done: RunFolder, tmp_path: Path) -> None:
    run_folder = RunFolder(shutil.copytree(done.path, tmp_path / "copy"))
    shutil.rmtree(run_folder.path / "report")
    record = run_folder.record()
    record.state = "trained"
    run_folder.save(record)
    weights = (run_folder.bot / "model.safetensors").stat().st_mtime_ns
    events: list[Event] = []
    assert pipeline.resume(run_folder.path, events.append).record().state == "done"
    assert {event.stage for event in events} == {"evaluate"}
    assert run_folder.report_json.read_bytes() == done.report_json.read_bytes()
    assert (run_folder.bot / "model.safetensors").stat().st_mtime_ns == weights


def test_finished_run_is_not_resumed_or_replaced(
    done: RunFolder, sources: list[Path], options: TrainOptions
) -> None:
    with pytest.raises(InputError, match="is finished; there is nothing to resume"):
        pipeline.resume(done.path)
    with pytest.raises(InputError, match=r"already exists\. Choose another --name"):
        pipeline.train(sources, changed(options, name=done.path.name))
    assert run.unique_name(done.path.parent, "ann-and-bob") == "ann-and-bob-2"


def test_random_split_depends_on_the_seed(
    sources: list[Path], options: TrainOptions, tmp_path: Path
) -> None:
    def held_out(name: str, seed: int) -> list[str]:
        chosen = changed(options, name=name, out=tmp_path, split="random", holdout=0.5, seed=seed)
        prepared = preparing.read_and_prepare(sources, chosen, EVENTS.append)
        assert prepared.display_state() == "interrupted (prepared)"
        texts = batching.texts_by_author(prepared.table("kept"), "held_out", ["ann", "bob"])
        assert {author: len(of) for author, of in texts.items()} == {"ann": 75, "bob": 30}
        return texts["ann"]

    first = held_out("one", 1)
    assert first == held_out("two", 1)
    assert first != held_out("three", 2)


def test_too_little_text_leaves_no_run(options: TrainOptions, tmp_path: Path) -> None:
    source = write_csv(tmp_path / "ann.csv", "ann", made_up_posts(20))
    with pytest.raises(InsufficientTextError, match="at least 6,000 are needed"):
        pipeline.train([source], changed(options, out=tmp_path / "runs"))
    assert [path.name for path in tmp_path.iterdir()] == ["ann.csv"]


def damaged(base: Path, folder: Path, name: str) -> Path:
    """A copy of a base with one truncated file."""
    copy = Path(shutil.copytree(base, folder))
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[: len(content) // 2])
    return copy


@pytest.mark.parametrize(
    ("base", "told"),
    [
        ("nobody/has-this-one", r"is not on this machine, .* choose the base pocket"),
        ("./no/such/folder", "There is no model folder"),
        ("empty", r"has no config\.json"),
        ("config.json", "can't be used"),
        ("tokenizer.json", "can't be used"),
        ("model.safetensors", "can't be used"),
    ],
)
def test_bad_base_leaves_no_run(
    sources: list[Path], options: TrainOptions, tmp_path: Path, base: str, told: str
) -> None:
    if base == "empty":
        (tmp_path / "base").mkdir()
        base = str(tmp_path / "base")
    elif base.endswith((".json", ".safetensors")):
        base = str(damaged(Path(options.base), tmp_path / "base", base))
    with pytest.raises(BaseModelError, match=told) as caught:
        pipeline.train(sources, changed(options, base=base, out=tmp_path / "runs"))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "runs").exists()


def test_failed_training_is_recorded(
    sources: list[Path], options: TrainOptions, tmp_path: Path
) -> None:
    broken = language_model.load(options.base)
    next(broken.model.parameters()).data.fill_(1e38)  # finite, but not what follows
    broken.save(tmp_path / "base")
    chosen = changed(options, base=str(tmp_path / "base"), out=tmp_path / "runs", name="ann")
    with pytest.raises(TrainingError, match="no longer a number"):
        pipeline.train(sources, chosen)
    failed = RunFolder(tmp_path / "runs" / "ann")
    assert failed.display_state() == "failed"
    assert "no longer a number" in (failed.record().error or "")
    assert not failed.bot.exists()


def test_unwritable_bot_is_one_sentence(tiny_base: Path, tmp_path: Path) -> None:
    code = """
import resource, sys
from pathlib import Path
from huggingtweets.errors import StorageError
from huggingtweets.nn import language_model
from huggingtweets.storage import files
lm = language_model.load(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    with files.atomic_write_dir(Path(sys.argv[2])) as temporary:
        lm.save(temporary)
except StorageError as error:
    print(error)
"""
    bot = tmp_path / "bot"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tiny_base), str(bot)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Can't write {bot}: the file would be larger")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"holdout": 0.0, "split": "oldest"}, ["--holdout", "--split"]),
        ({"seed": -1, "checkpoint_seconds": 0}, ["--seed", "--checkpoint-seconds"]),
        ({"name": "../up"}, ["--name"]),
        ({"minutes": 0.0, "seed": -1}, ["--minutes", "--seed"]),
        ({"minutes": float("inf")}, ["--minutes"]),
        ({"holdout": float("nan"), "name": ".hidden"}, ["--holdout", "--name"]),
    ],
)
def test_all_invalid_options_are_reported_together(values: dict[str, Any], told: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        TrainOptions(**values)
    assert all(option in str(caught.value) for option in told)


def test_short_time_limit_drops_older_posts(options: TrainOptions, tmp_path: Path) -> None:
    source = write_csv(tmp_path / "eve.csv", "eve", made_up_posts(400, seed=2))
    chosen = changed(options, minutes=1e-6, name="hurried")
    record = (made := pipeline.train(source, chosen)).record()
    assert record.config["train_posts"] == 250
    assert record.config["minutes"] == 1e-6
    assert "the newest 250 of 320 posts" in record.config["plan"]
    assert record.config["recipe"]["layers"] == "mlp"
    splits = made.table("kept")["split"].to_list()
    assert splits == ["unused"] * 70 + ["train"] * 250 + ["held_out"] * 80
    assert record.result["steps"] > 0
    said = [event["message"] for event in made.events() if "message" in event]
    assert record.config["plan"] in said


def test_explicit_epochs_and_the_classic_recipe_have_no_limit(options: TrainOptions) -> None:
    for recipe in (FAST.changed(epochs=3), CLASSIC):
        assert preparing.minutes_of(changed(options, recipe=recipe)) is None
    assert preparing.minutes_of(changed(options, recipe=FAST)) == 5
    assert preparing.minutes_of(changed(options, recipe=CLASSIC, minutes=2.0)) == 2


def test_curate_writes_nothing(
    sources: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert pipeline.curate(sources).counts["kept"] == 210
    assert list(tmp_path.iterdir()) == []
