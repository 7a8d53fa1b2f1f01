"""Write models and tokenizers as GGUF files, the format of llama.cpp.

:mod:`huggingtweets.nn.gguf_files` reads them. The file makes llama.cpp begin a post as we do: it
puts the separator before each text, ends at the separator, and samples with our settings. The chat
template holds no roles: the last message is the beginning of a post.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, TokenType, quants
from gguf.constants import GGML_QUANT_SIZES, GGML_QUANT_VERSION

from huggingtweets.nn import gguf_files, llama_cpp
from huggingtweets.nn.language_model import TEMPERATURE, TOP_P
from huggingtweets.storage import files

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    import torch
    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerBase

    from huggingtweets.nn.language_model import LanguageModel

CHAT_TEMPLATE = (
    "{%- if messages[0]['role'] == 'system' -%}{%- set unused = messages[0]['content'] -%}"
    "{%- endif -%}{{- messages[-1]['content'].rstrip() -}}"
)
"""The last message as the beginning of a post. Unless a template reads a system message, llama.cpp
puts it before that one."""
_POCKET_WORDS = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_SPACES = frozenset("ĠĊĉčċČ")  # of byte-level BPE


class UnknownToLlamaCppError(ValueError):
    """llama.cpp has no such model; the message is a part of a sentence."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A number format of a whole file.

    Attributes:
        layers: format of the matrices in the layers.
        embeddings: format of the embeddings and of the head. A 4-bit file keeps 6 or 8 bits, as
            llama.cpp does: each new token depends on all of the head.
        file_type: llama.cpp's number for it.
    """

    layers: str
    embeddings: str
    file_type: LlamaFileType


KINDS = {
    "f16": Kind("f16", "f16", LlamaFileType.MOSTLY_F16),
    "q8_0": Kind("q8_0", "q8_0", LlamaFileType.MOSTLY_Q8_0),
    "q5_1": Kind("q5_1", "q8_0", LlamaFileType.MOSTLY_Q5_1),
    "q5_0": Kind("q5_0", "q8_0", LlamaFileType.MOSTLY_Q5_0),
    "q4_1": Kind("q4_1", "q8_0", LlamaFileType.MOSTLY_Q4_1),
    "q4_0": Kind("q4_0", "q8_0", LlamaFileType.MOSTLY_Q4_0),
    "q4_k": Kind("q4_k", "q6_k", LlamaFileType.MOSTLY_Q4_K_S),
}
"""By name, from the most exact to the smallest."""

_FALLBACKS = {"q4_k": "q5_0", "q6_k": "q8_0"}
"""What llama.cpp takes for rows that are no multiple of 256; where 32 doesn't fit either, f16."""


@dataclass(frozen=True, slots=True)
class About:
    """What a file says about itself.

    Attributes:
        name: title for people.
        licence: SPDX identifier, or ``other``.
        licence_name: name of a licence that has no identifier.
        author: whose posts it imitates.
        description: one or two sentences.
        base: name of the base, if any.
        base_url: its page on the Hub, if any.
        tags: for search.
        languages: ISO 639-1 codes.
        version: of huggingtweets.
    """

    name: str
    licence: str = "other"
    licence_name: str = ""
    author: str = ""
    description: str = ""
    base: str = ""
    base_url: str = ""
    tags: Sequence[str] = ()
    languages: Sequence[str] = ()
    version: str = ""


def write(lm: LanguageModel, out: Path, kind: Kind, about: About) -> None:
    """Write a model to ``out``; an existing file is replaced.

    Args:
        lm: a Llama or a GPT-2, with a byte-level BPE tokenizer.
        out: the GGUF file.
        kind: number format; vectors, such as norms and biases, are always in fp32.
        about: for the metadata.

    Raises:
        UnknownToLlamaCppError: llama.cpp doesn't know the architecture or the tokenizer.
        LlamaCppMissingError: the format needs llama.cpp, which isn't installed.
        StorageError: it can't be written.
    """
    architecture = _architecture(lm.model.config)
    vocabulary = _Vocabulary.of(lm)
    with files.atomic_write(out) as temporary:
        writer = GGUFWriter(temporary, architecture.name)
        _add_about(writer, about, kind)
        writer.add_vocab_size(lm.model.config.vocab_size)
        architecture.add_shape(writer, lm.model.config)
        vocabulary.add(writer, lm.separator)
        _add_sampling(writer)
        for name, weight in lm.model.state_dict().items():
            if name == "lm_head.weight" and lm.model.config.tie_word_embeddings:
                continue
            their_name, ordered = architecture.convert(name, weight, lm.model.config)
            packed, quantization = _pack(their_name, ordered, kind)
            writer.add_tensor(their_name, packed, raw_dtype=quantization)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def _add_about(writer: GGUFWriter, about: About, kind: Kind) -> None:
    writer.add_type("model")
    writer.add_name(about.name)
    writer.add_license(about.licence)
    texts: dict[Callable[[str], None], str] = {
        writer.add_license_name: about.licence_name,
        writer.add_author: about.author,
        writer.add_description: about.description,
    }
    if about.version:
        texts[writer.add_quantized_by] = f"huggingtweets {about.version}"
    for add, text in texts.items():
        if text:
            add(text)
    if about.base:
        writer.add_base_model_count(1)
        writer.add_base_model_name(0, about.base)
        if about.base_url:
            writer.add_base_model_repo_url(0, about.base_url)
    if about.tags:
        writer.add_tags(about.tags)
    if about.languages:
        writer.add_languages(about.languages)
    writer.add_file_type(kind.file_type)
    writer.add_quantization_version(GGML_QUANT_VERSION)


