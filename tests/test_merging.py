"""Merging bots: formulas, a whole run folder, its authors, deletion, and bad input."""

from __future__ import annotations

import copy
import errno
import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
import torch  # noqa: TID253 - a third of the tests computes with it
from tests.helpers.posts import made_up_posts

from huggingtweets import deletion, evaluation, merging, pipeline, publish
from huggingtweets.data import batching
from huggingtweets.data.posts import SCHEMA
from huggingtweets.errors import BaseModelError, BotError, InputError, OptedOutError, StorageError
from huggingtweets.evaluation import sense
from huggingtweets.generation import bots
from huggingtweets.merging import MergeOptions
from huggingtweets.nn import blended, language_model, likelihood
from huggingtweets.nn import merging as weights_merging
from huggingtweets.privacy import opt_out
from huggingtweets.storage import run_folder
from huggingtweets.storage.run_folder import RunFolder, RunRecord

if TYPE_CHECKING:
    from pathlib import Path

    from huggingtweets.nn.language_model import LanguageModel


@pytest.fixture(autouse=True)
def short_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports of eight posts, without the large model that judges their sense."""
    monkeypatch.setattr(evaluation.likeness, "GENERATIONS", 8)
    monkeypatch.setattr(sense, "load_judge", lambda _: None)


def changed(lm: LanguageModel, seed: int) -> LanguageModel:
    """A model with other values in every second weight."""
    torch.manual_seed(seed)
    model = copy.deepcopy(lm.model)
    for number, weight in enumerate(model.parameters()):
        if number % 2 == 0:
            weight.data += 0.1 * torch.randn_like(weight)
    return replace(lm, model=model)


def make_bot(out: Path, author: str, base: Path, seed: int, digest: str | None = None) -> RunFolder:
    """A finished run of one author whose weights were changed at random."""
    lm = language_model.load(base)
    posts = pl.DataFrame(
        {"id": [str(i) for i in range(20)], "text": made_up_posts(20, seed)}
    ).with_columns(
        author=pl.lit(author),
        created_at=pl.datetime_range(
            pl.datetime(2024, 1, 1), pl.datetime(2024, 1, 20), "1d", time_zone="UTC", eager=True
        ),
    )
    posts = posts.with_columns(
        pl.lit(None, kind).alias(name) for name, kind in SCHEMA.items() if name not in posts.columns
    ).select(pl.col(name).cast(kind) for name, kind in SCHEMA.items())
    dropped = posts.clear().with_columns(
        reason=pl.lit(None, pl.String), detail=pl.lit(None, pl.String)
    )
    counts = {"downloaded": 20, "retweets": 0, "short": 0, "duplicates": 0, "kept": 20}
    record = RunRecord(
        name=author,
        authors=[author],
        config={
            "base": str(base),
            "base_digest": digest or lm.digest(),
            "sources": [f"bsky:{author}.example"],
            "seed": seed,
            "recipe": {"name": "fast", "epochs": 1, "learning_rate": 0.001},
        },
        counts=counts,
        counts_by_author={author: counts},
        state="done",
    )
    tables = {"posts": posts, "kept": batching.split(posts, holdout=0.1), "dropped": dropped}
    return run_folder.create(out, record, tables, changed(lm, seed).save)


@pytest.fixture
def two(tmp_path: Path, tiny_base: Path, config: Path) -> list[Path]:
    """Two finished bots of one base."""
    del config
    return [make_bot(tmp_path / "runs", name, tiny_base, i).path for i, name in enumerate("ab")]


@pytest.fixture(scope="module")
def merged_once(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Path:
    """A runs folder with two bots, the bot merged from them, and one merged from that."""
    out = tmp_path_factory.mktemp("merged") / "runs"
    paths = [make_bot(out, name, tiny_base, i).path for i, name in enumerate("ab")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation.likeness, "GENERATIONS", 8)
        patch.setattr(sense, "load_judge", lambda _: None)
        merged = merging.merge(paths, MergeOptions([0.6, 0.4], out=out))
        merging.merge([merged.path, paths[0]], MergeOptions(name="again", out=out))
    return out


@pytest.fixture
def out(tmp_path: Path, merged_once: Path, config: Path) -> Path:
    """A copy of that folder."""
    del config
    shutil.copytree(merged_once, tmp_path / "runs")
    return tmp_path / "runs"


def weights_of(path: Path) -> dict[str, torch.Tensor]:
    model = language_model.load(path).model
    return {name: weight.detach().float() for name, weight in model.named_parameters()}


# -- formulas --------------------------------------------------------------------------------------


def test_linear_is_the_weighted_mean() -> None:
    merged = weights_merging.linear(
        [torch.tensor([1.0, 4.0]), torch.tensor([3.0, 0.0])], [0.25, 0.75]
    )
    assert merged.tolist() == [2.5, 1.0]


def test_slerp_keeps_the_length_of_tensors_of_equal_length() -> None:
    one, other = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    middle = weights_merging.slerp(one, other, 0.5)
    assert middle.tolist() == pytest.approx([0.5**0.5, 0.5**0.5])
    assert weights_merging.slerp(one, one, 0.3).tolist() == pytest.approx([1.0, 0.0])
    assert weights_merging.slerp(one * 0, other, 0.3).tolist() == pytest.approx([0.0, 0.3])


def test_ties_elects_a_sign_and_means_only_the_values_that_have_it() -> None:
    vectors = [torch.tensor([2.0, -3.0, 1.0, 0.0]), torch.tensor([4.0, 1.0, 0.0, 0.0])]
    assert weights_merging.ties(vectors, [0.5, 0.5]).tolist() == [3.0, -3.0, 1.0, 0.0]
    assert weights_merging.trim(vectors[0], 2.0).tolist() == [2.0, -3.0, 0.0, 0.0]


def merged_with(base: LanguageModel, method: Any, scale: float = 1.0) -> dict[str, torch.Tensor]:  # noqa: ANN401
    models = [changed(base, seed) for seed in (1, 2)]
    settings = weights_merging.Settings(method, (0.3, 0.7), scale, 0.2)
    weights_merging.merge_into(models[0].model, [models[1].model], base.model, settings)
    return dict(models[0].model.named_parameters())


def test_task_arithmetic_of_scale_1_is_linear_and_a_larger_scale_goes_further(
    tiny_base: Path,
) -> None:
    base = language_model.load(tiny_base)
    line, task = merged_with(base, "linear"), merged_with(base, "task-arithmetic")
    further = merged_with(base, "task-arithmetic", 2.0)
    for name, origin in base.model.named_parameters():
        assert torch.allclose(line[name], task[name], atol=1e-6)
        assert torch.allclose(further[name] - origin, 2 * (line[name] - origin), atol=1e-5)


@pytest.mark.parametrize("method", weights_merging.METHODS)
def test_weights_that_no_bot_changed_stay_bit_for_bit(method: str, tiny_base: Path) -> None:
    base = language_model.load(tiny_base)
    merged = merged_with(base, method, 1.5)
    moved = [not torch.equal(w, merged[name]) for name, w in base.model.named_parameters()]
    assert moved == [number % 2 == 0 for number in range(len(moved))]


# -- a merged bot ----------------------------------------------------------------------------------


def test_a_merged_bot_is_a_whole_run_of_both_authors(out: Path) -> None:
    run = RunFolder(out / "a-and-b")
    record = run.record()
    assert (record.name, record.authors, record.state) == ("a-and-b", ["a", "b"], "done")
    assert record.counts["kept"] == 40
    assert set(record.counts_by_author) == {"a", "b"}
    assert record.config["sources"] == ["bsky:a.example", "bsky:b.example"]
    assert record.merged["weights"] == [0.6, 0.4]
    report = publish.read_report(run)
    assert set(report.bits_per_byte.by_author) == {"a", "b"}
    assert record.result["best"] == report.bits_per_byte.bot
    card = (run.bot / "README.md").read_text("utf-8")
    assert "merged from 2 bots" in card
    assert "| weight of the bot of @a | 0.6 |" in card
    one, other, merged = (weights_of(out / name / "bot") for name in ("a", "b", "a-and-b"))
    for name, weight in merged.items():
        assert torch.allclose(weight, 0.6 * one[name] + 0.4 * other[name], atol=1e-6)
    index = bots.open_bot(run.path).index
    assert index is not None
    assert {made_up_posts(20, 0)[0], made_up_posts(20, 1)[0]} <= set(index.posts)


def test_posts_that_one_bot_learnt_are_not_held_out(tmp_path: Path, tiny_base: Path) -> None:
    runs = [make_bot(tmp_path / str(i), "a", tiny_base, 0) for i in range(2)]
    kept = runs[1].table("kept")
    runs[1].replace_table("kept", batching.split(kept.drop("split"), holdout=0.3))
    merged = merging.merge([run.path for run in runs], MergeOptions(out=tmp_path / "runs"))
    table = merged.table("kept")
    assert table.height == 20
    assert (table["split"] == "held_out").sum() == 2
    assert table["created_at"].is_sorted()
    assert merged.record().counts["kept"] == 20


def test_deleting_a_post_of_one_bot_reaches_the_bots_merged_from_it(out: Path) -> None:
    merged = RunFolder(out / "a-and-b")
    secret = made_up_posts(20, 0)[3]
    done = deletion.forget(frozenset({"@a 3"}), [RunFolder(out / "a")])
    assert set(done.runs) == {out / "a", merged.path, out / "again"}
    for file in out.rglob("*.parquet"):
        assert secret not in pl.read_parquet(file)["text"].to_list(), file
    assert "merge them again" in (merged.staleness_warning() or "")
    with pytest.raises(BotError, match=r"merged from other bots and is out of date.*merge "):
        pipeline.resume(merged.path)
    with pytest.raises(BotError, match=r"out of date.*--weights 0.6,0.4 --method linear"):
        merging.merge([merged.path, out / "b"], MergeOptions(out=out))


def test_deleting_a_bot_names_the_bots_merged_from_it(out: Path) -> None:
    done = deletion.delete(RunFolder(out / "a"))
    for name in ("a-and-b", "again"):
        held = f"the merged bot {out / name}, which holds its posts, too"
        assert held in done.out_of_reach


@pytest.mark.parametrize("handle", ["b", "b.example"])
def test_opting_out_blocks_the_bots_merged_from_theirs(handle: str, out: Path) -> None:
    opt_out.add([handle])
    with pytest.raises(OptedOutError):
        bots.open_bot(out / "a-and-b")
    with pytest.raises(OptedOutError):
        merging.merge([out / "a", out / "b"], MergeOptions(out=out))


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": [0.6, 0.6]}, "must sum to 1, but 0.6, 0.6 sum to 1.2"),
        ({"weights": [1.5, -0.5]}, "from 0 to 1"),
        ({"weights": [float("nan"), 0.5]}, "from 0 to 1"),
        ({"weights": [0.2, 0.3, 0.5]}, "3 numbers for 2 bots"),
        ({"method": "median"}, "--method must be one of"),
        ({"method": "ties", "scale": float("inf")}, "--scale"),
        ({"density": 0.0}, "--density"),
        ({"name": "a"}, "already exists"),
        ({"name": "a/b"}, "--name"),
    ],
)
def test_a_bad_option_is_told_and_nothing_is_written(
    options: dict[str, Any], message: str, two: list[Path], tmp_path: Path
) -> None:
    before = sorted((tmp_path / "runs").rglob("*"))
    with pytest.raises(InputError, match=message):
        merging.merge(two, MergeOptions(**options, out=tmp_path / "runs"))
    assert [p for p in sorted((tmp_path / "runs").rglob("*")) if p.name != ".lock"] == before


def test_one_bot_or_the_same_bot_twice_is_refused(two: list[Path], tmp_path: Path) -> None:
    out = MergeOptions(out=tmp_path / "runs")
    with pytest.raises(InputError, match="two bots or more"):
        merging.merge(two[:1], out)
    with pytest.raises(InputError, match="named twice"):
        merging.merge([two[0], two[0] / "bot"], out)
    with pytest.raises(InputError, match="slerp merges two bots, not 3"):
        merging.merge([*two, two[0]], replace(out, method="slerp"))
    with pytest.raises(BotError, match="not a run folder"):
        merging.merge([two[0], tmp_path], out)


def test_bots_of_other_bases_are_refused(
    two: list[Path], tmp_path: Path, tiny_base: Path, dropout_base: Path
) -> None:
    options = MergeOptions(out=tmp_path / "runs")
    other = make_bot(tmp_path / "runs", "c", dropout_base, 3)
    with pytest.raises(BotError, match="only bots of one base can be merged"):
        merging.merge([two[0], other.path], options)
    elsewhere = make_bot(tmp_path / "runs", "d", tiny_base, 4, digest="0" * 64)
    with pytest.raises(BotError, match="other weights of"):
        merging.merge([two[0], elsewhere.path], options)
    assert not (tmp_path / "runs" / "a-and-c").exists()


def test_a_base_that_has_changed_since_is_refused(tmp_path: Path, tiny_base: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(tiny_base, base)
    paths = [make_bot(tmp_path / "runs", name, base, i).path for i, name in enumerate("ab")]
    changed(language_model.load(base), 9).save(base)
    with pytest.raises(BaseModelError, match="has changed since"):
        merging.merge(paths, MergeOptions(out=tmp_path / "runs"))


def test_other_tokens_are_refused(two: list[Path], tmp_path: Path) -> None:
    file = two[1] / "bot" / "tokenizer.json"
    values = json.loads(file.read_text("utf-8"))
    vocabulary = values["model"]["vocab"]
    one, other = list(vocabulary)[-2:]
    vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]
    file.write_text(json.dumps(values), "utf-8")
    with pytest.raises(BotError, match="different tokenizers"):
        merging.merge(two, MergeOptions(out=tmp_path / "runs"))
    with pytest.raises(BotError, match="different tokenizers"):
        bots.open_bot(two[0]).blended(bots.open_bot(two[1]), 0.5)


def test_a_run_without_a_digest_of_its_base_is_merged_with_a_warning(
    two: list[Path], tmp_path: Path
) -> None:
    for path in two:
        record = RunFolder(path).record()
        del record.config["base_digest"]
        RunFolder(path).save(record)
    messages: list[str] = []
    run = merging.merge(
        two, MergeOptions(out=tmp_path / "runs"), lambda event: messages.append(event.message)
    )
    assert run.record().config["base_digest"]
    assert any("has no digest of its base" in message for message in messages)


def test_a_full_disk_leaves_nothing(
    two: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(language_model.LanguageModel, "save", full)
    with pytest.raises(StorageError, match="the disk is full"):
        merging.merge(two, MergeOptions(out=tmp_path / "new" / "runs"))
    assert not (tmp_path / "new").exists()


# -- mixing while writing --------------------------------------------------------------------------


def test_a_blend_mixes_the_probabilities_of_both_token_by_token(tiny_base: Path) -> None:
    base = language_model.load(tiny_base)
    one, other = changed(base, 1), changed(base, 2)
    ids = torch.tensor([[0, 5, 9, 7]])
    mixed = blended.blend(one, other, 0.25).model(input_ids=ids).logits.exp()
    parts = [lm.model(input_ids=ids).logits.softmax(-1) for lm in (one, other)]
    assert torch.allclose(mixed, 0.75 * parts[0] + 0.25 * parts[1], atol=1e-6)


def test_the_ends_of_a_blend_write_and_measure_as_its_bots_do(two: list[Path]) -> None:
    one, other = map(bots.open_bot, two)
    for share, alone in ((0.0, one), (1.0, other)):
        mixed = one.blended(other, share)
        written = [
            [post.text for post in bot.generate(n=4, seed=1, max_chars=60)]
            for bot in (mixed, alone)
        ]
        assert written[0] == written[1]
        texts = made_up_posts(3, 7)
        assert likelihood.bits_per_byte(mixed.model, texts) == pytest.approx(
            likelihood.bits_per_byte(alone.model, texts), abs=1e-4
        )
    index = one.blended(other, 0.5).index
    assert index is not None
    assert index.is_copy(made_up_posts(20, 0)[0])
    assert index.is_copy(made_up_posts(20, 1)[0])


def test_a_blend_catches_rows_that_join_and_leave_at_different_times(two: list[Path]) -> None:
    one, other = map(bots.open_bot, two)
    mixed = one.blended(other, 0.5)
    alone = [
        next(iter(mixed.generate(text, 1, seed=3, max_chars=50))).text for text in ("a", "the")
    ]
    posts = {
        post.text for text in ("a", "the") for post in mixed.generate(text, 6, seed=3, max_chars=50)
    }
    assert set(alone) <= posts


def test_the_share_of_a_blend_is_checked(two: list[Path]) -> None:
    one, other = map(bots.open_bot, two)
    with pytest.raises(InputError, match=r"share must be a number from 0 to 1, not 1\.5"):
        one.blended(other, 1.5)
