"""GGUF files as model folders that transformers loads.

Llamas with a byte-level BPE tokenizer are read here, once, in a few seconds. Everything else goes
through transformers, which reads the file several times and takes half a minute for the same.
"""

from __future__ import annotations

import re
from contextlib import redirect_stderr
from io import StringIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from gguf import GGUFReader
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SEPARATOR = "<|endoftext|>"
"""The token between texts of GPT-2 and its like. Chat models end their answers with another."""

_NAMES = {
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
_OUTER = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_CONTROL = 3  # gguf.TokenType.CONTROL
_SPLITS = {
    **dict.fromkeys(("smollm", "starcoder", "refact", "command-r", "codeshell"), True),
    **dict.fromkeys(("gpt-2", "default"), False),
}
"""Tokenizers (``tokenizer.ggml.pre``) read here, and whether each digit is a token of its own."""


def read(file: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model, in bfloat16, and the tokenizer of a GGUF file.

    Raises:
        Exception: whatever the libraries raise for a damaged or unknown file.
    """
    from gguf import GGUFReader

    reader = GGUFReader(file)
    model, tokenizer = _read_llama(reader) if _is_plain_llama(reader) else _read_other(file)
    if SEPARATOR in tokenizer.get_vocab():
        tokenizer.bos_token = tokenizer.eos_token = tokenizer.pad_token = SEPARATOR
    tokenizer.chat_template = None
    return model, tokenizer


def gguf_name(name: str) -> str:
    """What GGUF calls a Llama's weight, by its name in transformers.

    Raises:
        ValueError: a Llama has no such weight.
    """
    outer = {theirs: ours for ours, theirs in _OUTER.items()}
    if name in outer:
        return outer[name]
    found = re.fullmatch(r"model\.layers\.(\d+)\.([\w.]+)\.weight", name)
    inner = {theirs: ours for ours, theirs in _NAMES.items()}
    if not found or found[2] not in inner:
        raise ValueError(f"a Llama has no {name}")
    return f"blk.{found[1]}.{inner[found[2]]}.weight"


def _is_plain_llama(reader: GGUFReader) -> bool:
    """Whether it has nothing but what is read here: no biases, experts, or scaled positions."""
    kinds = [_value(reader, name) for name in ("general.architecture", "tokenizer.ggml.model")]
    return (
        kinds == ["llama", "gpt2"]
        and _value(reader, "tokenizer.ggml.pre", "default") in _SPLITS
        and _value(reader, "llama.rope.scaling.type") is None
        and all(_name(tensor.name) != tensor.name for tensor in reader.tensors)
    )


def _read_llama(reader: GGUFReader) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    weights = _weights(reader)
    tokenizer = _tokenizer(reader)

    def of_llama(name: str, default: Any = None) -> Any:  # noqa: ANN401 - as GGUF has it
        return _value(reader, f"llama.{name}", default)

    heads: int = of_llama("attention.head_count")
    groups: int = of_llama("attention.head_count_kv", heads)
    separator: int = tokenizer.get_vocab().get(SEPARATOR, tokenizer.eos_token_id)
    config = LlamaConfig(
        vocab_size=len(weights["model.embed_tokens.weight"]),
        hidden_size=of_llama("embedding_length"),
        intermediate_size=of_llama("feed_forward_length"),
        num_hidden_layers=of_llama("block_count"),
        num_attention_heads=heads,
        num_key_value_heads=groups,
        max_position_embeddings=of_llama("context_length"),
        rms_norm_eps=of_llama("attention.layer_norm_rms_epsilon"),
        rope_parameters={"rope_type": "default", "rope_theta": of_llama("rope.freq_base", 10000.0)},
        tie_word_embeddings="lm_head.weight" not in weights,
        bos_token_id=separator,
        eos_token_id=separator,
        pad_token_id=None,
    )
    for layer in range(config.num_hidden_layers):
        for name, count in (("q", heads), ("k", groups)):
            key = f"model.layers.{layer}.self_attn.{name}_proj.weight"
            weights[key] = _interleaved(weights[key], count)
    with torch.device("meta"):
        names = set(LlamaForCausalLM(config).state_dict())
    if missing := sorted(names - weights.keys() - {"lm_head.weight"}):
        raise ValueError(f"it lacks {missing[0]}")
    model: PreTrainedModel = LlamaForCausalLM.from_pretrained(
        None, config=config, state_dict=weights, dtype=torch.bfloat16
    )
    return model, tokenizer


def _weights(reader: GGUFReader) -> dict[str, torch.Tensor]:
    """All weights in bfloat16 by the names of transformers."""
    import torch
    from gguf.quants import dequantize

    found = {}
    for tensor in reader.tensors:
        plain = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy())
        found[_name(tensor.name)] = plain.to(torch.bfloat16)
    return found


def _name(name: str) -> str:
    inner = re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", name)
    if inner and inner[2] in _NAMES:
        return f"model.layers.{inner[1]}.{_NAMES[inner[2]]}.weight"
    return _OUTER.get(name, name)


def _interleaved(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows of each head in the order of transformers' rotary positions; llama.cpp pairs others."""
    half = len(weight) // heads // 2
    return weight.reshape(heads, half, 2, -1).transpose(1, 2).reshape(weight.shape).contiguous()


def _tokenizer(reader: GGUFReader) -> PreTrainedTokenizerBase:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens = _value(reader, "tokenizer.ggml.tokens")
    merges = [tuple(merge.split(" ")) for merge in _value(reader, "tokenizer.ggml.merges")]
    kinds = _value(reader, "tokenizer.ggml.token_type", [])
    vocabulary = {token: number for number, token in enumerate(tokens)}
    backend = Tokenizer(models.BPE(vocabulary, merges))
    steps: list[Any] = [pre_tokenizers.ByteLevel(add_prefix_space=False)]
    if _SPLITS[_value(reader, "tokenizer.ggml.pre", "default")]:
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
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with redirect_stderr(StringIO()):  # a progress bar that can't be turned off
        place = {"gguf_file": file.name, "local_files_only": True}
        tokenizer = AutoTokenizer.from_pretrained(file.parent, **place)
        model: Any = AutoModelForCausalLM.from_pretrained(
            file.parent, dtype=torch.bfloat16, **place
        )
    # the weights are plain now, though transformers still refuses to save them
    model.hf_quantizer = None
    del model.config.quantization_config
    return model, tokenizer


def _value(reader: GGUFReader, name: str, default: Any = None) -> Any:  # noqa: ANN401 - as GGUF has it
    field = reader.get_field(name)
    return default if field is None else field.contents()
