"""The optimizers of pre-training and their state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from huggingtweets.nn import adamw_bf16, language_model
from huggingtweets.nn.muon import Muon

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from huggingtweets.nn.devices import ComputeDevice
    from huggingtweets.pretraining.presets import Preset


class Optimizers:
    """Muon for matrices and AdamW for embeddings and norms, or AdamW for all weights.

    Args:
        model: in fp32.
        preset: the optimizers and their settings.
        machine: device and precision.
        bf16_weights: convert the model to bfloat16 and update fp32 copies of its weights, as
            fine-tuning does; only with AdamW for all weights, on a CPU.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        preset: Preset,
        machine: ComputeDevice,
        *,
        bf16_weights: bool = False,
    ) -> None:
        embeddings = {id(model.get_input_embeddings().weight), id(model.lm_head.weight)}
        weights: dict[str, torch.Tensor] = dict(model.named_parameters())
        self.bf16_params: dict[str, torch.Tensor] = {}
        if bf16_weights:
            self.bf16_params = dict(weights)
            weights = {n: w.detach().requires_grad_() for n, w in weights.items()}
            language_model.convert(model, model.device, torch.bfloat16)
        self.weights = weights
        """The weights in fp32: those of the model, or the copies of them."""
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
        for group in self.adamw.param_groups:
            group["lr"] = rate
        if self.bf16_params:
            adamw_bf16.step(self.adamw, self.weights, self.bf16_params, self.clip)
            return
        torch.nn.utils.clip_grad_norm_(self.params, self.clip)
        self.muon.step(rate)
        self.adamw.step()
        for weight in self.params:
            weight.grad = None

    def load_fp32(self) -> None:
        """Put the fp32 weights into the model, in fp32; no step can follow."""
        for name, param in self.bf16_params.items():
            param.data = self.weights[name].detach()

    def tensors(self) -> dict[str, torch.Tensor]:
        """Weights and state of the optimizers for a checkpoint."""
        tensors = {f"weight.{name}": weight.detach() for name, weight in self.weights.items()}
        tensors |= {f"momentum.{name}": moment for name, moment in self.muon.moments.items()}
        for name, weight in self.adamw_params.items():
            for key, value in self.adamw.state[weight].items():
                tensors[f"{key}.{name}"] = value
        return tensors

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Restore what :meth:`tensors` returned."""
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(tensors[f"weight.{name}"])
            for name, param in self.bf16_params.items():
                param.copy_(self.weights[name])
        for name, moment in self.muon.moments.items():
            moment.copy_(tensors[f"momentum.{name}"])
        for name, weight in self.adamw_params.items():
            if f"exp_avg.{name}" in tensors:
                self.adamw.state[weight] = {
                    key: tensors[f"{key}.{name}"].to(weight.device)
                    for key in ("step", "exp_avg", "exp_avg_sq")
                }
