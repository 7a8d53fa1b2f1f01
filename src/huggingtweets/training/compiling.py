"""``torch.compile`` for fine-tuning: only the repeated block, and only where it pays.

A causal model repeats one kind of block, so compiling that block compiles nearly the whole model.
For GPT-2 small this takes a tenth of the time needed to compile the whole model. A cache folder
keeps the compiled code, so the next training starts at once. Measuring and sampling run uncompiled.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from huggingtweets.nn.devices import has_compiler
from huggingtweets.storage import user_dirs
from huggingtweets.training import layers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from transformers import PreTrainedModel

    from huggingtweets.nn.devices import ComputeDevice

_MIN_FLOPS = 1.2e14
"""Floating-point operations of the shortest training that is compiled, about four minutes on two
cores. Steps become 6 % faster and the first one takes 13 s longer (docs/lab/speed.md)."""


def should_compile(
    wanted: bool | None, machine: ComputeDevice, parameters: int, tokens: int, *, drops: bool
) -> tuple[bool, str]:
    """Decide whether to compile, with a note if that was requested but is impossible.

    Args:
        wanted: the user's choice; None compiles where it pays.
        machine: where the training runs. In fp32 on a CPU, matrix products take nearly all the
            time, so there is little to gain. On a GPU, training ends before compiling would pay.
        parameters: number of the model's parameters.
        tokens: tokens of the whole training; each costs 6 operations per parameter (Kaplan et al.
            2020, arXiv 2001.08361, section 2.1).
        drops: whether the model has dropout. Compiled code generates random numbers one at a time,
            so a step of GPT-2 small takes a fifth longer than with ``dropout.replace_dropout``.
    """
    if wanted is not None and not wanted:
        return False, ""
    if machine.device == "cpu" and not has_compiler():
        return False, "not compiled: there is no C++ compiler"
    if wanted:
        return True, ""
    pays = machine.device == "cpu" and machine.precision == "bf16" and not drops
    return pays and 6 * parameters * tokens >= _MIN_FLOPS, ""


FAILED = "compiling failed; training continues without it"
"""What the user is told then."""


def compile_blocks(model: PreTrainedModel) -> bool:
    """Compile a model's repeated blocks when they next run; return False if it has none.

    Frozen blocks run once per post, so they stay uncompiled.
    """
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder()))
    trained = [
        block for block in _blocks(model) if any(w.requires_grad for w in block.parameters())
    ]
    for block in trained:
        block.compile(dynamic=True)  # the length of posts differs between batches
    return bool(trained)


def decompile(model: PreTrainedModel) -> None:
    """Run all blocks uncompiled again."""
    for block in _blocks(model):
        block._compiled_call_impl = None  # noqa: SLF001 - torch has no public way to undo it


@contextmanager
def eager() -> Iterator[None]:
    """Run everything inside uncompiled, and compile nothing for it."""
    with torch.compiler.set_stance("force_eager"):
        yield


def is_compiler_error(error: Exception) -> bool:
    """Whether an error comes from the compiler and not from the model."""
    kinds = [kind.__module__ for kind in type(error).__mro__]
    return any(kind.startswith(("torch._dynamo", "torch._inductor")) for kind in kinds)


def recover(model: PreTrainedModel) -> None:
    """After a failure of the compiler, make a model ready to repeat the step uncompiled.

    This deletes the compiled code, because a process killed while compiling leaves an incomplete
    library, and the gradients of the step.
    """
    decompile(model)
    shutil.rmtree(os.environ.get("TORCHINDUCTOR_CACHE_DIR", cache_folder()), ignore_errors=True)
    model.zero_grad()


def cache_folder() -> Path:
    """Folder of the compiled code."""
    return user_dirs.cache_folder() / "compiled"


def _blocks(model: PreTrainedModel) -> list[torch.nn.Module]:
    """The layers of a transformer, or an empty list if they differ in type."""
    blocks = layers.blocks(model)
    return blocks if len({type(block) for block in blocks}) == 1 else []
