"""Export a bot as a GGUF file, with a Modelfile for Ollama and a card."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from huggingtweets.errors import BotError, InputError
from huggingtweets.events import Event
from huggingtweets.publish.card import CARD, PIPELINE, pipeline_drawing, render_card
from huggingtweets.publish.escaping import one_line
from huggingtweets.publish.facts import PICTURE, Facts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from huggingtweets.events import EventHandler
    from huggingtweets.nn.gguf_writer import About
    from huggingtweets.nn.language_model import LanguageModel
    from huggingtweets.storage.run_folder import RunFolder

DEFAULT_KIND = "q8_0"
MODELFILE = "Modelfile"
MEASURED_POSTS = 50
"""Held-out posts on which a file is measured: enough to see a fault, in seconds."""

_WHAT_IT_IS = (
    "I am a machine: what I write was never said by {names}. Label my posts as those of an AI."
)
_LICENCE = (
    "None of its own: the weights derive from the posts of {names}, which belong to the author, "
    "and from the base {base}, whose licence still applies."
)


@dataclass(frozen=True, slots=True)
class GgufFacts:
    """An exported file, as its card describes it.

    Attributes:
        file: its name.
        tag: name of the bot in Ollama.
        kind: number format.
        bytes: size.
        post_tokens: maximum length of a post in tokens.
        posts: number of held-out posts that were measured.
        in_llama_cpp: whether llama.cpp measured them, or huggingtweets after reading the file.
        bits_per_byte: of these posts, with the file.
        bits_per_byte_here: of these posts, before the export.
        divergence: mean divergence from the bot in nats a token; None without llama.cpp.
    """

    file: str
    tag: str
    kind: str
    bytes: int
    post_tokens: int
    posts: int
    in_llama_cpp: bool
    bits_per_byte: float
    bits_per_byte_here: float
    divergence: float | None


def check_kind(kind: str) -> None:
    """Check that there is such a number format, and that this machine can make it.

    Raises:
        InputError: there is none, or it needs llama.cpp.
    """
    from huggingtweets.nn import gguf_writer, llama_cpp

    if kind not in gguf_writer.KINDS:
        raise InputError(
            f"--quantize must be {', '.join(gguf_writer.KINDS)}, not {one_line(kind)[:40]!r}."
        )
    if kind == "q4_k" and not llama_cpp.is_available():
        raise InputError(
            "--quantize q4_k needs llama.cpp, which isn't installed here. Choose q4_1, or install "
            "it with: pip install 'huggingtweets[llama-cpp]'"
        )


def write(run: RunFolder, folder: Path, kind: str, listen: EventHandler) -> GgufFacts:
    """Write a bot's GGUF file and what goes with it into a new folder.

    Args:
        run: a finished run.
        folder: an empty folder.
        kind: one of :data:`huggingtweets.nn.gguf_writer.KINDS`.
        listen: called with what is being done.

    Raises:
        InputError: llama.cpp doesn't know such a model, or the bot has no held-out post.
    """
    from huggingtweets.generation import bots
    from huggingtweets.nn import devices, gguf_writer
    from huggingtweets.storage.run_folder import folder_name

    facts = Facts.of(run)
    lm = bots.load_from_run(run).to(devices.select_device("cpu", "fp32"))
    name = folder_name([run.path.absolute().name])
    file = folder / f"{name}-{kind.upper()}.gguf"
    listen(Event("export", message=f"to {file.name}"))
    try:
        gguf_writer.write(lm, file, gguf_writer.KINDS[kind], _about(facts))
    except gguf_writer.UnknownToLlamaCppError as error:
        raise InputError(
            f"{run.path} can't be exported to GGUF: {error}. Choose --to safetensors."
        ) from error
    listen(Event("export", message=f"to {file.name}, measuring it"))
    exported = _measure(lm, file, kind, held_out_posts(run)[-MEASURED_POSTS:])
    (folder / MODELFILE).write_text(modelfile(facts, exported), encoding="utf-8")
    (folder / CARD).write_text(render_card(facts, exported), encoding="utf-8")
    (folder / PIPELINE).write_text(pipeline_drawing(), encoding="utf-8")
    if facts.picture:
        (folder / PICTURE).write_bytes(run.picture.read_bytes())
    return exported


def held_out_posts(run: RunFolder) -> list[str]:
    """Return the held-out posts of a run.

    Raises:
        BotError: there are none.
    """
    from huggingtweets.data import batching

    by_author = batching.texts_by_author(run.table("kept"), "held_out", run.record().authors)
    posts = [post for texts in by_author.values() for post in texts]
    if not posts:
        raise BotError(f"{run.path} has no held-out post to measure the export on.")
    return posts


def modelfile(facts: Facts, exported: GgufFacts) -> str:
    """Return the ``Modelfile`` with which Ollama takes the file in."""
    from huggingtweets.nn.language_model import TEMPERATURE, TOP_P

    settings = {
        "temperature": TEMPERATURE,
        "top_p": TOP_P,
        "top_k": 0,
        "min_p": 0,
        "repeat_penalty": 1,
        "num_predict": exported.post_tokens,
    }
    lines = [
        f"# {one_line(facts.title)}. {said_by(facts)}",
        f"# ollama create {exported.tag} -f {MODELFILE}",
        f"FROM ./{exported.file}",
        'TEMPLATE """{{ .Prompt }}"""',
        *(f"PARAMETER {name} {value}" for name, value in settings.items()),
        f'LICENSE """{licence(facts)}"""',
    ]
    return "\n".join(lines) + "\n"


def _measure(lm: LanguageModel, file: Path, kind: str, posts: Sequence[str]) -> GgufFacts:
    """Measure a file in llama.cpp if it is installed, else by reading it back."""
    from huggingtweets.nn import llama_cpp

    known = partial(
        GgufFacts,
        file=file.name,
        tag=re.sub(r"[^a-z0-9]+", "-", file.stem.lower()).strip("-") or "bot",
        kind=kind,
        bytes=file.stat().st_size,
        post_tokens=lm.max_post_tokens,
        posts=len(posts),
    )
    if llama_cpp.is_available():
        found = llama_cpp.compare(lm, file, posts)
        return known(
            in_llama_cpp=True,
            bits_per_byte=found.bits_per_byte,
            bits_per_byte_here=found.bits_per_byte_here,
            divergence=found.divergence,
        )
    return known(
        in_llama_cpp=False,
        bits_per_byte=_read_back_bits(lm, file, posts),
        bits_per_byte_here=_bits(lm, posts),
        divergence=None,
    )


def _read_back_bits(lm: LanguageModel, file: Path, posts: Sequence[str]) -> float:
    from dataclasses import replace

    from huggingtweets.nn import gguf_files

    model, tokenizer = gguf_files.read(file)
    return _bits(replace(lm, model=model.float(), tokenizer=tokenizer), posts)


def _bits(lm: LanguageModel, posts: Sequence[str]) -> float:
    from huggingtweets.nn import likelihood

    return likelihood.bits_per_byte(lm, posts)


def _about(facts: Facts) -> About:
    from huggingtweets.nn.gguf_writer import About

    hub = facts.hub_base
    return About(
        name=one_line(facts.title),
        licence="other",
        licence_name="author-and-base",
        author=_names(facts),
        description=said_by(facts),
        base=one_line(facts.base),
        base_url=f"https://huggingface.co/{hub}" if hub else "",
        tags=("huggingtweets", "ai-bot", "text-generation"),
        languages=facts.languages,
        version=facts.record.versions.get("huggingtweets", ""),
    )


def _names(facts: Facts) -> str:
    return " & ".join(one_line(name) for name in facts.record.names)


def said_by(facts: Facts) -> str:
    """Return the notice that a machine writes."""
    return _WHAT_IT_IS.format(names=_names(facts))


def licence(facts: Facts) -> str:
    """Return the sentence about the licence of the weights."""
    return _LICENCE.format(names=_names(facts), base=one_line(facts.base)).replace('"', "'")
