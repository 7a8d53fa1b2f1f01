"""Training the top layers only; the frozen rest is skipped where its output is known.

A frozen layer gives the same output for a post in every step, so it has to run once. This is known
as layer recycling (Saad-Falcon et al. 2022, arXiv 2207.04993; AutoFreeze, arXiv 2102.01386).
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from huggingtweets.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch
    from transformers import PreTrainedModel


def blocks(model: torch.nn.Module) -> list[torch.nn.Module]:
    """The layers of a transformer: its longest list of modules that is not part of another list."""
    from torch.nn import ModuleList

    found: dict[str, ModuleList] = {}
    for name, module in model.named_modules():  # outer modules come before those inside them
        inner = any(name.startswith(f"{outer}.") for outer in found)
        if isinstance(module, ModuleList) and not inner:
            found[name] = module
    return list(max(found.values(), key=len, default=[]))


def check(model: torch.nn.Module, top: int) -> None:
    """Refuse more layers than a model has.

    Raises:
        InputError: names how many there are.
    """
    depth = len(blocks(model))
    if top > depth:
        choice = f"choose all or top:1 to top:{depth}" if depth else "choose all"
        raise InputError(f"--layers top:{top} is too many: this base has {depth} layers; {choice}.")


def parse(given: str) -> int:
    """The number of trained layers that ``all`` (0) or ``top:K`` stands for.

    Raises:
        InputError: it is neither.
    """
    if given == "all":
        return 0
    kind, _, number = given.partition(":")
    if kind == "top" and number.isascii() and number.isdecimal() and int(number) > 0:
        return int(number)
    raise InputError(f"--layers must be all or top:K with K from 1, not {given!r}.")


class Layers:
    """The trained and the frozen layers of a model.

    With ``top`` layers only these and the vectors after them (the final norm) are trained: the
    lower layers, the embeddings and the head get ``requires_grad=False``.

    Args:
        model: changed in place.
        top: number of trained layers; 0 trains all weights.

    Raises:
        InputError: the model has fewer layers.
    """

    def __init__(self, model: PreTrainedModel, top: int) -> None:
        check(model, top)
        self.model = model
        self.blocks = blocks(model)
        self.first = len(self.blocks) - top if top else 0
        """Index of the lowest trained layer."""
        self.trained = self.blocks[self.first :]
        self.partly = bool(top)
        self._tuples = 0
        if top:
            kept = [*self.trained, *self._after_the_blocks()]
            model.requires_grad_(False)
            for module in kept:
                module.requires_grad_(True)

    def train(self) -> None:
        """Put trained layers into training mode; dropout does nothing in frozen ones."""
        if not self.partly:
            self.model.train()
            return
        self.model.eval()
        for block in self.trained:
            block.train()

    def thaw(self) -> None:
        """Let all weights require gradients again."""
        self.model.requires_grad_(True)

    def outputs(self, inputs: torch.Tensor) -> torch.Tensor:
        """What the frozen layers give for token ids; of shape (rows, time, width).

        Neither gradients nor dropout.
        """
        import torch

        found: list[torch.Tensor] = []

        def last(hidden_states: torch.Tensor, *_: Any, **__: Any) -> Any:  # noqa: ANN401
            found.append(hidden_states)
            return self._as_block(hidden_states)

        self.model.eval()
        forwards = [last, *[self._as_block_any] * (len(self.trained) - 1)]
        with torch.no_grad(), _replaced(self.trained, forwards):
            self.model.base_model(input_ids=inputs, use_cache=False)
        return found[0]

    @contextmanager
    def skipping(self, outputs: torch.Tensor) -> Iterator[None]:
        """Skip the frozen layers inside; the trained ones start from ``outputs``.

        Everything around the layers (masks, positions) is computed by the model as usual.
        """
        frozen = self.blocks[: self.first]

        def last(*_: Any, **__: Any) -> Any:  # noqa: ANN401
            return self._as_block(outputs)

        with _replaced(frozen, [*[self._as_block_any] * (len(frozen) - 1), last]):
            yield

    def can_skip(self, inputs: torch.Tensor) -> bool:
        """Whether the model computes the same when its frozen layers are skipped.

        Layers of some architectures pass on more than hidden states.
        """
        import torch

        if not self.partly or not self.first:
            return False
        self.model.eval()
        with torch.no_grad():
            expected = self._last_hidden(inputs)
            try:
                with self.skipping(self.outputs(inputs)):
                    found = self._last_hidden(inputs)
            except Exception:  # noqa: BLE001 - such a model is run as a whole
                return False
        return found.shape == expected.shape and torch.equal(found, expected)

    def _last_hidden(self, inputs: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = self.model.base_model(
            input_ids=inputs, use_cache=False
        ).last_hidden_state
        return hidden

    def _as_block(self, hidden_states: torch.Tensor) -> Any:  # noqa: ANN401
        """Hidden states in the form that the model's layers return them."""
        if not self._tuples:
            return hidden_states
        return (hidden_states, *[None] * (self._tuples - 1))

    def _as_block_any(self, hidden_states: torch.Tensor, *_: Any, **__: Any) -> Any:  # noqa: ANN401
        return self._as_block(hidden_states)

    def _after_the_blocks(self) -> list[torch.nn.Module]:
        """Modules with vectors that run after the last layer, found by a run of two tokens.

        The form in which layers return hidden states is noted as well.
        """
        import torch

        ran: list[torch.nn.Module] = []

        def note(module: torch.nn.Module, _inputs: object, _output: object) -> None:
            ran.append(module)

        def end_of_last(_module: object, _inputs: object, output: object) -> None:
            ran.clear()
            self._tuples = len(output) if isinstance(output, tuple) else 0

        inside = {id(module) for block in self.blocks for module in block.modules()}
        others = [module for module in self.model.base_model.modules() if id(module) not in inside]
        hooks = [module.register_forward_hook(note) for module in others if _is_of_vectors(module)]
        hooks.append(self.blocks[-1].register_forward_hook(end_of_last))
        self.model.eval()
        try:
            with torch.no_grad():
                inputs = torch.zeros(1, 2, dtype=torch.long, device=self.model.device)
                self.model.base_model(input_ids=inputs, use_cache=False)
        finally:
            for hook in hooks:
                hook.remove()
        return ran


def _is_of_vectors(module: torch.nn.Module) -> bool:
    """Whether all weights of a module itself are vectors, and there are some."""
    own = list(module.parameters(recurse=False))
    return bool(own) and all(weight.ndim < 2 for weight in own)


@contextmanager
def _replaced(modules: list[torch.nn.Module], forwards: list[Callable[..., Any]]) -> Iterator[None]:
    """Give modules other ``forward`` functions while inside."""
    for module, forward in zip(modules, forwards, strict=True):
        module.forward = forward
    try:
        yield
    finally:
        for module in modules:
            del module.forward
