"""Models as ONNX files: written with torch's exporter, read with onnxruntime.

The file has a key-value cache, and its inputs and outputs have the names that Optimum uses:
``input_ids`` (batch, sequence), ``attention_mask`` (batch, all tokens up to now; 0 is padding),
``past_key_values.N.key`` and ``.value`` (batch, heads, past tokens, size); ``logits`` and
``present.N.key`` and ``.value``. Batch, sequence and past have any length, the past also none.
"""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name

from huggingtweets.data import batching
from huggingtweets.nn import likelihood

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from transformers import PreTrainedModel

    from huggingtweets.nn.language_model import LanguageModel

PACKAGES = ("onnx", "onnxscript", "onnxruntime")


class UnknownToOnnxError(ValueError):
    """The model can't be exported; the message is a part of a sentence."""


class Comparison(NamedTuple):
    """How much an exported file in onnxruntime differs from the model here."""

    bits_per_byte: float
    """Of the posts, in onnxruntime."""
    bits_per_byte_here: float
    """Of the same posts, by the model before the export."""
    divergence: float
    """Mean Kullback-Leibler divergence of the next token's probabilities, in nats a token."""
    largest_difference: float
    """Of two logits."""


class _WithCache(torch.nn.Module):
    """A model whose key-value cache is a list of tensors, as a file needs it."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, past: list[torch.Tensor]
    ) -> tuple[torch.Tensor, ...]:
        """Logits of all tokens of ``input_ids``, and the keys and values of all up to now."""
        from transformers import DynamicCache

        cache: Any = DynamicCache()
        for layer in range(len(past) // 2):
            cache.update(past[2 * layer], past[2 * layer + 1], layer)
        # rows by computation, not by slicing: the exporter doesn't know the length of a slice
        rows = torch.arange(input_ids.shape[1]) + past[0].shape[2]
        columns = torch.arange(attention_mask.shape[1])
        seen = (columns <= rows[:, None]) & attention_mask.bool()[:, None, None, :]
        out = self.model(
            input_ids=input_ids,
            # finite, so that a row of padding is not divided by zero
            attention_mask=torch.where(seen, 0.0, torch.finfo(torch.float32).min),
            position_ids=(attention_mask.cumsum(1) - 1).clamp(min=0)[:, rows],
            past_key_values=cache,
            use_cache=True,
        )
        return out.logits, *_tensors(cache)


def is_available() -> bool:
    """Whether all packages of the extra ``onnx`` are installed here."""
    return all(find_spec(name) for name in PACKAGES)


def write(lm: LanguageModel, out: Path, about: Mapping[str, str]) -> None:
    """Write a model to ``out``; beyond 1.5 GB its weights are in a second file beside it.

    Args:
        lm: the model, in fp32 on the CPU. All its layers attend to all earlier tokens.
        out: the ONNX file.
        about: for the metadata.

    Raises:
        UnknownToOnnxError: torch can't export it.
        OSError: the disk is full or the folder can't be written.
    """
    try:
        with _quiet():
            program = _export(lm)
    except Exception as error:  # the exporter and models raise any
        raise UnknownToOnnxError(
            f"torch can't export the architecture {lm.model.config.model_type} "
            f"({type(error).__name__})"
        ) from error
    _remove_traces(program.model)
    program.model.metadata_props.update(about)
    program.save(out)


def compare(lm: LanguageModel, file: Path, posts: Sequence[str]) -> Comparison:
    """Compare a file in onnxruntime with the model that it was written from.

    Args:
        lm: the model, in fp32 on the CPU.
        file: the ONNX file.
        posts: to measure on, each alone, from separator to separator as
            :func:`huggingtweets.nn.likelihood.bits_per_byte` does.

    Raises:
        ValueError: there are no posts.
    """
    session = open_session(file)
    ours = theirs = divergence = largest = 0.0
    tokens = 0
    with torch.inference_mode():
        for row in batching.make_rows(lm.encode_all(posts), lm.separator, lm.context):
            inputs = torch.tensor([row[:-1]])
            logits = lm.model(input_ids=inputs).logits[0]
            exported = torch.from_numpy(run_in_two(session, inputs.numpy())[0])
            largest = max(largest, (logits - exported).abs().max().item())
            # in fp32 the sum over the vocabulary has an error of its own of about 1e-7
            here, there = (each.double().log_softmax(-1) for each in (logits, exported))
            chosen = torch.tensor(row[1:])[:, None]
            ours -= here.gather(1, chosen).sum().item()
            theirs -= there.gather(1, chosen).sum().item()
            divergence += F.kl_div(there, here, reduction="sum", log_target=True).item()
            tokens += len(row) - 1
    return Comparison(
        likelihood.nats_to_bits_per_byte(theirs, posts),
        likelihood.nats_to_bits_per_byte(ours, posts),
        divergence / tokens,
        largest,
    )


def open_session(file: Path) -> Any:  # noqa: ANN401 - onnxruntime has no types
    """Open a file in onnxruntime, on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def run_in_two(session: Any, ids: np.ndarray) -> np.ndarray:  # noqa: ANN401 - see above
    """Return the logits of whole rows, (batch, tokens, vocabulary), without padding.

    The second half is read with the cache of the first, so that both ways are used.
    """
    batch, length = ids.shape
    past = {
        entry.name: np.zeros((batch, entry.shape[1], 0, entry.shape[3]), np.float32)
        for entry in session.get_inputs()[2:]
    }
    found = []
    half = length // 2
    for start, stop in ((0, half), (half, length)):
        if start < stop:
            given = {"input_ids": ids[:, start:stop], "attention_mask": np.ones((batch, stop), int)}
            logits, *present = session.run(None, given | past)
            past = dict(zip(past, present, strict=True))
            found.append(logits)
    return np.concatenate(found, axis=1)


