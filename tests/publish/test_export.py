"""Exports: what a folder holds, what it must not hold, and what is refused."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.cli.test_bad_machine import _mounted, needs_root
from tests.helpers.posts import made_up_posts
from tests.helpers.runs import finished_run

from huggingtweets import deletion
from huggingtweets.errors import BotError, InputError, StorageError
from huggingtweets.nn import language_model, likelihood, llama_cpp
from huggingtweets.publish.export import ExportRecord, export, records
from huggingtweets.training import TrainingTask, fit
from huggingtweets.training.recipe import FAST

if TYPE_CHECKING:
    from pathlib import Path

    from huggingtweets.nn.devices import ComputeDevice
    from huggingtweets.storage.run_folder import RunFolder

POSTS = made_up_posts(8)


@pytest.fixture
def run(tmp_path: Path, tiny_base: Path) -> RunFolder:
    """A finished run whose bot is an untrained model."""
    import polars as pl

    made = finished_run(tmp_path / "runs" / "nasa", tiny_base)
    split = ["train"] * 4 + ["held_out"] * 4
    table = pl.DataFrame({"author": ["NASA"] * 8, "text": POSTS, "lang": ["en"] * 8})
    made.replace_table("kept", table.with_columns(pl.Series("split", split)))
    return made


def test_a_gguf_export_comes_back_and_holds_no_post(run: RunFolder, tmp_path: Path) -> None:
    made = export(run, out=tmp_path / "out" / "bot")
    names = {"nasa-Q8_0.gguf", "Modelfile", "README.md", "pipeline.svg"}
    assert made.sizes.keys() == names
    assert {file.name for file in made.path.iterdir()} == names
    before, after = (
        language_model.load(source) for source in (run.bot, made.path / "nasa-Q8_0.gguf")
    )
    bits = [likelihood.bits_per_byte(lm, POSTS) for lm in (before, after)]
    assert bits[1] == pytest.approx(bits[0], rel=1e-3)
    assert made.gguf is not None
    assert made.gguf.in_llama_cpp
    assert made.gguf.bits_per_byte == pytest.approx(
        likelihood.bits_per_byte(before, POSTS[4:]), 1e-3
    )
    assert "my dream" not in (made.path / "Modelfile").read_text("utf-8").lower()
    for file in made.path.iterdir():
        content = file.read_bytes()
        assert not [post for post in POSTS if post.encode() in content], file


def test_training_on_an_exported_file_goes_on_where_the_bot_was(
    run: RunFolder, tmp_path: Path, posts: list[str], cpu: ComputeDevice
) -> None:
    made = export(run, quantize="f16", out=tmp_path / "out")
    held_out = posts[60:80]
    before = likelihood.bits_per_byte(language_model.load(run.bot).to(cpu), held_out)
    base = language_model.load(made.path / "nasa-F16.gguf")
    trained = fit(TrainingTask(base, [posts[:60]], held_out, FAST, cpu))
    assert trained.history[0]["held_out_bits_per_byte"] == pytest.approx(before, rel=1e-3)
    assert trained.best < before
    base.save(tmp_path / "again")
    again = likelihood.bits_per_byte(language_model.load(tmp_path / "again").to(cpu), held_out)
    assert again == pytest.approx(trained.best, rel=1e-3)


def test_the_card_and_the_modelfile_say_how_to_use_it(run: RunFolder, tmp_path: Path) -> None:
    export(run, quantize="F16", out=tmp_path / "bot")
    card = (tmp_path / "bot" / "README.md").read_text("utf-8")
    for words in ("library_name: llama.cpp", "- gguf", "llama-server -m nasa-F16.gguf -n 32"):
        assert words in card
    assert "held-out bits per byte in llama.cpp" in card
    assert "from transformers" not in card
    lines = (tmp_path / "bot" / "Modelfile").read_text("utf-8").splitlines()
    assert lines[0].startswith("# AI bot of @NASA. I am a machine")
    assert lines[2:4] == ["FROM ./nasa-F16.gguf", 'TEMPLATE """{{ .Prompt }}"""']
    assert "PARAMETER temperature 0.7" in lines


def test_without_llama_cpp_the_file_is_measured_by_reading_it_back(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llama_cpp, "is_available", lambda: False)
    made = export(run, out=tmp_path / "bot").gguf
    assert made is not None
    assert not made.in_llama_cpp
    assert made.bits_per_byte == pytest.approx(made.bits_per_byte_here, rel=1e-3)
    assert "read back from the file" in (tmp_path / "bot" / "README.md").read_text("utf-8")
    with pytest.raises(InputError, match=r"q4_k needs llama\.cpp"):
        export(run, quantize="q4_k", out=tmp_path / "other")


def test_a_safetensors_export_is_the_bot_without_files_of_the_run(
    run: RunFolder, tmp_path: Path
) -> None:
    (run.bot / "notes.txt").write_text(POSTS[0])
    made = export(run, "safetensors", out=tmp_path / "bot")
    assert "notes.txt" not in made.sizes
    loaded = language_model.load(made.path)
    assert loaded.digest() == language_model.load(run.bot).digest()


def test_forget_names_exports_that_it_cannot_reach(run: RunFolder, tmp_path: Path) -> None:
    export(run, "safetensors", out=tmp_path / "bot")
    assert [made.path for made in records(run)] == [str(tmp_path / "bot")]
    done = deletion.delete(run)
    assert any(f"the export {tmp_path / 'bot'} (safetensors, " in it for it in done.out_of_reach)
    assert (tmp_path / "bot").is_dir()


def test_a_damaged_list_of_exports_is_named(run: RunFolder, tmp_path: Path) -> None:
    run.exports_file.write_text("[{")
    with pytest.raises(BotError, match=r"exports\.json is damaged"):
        export(run, "safetensors", out=tmp_path / "bot")
    assert not (tmp_path / "bot").exists()
    assert any("can't be listed" in it for it in deletion.delete(run).out_of_reach)


@pytest.mark.parametrize(
    ("to", "quantize", "words"),
    [
        ("tflite", None, "--to must be gguf, safetensors, adapter, web or onnx, not 'tflite'"),
        ("gguf", "q3", "--quantize must be f16, q8_0, .* not 'q3'"),
        ("safetensors", "f16", "--quantize applies to --to gguf and web"),
        ("onnx", "q8_0", "--quantize applies to --to gguf and web"),
    ],
)
def test_unknown_formats_are_refused(
    run: RunFolder, tmp_path: Path, to: str, quantize: str | None, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        export(run, to, quantize, tmp_path / "out" / "bot")
    assert not (tmp_path / "out").exists()


def test_an_existing_target_an_unfinished_run_and_an_old_bot_are_refused(
    run: RunFolder, tmp_path: Path
) -> None:
    (tmp_path / "bot").mkdir()
    with pytest.raises(StorageError, match="already exists"):
        export(run, out=tmp_path / "bot")
    record = run.record()
    run.save(replace(record, forgotten=2))
    with pytest.raises(BotError, match="out of date"):
        export(run, out=tmp_path / "new")
    run.save(replace(record, state="trained"))
    with pytest.raises(BotError, match="not finished"):
        export(run, out=tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert records(run) == []


def test_an_architecture_that_llama_cpp_does_not_know_leaves_nothing(
    run: RunFolder, tmp_path: Path
) -> None:
    from transformers import OPTConfig, OPTForCausalLM

    config = OPTConfig(
        vocab_size=512,
        hidden_size=32,
        word_embed_proj_dim=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        ffn_dim=32,
    )
    model = OPTForCausalLM(config)
    replace(language_model.load(run.bot), model=model).save(run.bot)
    with pytest.raises(InputError, match=r"architecture is opt.*Choose --to safetensors"):
        export(run, out=tmp_path / "out" / "bot")
    assert not (tmp_path / "out").exists()
    assert records(run) == []


@needs_root
def test_a_full_disk_leaves_nothing(run: RunFolder, tmp_path: Path) -> None:
    with _mounted(tmp_path / "small", "size=64k") as small:
        for to in ("gguf", "safetensors"):
            with pytest.raises(StorageError, match="the disk is full"):
                export(run, to, out=small / "out" / "bot")
            assert not list(small.iterdir())
    assert records(run) == []


def test_an_export_is_listed_once(run: RunFolder, tmp_path: Path) -> None:
    for _ in range(2):
        export(run, "safetensors", out=tmp_path / "bot")
        shutil.rmtree(tmp_path / "bot")
    made = records(run)
    assert [type(record) for record in made] == [ExportRecord]
