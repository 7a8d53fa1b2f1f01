"""The weights of a run: model parameters, master parameters and the best weights so far.

In ``bf16`` the model is bfloat16 and the optimizer updates fp32 copies ("master weights",
Micikevicius et al. 2018, arXiv 1710.03740, section 3.1; bfloat16 needs no loss scaling). Without a
compiler this is 1.6 times as fast on a CPU as autocast, which casts every weight at every step. In
``fp32`` both are the same tensors.

If only some layers are trained, all of this applies to their weights alone; with LoRA, to its pairs
of small matrices (:mod:`huggingtweets.training.lora`).
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from huggingtweets.nn import adamw_bf16, adapters, devices, language_model
from huggingtweets.nn.adapters import Adapter
from huggingtweets.training import lora
from huggingtweets.training.layers import Layers
from huggingtweets.training.lora import Lora
from huggingtweets.training.weight_store import WeightStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from transformers import PreTrainedModel

    from huggingtweets.nn.devices import ComputeDevice
    from huggingtweets.training.recipe import Recipe

_BASE, _BEST, _FROZEN = "base", "best", "frozen"


class Weights:
    """A model's weights and their AdamW optimizer.

    Args:
        model: moved to the machine's device and precision, in place.
        machine: device and precision.
        recipe: settings of the optimizer and the trained layers.
        folder: where the base's and the best weights are stored; None stores them in memory.
        start: a small bot's pairs, which are trained further; None starts from the model itself.

    Raises:
        InputError: the model doesn't have the layers that the recipe trains.
        StorageError: the folder can't be written.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        machine: ComputeDevice,
        recipe: Recipe,
        folder: Path | None = None,
        start: Adapter | None = None,
    ) -> None:
        self.model = model
        self.stored_dtype = model.dtype
        """Precision of the saved bot: that of its base."""
        self.layers = Layers(model, recipe.layers or 0)
        self.lora = Lora(self.layers, recipe.rank, start) if recipe.rank else None
        self.saves_layers = recipe.adapter.startswith("top")
        device = torch.device(machine.device)
        fp32_params = {
            n: p.detach().to(device, torch.float32)
            for n, p in model.named_parameters()
            if p.requires_grad
        }
        self.bf16 = machine.precision == "bf16"
        self.store = WeightStore(folder)
        some_frozen = self.layers.partly or self.lora is not None
        self.rounds_frozen = self.bf16 and some_frozen and self.stored_dtype != torch.bfloat16
        """Whether frozen weights are stored, as converting the model rounds them."""
        if self.rounds_frozen:
            self.store.save(
                _FROZEN,
                {n: p.detach().cpu() for n, p in model.named_parameters() if not p.requires_grad},
            )
        language_model.convert(model, device, torch.bfloat16 if self.bf16 else torch.float32)
        self.model_params = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.master_params: dict[str, torch.Tensor] = (
            {name: weight.requires_grad_() for name, weight in fp32_params.items()}
            if self.bf16
            else dict(self.model_params)
        )
        self.clip = recipe.clip
        self.optimizer = _adamw(self.master_params, machine, recipe)
        self.store.save(_BASE, self._to_stored_dtype())
        self.best = _BASE
        """Name of the best set of weights in the store."""

    @property
    def computed(self) -> int:
        """Number of weights whose training costs as much as that of this model.

        Beside a pair of LoRA, a weight has no gradient, which is a third of the operations.
        """
        if self.lora:
            return self.lora.weights * 2 // 3
        return sum(weight.numel() for weight in self.master_params.values())

    def update(self, learning_rate: float) -> None:
        """Take one optimizer step and clear the gradients."""
        self.set_rate(learning_rate)
        self.apply()

    def set_rate(self, learning_rate: float) -> None:
        """Set the learning rate; on CUDA it is a tensor that captured steps read."""
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(learning_rate)
            else:
                group["lr"] = learning_rate

    def apply(self) -> None:
        """Take one optimizer step at the current rate; on CUDA nothing waits for the device."""
        if self.bf16 and self.model.device.type == "cpu":
            adamw_bf16.step(self.optimizer, self.master_params, self.model_params, self.clip)
            return
        if self.bf16:
            self._move_gradients_to_masters()
        torch.nn.utils.clip_grad_norm_(list(self.master_params.values()), self.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._copy_to_model()

    @contextmanager
    def capturable(self) -> Iterator[None]:
        """Mark the optimizer as capturable inside; outside of a capture it would warn."""
        for group in self.optimizer.param_groups:
            group["capturable"] = True
        try:
            yield
        finally:
            for group in self.optimizer.param_groups:
                group["capturable"] = False

    def drop_gradients(self) -> None:
        """Discard the gradients of a step that isn't taken."""
        for weight in (*self.model_params.values(), *self.master_params.values()):
            weight.grad = None

    def save_best(self) -> None:
        """Store the current weights as the best."""
        self.store.save(_BEST, self._to_stored_dtype())
        self.best = _BEST

    def snapshot(self) -> dict[str, torch.Tensor]:
        """Copy the current weights and drop the optimizer's state; no step can follow."""
        self._drop_optimizer_state()
        return {name: weight.detach().clone() for name, weight in self.master_params.items()}

    def set_interpolated(self, weight: float, trained: dict[str, torch.Tensor]) -> None:
        """Set the parameters to ``base + weight * (trained - base)``; of new pairs, only B."""
        base = self.store.load(_BASE)
        with torch.no_grad():
            for name, param in self.master_params.items():
                if self.lora and not self.lora.interpolates(name):
                    param.copy_(trained[name])
                    continue
                base_param = base[name].to(param.device, torch.float32)
                param.copy_(torch.lerp(base_param, trained[name], weight))
        self._copy_to_model()

    def load_best(self) -> Adapter | None:
        """Load the best weights into the model, in the precision of the saved bot.

        No step can follow.

        Returns:
            The difference to the base, without the base's name, if the recipe makes an adapter.
        """
        self._drop_optimizer_state()
        best = self.store.load(self.best)
        frozen = self.store.load(_FROZEN) if self.rounds_frozen else {}
        language_model.convert(self.model, self.model.device, self.stored_dtype)
        adapter = self.lora.detach(best) if self.lora else None
        weights = dict(self.model.named_parameters())
        trained = {} if adapter else best
        with torch.no_grad():
            for name, values in (*trained.items(), *frozen.items()):
                weights[name].copy_(values)
        if adapter:
            adapters.fold(self.model, replace(adapter, full={}))  # those are in the model
        elif self.saves_layers:
            adapter = Adapter("", "", full=best)
        self.layers.thaw()
        self.model.eval()
        return adapter

    def tensors(self) -> dict[str, torch.Tensor]:
        """Tensors of a checkpoint: weights, optimizer state and random generators.

        Sets of weights in the store are not included.
        """
        tensors = {"rng": torch.get_rng_state()}
        if (device := self.model.device).type != "cpu":
            tensors["device_rng"] = torch.get_device_module(device).get_rng_state()
        for name, weight in self.master_params.items():
            tensors[f"weight.{name}"] = weight.detach()
            for key, value in self.optimizer.state[weight].items():
                tensors[f"{key}.{name}"] = value
        return tensors

    def restore(self, tensors: dict[str, torch.Tensor], best: str) -> None:
        """Restore the state from a checkpoint.

        Args:
            tensors: what :meth:`tensors` returned.
            best: name of the best set of weights in the store.

        Raises:
            KeyError: a weight is missing.
        """
        torch.set_rng_state(tensors["rng"])
        self.best = best
        if old := {n: tensors[f"best.{n}"] for n in self.master_params if f"best.{n}" in tensors}:
            self.store.save(_BEST, old)  # older checkpoints include the best weights
            self.best = _BEST
        if (device := self.model.device).type != "cpu" and "device_rng" in tensors:
            torch.get_device_module(device).set_rng_state(tensors["device_rng"])
        for name, weight in self.master_params.items():
            with torch.no_grad():
                weight.copy_(tensors[f"weight.{name}"])
            if f"exp_avg.{name}" in tensors:
                self.optimizer.state[weight] = {
                    key: tensors[f"{key}.{name}"].to(weight.device)
                    for key in ("step", "exp_avg", "exp_avg_sq")
                }
        self._copy_to_model()

    def check_best(self, name: str) -> None:
        """Check the stored weights that a checkpoint names as its best.

        Raises:
            BotError: they are missing or damaged.
        """
        if name != _BASE:  # the base's have just been stored anew
            self.store.load(name)

    def _drop_optimizer_state(self) -> None:
        """Free memory for a stored set of weights, so that memory doesn't peak after training."""
        self.optimizer.state.clear()
        devices.trim_heap()

    def _move_gradients_to_masters(self) -> None:
        """Move the model's gradients to the master parameters, in fp32."""
        gradients = {n: w.grad for n, w in self.model_params.items() if w.grad is not None}
        fp32_gradients = [torch.empty_like(self.master_params[name]) for name in gradients]
        torch._foreach_copy_(fp32_gradients, list(gradients.values()))  # few kernels for all
        for weight in self.model_params.values():
            weight.grad = None
        for name, gradient in zip(gradients, fp32_gradients, strict=True):
            self.master_params[name].grad = gradient

    def _copy_to_model(self) -> None:
        """Round the master parameters into the model."""
        if self.bf16:
            masters = [self.master_params[name] for name in self.model_params]
            with torch.no_grad():
                torch._foreach_copy_(list(self.model_params.values()), masters)

    def _to_stored_dtype(self) -> dict[str, torch.Tensor]:
        """The current weights on the CPU, in the precision of the saved bot."""
        dtype = lora.STORED_DTYPE if self.lora else self.stored_dtype
        return {name: w.detach().to("cpu", dtype) for name, w in self.master_params.items()}


def _adamw(
    weights: dict[str, torch.Tensor], machine: ComputeDevice, recipe: Recipe
) -> torch.optim.AdamW:
    """Create AdamW with weight decay on matrices only."""
    matrices = [weight for weight in weights.values() if weight.ndim >= 2]
    vectors = [weight for weight in weights.values() if weight.ndim < 2]
    rate = recipe.learning_rate
    on_cuda = machine.device == "cuda"  # captured steps read the rate from a tensor
    return torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": recipe.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=torch.tensor(rate, device="cuda") if on_cuda else rate,
        betas=(0.9, recipe.beta2),
        fused=machine.device in ("cpu", "cuda"),
    )