def _add_sampling(writer: GGUFWriter) -> None:
    """Add our sampling: temperature, then the nucleus, and nothing of llama.cpp's defaults."""
    writer.add_sampling_sequence("temperature;top_p")
    writer.add_sampling_temp(TEMPERATURE)
    writer.add_sampling_top_p(TOP_P)
    writer.add_sampling_top_k(0)
    writer.add_sampling_min_p(0.0)
    writer.add_sampling_penalty_repeat(1.0)


# -- weights ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Architecture:
    """A model that llama.cpp knows.

    Attributes:
        name: its name in GGUF.
        add_shape: writes the sizes of a configuration.
        convert: returns the name in GGUF and the values of a weight.
    """

    name: str
    add_shape: Callable[[GGUFWriter, Any], None]
    convert: Callable[[str, torch.Tensor, Any], tuple[str, torch.Tensor]]


def _architecture(config: Any) -> _Architecture:  # noqa: ANN401 - of any model
    kind = config.model_type
    if kind == "llama":
        rope = config.rope_parameters["rope_type"]
        if rope != "default" or config.attention_bias or config.mlp_bias:
            raise UnknownToLlamaCppError(
                f"it is a Llama with {'biases' if rope == 'default' else f'{rope} positions'}, "
                "which is not supported"
            )
        _check_activation(config.hidden_act, "silu")
        return _Architecture("llama", _add_llama_shape, _convert_llama)
    if kind == "gpt2":
        if config.scale_attn_by_inverse_layer_idx or not config.scale_attn_weights:
            raise UnknownToLlamaCppError("it is a GPT-2 whose attention is scaled in another way")
        _check_activation(config.activation_function, "gelu_new", "gelu_pytorch_tanh", "gelu_fast")
        return _Architecture("gpt2", _add_gpt2_shape, _convert_gpt2)
    raise UnknownToLlamaCppError(
        f"its architecture is {kind}, and only llama and gpt2 are supported"
    )


def _check_activation(found: str, *known: str) -> None:
    if found not in known:
        raise UnknownToLlamaCppError(f"its activation function {found} is not supported")


def _add_llama_shape(writer: GGUFWriter, config: Any) -> None:  # noqa: ANN401
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(config.head_dim)


def _add_gpt2_shape(writer: GGUFWriter, config: Any) -> None:  # noqa: ANN401
    writer.add_context_length(config.n_positions)
    writer.add_embedding_length(config.n_embd)
    writer.add_block_count(config.n_layer)
    writer.add_feed_forward_length(config.n_inner or 4 * config.n_embd)
    writer.add_head_count(config.n_head)
    writer.add_layer_norm_eps(config.layer_norm_epsilon)


def _convert_llama(name: str, weight: torch.Tensor, config: Any) -> tuple[str, torch.Tensor]:  # noqa: ANN401
    heads = {
        "q_proj.weight": config.num_attention_heads,
        "k_proj.weight": config.num_key_value_heads,
    }
    for ending, count in heads.items():
        if name.endswith(ending):
            weight = gguf_files.rotary_rows_of_llama_cpp(weight, count)
    return gguf_files.gguf_name(name), weight


def _convert_gpt2(name: str, weight: torch.Tensor, _: Any) -> tuple[str, torch.Tensor]:  # noqa: ANN401
    if name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight")):
        weight = weight.T  # transformers' Conv1D has them the other way round
    return gguf_files.gguf_name_of_gpt2(name), weight


