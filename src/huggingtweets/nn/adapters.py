"""Small bots: the difference between a bot and its base, in the format of the library `peft`.

A folder has ``adapter_config.json`` and ``adapter_model.safetensors``, so plain peft loads it. The
difference is low-rank pairs, W' = W + scale * B A (LoRA, Hu et al. 2021, arXiv 2106.09685, section
4.1), or whole weights that replace the base's (peft's ``modules_to_save``). Of SmolLM2's 135
million weights, pairs of rank 16 in all linear layers are 4.9 million: 9.8 MB instead of 270.

The metadata of the safetensors file names the base and its digest; in ``adapter_config.json`` peft
would warn of names it doesn't know.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from huggingtweets.nn import model_folder
from huggingtweets.nn.model_folder import UnusableModelError
from huggingtweets.storage import files

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import torch

    from huggingtweets.nn.language_model import LanguageModel

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
MAX_RANK = 1024
"""Largest rank that is read: over the width of most bases, a whole weight is smaller."""

_PREFIX = "base_model.model."
_PAIR = re.compile(r"(.+)\.lora_([AB])\.weight")
_LAYER = re.compile(r"(?:.*\.)?(\d+)\.(.+)")
_NO_TARGETS = "dummy-target-modules"  # peft's own name for it
_UNSUPPORTED = (
    *("use_dora", "lora_bias", "layer_replication", "trainable_token_indices", "use_qalora"),
    *(
        "rank_pattern",
        "alpha_pattern",
        "target_parameters",
        "use_bdlora",
        "alora_invocation_tokens",
    ),
)
"""Settings of peft that change what an adapter computes, and that are not read here."""


@dataclass(frozen=True)
class Adapter:
    """The difference between a bot and its base.

    Attributes:
        base: the base: a built-in name, a Hub id, or a folder on this machine.
        base_digest: :meth:`LanguageModel.digest` of the base; empty if the adapter doesn't say.
        scale: factor of the low-rank product, lora_alpha / r.
        pairs: A, (rank, inputs), and B, (outputs, rank), by the name of a linear layer in the base.
        full: whole weights that replace the base's, by the name of the parameter.
        transposed: whether the base has its linear weights as (inputs, outputs), like GPT-2; peft
            calls this ``fan_in_fan_out``. The pairs are the same.
    """

    base: str
    base_digest: str
    scale: float = 1.0
    pairs: Mapping[str, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)
    full: Mapping[str, torch.Tensor] = field(default_factory=dict)
    transposed: bool = False

    @property
    def rank(self) -> int:
        """Largest rank of its pairs; 0 without pairs."""
        return max((len(a) for a, _ in self.pairs.values()), default=0)

    @property
    def numbers(self) -> int:
        """Number of its weights."""
        pairs = sum(a.numel() + b.numel() for a, b in self.pairs.values())
        return pairs + sum(weight.numel() for weight in self.full.values())


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter alone, without a whole model."""
    return (folder / CONFIG).is_file() and not (folder / "config.json").is_file()


def read(folder: Path) -> Adapter:
    """Read and check the adapter of a folder.

    Raises:
        UnusableModelError: a file is missing or damaged, or has settings that are not supported.
    """
    from safetensors import safe_open

    config = _read_config(folder)
    file = folder / WEIGHTS
    if not file.is_file():
        raise UnusableModelError(f"it has no {WEIGHTS}")
    try:
        model_folder.read_header(file)  # before a header of gigabytes is parsed
        with safe_open(file, "pt") as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - no dict
    except UnusableModelError:
        raise
    except Exception as error:  # for damaged files the library raises any exception
        reason = " ".join(str(error).split())[:100]
        raise UnusableModelError(f"{WEIGHTS} is damaged ({reason})") from error
    pairs, full = _split(tensors)
    rank = config["r"]
    for name, (a, b) in pairs.items():
        _check_pair(name, a, b, rank)
    for name, weight in full.items():
        _check_numbers(name, weight)
    root = math.sqrt(rank) if config.get("use_rslora") else rank
    return Adapter(
        base=metadata.get("base") or config["base_model_name_or_path"],
        base_digest=metadata.get("base_digest", ""),
        scale=config["lora_alpha"] / root,
        pairs=pairs,
        full=full,
        transposed=bool(config.get("fan_in_fan_out")),
    )


def read_base(folder: Path) -> str:
    """Return the name of an adapter's base without reading its weights.

    Raises:
        UnusableModelError: a file is missing or damaged.
    """
    from safetensors import safe_open

    config = _read_config(folder)
    try:
        with safe_open(folder / WEIGHTS, "pt") as opened:
            named = (opened.metadata() or {}).get("base")
    except Exception as error:  # for damaged files the library raises any exception
        raise UnusableModelError(f"{WEIGHTS} is missing or damaged") from error
    return str(named or config["base_model_name_or_path"])


