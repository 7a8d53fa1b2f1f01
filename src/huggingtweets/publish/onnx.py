"""Export a bot as an ONNX file, with its tokenizer and a card that says how to run it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from huggingtweets.errors import InputError
from huggingtweets.events import Event
from huggingtweets.publish import gguf
from huggingtweets.publish.card import CARD, PIPELINE, pipeline_drawing, render_card
from huggingtweets.publish.escaping import one_line
from huggingtweets.publish.facts import PICTURE, Facts
from huggingtweets.publish.files import parts_of

if TYPE_CHECKING:
    from huggingtweets.events import EventHandler
    from huggingtweets.nn.language_model import LanguageModel
    from huggingtweets.storage.run_folder import RunFolder

MODEL = "model.onnx"
_TOKENIZER = "tokenizer.json"
_MOST_DIVERGENCE = 1e-6
"""Nats a token; an fp32 export of SmolLM2 has less than 1e-10."""


@dataclass(frozen=True, slots=True)
class OnnxFacts:
    """An exported file, as its card describes it.

    Attributes:
        bytes: size of the model.
        posts: number of held-out posts that were measured.
        bits_per_byte: of these posts, in onnxruntime.
        bits_per_byte_here: of these posts, before the export.
        divergence: mean divergence from the bot in nats a token.
        largest_difference: of two logits.
    """

    bytes: int
    posts: int
    bits_per_byte: float
    bits_per_byte_here: float
    divergence: float
    largest_difference: float


def check_available() -> None:
    """Check that the packages of the extra are installed.

    Raises:
        InputError: one is missing.
    """
    from huggingtweets.nn import onnx_model

    if not onnx_model.is_available():
        raise InputError(
            f"--to onnx needs {', '.join(onnx_model.PACKAGES[:-1])} and {onnx_model.PACKAGES[-1]}. "
            "Install them with: pip install 'huggingtweets[onnx]'"
        )


def write(run: RunFolder, folder: Path, listen: EventHandler) -> OnnxFacts:
    """Write a bot's ONNX file and what goes with it into a new folder.

    Args:
        run: a finished run.
        folder: an empty folder.
        listen: called with what is being done.

    Raises:
        InputError: the bot can't be exported, or onnxruntime would write otherwise.
        BotError: the bot has no held-out post.
    """
    from huggingtweets.generation import bots
    from huggingtweets.nn import devices
    from huggingtweets.nn.onnx_model import UnknownToOnnxError

    check_available()
    facts = Facts.of(run)
    posts = gguf.held_out_posts(run)[-gguf.MEASURED_POSTS :]
    lm = bots.load_from_run(run).to(devices.select_device("cpu", "fp32"))
    try:
        _copy_tokenizer(run, folder, lm, posts)
        exported = _write_model(lm, folder, posts, facts, listen)
    except UnknownToOnnxError as error:
        raise InputError(
            f"{run.path} can't be exported to ONNX: {error}. Choose --to safetensors."
        ) from error
    (folder / CARD).write_text(render_card(facts, onnx=exported), encoding="utf-8")
    (folder / PIPELINE).write_text(pipeline_drawing(), encoding="utf-8")
    if facts.picture:
        (folder / PICTURE).write_bytes(run.picture.read_bytes())
    return exported


def _write_model(
    lm: LanguageModel, folder: Path, posts: list[str], facts: Facts, listen: EventHandler
) -> OnnxFacts:
    """Write the ONNX file and measure it.

    Raises:
        UnknownToOnnxError: the model can't be exported, or onnxruntime would write otherwise.
    """
    from huggingtweets.generation.batch_engine import supports_padding
    from huggingtweets.nn import onnx_model

    if not supports_padding(lm):
        raise onnx_model.UnknownToOnnxError(
            f"with the architecture {lm.model.config.model_type} not every layer reads all tokens "
            "before a new one"
        )
    listen(Event("export", message=f"to {MODEL}"))
    onnx_model.write(lm, folder / MODEL, _about(facts))
    listen(Event("export", message=f"to {MODEL}, measuring it"))
    found = onnx_model.compare(lm, folder / MODEL, posts)
    if not found.divergence <= _MOST_DIVERGENCE:
        raise onnx_model.UnknownToOnnxError(
            f"onnxruntime's probabilities differ by {found.divergence:.2g} nats a token"
        )
    size = sum(file.stat().st_size for file in folder.glob(f"{MODEL}*"))
    return OnnxFacts(size, len(posts), *found)


def _copy_tokenizer(run: RunFolder, folder: Path, lm: LanguageModel, posts: list[str]) -> None:
    """Copy the tokenizer and the settings; check the tokenizer as other programs load it.

    Raises:
        UnknownToOnnxError: it is not a ``tokenizer.json``, or splits posts in another way.
    """
    from tokenizers import Tokenizer

    from huggingtweets.nn.onnx_model import UnknownToOnnxError

    parts = parts_of(run.bot)
    for name, content in parts.items():
        is_model = name.startswith(("model", "adapter")) or name in (CARD, PIPELINE, PICTURE)
        if isinstance(content, Path) and not is_model:
            shutil.copyfile(content, folder / name)
    if run.is_small:  # its configuration is that of the base
        lm.model.config.save_pretrained(folder)
    if _TOKENIZER not in parts:
        raise UnknownToOnnxError(f"it has no {_TOKENIZER}")
    tokenizer = Tokenizer.from_file(str(folder / _TOKENIZER))
    tokenizer.encode_special_tokens = True  # as text, as LanguageModel.encode does
    encoded = tokenizer.encode_batch(posts, add_special_tokens=False)
    if [one.ids for one in encoded] != lm.encode_all(posts):
        raise UnknownToOnnxError(f"its {_TOKENIZER} splits posts into other tokens than the bot")


def _about(facts: Facts) -> dict[str, str]:
    return {
        "title": one_line(facts.title),
        "description": gguf.said_by(facts),
        "license": gguf.licence(facts),
        "base": one_line(facts.base),
        "huggingtweets": facts.record.versions.get("huggingtweets", ""),
    }
