"""Training only the top layers; frozen layers are skipped where their output is cached.

A frozen layer gives the same output for a post in every step, so it needs to run only once. This
is known as layer recycling (Saad-Falcon et al. 2022, arXiv 2207.04993; AutoFreeze, arXiv
2102.01386).
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from huggingtweets.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from transformers import PreTrainedModel

_BlockOutput = torch.Tensor | tuple[torch.Tensor | None, ...]


def blocks(model: torch.nn.Module) -> list[torch.nn.Module]:
    """The layers of a transformer: its longest module list that isn't inside another list."""
    outer_lists: dict[str, torch.nn.ModuleList] = {}
    for name, module in model.named_modules():  # outer modules come before those inside them
        nested = any(name.startswith(f"{outer}.") for outer in outer_lists)
        if isinstance(module, torch.nn.ModuleList) and not nested:
            outer_lists[name] = module
    return list(max(outer_lists.values(), key=len, default=[]))


def check(model: torch.nn.Module, top: int) -> None:
    """Check that a model has at least ``top`` layers.

    Raises:
        InputError: it has fewer.
    """
    depth = len(blocks(model))
    if top > depth:
        choice = f"choose all or top:1 to top:{depth}" if depth else "choose all"
        raise InputError(f"--layers top:{top} is too many: this base has {depth} layers; {choice}.")


class Layers:
    """The trained and the frozen layers of a model.

    With ``top`` > 0, only the top layers and the vectors after them (the final norm) are trained.
    The lower layers, the embeddings and the head get ``requires_grad=False``.

    Args:
        model: changed in place.
        top: number of trained layers; 0 trains all weights.

    Raises:
        InputError: the model has fewer than ``top`` layers.
    """

    def __init__(self, model: PreTrainedModel, top: int) -> None:
        check(model, top)
        self.model = model
        self.blocks = blocks(model)
        self.first = len(self.blocks) - top if top else 0
        """Index of the lowest trained layer."""
        self.trained = self.blocks[self.first :]
        self.partly = bool(top)
        self._tuple_size = 0
        """Length of the tuples that layers return; 0 if they return hidden states alone."""
        if top:
            trained_modules = [*self.trained, *self._vectors_after_blocks()]
            model.requires_grad_(False)
            for module in trained_modules:
                module.requires_grad_(True)

    def train(self) -> None:
        """Put the trained layers into training mode; frozen ones don't apply dropout."""
        if not self.partly:
            self.model.train()
            return
        self.model.eval()
        for block in self.trained:
            block.train()

    def thaw(self) -> None:
        """Make all weights require gradients again."""
        self.model.requires_grad_(True)

    def outputs(self, inputs: torch.Tensor) -> torch.Tensor:
        """Run the frozen layers on token ids, without gradients or dropout.

        Args:
            inputs: token ids, (rows, time).

        Returns:
            Hidden states, (rows, time, width).
        """
        captured: list[torch.Tensor] = []

        def capture(hidden_states: torch.Tensor, *_: object, **__: object) -> _BlockOutput:
            captured.append(hidden_states)
            return self._as_block_output(hidden_states)

        self.model.eval()
        forwards = [capture, *[self._pass_through] * (len(self.trained) - 1)]
        with torch.no_grad(), _replaced_forward(self.trained, forwards):
            self.model.base_model(input_ids=inputs, use_cache=False)
        return captured[0]

    @contextmanager
    def skip_frozen(self, outputs: torch.Tensor) -> Iterator[None]:
        """Skip the frozen layers inside; the trained ones start from ``outputs``.

        The model computes everything around the layers (masks, positions) as usual.
        """
        frozen = self.blocks[: self.first]

        def return_outputs(*_: object, **__: object) -> _BlockOutput:
            return self._as_block_output(outputs)

        forwards = [*[self._pass_through] * (len(frozen) - 1), return_outputs]
        with _replaced_forward(frozen, forwards):
            yield

    def can_skip(self, inputs: torch.Tensor) -> bool:
        """Whether the model computes the same when its frozen layers are skipped.

        In some architectures, layers pass on more than hidden states.
        """
        if not self.partly or not self.first:
            return False
        self.model.eval()
        with torch.no_grad():
            expected = self._last_hidden(inputs)
            try:
                with self.skip_frozen(self.outputs(inputs)):
                    skipped = self._last_hidden(inputs)
            except Exception:  # noqa: BLE001 - such a model runs without skipping
                return False
        return skipped.shape == expected.shape and torch.equal(skipped, expected)

    def _last_hidden(self, inputs: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = self.model.base_model(
            input_ids=inputs, use_cache=False
        ).last_hidden_state
        return hidden

    def _as_block_output(self, hidden_states: torch.Tensor) -> _BlockOutput:
        """Hidden states in the form that the model's layers return."""
        if not self._tuple_size:
            return hidden_states
        return (hidden_states, *[None] * (self._tuple_size - 1))

    def _pass_through(self, hidden_states: torch.Tensor, *_: object, **__: object) -> _BlockOutput:
        return self._as_block_output(hidden_states)

    def _vectors_after_blocks(self) -> list[torch.nn.Module]:
        """Modules with vectors that run after the last layer.

        They are found by running the model on two tokens, which also sets ``_tuple_size``.
        """
        ran: list[torch.nn.Module] = []

        def record(module: torch.nn.Module, _inputs: object, _output: object) -> None:
            ran.append(module)

        def after_last_block(_module: object, _inputs: object, output: object) -> None:
            ran.clear()
            self._tuple_size = len(output) if isinstance(output, tuple) else 0

        inside = {id(module) for block in self.blocks for module in block.modules()}
        others = [module for module in self.model.base_model.modules() if id(module) not in inside]
        hooks = [m.register_forward_hook(record) for m in others if _has_only_vectors(m)]
        hooks.append(self.blocks[-1].register_forward_hook(after_last_block))
        self.model.eval()
        try:
            with torch.no_grad():
                inputs = torch.zeros(1, 2, dtype=torch.long, device=self.model.device)
                self.model.base_model(input_ids=inputs, use_cache=False)
        finally:
            for hook in hooks:
                hook.remove()
        return ran


def _has_only_vectors(module: torch.nn.Module) -> bool:
    """Whether a module itself has weights and all of them are vectors."""
    own = list(module.parameters(recurse=False))
    return bool(own) and all(weight.ndim < 2 for weight in own)


@contextmanager
def _replaced_forward(
    modules: list[torch.nn.Module], forwards: list[Callable[..., _BlockOutput]]
) -> Iterator[None]:
    """Replace the ``forward`` functions of modules inside."""
    for module, forward in zip(modules, forwards, strict=True):
        module.forward = forward
    try:
        yield
    finally:
        for module in modules:
            del module.forward
