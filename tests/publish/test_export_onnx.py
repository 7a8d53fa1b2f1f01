"""ONNX exports: what onnxruntime computes and writes, with any length, and what is refused."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from tests.cli.test_bad_machine import _mounted, needs_root
from tests.helpers.posts import made_up_posts
from tests.helpers.runs import finished_run

from huggingtweets.errors import InputError, StorageError
from huggingtweets.nn import language_model, onnx_model
from huggingtweets.publish.export import export, records
from huggingtweets.publish.onnx import MODEL

if TYPE_CHECKING:
    from pathlib import Path

    from huggingtweets.publish.export import Exported
    from huggingtweets.storage.run_folder import RunFolder

POSTS = made_up_posts(8)


def made_run(folder: Path, base: Path) -> RunFolder:
    """A finished run whose bot is an untrained model."""
    made = finished_run(folder / "runs" / "nasa", base)
    split = ["train"] * 4 + ["held_out"] * 4
    table = pl.DataFrame({"author": ["NASA"] * 8, "text": POSTS, "lang": ["en"] * 8})
    made.replace_table("kept", table.with_columns(pl.Series("split", split)))
    return made


@pytest.fixture
def run(tmp_path: Path, tiny_base: Path) -> RunFolder:
    return made_run(tmp_path, tiny_base)


def grouped_base(tiny_base: Path, folder: Path) -> Path:
    """A Llama with one key-value head for two, as SmolLM2 has, and a context of 128."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tiny = language_model.load(tiny_base)
    config = LlamaConfig.from_dict(
        {**tiny.model.config.to_dict(), "num_key_value_heads": 1, "max_position_embeddings": 128}
    )
    torch.manual_seed(0)
    replace(tiny, model=LlamaForCausalLM(config), context=128).save(folder)
    return folder


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[RunFolder, Exported]:
    """An export of each architecture of the built-in bases, made once."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "gpt2":
        base = request.getfixturevalue("dropout_base")
    else:
        base = grouped_base(request.getfixturevalue("tiny_base"), folder / "base")
    run = made_run(folder, base)
    return run, export(run, "onnx", out=folder / "out" / "bot")


def test_batch_and_lengths_are_dynamic_with_and_without_a_past(
    exported: tuple[RunFolder, Exported],
) -> None:
    import numpy as np
    import torch

    run, made = exported
    lm = language_model.load(run.bot)
    session = onnx_model.open_session(made.path / MODEL)
    for batch in (1, 3):
        for length in (1, 7, min(100, lm.context)):
            ids = torch.randint(0, 512, (batch, length))
            with torch.inference_mode():
                wanted = lm.model(input_ids=ids).logits.numpy()
            found = onnx_model.run_in_two(session, ids.numpy())
            np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_padding_changes_nothing(exported: tuple[RunFolder, Exported]) -> None:
    import numpy as np

    session = onnx_model.open_session(exported[1].path / MODEL)
    past = {
        entry.name: np.zeros((2, entry.shape[1], 0, entry.shape[3]), np.float32)
        for entry in session.get_inputs()[2:]
    }
    ids, mask = np.array([[1, 2, 3, 4], [9, 9, 3, 4]]), np.array([[1, 1, 1, 1], [0, 0, 1, 1]])
    logits = session.run(["logits"], {"input_ids": ids, "attention_mask": mask} | past)[0]
    assert np.isfinite(logits).all()
    alone = onnx_model.run_in_two(session, np.array([[3, 4]]))
    np.testing.assert_allclose(logits[1, 2:], alone[0], atol=1e-5)


def test_the_folder_has_the_tokenizer_the_card_and_no_post(
    exported: tuple[RunFolder, Exported],
) -> None:
    run, made = exported
    assert made.sizes.keys() == {
        *("model.onnx", "config.json", "generation_config.json", "README.md", "pipeline.svg"),
        *("tokenizer.json", "tokenizer_config.json"),
    }
    facts = made.onnx
    assert facts is not None
    assert facts.divergence < 1e-9
    assert facts.largest_difference < 1e-5
    assert facts.bits_per_byte == pytest.approx(facts.bits_per_byte_here, rel=1e-6)
    assert (facts.posts, facts.bytes) == (4, made.sizes["model.onnx"])
    card = (made.path / "README.md").read_text("utf-8")
    for words in ("library_name: onnx", "- onnx\n", "bits per byte in onnxruntime", "| fp32 |"):
        assert words in card
    for file in made.path.iterdir():
        content = file.read_bytes()
        assert not [post for post in POSTS if post.encode() in content], file
        assert not [it for it in (b"site-packages", b"stack_trace", b".py") if it in content] or (
            file.name == "README.md"
        )
    metadata = onnx_model.open_session(made.path / MODEL).get_modelmeta().custom_metadata_map
    assert metadata["description"].startswith("I am a machine")
    assert [(record.path, record.to) for record in records(run)] == [(str(made.path), "onnx")]


def test_the_program_on_the_card_writes_a_post(exported: tuple[RunFolder, Exported]) -> None:
    folder = exported[1].path
    card = (folder / "README.md").read_text("utf-8")
    found = re.search(r"```python\n(.*?)```", card, re.DOTALL)
    assert found
    done = subprocess.run(
        [sys.executable, "-c", found[1]], cwd=folder, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("My dream is")


def test_missing_packages_are_named(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_model, "PACKAGES", ("onnx", "not_onnxscript", "onnxruntime"))
    words = r"needs onnx, not_onnxscript and onnxruntime\. .* 'huggingtweets\[onnx\]'"
    with pytest.raises(InputError, match=words):
        export(run, "onnx", out=tmp_path / "out" / "bot")
    assert not (tmp_path / "out").exists()


def other_models() -> list[Any]:
    from transformers import MambaConfig, MambaForCausalLM, MistralConfig, MistralForCausalLM

    size: dict[str, Any] = {"vocab_size": 512, "hidden_size": 32, "num_hidden_layers": 1}
    heads: dict[str, Any] = {
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "intermediate_size": 32,
    }
    window = MistralConfig(**size, **heads, sliding_window=8, max_position_embeddings=64)
    return [MambaForCausalLM(MambaConfig(**size)), MistralForCausalLM(window)]


def test_models_without_attention_to_all_tokens_are_refused(run: RunFolder, tmp_path: Path) -> None:
    for model in other_models():
        replace(language_model.load(run.bot), model=model).save(run.bot)
        words = rf"to ONNX: .*architecture {model.config.model_type}.*Choose --to safetensors\."
        with pytest.raises(InputError, match=words):
            export(run, "onnx", out=tmp_path / "out" / "bot")
        assert not (tmp_path / "out").exists()
    assert records(run) == []


def test_what_the_exporter_raises_is_one_sentence(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def fail(*_: object, **__: object) -> None:
        raise torch.onnx.errors.OnnxExporterError("a\nlong\nreport")

    monkeypatch.setattr(torch.onnx, "export", fail)
    with pytest.raises(
        InputError, match=r"architecture llama \(OnnxExporterError\)\. Choose"
    ) as it:
        export(run, "onnx", out=tmp_path / "out" / "bot")
    assert "\n" not in str(it.value)
    assert not (tmp_path / "out").exists()


@needs_root
def test_a_full_disk_leaves_nothing(run: RunFolder, tmp_path: Path) -> None:
    with (
        _mounted(tmp_path / "small", "size=16k") as small,
        pytest.raises(StorageError, match="the disk is full"),
    ):
        export(run, "onnx", out=small / "out" / "bot")
    assert records(run) == []
