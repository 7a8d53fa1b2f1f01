"""The optimizers of pre-training and their state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from huggingtweets.nn.muon import Muon

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from huggingtweets.nn.devices import ComputeDevice
    from huggingtweets.pretraining.presets import Preset


class Optimizers:
    """Muon for matrices and AdamW for embeddings and norms, or AdamW for all weights."""

    def __init__(self, model: PreTrainedModel, preset: Preset, machine: ComputeDevice) -> None:
        embeddings = {id(model.get_input_embeddings().weight), id(model.lm_head.weight)}
        weights = dict(model.named_parameters())
        use_muon = preset.optimizer == "muon"
        matrices = {
            n: w for n, w in weights.items() if use_muon and w.ndim == 2 and id(w) not in embeddings
        }
        self.adamw_params = {n: w for n, w in weights.items() if n not in matrices}
        self.params = list(weights.values())
        self.clip = preset.clip
        dtype = torch.bfloat16 if machine.precision == "bf16" else torch.float32
        self.muon = Muon(matrices, dtype, weight_decay=preset.weight_decay)
        decay = 0.0 if use_muon else preset.weight_decay
        decayed = [w for w in self.adamw_params.values() if w.ndim >= 2]
        vectors = [w for w in self.adamw_params.values() if w.ndim < 2]
        self.adamw = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": decay},
                {"params": vectors, "weight_decay": 0.0},
            ],
            lr=preset.learning_rate,
            betas=(0.9, 0.95),
            fused=machine.device in ("cpu", "cuda"),
        )

    def step(self, rate: float) -> None:
        """Update all weights and clear their gradients."""
        torch.nn.utils.clip_grad_norm_(self.params, self.clip)
        self.muon.step(rate)
        for group in self.adamw.param_groups:
            group["lr"] = rate
        self.adamw.step()
        for weight in self.params:
            weight.grad = None

    def tensors(self) -> dict[str, torch.Tensor]:
        """The optimizers' state for a checkpoint."""
        tensors = {f"momentum.{name}": moment for name, moment in self.muon.moments.items()}
        for name, weight in self.adamw_params.items():
            for key, value in self.adamw.state[weight].items():
                tensors[f"{key}.{name}"] = value
        return tensors

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Restore the state that :meth:`tensors` returned."""
        for name, moment in self.muon.moments.items():
            moment.copy_(tensors[f"momentum.{name}"])
        for name, weight in self.adamw_params.items():
            if f"exp_avg.{name}" in tensors:
                self.adamw.state[weight] = {
                    key: tensors[f"{key}.{name}"].to(weight.device)
                    for key in ("step", "exp_avg", "exp_avg_sq")
                }