def write(adapter: Adapter, folder: Path) -> None:
    """Write the two files of an adapter into a folder.

    Raises:
        ValueError: it has no weights, or its pairs differ in rank.
        OSError: the disk is full or the folder can't be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    if not adapter.numbers or {len(a) for a, _ in adapter.pairs.values()} - {adapter.rank}:
        raise ValueError("an adapter has weights, and pairs of one rank")
    tensors = {_PREFIX + name: weight for name, weight in adapter.full.items()}
    for name, (a, b) in adapter.pairs.items():
        tensors[f"{_PREFIX}{name}.lora_A.weight"] = a
        tensors[f"{_PREFIX}{name}.lora_B.weight"] = b
    contiguous = {name: weight.detach().cpu().contiguous() for name, weight in tensors.items()}
    named = {"format": "pt", "base": adapter.base, "base_digest": adapter.base_digest}
    try:
        save_file(contiguous, folder / WEIGHTS, named)
    except SafetensorError as error:
        raise files.to_os_error(error) from error
    _sort_metadata(folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(_config(adapter), indent=2) + "\n", "utf-8")


def _sort_metadata(file: Path) -> None:
    """Give equal adapters equal files: safetensors writes metadata in an order of chance.

    The header is JSON after its length in eight bytes; its end may be spaces.
    """
    with file.open("r+b") as opened:
        size = int.from_bytes(opened.read(8), "little")
        header = json.loads(opened.read(size))
        named = header.pop("__metadata__")
        values = {"__metadata__": dict(sorted(named.items()))} | header
        text = json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode()
        opened.seek(8)
        opened.write(text.ljust(size))


def check_fits(adapter: Adapter, base: LanguageModel, digest: str | None = None) -> None:
    """Check that an adapter belongs to a base.

    Args:
        adapter: as read.
        base: with its own weights.
        digest: of the base, if it is known; computing it takes 0.2 s for SmolLM2.

    Raises:
        UnusableModelError: the base has other layers, or other weights.
    """
    weights: dict[str, torch.Tensor] = dict(base.model.named_parameters())
    for name, (a, b) in adapter.pairs.items():
        shape = (b.shape[0], a.shape[1])
        weight = weights.get(f"{name}.weight")
        if weight is None or weight.ndim != 2 or _is_sparse(base.model, name):
            raise UnusableModelError(f"its base {base.source} has no linear layer {name}")
        _check_shape(name, shape, linear_shape(base.model.get_submodule(name)), base.source)
    for name, values in adapter.full.items():
        if name not in weights:
            raise UnusableModelError(f"its base {base.source} has no weight {name}")
        _check_shape(name, tuple(values.shape), tuple(weights[name].shape), base.source)
    if adapter.base_digest and adapter.base_digest != (digest or base.digest()):
        raise UnusableModelError("it was made from other weights than those on this machine")


def fold(model: torch.nn.Module, adapter: Adapter) -> None:
    """Add an adapter to a model's weights, in place: W + scale * B A, computed in fp32.

    The adapter must fit, see :func:`check_fits`. Weights keep their precision and device.
    """
    import torch

    weights: dict[str, torch.Tensor] = dict(model.named_parameters())
    with torch.no_grad():
        for name, (a, b) in adapter.pairs.items():
            weight = weights[f"{name}.weight"]
            change = adapter.scale * (b.to(weight.device).float() @ a.to(weight.device).float())
            if is_transposed(model.get_submodule(name)):
                change = change.T
            weight.copy_(weight.float() + change)
        for name, values in adapter.full.items():
            weights[name].copy_(values)


def is_transposed(module: torch.nn.Module) -> bool:
    """Whether a linear layer's weight is (inputs, outputs), as in transformers' GPT-2."""
    return any(kind.__name__ == "Conv1D" for kind in type(module).__mro__)


def linear_shape(module: torch.nn.Module) -> tuple[int, ...]:
    """Outputs and inputs of a linear layer."""
    shape = tuple(module.get_parameter("weight").shape)
    return shape[::-1] if is_transposed(module) else shape


def _is_sparse(model: torch.nn.Module, name: str) -> bool:
    """Whether a module with a matrix looks rows up instead of multiplying."""
    import torch

    return isinstance(model.get_submodule(name), torch.nn.Embedding)


def _check_shape(name: str, shape: tuple[int, ...], expected: tuple[int, ...], source: str) -> None:
    if shape != expected:
        found, there = ("x".join(map(str, sizes)) for sizes in (shape, expected))
        raise UnusableModelError(f"{name} is {found} in it, but {there} in its base {source}")


def _read_config(folder: Path) -> dict[str, Any]:
    """Read ``adapter_config.json``; what is returned has a base, a rank and an alpha.

    Raises:
        UnusableModelError: it is missing or damaged, or has settings that are not supported.
    """
    try:
        config = model_folder.read_config(folder / CONFIG)
    except OSError as error:
        raise UnusableModelError(f"{CONFIG} can't be read: {error.strerror}") from error
    kind = config.get("peft_type")
    if kind != "LORA":
        raise UnusableModelError(
            f"{CONFIG} describes an adapter of the kind {str(kind)[:40]!r}; only LORA is supported"
        )
    for name in _UNSUPPORTED:
        if config.get(name):
            raise UnusableModelError(f"{CONFIG} sets {name}, which is not supported")
    if config.get("bias", "none") != "none":
        raise UnusableModelError(f"{CONFIG} trains biases, which is not supported")
    rank: Any = config.get("r")
    alpha: Any = config.get("lora_alpha")
    if type(rank) is not int or not 1 <= rank <= MAX_RANK:
        raise UnusableModelError(f"{CONFIG} must have r from 1 to {MAX_RANK}, not {str(rank)[:40]}")
    if type(alpha) not in (int, float) or not 0 < alpha < math.inf:
        raise UnusableModelError(f"{CONFIG} must have lora_alpha over 0, not {str(alpha)[:40]}")
    base = config.get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise UnusableModelError(f"{CONFIG} names no base")
    return config


def _split(
    tensors: Mapping[str, torch.Tensor],
) -> tuple[dict[str, tuple[torch.Tensor, torch.Tensor]], dict[str, torch.Tensor]]:
    """Return the pairs and the whole weights among an adapter's tensors."""
    halves: dict[str, dict[str, torch.Tensor]] = {}
    full = {}
    for name, tensor in sorted(tensors.items()):
        plain = name.removeprefix(_PREFIX)
        if pair := _PAIR.fullmatch(plain):
            halves.setdefault(pair[1], {})[pair[2]] = tensor
        elif ".lora_" in plain:
            raise UnusableModelError(f"{WEIGHTS} has {name[:120]}, which is not supported")
        else:
            full[plain] = tensor
    if lonely := [name for name, both in halves.items() if len(both) < 2]:
        raise UnusableModelError(f"{WEIGHTS} has one half of the pair {lonely[0]} only")
    if not tensors:
        raise UnusableModelError(f"{WEIGHTS} is empty")
    return {name: (both["A"], both["B"]) for name, both in halves.items()}, full


