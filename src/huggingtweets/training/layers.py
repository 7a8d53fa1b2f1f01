"""Training only some layers; frozen ones at the bottom are skipped where their output is cached.

A layer below all trained weights gives the same output for a post in every step, so it needs to
run only once. This is known as layer recycling (Saad-Falcon et al. 2022, arXiv 2207.04993;
AutoFreeze, arXiv 2102.01386).
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from huggingtweets.errors import InputError
from huggingtweets.training.recipe import LAYER_PARTS, describe_layers, split_layers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from transformers import PreTrainedModel

    from huggingtweets.training.recipe import LayerChoice

_PART_NAMES = {
    "attention": re.compile(r"attn|attention"),
    "mlp": re.compile(r"mlp|ffn|feed_?forward|^fc_?\d|moe|expert"),
}
"""Names of the parts of a layer in transformers' models."""

_BlockOutput = torch.Tensor | tuple[torch.Tensor | None, ...]


def blocks(model: torch.nn.Module) -> list[torch.nn.Module]:
    """The layers of a transformer: its longest module list that isn't inside another list."""
    outer_lists: dict[str, torch.nn.ModuleList] = {}
    for name, module in model.named_modules():  # outer modules come before those inside them
        nested = any(name.startswith(f"{outer}.") for outer in outer_lists)
        if isinstance(module, torch.nn.ModuleList) and not nested:
            outer_lists[name] = module
    return list(max(outer_lists.values(), key=len, default=[]))


def check(model: torch.nn.Module, choice: LayerChoice) -> None:
    """Check that a model has the chosen layers.

    Raises:
        InputError: it has fewer layers, or none with such a part.
    """
    kind, number = split_layers(choice)
    depth = len(blocks(model))
    if number > depth:
        options = f"choose all or {kind}:1 to {kind}:{depth}" if depth else "choose all"
        raise InputError(
            f"--layers {kind}:{number} is too many: this base has {depth} layers; {options}."
        )
    if kind in LAYER_PARTS and not has_part(model, kind):
        raise InputError(
            f"--layers {kind} can't be used: this base has no part of that name in its layers; "
            f"choose all or top:1 to top:{depth}."
        )


def has_part(model: torch.nn.Module, part: str) -> bool:
    """Whether a model has weights of one of LAYER_PARTS."""
    return bool(_weights_of_part(model, part))


class Layers:
    """The trained and the frozen weights of a model.

    Frozen weights get ``requires_grad=False``. Of the choices, only the top layers include the
    vectors after the last layer (the final norm).

    Args:
        model: changed in place.
        choice: what to train; 0 trains all weights.

    Raises:
        InputError: the model doesn't have such layers.
    """

    def __init__(self, model: PreTrainedModel, choice: LayerChoice) -> None:
        check(model, choice)
        self.model = model
        self.blocks = blocks(model)
        self.choice = choice
        self.partly = bool(choice)
        kind, number = split_layers(choice)
        start = {"top": len(self.blocks) - number, "middle": (len(self.blocks) - number) // 2}
        self.first = start.get(kind, 0)
        """Index of the lowest trained layer; 0 if weights below the layers are trained."""
        self.trained: list[torch.nn.Module] = self.blocks[self.first : self.first + number]
        """Trained layers or parts of layers; empty if all weights are trained."""
        self._tuple_size = 0
        """Length of the tuples that layers return; 0 if they return hidden states alone."""
        if not self.partly:
            return
        if kind in _PART_NAMES:
            self.trained = _part_of_blocks(self.blocks, kind)
        after_blocks = self._vectors_after_blocks()
        modules = [*self.trained, *(after_blocks if kind == "top" else [])]
        weights = [weight for module in modules for weight in module.parameters()]
        if kind == "embeddings":
            weights = _weights_of_part(model, kind)
        model.requires_grad_(False)
        for weight in weights:
            weight.requires_grad_(True)

    def describe(self) -> str:
        """What is trained, such as "the top 3 of 6 layers"."""
        return describe_layers(self.choice, len(self.blocks))

    def train(self) -> None:
        """Put the trained layers into training mode; frozen ones don't apply dropout."""
        if not self.partly:
            self.model.train()
            return
        self.model.eval()
        for module in self.trained:
            module.train()

    def thaw(self) -> None:
        """Make all weights require gradients again."""
        self.model.requires_grad_(True)

    def outputs(self, inputs: torch.Tensor) -> torch.Tensor:
        """Run the layers below the trained ones on token ids, without gradients or dropout.

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
        upper = self.blocks[self.first :]
        forwards = [capture, *[self._pass_through] * (len(upper) - 1)]
        with torch.no_grad(), _replaced_forward(upper, forwards):
            self.model.base_model(input_ids=inputs, use_cache=False)
        return captured[0]

    @contextmanager
    def skip_frozen(self, outputs: torch.Tensor) -> Iterator[None]:
        """Skip the layers below the trained ones inside; those start from ``outputs``.

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


def _part_of_blocks(layers: list[torch.nn.Module], part: str) -> list[torch.nn.Module]:
    """The direct children of layers that are such a part; norms with such a name are not."""
    name = _PART_NAMES[part]
    return [
        child
        for layer in layers
        for child_name, child in layer.named_children()
        if name.search(child_name) and any(weight.ndim >= 2 for weight in child.parameters())
    ]


def _weights_of_part(model: torch.nn.Module, part: str) -> list[torch.nn.Parameter]:
    """The weights of one of LAYER_PARTS; the embeddings are all matrices outside the layers."""
    layers = blocks(model)
    if part in _PART_NAMES:
        return [w for module in _part_of_blocks(layers, part) for w in module.parameters()]
    inside = {id(weight) for layer in layers for weight in layer.parameters()}
    return [w for w in model.parameters() if id(w) not in inside and w.ndim >= 2]


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
