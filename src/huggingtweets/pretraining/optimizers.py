"""Which optimizer updates which weights, and their state as tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from huggingtweets.nn.muon import Muon

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from huggingtweets.nn.devices import ComputeDevice
    from huggingtweets.pretraining.presets import Preset


class Optimizers:
    """Muon for matrices, AdamW for embeddings and norms; or AdamW for all, as the preset says."""

    def __init__(self, model: PreTrainedModel, preset: Preset, machine: ComputeDevice) -> None:
        import torch

        embedded = {id(model.get_input_embeddings().weight), id(model.lm_head.weight)}
        weights = dict(model.named_parameters())
        by_muon = preset.optimizer == "muon"
        matrices = {
            n: w for n, w in weights.items() if by_muon and w.ndim == 2 and id(w) not in embedded
        }
        self.rest = {n: w for n, w in weights.items() if n not in matrices}
        self.all = list(weights.values())
        self.clip = preset.clip
        dtype = torch.bfloat16 if machine.precision == "bf16" else torch.float32
        self.muon = Muon(matrices, dtype, weight_decay=preset.weight_decay)
        decay = 0.0 if by_muon else preset.weight_decay
        self.adamw = torch.optim.AdamW(
            [
                {"params": [w for w in self.rest.values() if w.ndim >= 2], "weight_decay": decay},
                {"params": [w for w in self.rest.values() if w.ndim < 2], "weight_decay": 0.0},
            ],
            lr=preset.learning_rate,
            betas=(0.9, 0.95),
            fused=machine.device in ("cpu", "cuda"),
        )

    def step(self, rate: float) -> None:
        """Update all weights from their gradients, which are then cleared."""
        import torch

        torch.nn.utils.clip_grad_norm_(self.all, self.clip)
        self.muon.step(rate)
        for group in self.adamw.param_groups:
            group["lr"] = rate
        self.adamw.step()
        for weight in self.all:
            weight.grad = None

    def tensors(self) -> dict[str, torch.Tensor]:
        """The moments."""
        found = {f"momentum.{name}": moment for name, moment in self.muon.moments.items()}
        for name, weight in self.rest.items():
            for key, value in self.adamw.state[weight].items():
                found[f"{key}.{name}"] = value
        return found

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Take back what :meth:`tensors` gave."""
        for name, moment in self.muon.moments.items():
            moment.copy_(tensors[f"momentum.{name}"])
        for name, weight in self.rest.items():
            if f"exp_avg.{name}" in tensors:
                self.adamw.state[weight] = {
                    key: tensors[f"{key}.{name}"].to(weight.device)
                    for key in ("step", "exp_avg", "exp_avg_sq")
                }