def _check_pair(name: str, a: torch.Tensor, b: torch.Tensor, rank: int) -> None:
    if a.ndim != 2 or b.ndim != 2 or a.shape[0] != rank or b.shape[1] != rank:
        found = " and ".join("x".join(map(str, half.shape)) for half in (a, b))
        raise UnusableModelError(f"{name} is {found} in it, which isn't a pair of rank {rank}")
    for half in (a, b):
        _check_numbers(name, half)


def _check_numbers(name: str, values: torch.Tensor) -> None:
    if not values.is_floating_point():
        raise UnusableModelError(f"{WEIGHTS} has whole numbers where weights must be, in {name}")
    if not model_folder.is_finite(values):
        raise UnusableModelError(
            f"{WEIGHTS} has numbers that are infinite or not a number, in {name}"
        )


def _config(adapter: Adapter) -> dict[str, Any]:
    """Return ``adapter_config.json``: what peft can't do without, and what tells readers most."""
    rank = adapter.rank or 8  # peft wants one where there are no pairs, too
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": adapter.base,
        "r": rank,
        "lora_alpha": _plain(adapter.scale * rank),
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": adapter.transposed,
        "inference_mode": True,
        "modules_to_save": sorted({name.rpartition(".")[0] for name in adapter.full}) or None,
        **_targets(adapter.pairs),
    }


def _plain(number: float) -> float | int:
    return int(number) if number == int(number) else number


def _targets(names: Iterable[str]) -> dict[str, Any]:
    """Name the adapted layers: by what all layers have alike, and by their numbers."""
    names = sorted(names)
    if not names:
        return {"target_modules": _NO_TARGETS}
    by_layer: dict[int, list[str]] = {}
    for name in names:
        if part := _LAYER.fullmatch(name):
            by_layer.setdefault(int(part[1]), []).append(part[2])
    alike = {tuple(parts) for parts in by_layer.values()}
    if len(alike) != 1 or sum(map(len, by_layer.values())) != len(names):
        return {"target_modules": names}
    parts = alike.pop()
    ends = sorted({part.rpartition(".")[2] for part in parts})
    return {
        "target_modules": ends if len(ends) == len(parts) else list(parts),
        "layers_to_transform": sorted(by_layer),
    }
