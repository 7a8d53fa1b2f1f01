"""llama.cpp itself, to measure an exported file in the program that will run it.

It comes with the package ``xllamacpp`` (``pip install 'huggingtweets[llama-cpp]'``), whose Python
side has a server but no logits. Its library exports llama.cpp's C functions, which are called here.
The structures of settings are taken from the library and passed back as they are, apart from their
first four numbers, which are compared with their known defaults, so that a version with another
layout is refused.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name

from huggingtweets.data import batching
from huggingtweets.errors import InputError
from huggingtweets.nn import likelihood

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gguf import GGMLQuantizationType
    from numpy.typing import NDArray

    from huggingtweets.nn.language_model import LanguageModel

_DEFAULTS = (512, 2048, 512, 1)  # n_ctx, n_batch, n_ubatch, n_seq_max
_QUIET = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)


class LlamaCppMissingError(InputError):
    """llama.cpp isn't installed, or it is a version with other structures."""

    def __init__(self) -> None:
        super().__init__(
            "This needs llama.cpp, which isn't installed here. Install it with: "
            "pip install 'huggingtweets[llama-cpp]'"
        )


class _ModelSettings(ctypes.Structure):
    """``llama_model_params``, and room for what newer versions add."""

    _fields_ = (("bytes", ctypes.c_uint64 * 64),)


class _ContextSettings(ctypes.Structure):
    """``llama_context_params``, and room for what newer versions add."""

    _fields_ = (
        *((name, ctypes.c_uint32) for name in ("context", "batch", "physical_batch", "sequences")),
        ("bytes", ctypes.c_uint64 * 64),
    )


class _Batch(ctypes.Structure):
    """``llama_batch``."""

    _fields_ = (
        ("count", ctypes.c_int32),
        ("tokens", ctypes.POINTER(ctypes.c_int32)),
        ("embeddings", ctypes.c_void_p),
        ("positions", ctypes.POINTER(ctypes.c_int32)),
        ("sequence_counts", ctypes.POINTER(ctypes.c_int32)),
        ("sequences", ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
        ("wanted", ctypes.POINTER(ctypes.c_int8)),
    )


_POINTER, _INT, _BOOL = ctypes.c_void_p, ctypes.c_int32, ctypes.c_bool
_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "llama_model_default_params": (_ModelSettings, []),
    "llama_context_default_params": (_ContextSettings, []),
    "llama_model_load_from_file": (_POINTER, [ctypes.c_char_p, _ModelSettings]),
    "llama_model_free": (None, [_POINTER]),
    "llama_init_from_model": (_POINTER, [_POINTER, _ContextSettings]),
    "llama_free": (None, [_POINTER]),
    "llama_set_n_threads": (None, [_POINTER, _INT, _INT]),
    "llama_model_get_vocab": (_POINTER, [_POINTER]),
    "llama_vocab_n_tokens": (_INT, [_POINTER]),
    "llama_vocab_bos": (_INT, [_POINTER]),
    "llama_vocab_eos": (_INT, [_POINTER]),
    "llama_tokenize": (
        _INT,
        [_POINTER, ctypes.c_char_p, _INT, ctypes.POINTER(_INT), _INT, _BOOL, _BOOL],
    ),
    "llama_batch_init": (_Batch, [_INT, _INT, _INT]),
    "llama_batch_free": (None, [_Batch]),
    "llama_decode": (_INT, [_POINTER, _Batch]),
    "llama_get_logits": (ctypes.POINTER(ctypes.c_float), [_POINTER]),
    "llama_get_memory": (_POINTER, [_POINTER]),
    "llama_memory_clear": (None, [_POINTER, _BOOL]),
    "llama_log_set": (None, [_POINTER, _POINTER]),
    "ggml_quantize_chunk": (
        ctypes.c_size_t,
        [_INT, _POINTER, _POINTER, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, _POINTER],
    ),
}


def is_available() -> bool:
    """Whether llama.cpp is installed here, in a version that is known."""
    return _library() is not None


def quantize(values: NDArray[np.float32], kind: GGMLQuantizationType) -> NDArray[np.uint8]:
    """Return a matrix in one of llama.cpp's formats, by llama.cpp's own quantizer.

    Raises:
        LlamaCppMissingError: llama.cpp isn't installed.
    """
    from gguf.quants import quant_shape_to_byte_shape

    library = _needed()
    packed = np.zeros(quant_shape_to_byte_shape(values.shape, kind), dtype=np.uint8)
    rows, width = values.shape
    written = library.ggml_quantize_chunk(
        int(kind), values.ctypes.data, packed.ctypes.data, 0, rows, width, None
    )
    if written != packed.nbytes:
        raise ValueError(f"llama.cpp wrote {written} bytes instead of {packed.nbytes}")
    return packed


