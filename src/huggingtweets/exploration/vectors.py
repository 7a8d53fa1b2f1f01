"""Vectors of posts: what the base reads in them, beside their words.

The base's part is the mean of the hidden states after its first layer, without the mean of all
posts and the three directions in which they vary most ("All-but-the-Top", Mu & Viswanath 2018,
arXiv 1702.01417). The words' part is :meth:`~.words.WordCounts.vectors`. Both have length 1 and
count equally. ``benchmarks/explore.py --vectors`` measures how often a post's nearest neighbours
share a hashtag with it that was removed from the texts: the two together do best, and the first
layer of ``pocket`` does better than the others, in a ninth of the time of all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from huggingtweets.data import batching
from huggingtweets.events import Event, EventHandler, ignore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from huggingtweets.exploration.words import WordCounts
    from huggingtweets.nn.language_model import LanguageModel

WORDS = "words"
"""Value of ``--base`` for vectors of words alone."""

MOST_READ = 10_000
"""Posts that the base reads; of more, a random sample. ``pocket`` reads them in 15 s on a core."""

MOST_TOKENS = 64
"""Tokens of each post that are read."""

_BATCH_TOKENS = 4096
_DIMENSIONS = 100
_TOP_DIRECTIONS = 3


@dataclass(frozen=True, slots=True)
class PostVectors:
    """Vectors of some or all posts.

    Attributes:
        rows: numbers of the posts that have one, ascending; an array.
        matrix: (posts, dimensions), each of length 1.
    """

    rows: Any
    matrix: Any


def vectors_of(
    texts: Sequence[str],
    counts: WordCounts,
    base: LanguageModel | None,
    *,
    seed: int = 0,
    listen: EventHandler = ignore,
) -> PostVectors:
    """Compute the vectors of posts.

    Args:
        texts: the posts.
        counts: their words.
        base: reads them; None for words alone, of all posts.
        seed: of the sample.
        listen: called while the base reads.
    """
    import numpy as np
    from sklearn.preprocessing import normalize

    words = counts.vectors(seed)
    if base is None:
        return PostVectors(np.arange(len(texts)), words)
    rows = np.sort(np.random.default_rng(seed).permutation(len(texts))[:MOST_READ])
    states = hidden_states(base, [texts[row] for row in rows], listen=listen)
    read = normalize(without_top(states))
    return PostVectors(rows, _reduced(np.hstack([read, words[rows]]), seed))


def _reduced(matrix: Any, seed: int) -> Any:  # noqa: ANN401 - arrays
    """Return the first principal components, to length 1: all that follows is as fast as them."""
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import normalize

    size = min(_DIMENSIONS, *matrix.shape)
    return normalize(PCA(size, random_state=seed).fit_transform(matrix))


def hidden_states(
    base: LanguageModel,
    texts: Sequence[str],
    layer: int = 1,
    listen: EventHandler = ignore,
) -> Any:  # noqa: ANN401 - an array
    """Return the mean hidden state of each text's tokens.

    Args:
        base: the model.
        texts: the first :data:`MOST_TOKENS` tokens of each are read.
        layer: number of layers that run, from 1.
        listen: called after each batch.

    Returns:
        fp32, (texts, width).
    """
    import numpy as np
    import torch

    from huggingtweets.training.layers import Layers, blocks

    most = min(MOST_TOKENS, base.context - 1)
    rows = [[base.separator, *ids[:most]] for ids in base.encode_all(texts)]
    above = len(blocks(base.model)) - layer
    layers = Layers(base.model, above) if above > 0 else None
    states = np.zeros((len(texts), base.width), np.float32)
    done = 0
    for group in batching.batches_by_length(rows, range(len(rows)), _BATCH_TOKENS, seed=0, epoch=0):
        longest = max(len(rows[at]) for at in group)
        padded = [rows[at] + [base.separator] * (longest - len(rows[at])) for at in group]
        inputs = torch.tensor(padded, device=base.device)
        with torch.inference_mode():
            output = (
                layers.outputs(inputs)
                if layers
                else base.model.base_model(input_ids=inputs, use_cache=False).last_hidden_state
            )
            # the separator at the start, and the padding, don't count
            length = torch.tensor([len(rows[at]) for at in group], device=base.device)[:, None]
            place = torch.arange(longest, device=base.device)[None]
            counted = ((place > 0) & (place < length)).float()
            total = (output.float() * counted[..., None]).sum(1)
            mean = total / counted.sum(1, keepdim=True).clamp(min=1)
        states[list(group)] = mean.cpu().numpy()
        done += len(group)
        listen(Event(stage="encode", done=done, total=len(rows), message="posts"))
    return states


def without_top(states: Any) -> Any:  # noqa: ANN401 - arrays
    """Remove the mean and the directions in which the states vary most."""
    import numpy as np

    centred = states - states.mean(axis=0)
    _, directions = np.linalg.eigh(centred.T @ centred)  # ascending
    top = directions[:, -_TOP_DIRECTIONS:]
    return (centred - centred @ top @ top.T).astype(np.float32)


MOST_ON_MAP = 2_000
"""Posts on the map; more would hide each other, and t-SNE would take minutes."""


@dataclass(frozen=True, slots=True)
class Places:
    """Posts on a plane.

    Attributes:
        rows: numbers of the posts, ascending.
        x: from 0 to 1.
        y: from 0 to 1.
    """

    rows: list[int]
    x: list[float]
    y: list[float]


def on_a_map(vectors: PostVectors, seed: int = 0) -> Places:
    """Place a random sample of the posts so that similar ones are near each other.

    t-SNE (van der Maaten & Hinton 2008).
    """
    import numpy as np
    from sklearn.manifold import TSNE

    chosen = np.sort(np.random.default_rng(seed).permutation(len(vectors.rows))[:MOST_ON_MAP])
    matrix = vectors.matrix[chosen]
    if matrix.shape[1] < 2:  # posts of one word, or of none
        matrix = np.pad(matrix, [(0, 0), (0, 1)])
    # equal posts, as in tests, have no neighbours to tell apart
    matrix = matrix + np.random.default_rng(seed).normal(0, 1e-4, matrix.shape)
    perplexity = min(30.0, (len(chosen) - 1) / 3)
    plane = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(matrix)
    plane = plane - plane.min(axis=0)
    plane = plane / np.maximum(plane.max(axis=0), 1e-9)
    x, y = (column.round(4).tolist() for column in plane.astype(float).T)
    return Places([int(row) for row in vectors.rows[chosen]], x, y)
