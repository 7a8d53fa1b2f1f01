"""Read GGUF files into models and tokenizers of transformers.

Llamas with a byte-level BPE tokenizer are read here, in a few seconds. transformers reads all other
files, each several times, which takes half a minute for the same size.
"""

from __future__ import annotations

import re
from contextlib import redirect_stderr
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from gguf import GGML_QUANT_SIZES, GGUFReader
from gguf.quants import dequantize
from safetensors.torch import load_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

if TYPE_CHECKING:
    from pathlib import Path

    from gguf.gguf_reader import ReaderTensor
    from numpy.typing import NDArray
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SEPARATOR = "<|endoftext|>"
"""The token between texts of GPT-2 and similar models. Chat models end answers with another."""

_LAYER_NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
_MODEL_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_GPT2_LAYER_NAMES = {
    "ln_1": "attn_norm",
    "ln_2": "ffn_norm",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}
_GPT2_NAMES = {
    "transformer.wte.weight": "token_embd.weight",
    "transformer.wpe.weight": "position_embd.weight",
    "transformer.ln_f.weight": "output_norm.weight",
    "transformer.ln_f.bias": "output_norm.bias",
    "lm_head.weight": "output.weight",
}
_CONTROL = 3  # gguf.TokenType.CONTROL
_SPLITS_DIGITS = {
    **dict.fromkeys(("smollm", "starcoder", "refact", "command-r", "codeshell"), True),
    **dict.fromkeys(("gpt-2", "default"), False),
}
"""Supported tokenizers (``tokenizer.ggml.pre``), and whether each digit is a token of its own."""

_BLOCKS_AT_ONCE = 1 << 15
"""Blocks that are dequantized together, a million numbers; gguf's 16 rows take twice as long."""


class _Reader(GGUFReader):
    """Reads a file through plain arrays: each token is a slice, and those of a memmap are slow."""

    @property  # type: ignore[override]
    def data(self) -> NDArray[np.uint8]:
        """The bytes of the file."""
        return self._data

    @data.setter
    def data(self, data: np.memmap[Any, np.dtype[np.uint8]]) -> None:
        self._data = data.view(np.ndarray)


