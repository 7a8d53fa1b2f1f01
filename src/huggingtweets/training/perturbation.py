"""Steps on varied embeddings: random noise, or the direction in which the loss rises fastest.

- ``noise``: uniform noise is added to the embeddings of each post (NEFTune, Jain et al. 2023, arXiv
  2310.05914).
- ``adversarial``: a second pass over the same batch adds to each post's embeddings its normalised
  gradient (FGM, Miyato et al. 2017, arXiv 1605.07725). The update uses the mean of both gradients,
  as FreeLB does with one ascent step (Zhu et al. 2020, arXiv 1909.11764).

Noise follows from the seed and the step alone, so that a resumed training draws the same.
"""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from huggingtweets.data import batching

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from transformers import PreTrainedModel

    from huggingtweets.data.batching import Batch
    from huggingtweets.training.recipe import Recipe

_NOISE_SCALE = 5.0
"""The smallest of the three values of Jain et al. (5, 10, 15), divided by the root of a post's
length times the width."""

_ADVERSARIAL_SHARE = 0.1
"""Length of the adversarial step relative to that of the post's embeddings. Miyato et al. give an
absolute length for embeddings of unit variance; bases differ in the size of theirs."""


class EmbeddingPerturbation:
    """Varies the embeddings of a model in training steps.

    Args:
        model: the model in training.
        recipe: what to do, and how much.
        seed: seed of the noise.
    """

    def __init__(self, model: PreTrainedModel, recipe: Recipe, seed: int) -> None:
        self.model, self.seed = model, seed
        self.kind, self.strength = recipe.augment, recipe.augment_strength

    def backward(self, batch: Batch, step: int, backward: Callable[[float], float]) -> float:
        """Compute the gradients of one step.

        Args:
            batch: the step's batch.
            step: number of the step.
            backward: runs the model on the batch and adds the gradients of its mean loss, times
                the argument; returns the mean loss in nats.

        Returns:
            The mean loss in nats; of ``adversarial``, that of the posts as they are.
        """
        lengths = (batch.labels != batching.IGNORED).sum(dim=1)
        if self.kind == "noise":
            with self._changed(lambda values: values + self._noise(values, lengths, step)):
                return backward(1.0)
        seen: list[torch.Tensor] = []

        def remember(embeddings: torch.Tensor) -> torch.Tensor:
            if embeddings.requires_grad:
                embeddings.retain_grad()
            else:  # the embeddings and all layers above may be frozen
                embeddings = embeddings.detach().requires_grad_()
            seen[:] = [embeddings]
            return embeddings

        with self._changed(remember):
            loss = backward(0.5)
        step_vectors = self._ascent(seen[0], lengths)
        with self._changed(lambda embeddings: embeddings + step_vectors):
            backward(0.5)
        return loss

    def _noise(self, embeddings: torch.Tensor, lengths: torch.Tensor, step: int) -> torch.Tensor:
        """Noise for embeddings, (rows, time, width)."""
        number = random.Random(f"{self.seed}/{step}/noise").getrandbits(63)
        generator = torch.Generator().manual_seed(number)
        noise = torch.rand(embeddings.shape, generator=generator) * 2 - 1
        sizes = _NOISE_SCALE * self.strength / (lengths * embeddings.shape[-1]).sqrt()
        return (noise * sizes[:, None, None]).to(embeddings)

    def _ascent(self, embeddings: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """The step that raises the loss most, each row with a share of its embeddings' length."""
        gradient = embeddings.grad
        if gradient is None:  # nothing that is trained depends on the embeddings
            return torch.zeros_like(embeddings)
        real = torch.arange(embeddings.shape[1])[None, :] < lengths[:, None]
        values = embeddings.detach().float() * real[:, :, None].to(embeddings.device)
        size = self.strength * _ADVERSARIAL_SHARE * _row_norms(values)
        direction = gradient.float() / _row_norms(gradient.float()).clamp_min(1e-30)
        return (direction * size).to(embeddings.dtype)

    @contextmanager
    def _changed(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[None]:
        """Change the output of the model's embeddings inside."""

        def hook(_module: object, _inputs: object, output: Any) -> torch.Tensor:  # noqa: ANN401
            return change(output)

        module = self.model.get_input_embeddings()
        handle = module.register_forward_hook(hook)
        try:
            yield
        finally:
            handle.remove()


def _row_norms(values: torch.Tensor) -> torch.Tensor:
    """Length of each row's vectors together, (rows, 1, 1)."""
    norms: torch.Tensor = torch.linalg.vector_norm(values, dim=(1, 2), keepdim=True)
    return norms