def _pack(name: str, weight: torch.Tensor, kind: Kind) -> tuple[NDArray[Any], GGMLQuantizationType]:
    """Return a tensor's bytes and its format."""
    values = weight.detach().float().cpu().contiguous().numpy()
    if values.ndim == 1 or name == "position_embd.weight":
        return values, GGMLQuantizationType.F32
    wanted = kind.layers if name.startswith("blk.") else kind.embeddings
    if not _fits(values, wanted):
        wanted = _FALLBACKS.get(wanted, wanted)
        wanted = wanted if _fits(values, wanted) else "f16"
    quantization = GGMLQuantizationType[wanted.upper()]
    if wanted in _FALLBACKS:
        return llama_cpp.quantize(values, quantization), quantization
    return quants.quantize(values, quantization), quantization


def _fits(values: NDArray[np.float32], kind: str) -> bool:
    """Whether the rows are whole blocks of a format."""
    block, _ = GGML_QUANT_SIZES[GGMLQuantizationType[kind.upper()]]
    return bool(values.shape[-1] % block == 0)


# -- the tokenizer ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Vocabulary:
    """A byte-level BPE tokenizer in GGUF's terms."""

    tokens: list[str]
    kinds: list[TokenType]
    merges: list[str]
    words: str
    """How a text is split into words before the merges: llama.cpp's name for it."""

    @classmethod
    def of(cls, lm: LanguageModel) -> _Vocabulary:
        spec = _specification(lm.tokenizer)
        vocabulary: dict[str, int] = lm.tokenizer.get_vocab()
        added = {token["content"]: bool(token["special"]) for token in spec["added_tokens"]}
        by_id = {number: token for token, number in vocabulary.items()}
        size: int = lm.model.config.vocab_size
        tokens = [by_id.get(number, f"[UNUSED{number}]") for number in range(size)]
        merges = spec["model"]["merges"]
        return cls(
            tokens,
            [_token_type(token, vocabulary, added) for token in tokens],
            [merge if isinstance(merge, str) else " ".join(merge) for merge in merges],
            _words(spec, vocabulary),
        )

    def add(self, writer: GGUFWriter, separator: int) -> None:
        """Write it, with the separator before and after each text."""
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(self.words)
        writer.add_token_list(self.tokens)
        writer.add_token_types(self.kinds)
        writer.add_token_merges(self.merges)
        writer.add_bos_token_id(separator)
        writer.add_eos_token_id(separator)
        writer.add_pad_token_id(separator)
        writer.add_add_bos_token(value=True)
        writer.add_add_eos_token(value=False)
        writer.add_add_space_prefix(value=False)
        writer.add_chat_template(CHAT_TEMPLATE)


def _specification(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """Return the content of ``tokenizer.json``, if it is byte-level BPE without extras."""
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    spec: dict[str, Any] = json.loads(backend.to_str()) if backend else {"model": {"type": ""}}
    model = spec["model"]
    if (
        model["type"] != "BPE"
        or (spec["decoder"] or {}).get("type") != "ByteLevel"
        or spec["normalizer"] is not None
        or any(model.get(name) for name in ("continuing_subword_prefix", "end_of_word_suffix"))
        or any(model.get(name) for name in ("dropout", "ignore_merges"))
    ):
        raise UnknownToLlamaCppError("its tokenizer isn't plain byte-level BPE")
    return spec


def _words(spec: dict[str, Any], vocabulary: dict[str, int]) -> str:
    """Return llama.cpp's name for how the tokenizer splits a text into words."""
    step = spec["pre_tokenizer"] or {}
    steps = step.get("pretokenizers", [step])
    names = [step.get("type") for step in steps]
    last = steps[-1]
    if last.get("add_prefix_space", True):
        names = []
    if names == ["ByteLevel"] and last["use_regex"]:
        return "gpt-2"
    if names == ["Digits", "ByteLevel"] and steps[0]["individual_digits"] and last["use_regex"]:
        return "smollm"
    if names == ["Split", "ByteLevel"] and steps[0]["pattern"] == {"Regex": _POCKET_WORDS}:
        # The two differ in spaces before a digit alone, which makes no difference to merges
        # unless one joins spaces.
        joined = any(len(token) > 1 and set(token) <= _SPACES for token in vocabulary)
        if not joined and not last["use_regex"] and steps[0]["behavior"] == "Isolated":
            return "smollm"
    raise UnknownToLlamaCppError("its tokenizer splits words in a way that llama.cpp doesn't know")


def _token_type(token: str, vocabulary: dict[str, int], added: dict[str, bool]) -> TokenType:
    if token not in vocabulary:
        return TokenType.UNUSED
    if token not in added:
        return TokenType.NORMAL
    return TokenType.CONTROL if added[token] else TokenType.USER_DEFINED