def _export(lm: LanguageModel) -> Any:  # noqa: ANN401 - torch.onnx.ONNXProgram, or None in its types
    """Export a model whose lengths are all dynamic; those of the example don't matter."""
    example = torch.full((2, 4), lm.separator)
    with torch.no_grad():
        past = _tensors(lm.model(input_ids=example[:, :3], use_cache=True).past_key_values)
        names = [f"{i}.{kind}" for i in range(len(past) // 2) for kind in ("key", "value")]
        batch, sequence, before = map(torch.export.Dim, ("batch", "sequence", "past_sequence"))
        return torch.onnx.export(
            _WithCache(lm.model).eval(),
            (example, torch.ones(2, 7, dtype=torch.long), past),
            dynamo=True,
            dynamic_shapes={
                "input_ids": {0: batch, 1: sequence},
                "attention_mask": {0: batch, 1: torch.export.Dim.DYNAMIC},  # the sum
                "past": [{0: batch, 2: before}] * len(past),
            },
            input_names=["input_ids", "attention_mask", *(f"past_key_values.{n}" for n in names)],
            output_names=["logits", *(f"present.{name}" for name in names)],
            verbose=False,
        )


def _tensors(cache: Any) -> list[torch.Tensor]:  # noqa: ANN401 - each model has its own cache
    return [part for layer in cache.layers for part in (layer.keys, layer.values)]


def _remove_traces(model: Any) -> None:  # noqa: ANN401 - onnx_ir.Model
    """Remove stack traces, which hold the names of this machine's folders."""
    for part in (model.graph, *model.functions.values()):
        nodes = list(part.all_nodes())
        values = [*part.inputs, *getattr(part, "initializers", {}).values()]
        values += [value for node in nodes for value in node.outputs]
        for item in (part, *nodes, *values):
            item.doc_string = None
            item.metadata_props.clear()
    model.metadata_props.clear()


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter, which warns of packages for images and of its own old calls."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