def read(file: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Read the model, in bfloat16, and the tokenizer of a GGUF file.

    Raises:
        Exception: whatever the libraries raise for a damaged or unsupported file.
    """
    reader = _Reader(file)
    model, tokenizer = _read_llama(reader) if _is_plain_llama(reader) else _read_other(file)
    if SEPARATOR in tokenizer.get_vocab():
        tokenizer.bos_token = tokenizer.eos_token = tokenizer.pad_token = SEPARATOR
    tokenizer.chat_template = None
    return model, tokenizer


def add_weights(model: PreTrainedModel, folder: Path) -> None:
    """Add the weights of a model folder of the same shape to a model's, in place.

    Raises:
        Exception: the folder is damaged, or of another shape.
    """
    others = load_file(folder / "model.safetensors")
    with torch.no_grad():
        for name, weight in model.named_parameters():  # tied weights occur once
            weight.copy_(weight.float() + others[name].float())


def gguf_name(name: str) -> str:
    """Return GGUF's name of a Llama's weight, given its name in transformers.

    Raises:
        ValueError: a Llama has no such weight.
    """
    model_names = {theirs: ours for ours, theirs in _MODEL_NAMES.items()}
    if name in model_names:
        return model_names[name]
    match = re.fullmatch(r"model\.layers\.(\d+)\.([\w.]+)\.weight", name)
    layer_names = {theirs: ours for ours, theirs in _LAYER_NAMES.items()}
    if not match or match[2] not in layer_names:
        raise ValueError(f"a Llama has no {name}")
    return f"blk.{match[1]}.{layer_names[match[2]]}.weight"


def gguf_name_of_gpt2(name: str) -> str:
    """Return GGUF's name of a GPT-2's weight or bias, given its name in transformers.

    Raises:
        ValueError: a GPT-2 has no such weight.
    """
    if name in _GPT2_NAMES:
        return _GPT2_NAMES[name]
    match = re.fullmatch(r"transformer\.h\.(\d+)\.([\w.]+)\.(weight|bias)", name)
    if not match or match[2] not in _GPT2_LAYER_NAMES:
        raise ValueError(f"a GPT-2 has no {name}")
    return f"blk.{match[1]}.{_GPT2_LAYER_NAMES[match[2]]}.{match[3]}"


def rotary_rows_of_llama_cpp(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Put each head's rows in the order of llama.cpp's rotary positions, not transformers'."""
    half = len(weight) // heads // 2
    return weight.reshape(heads, 2, half, -1).transpose(1, 2).reshape(weight.shape)


def _is_plain_llama(reader: GGUFReader) -> bool:
    """Whether all of the file is supported here: no biases, experts or scaled positions."""
    kinds = [_value(reader, name) for name in ("general.architecture", "tokenizer.ggml.model")]
    return (
        kinds == ["llama", "gpt2"]
        and _value(reader, "tokenizer.ggml.pre", "default") in _SPLITS_DIGITS
        and _value(reader, "llama.rope.scaling.type") is None
        and all(_transformers_name(tensor.name) != tensor.name for tensor in reader.tensors)
    )


def _read_llama(reader: GGUFReader) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    weights = _read_weights(reader)
    tokenizer = _read_tokenizer(reader)

    def llama_value(name: str, default: Any = None) -> Any:  # noqa: ANN401 - any type of GGUF
        return _value(reader, f"llama.{name}", default)

    heads: int = llama_value("attention.head_count")
    key_heads: int = llama_value("attention.head_count_kv", heads)
    separator: int = tokenizer.get_vocab().get(SEPARATOR, tokenizer.eos_token_id)
    config = LlamaConfig(
        vocab_size=len(weights["model.embed_tokens.weight"]),
        hidden_size=llama_value("embedding_length"),
        intermediate_size=llama_value("feed_forward_length"),
        num_hidden_layers=llama_value("block_count"),
        num_attention_heads=heads,
        num_key_value_heads=key_heads,
        head_dim=llama_value("attention.key_length"),
        max_position_embeddings=llama_value("context_length"),
        rms_norm_eps=llama_value("attention.layer_norm_rms_epsilon"),
        rope_parameters={
            "rope_type": "default",
            "rope_theta": llama_value("rope.freq_base", 10000.0),
        },
        tie_word_embeddings="lm_head.weight" not in weights,
        bos_token_id=separator,
        eos_token_id=separator,
        pad_token_id=None,
    )
    for layer in range(config.num_hidden_layers):
        for name, count in (("q", heads), ("k", key_heads)):
            key = f"model.layers.{layer}.self_attn.{name}_proj.weight"
            weights[key] = _reorder_rotary_rows(weights[key], count)
    with torch.device("meta"):
        names = set(LlamaForCausalLM(config).state_dict())
    if missing := sorted(names - weights.keys() - {"lm_head.weight"}):
        raise ValueError(f"it lacks {missing[0]}")
    model: PreTrainedModel = LlamaForCausalLM.from_pretrained(
        None, config=config, state_dict=weights, dtype=torch.bfloat16
    )
    return model, tokenizer


def _read_weights(reader: GGUFReader) -> dict[str, torch.Tensor]:
    """Return all weights in bfloat16 by their names in transformers."""
    weights = {}
    for tensor in reader.tensors:
        weights[_transformers_name(tensor.name)] = _dequantized(tensor)
    return weights


def _dequantized(tensor: ReaderTensor) -> torch.Tensor:
    """Return a weight in bfloat16."""
    kind = tensor.tensor_type
    numbers, size = GGML_QUANT_SIZES[kind]  # of a block, and its bytes
    if numbers == 1:
        return torch.from_numpy(dequantize(tensor.data, kind).copy()).to(torch.bfloat16)
    blocks = tensor.data.reshape(-1, size)
    weight = torch.empty(len(blocks) * numbers, dtype=torch.bfloat16)
    for start in range(0, len(blocks), _BLOCKS_AT_ONCE):
        part = blocks[start : start + _BLOCKS_AT_ONCE].reshape(1, -1)
        values = torch.from_numpy(dequantize(part, kind)[0])
        weight[start * numbers : start * numbers + len(values)] = values
    return weight.view(*tensor.data.shape[:-1], -1)


def _transformers_name(name: str) -> str:
    """Return a weight's name in transformers, or its GGUF name if it is unknown."""
    match = re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", name)
    if match and match[2] in _LAYER_NAMES:
        return f"model.layers.{match[1]}.{_LAYER_NAMES[match[2]]}.weight"
    return _MODEL_NAMES.get(name, name)


def _reorder_rotary_rows(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Put each head's rows in the order of transformers' rotary positions, not llama.cpp's."""
    half = len(weight) // heads // 2
    return weight.reshape(heads, half, 2, -1).transpose(1, 2).reshape(weight.shape).contiguous()


def _read_tokenizer(reader: GGUFReader) -> PreTrainedTokenizerBase:
    tokens = _value(reader, "tokenizer.ggml.tokens")
    merges = [tuple(merge.split(" ")) for merge in _value(reader, "tokenizer.ggml.merges")]
    kinds = _value(reader, "tokenizer.ggml.token_type", [])
    vocabulary = {token: number for number, token in enumerate(tokens)}
    backend = Tokenizer(models.BPE(vocabulary, merges))
    steps: list[Any] = [pre_tokenizers.ByteLevel(add_prefix_space=False)]
    if _SPLITS_DIGITS[_value(reader, "tokenizer.ggml.pre", "default")]:
        steps.insert(0, pre_tokenizers.Digits(individual_digits=True))
    backend.pre_tokenizer = pre_tokenizers.Sequence(steps)
    backend.decoder = decoders.ByteLevel()
    special = [token for token, kind in zip(tokens, kinds, strict=False) if kind == _CONTROL]
    backend.add_special_tokens([AddedToken(token, special=True) for token in special])
    end = _value(reader, "tokenizer.ggml.eos_token_id")
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token=tokens[end] if end is not None else None,
        clean_up_tokenization_spaces=False,
    )


def _read_other(file: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Read a file with transformers."""
    with redirect_stderr(StringIO()):  # a progress bar that can't be turned off
        options = {"gguf_file": file.name, "local_files_only": True}
        tokenizer = AutoTokenizer.from_pretrained(file.parent, **options)
        model: Any = AutoModelForCausalLM.from_pretrained(
            file.parent, dtype=torch.bfloat16, **options
        )
    # the weights are no longer quantized, but transformers still refuses to save them
    model.hf_quantizer = None
    del model.config.quantization_config
    return model, tokenizer


def _value(reader: GGUFReader, name: str, default: Any = None) -> Any:  # noqa: ANN401 - any type of GGUF
    field = reader.get_field(name)
    return default if field is None else field.contents()
