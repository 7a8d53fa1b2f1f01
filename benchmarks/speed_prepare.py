"""Prepare the inputs that both sides share: weights and posts; describe the machine.

GPT-2 small is the real model if this machine's Hugging Face cache has it. Else it is the same
architecture with random weights from a fixed seed, stored as safetensors: speed doesn't depend on
the weights. The random model has the embedded base's tokenizer. Its 16,384 tokens are padded with
synthetic ones to GPT-2's 50,257, so that the logits cost the same and every sampled token is text.
"""

from __future__ import annotations

import json
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.speed_process import run_task

from huggingtweets import curation, pipeline, sources
from huggingtweets.data import batching
from huggingtweets.nn import bases, devices
from huggingtweets.storage import files as atomic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.speed_process import Task, TaskResult

REAL = ("openai-community/gpt2", "gpt2")
_BENCH_PACKAGES = ("accelerate", "datasets", "trl")


def measure(task: Task) -> TaskResult:
    """Prepare ``models`` or ``posts``, as ``task["what"]`` says."""
    if task["what"] == "posts":
        return _posts(task)
    return _models(Path(task["cache"]), tiny=task["tiny"])


def _models(cache: Path, *, tiny: bool) -> TaskResult:
    import torch

    random = _random_gpt2(cache, tiny=tiny)
    real = None if tiny else _real_gpt2()
    machine = devices.select_device("cpu").as_dict()
    machine["gpu"] = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    versions = devices.package_versions()
    for name in _BENCH_PACKAGES:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    architecture = "a tiny GPT-2" if tiny else "GPT-2 small's architecture (124M)"
    return {
        "base": str(real or random),
        "writer": str(random),
        "pocket": str(random if tiny else files("huggingtweets.base")),
        "default": str(random if tiny else _default_base()),
        "weights": "gpt2 of the Hugging Face Hub, random ones for generation"
        if real
        else f"{architecture}, random from seed 0",
        "machine": machine,
        "versions": versions,
    }


def _default_base() -> Path:
    """Return the folder of the first built-in base that is installed."""
    return bases.model_folder(next(filter(bases.is_available, bases.BUILT_IN)))


def _real_gpt2() -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    for name in REAL:
        names = ("config.json", "model.safetensors", "tokenizer.json")
        cached = [try_to_load_from_cache(name, file) for file in names]
        if all(isinstance(file, str) for file in cached):
            return Path(str(cached[0])).parent
    return None


def _random_gpt2(cache: Path, *, tiny: bool) -> Path:
    import torch
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    from huggingtweets.nn.language_model import LanguageModel

    folder = cache / ("gpt2-tiny-seed-0" if tiny else "gpt2-small-seed-0")
    if (folder / "config.json").is_file():
        return folder
    small: dict[str, Any] = {"n_positions": 128, "n_embd": 32, "n_layer": 2, "n_head": 2}
    sizes = small | {"vocab_size": 16_500} if tiny else {}
    config = GPT2Config(bos_token_id=0, eos_token_id=0, **sizes)
    with atomic.atomic_write_dir(folder) as temporary, torch.random.fork_rng(devices=[]):
        _write_tokenizer(temporary, config.vocab_size, config.n_positions)
        torch.manual_seed(0)
        lm = LanguageModel(
            GPT2LMHeadModel(config),
            AutoTokenizer.from_pretrained(temporary, local_files_only=True),
            separator=0,
            context=config.n_positions,
            source="benchmark",
        )
        lm.save(temporary)
    return folder


def _write_tokenizer(folder: Path, size: int, context: int) -> None:
    """Write the embedded base's tokenizer, padded with tokens that are text but in no text."""
    embedded = Path(str(files("huggingtweets.base")))
    content = json.loads((embedded / "tokenizer.json").read_text("utf-8"))
    vocabulary = content["model"]["vocab"]
    for number in range(len(vocabulary), size):
        vocabulary[f"Ġunused{number}"] = number  # Ġ is how byte-level BPE writes a space
    (folder / "tokenizer.json").write_text(json.dumps(content, ensure_ascii=False), "utf-8")
    settings = json.loads((embedded / "tokenizer_config.json").read_text("utf-8"))
    settings["model_max_length"] = context
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")


def _posts(task: Task) -> TaskResult:
    """Read, curate and split posts as ``huggingtweets train`` does; write them as JSON.

    With ``tokens``, only the first training posts with that many tokens are written, and two
    held-out posts, since evaluation is not timed.
    """
    train, held_out = _read(task["sources"])
    if first := task.get("first_posts"):
        train, held_out = train[:first], held_out[: max(2, first // 10)]
    if task.get("tokens"):
        train, held_out = _first_posts(train, task["tokens"], task["base"]), held_out[:2]
    Path(task["file"]).write_text(json.dumps({"train": train, "held_out": held_out}), "utf-8")
    return {"train": len(train), "held_out": len(held_out)}


def _read(names: Sequence[str]) -> tuple[list[str], list[str]]:
    table = sources.read_posts(names)
    kept = curation.curate(table).kept
    table = batching.split(kept, holdout=pipeline.TrainOptions().holdout)
    train = table.filter(table["split"] == "train")["text"].to_list()
    held_out = table.filter(table["split"] == "held_out")["text"].to_list()
    return train, held_out


def _first_posts(posts: list[str], tokens: int, base: str) -> list[str]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(Path(base) / "tokenizer.json"))
    chosen: list[str] = []
    # plus one, as the first separator is not predicted and blocks must be full
    missing = tokens + 1
    for post in posts:
        if missing <= 0:
            return chosen
        chosen.append(post)
        missing -= len(tokenizer.encode(post, add_special_tokens=False).ids) + 1
    return chosen


if __name__ == "__main__":
    run_task(measure)
