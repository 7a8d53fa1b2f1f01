"""The weights of a run: those computed with, those updated, and the best so far.

In ``bf16`` the model itself is bfloat16 and the optimizer works on fp32 copies ("master weights",
Micikevicius et al. 2018, arXiv 1710.03740, section 3.1; bfloat16 needs no loss scaling). Without a
compiler this is 1.6 times as fast on a CPU as autocast, which casts every weight at every step. In
``fp32`` the two are the same tensors.

Where only the top layers are trained, all of this is done for their weights alone.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from huggingtweets.nn import adamw_bf16, devices, language_model
from huggingtweets.training.layers import Layers
from huggingtweets.training.weight_store import WeightStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import torch
    from transformers import PreTrainedModel

    from huggingtweets.nn.devices import ComputeDevice
    from huggingtweets.training.recipe import Recipe

_BASE, _BEST, _FROZEN = "base", "best", "frozen"


class Weights:
    """A model's weights and their AdamW optimizer.

    Args:
        model: moved to the machine's device and precision, in place.
        machine: device and precision.
        recipe: the optimizer's settings, and how many layers are trained.
        folder: where the base's and the best weights are kept; None keeps them in memory.

    Raises:
        InputError: the model has fewer layers than are to be trained.
        StorageError: the folder can't be written.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        machine: ComputeDevice,
        recipe: Recipe,
        folder: Path | None = None,
    ) -> None:
        import torch

        self.model = model
        self.stored_dtype = model.dtype
        """Precision the bot is saved in: that of its base."""
        self.layers = Layers(model, recipe.layers or 0)
        device = torch.device(machine.device)
        full = {
            n: p.detach().to(device, torch.float32)
            for n, p in model.named_parameters()
            if p.requires_grad
        }
        halved = machine.precision == "bf16"
        self.kept = WeightStore(folder)
        self.rounds_frozen = halved and self.layers.partly and self.stored_dtype != torch.bfloat16
        if self.rounds_frozen:
            self.kept.put(
                _FROZEN,
                {n: p.detach().cpu() for n, p in model.named_parameters() if not p.requires_grad},
            )
        language_model.convert(model, device, torch.bfloat16 if halved else torch.float32)
        self.computing = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.masters: dict[str, torch.Tensor] = (
            {name: weight.requires_grad_() for name, weight in full.items()}
            if halved
            else dict(self.computing)
        )
        self.separate = halved
        self.clip = recipe.clip
        self.optimizer = _adamw(self.masters, machine, recipe)
        self.kept.put(_BASE, self._stored())
        self.best = _BASE
        """Name of the best set of weights among those kept."""

    def update(self, learning_rate: float) -> None:
        """One optimizer step from the gradients of the model, which are then cleared."""
        self.set_rate(learning_rate)
        self.apply()

    def set_rate(self, learning_rate: float) -> None:
        """Set the learning rate of the next steps; on CUDA where captured steps read it."""
        import torch

        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(learning_rate)
            else:
                group["lr"] = learning_rate

    def apply(self) -> None:
        """:meth:`update` at the rate set; on CUDA nothing in it waits for the device."""
        import torch

        if self.separate and self.model.device.type == "cpu":
            adamw_bf16.step(self.optimizer, self.masters, self.computing, self.clip)
            return
        if self.separate:
            self._take_gradients()
        torch.nn.utils.clip_grad_norm_(list(self.masters.values()), self.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._copy_to_model()

    @contextmanager
    def capturable(self) -> Iterator[None]:
        """Let steps be captured; only then, as the optimizer warns of it otherwise."""
        for group in self.optimizer.param_groups:
            group["capturable"] = True
        try:
            yield
        finally:
            for group in self.optimizer.param_groups:
                group["capturable"] = False

    def drop_gradients(self) -> None:
        """Forget gradients of a step that isn't taken."""
        for weight in (*self.computing.values(), *self.masters.values()):
            weight.grad = None

    def keep_best(self) -> None:
        """Remember the weights as they are now."""
        self.kept.put(_BEST, self._stored())
        self.best = _BEST

    def snapshot(self) -> dict[str, torch.Tensor]:
        """A copy of the weights as they are now; no step can follow, the moments are gone."""
        self._drop_moments()
        return {name: weight.detach().clone() for name, weight in self.masters.items()}

    def go(self, share: float, end: dict[str, torch.Tensor]) -> None:
        """Take the weights that lie so far on the straight way from the base to others."""
        import torch

        base = self.kept.take(_BASE)
        with torch.no_grad():
            for name, weight in self.masters.items():
                begin = base[name].to(weight.device, torch.float32)
                weight.copy_(torch.lerp(begin, end[name], share))
        self._copy_to_model()

    def load_best(self) -> None:
        """Put the best weights into the model, in the precision they will be saved in.

        No step can follow.
        """
        import torch

        self._drop_moments()
        best = self.kept.take(self.best)
        frozen = self.kept.take(_FROZEN) if self.rounds_frozen else {}
        language_model.convert(self.model, self.model.device, self.stored_dtype)
        weights = dict(self.model.named_parameters())
        with torch.no_grad():
            for name, values in (*best.items(), *frozen.items()):
                weights[name].copy_(values)
        self.layers.thaw()
        self.model.eval()

    def tensors(self) -> dict[str, torch.Tensor]:
        """All that is needed to go on but the weights kept: weights, moments, the generator."""
        import torch

        found = {"rng": torch.get_rng_state()}
        if (device := self.model.device).type != "cpu":
            found["device_rng"] = torch.get_device_module(device).get_rng_state()
        for name, weight in self.masters.items():
            found[f"weight.{name}"] = weight.detach()
            for key, value in self.optimizer.state[weight].items():
                found[f"{key}.{name}"] = value
        return found

    def restore(self, tensors: dict[str, torch.Tensor], best: str) -> None:
        """Take back what :meth:`tensors` gave, and which of the weights kept were the best.

        Raises:
            KeyError: a weight is missing.
        """
        import torch

        torch.set_rng_state(tensors["rng"])
        self.best = best
        if before := {n: tensors[f"best.{n}"] for n in self.masters if f"best.{n}" in tensors}:
            self.kept.put(_BEST, before)  # checkpoints once held them
            self.best = _BEST
        if (device := self.model.device).type != "cpu" and "device_rng" in tensors:
            torch.get_device_module(device).set_rng_state(tensors["device_rng"])
        for name, weight in self.masters.items():
            with torch.no_grad():
                weight.copy_(tensors[f"weight.{name}"])
            if f"exp_avg.{name}" in tensors:
                self.optimizer.state[weight] = {
                    key: tensors[f"{key}.{name}"].to(weight.device)
                    for key in ("step", "exp_avg", "exp_avg_sq")
                }
        self._copy_to_model()

    def _drop_moments(self) -> None:
        """Make room for a set of weights kept, so that it isn't the end that takes most memory."""
        self.optimizer.state.clear()
        devices.trim_heap()

    def _take_gradients(self) -> None:
        """Move the model's gradients to the masters, in fp32."""
        import torch

        found = {n: w.grad for n, w in self.computing.items() if w.grad is not None}
        gradients = list(found.values())
        taken = [torch.empty_like(self.masters[name]) for name in found]
        torch._foreach_copy_(taken, gradients)  # few kernels for all weights
        for weight in self.computing.values():
            weight.grad = None
        for name, gradient in zip(found, taken, strict=True):
            self.masters[name].grad = gradient

    def _copy_to_model(self) -> None:
        import torch

        if self.separate:
            masters = [self.masters[name] for name in self.computing]
            with torch.no_grad():
                torch._foreach_copy_(list(self.computing.values()), masters)

    def _stored(self) -> dict[str, torch.Tensor]:
        return {
            name: weight.detach().to("cpu", self.stored_dtype)
            for name, weight in self.masters.items()
        }


def _adamw(
    weights: dict[str, torch.Tensor], machine: ComputeDevice, recipe: Recipe
) -> torch.optim.AdamW:
    """AdamW with weight decay on matrices only."""
    import torch

    matrices = [weight for weight in weights.values() if weight.ndim >= 2]
    vectors = [weight for weight in weights.values() if weight.ndim < 2]
    rate = recipe.learning_rate
    on_cuda = machine.device == "cuda"  # there captured steps read it from memory
    return torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": recipe.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=torch.tensor(rate, device="cuda") if on_cuda else rate,
        betas=(0.9, recipe.beta2),
        fused=machine.device in ("cpu", "cuda"),
    )
