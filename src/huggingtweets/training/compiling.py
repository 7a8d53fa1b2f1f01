"""``torch.compile`` for fine-tuning: of the repeated block only, and only where it pays.

A causal model is one kind of block many times over, so compiling that block once compiles nearly
all of it: for GPT-2 small that takes a tenth of the time that compiling the whole model does. What
was compiled stays in a cache folder, so the next training starts at once. Measuring and sampling
run uncompiled.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from huggingtweets.nn.devices import has_compiler
from huggingtweets.training import layers

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from transformers import PreTrainedModel

    from huggingtweets.nn.devices import ComputeDevice

_WORTH_IT = 1.2e14
"""Floating-point operations of a training from which on compiling is made up for: about four
minutes on two cores. Steps gain 6 % and the first one takes 13 s longer (docs/performance.md)."""


def should_compile(
    wanted: bool | None, machine: ComputeDevice, parameters: int, tokens: int, *, drops: bool
) -> tuple[bool, str]:
    """Whether to compile, and why not.

    Args:
        wanted: what the user says; None decides by itself.
        machine: where the training runs. In fp32 on a CPU products take nearly all the time, so
            there is little to gain; on a GPU a training is over before it is compiled.
        parameters: of the model.
        tokens: of the whole training; a token costs 6 operations a parameter (Kaplan et al. 2020,
            arXiv 2001.08361, section 2.1).
        drops: whether the model has dropout, for which compiled loops draw one number after the
            other: GPT-2 small's step takes a fifth longer so than with ``dropout.replace_dropout``.
    """
    if wanted is not None and not wanted:
        return False, ""
    if machine.device == "cpu" and not has_compiler():
        return False, "not compiled: there is no C++ compiler"
    if wanted:
        return True, ""
    pays = machine.device == "cpu" and machine.precision == "bf16" and not drops
    return pays and 6 * parameters * tokens >= _WORTH_IT, ""


def compile_blocks(model: PreTrainedModel) -> bool:
    """Have a model's repeated blocks compiled when they next run; False where it has none.

    Frozen ones aren't, as they run once a post.
    """
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder()))
    blocks = [one for one in _blocks(model) if any(w.requires_grad for w in one.parameters())]
    for block in blocks:
        block.compile(dynamic=True)  # lengths of posts differ from batch to batch
    return bool(blocks)


def decompile(model: PreTrainedModel) -> None:
    """Let all blocks run uncompiled again."""
    for block in _blocks(model):
        block._compiled_call_impl = None  # noqa: SLF001 - torch has no public way back


@contextmanager
def paused() -> Iterator[None]:
    """Run everything inside uncompiled, so that nothing is compiled for it anew."""
    import torch

    with torch.compiler.set_stance("force_eager"):
        yield


def is_of_the_compiler(error: Exception) -> bool:
    """Whether an error comes from compiling and not from the model."""
    kinds = [kind.__module__ for kind in type(error).__mro__]
    return any(kind.startswith(("torch._dynamo", "torch._inductor")) for kind in kinds)


def forget_cache() -> None:
    """Delete what was compiled: a process killed while compiling leaves half a library there."""
    shutil.rmtree(os.environ.get("TORCHINDUCTOR_CACHE_DIR", cache_folder()), ignore_errors=True)


def cache_folder() -> Path:
    """Where compiled blocks stay."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "huggingtweets" / "compiled"


def _blocks(model: PreTrainedModel) -> list[torch.nn.Module]:
    """The layers of a transformer, where they are of one kind."""
    found = layers.blocks(model)
    return found if len({type(block) for block in found}) == 1 else []