class LlamaCpp:
    """A GGUF file in llama.cpp, on the CPU.

    Args:
        file: the GGUF file.
        context: maximum length of a row in tokens.

    Raises:
        LlamaCppMissingError: llama.cpp isn't installed.
        ValueError: llama.cpp can't load the file.
    """

    def __init__(self, file: Path, context: int) -> None:
        self._library = _needed()
        self.context = context
        self._model = self._library.llama_model_load_from_file(
            os.fsencode(file), self._library.llama_model_default_params()
        )
        if not self._model:
            raise ValueError(f"llama.cpp can't load {file}")
        settings = self._library.llama_context_default_params()
        settings.context = settings.batch = settings.physical_batch = context
        self._context = self._library.llama_init_from_model(self._model, settings)
        # its threads wait busily for each other: beside other work, two take four times as long
        self._library.llama_set_n_threads(self._context, 1, 1)
        self._vocabulary = self._library.llama_model_get_vocab(self._model)
        self.separator = int(self._library.llama_vocab_eos(self._vocabulary))

    def close(self) -> None:
        """Free its memory; it can't be used afterwards."""
        self._library.llama_free(self._context)
        self._library.llama_model_free(self._model)

    def encode(self, text: str, *, begins: bool = False) -> list[int]:
        """Return the token ids of ``text``, in which no special tokens are recognized.

        Args:
            text: the text.
            begins: put before it what llama.cpp puts before a prompt.
        """
        raw = text.encode()
        room = len(raw) + 2
        tokens = (_INT * room)()
        found = self._library.llama_tokenize(
            self._vocabulary, raw, len(raw), tokens, room, begins, False
        )
        return list(tokens[:found])

    def logits(self, row: Sequence[int]) -> NDArray[np.float32]:
        """Return the logits after each token of a row, (tokens, vocabulary)."""
        library, count = self._library, len(row)
        batch = library.llama_batch_init(count, 0, 1)
        try:
            batch.count = count
            for i, token in enumerate(row):
                batch.tokens[i], batch.positions[i] = token, i
                batch.sequence_counts[i], batch.sequences[i][0], batch.wanted[i] = 1, 0, 1
            library.llama_memory_clear(library.llama_get_memory(self._context), True)
            if library.llama_decode(self._context, batch) != 0:
                raise ValueError("llama.cpp can't compute a row")
        finally:
            library.llama_batch_free(batch)
        size = library.llama_vocab_n_tokens(self._vocabulary)
        found = library.llama_get_logits(self._context)
        return np.ctypeslib.as_array(found, (count, size)).copy()


@dataclass(frozen=True, slots=True)
class Comparison:
    """How much an exported file in llama.cpp differs from the model here.

    Attributes:
        bits_per_byte: of the posts, in llama.cpp.
        bits_per_byte_here: of the same posts, by the model before the export.
        divergence: mean Kullback-Leibler divergence of llama.cpp's probabilities of the next token
            from ours, in nats a token.
        retokenized: number of posts that llama.cpp splits into other tokens.
    """

    bits_per_byte: float
    bits_per_byte_here: float
    divergence: float
    retokenized: int


def compare(lm: LanguageModel, file: Path, posts: Sequence[str]) -> Comparison:
    """Compare a file in llama.cpp with the model that it was written from.

    Args:
        lm: the model, in fp32 on the CPU.
        file: the GGUF file.
        posts: to measure on, each alone, from separator to separator as
            :func:`huggingtweets.nn.likelihood.bits_per_byte` does.

    Raises:
        LlamaCppMissingError: llama.cpp isn't installed.
        ValueError: there are no posts, or llama.cpp can't load the file.
    """
    ours = theirs = divergence = 0.0
    tokens = 0
    with opened(file, lm.context) as program, torch.inference_mode():
        ids = [program.encode(post) for post in posts]
        retokenized = sum(
            one != other for one, other in zip(ids, lm.encode_all(posts), strict=True)
        )
        for row in batching.make_rows(ids, program.separator, lm.context):
            here = lm.model(torch.tensor([row[:-1]])).logits[0].float().log_softmax(-1)
            there = torch.from_numpy(program.logits(row[:-1])).log_softmax(-1)
            chosen = torch.tensor(row[1:])[:, None]
            ours -= here.gather(1, chosen).sum().item()
            theirs -= there.gather(1, chosen).sum().item()
            divergence += F.kl_div(there, here, reduction="sum", log_target=True).item()
            tokens += len(row) - 1
    return Comparison(
        likelihood.nats_to_bits_per_byte(theirs, posts),
        likelihood.nats_to_bits_per_byte(ours, posts),
        divergence / tokens,
        retokenized,
    )


@contextmanager
def opened(file: Path, context: int) -> Iterator[LlamaCpp]:
    """Open a GGUF file in llama.cpp; see :class:`LlamaCpp`."""
    model = LlamaCpp(file, context)
    try:
        yield model
    finally:
        model.close()


def _needed() -> ctypes.CDLL:
    if (library := _library()) is None:
        raise LlamaCppMissingError
    return library


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL | None:
    """Load llama.cpp; None if it isn't installed or its structures have changed."""
    found = find_spec("xllamacpp")
    folders = (found.submodule_search_locations or ()) if found else ()
    names = [file for folder in folders for file in sorted(Path(folder).glob("xllamacpp*.*"))]
    files = [file for file in names if file.suffix in (".so", ".pyd", ".dylib")]
    if not files:
        return None
    try:
        library = ctypes.CDLL(str(files[0]))
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError):
        return None
    defaults = library.llama_context_default_params()
    first = (defaults.context, defaults.batch, defaults.physical_batch, defaults.sequences)
    if first != _DEFAULTS:
        return None
    library.llama_log_set(_QUIET, None)
    return library
