"""Convert a Llama model folder to a GGUF file, the format of ``packages/huggingtweets-base``.

Weights of layers and embeddings are quantized to 4 to 8 bits in blocks of 32; norms stay fp32. The
file includes the byte-level BPE tokenizer. llama.cpp reads it, and so does
``huggingtweets train --base OUT.gguf``.

    python scripts/pack_base.py my-base smollm2-posts.gguf [--layers q5_0] [--embeddings q8_0]

With ``--from smollm2 --share 0.5`` the weights are halfway between that base and the folder's. A
base that was trained further on posts forgets some of what it knew, which hurts bots of authors
unlike those posts. The average keeps most of both (WiSE-FT, Wortsman et al. 2021, arXiv
2109.01903).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gguf import (  # noqa: TID253 - the script always needs it
    GGMLQuantizationType,
    GGUFWriter,
    TokenType,
    quants,
)

from huggingtweets.nn import gguf_files, language_model
from huggingtweets.storage import files

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

    from huggingtweets.nn.language_model import LanguageModel

BLOCK = 32  # weights per scale
KINDS = ("q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "f16")


def main() -> None:
    """Read the command line and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "folder", type=Path, help="model folder: a Llama with a byte-level BPE tokenizer"
    )
    parser.add_argument("out", type=Path, help="the GGUF file to write")
    parser.add_argument("--layers", choices=KINDS, default="q5_0")
    parser.add_argument("--embeddings", choices=KINDS, default="q5_0")
    parser.add_argument("--from", dest="source", help="the base that the folder was trained from")
    parser.add_argument(
        "--share", type=float, help="share of the folder's weights in the average, 0 to 1"
    )
    parser.add_argument(
        "--share-embeddings", type=float, help="the same for the embeddings (default: --share)"
    )
    parser.add_argument("--name", default="SmolLM2-135M posts", help="name in the file's metadata")
    parser.add_argument("--licence", default="Apache-2.0", help="SPDX identifier in the metadata")
    given = parser.parse_args()
    if (given.source is None) != (given.share is None):
        parser.error("--from and --share go together")
    lm = language_model.load(given.folder)
    if given.source:
        embeddings = given.share if given.share_embeddings is None else given.share_embeddings
        average(lm, given.source, given.share, embeddings)
    pack(
        lm,
        given.out,
        layers=given.layers,
        embeddings=given.embeddings,
        about={"name": given.name, "licence": given.licence},
    )
    print(f"{given.out}: {given.out.stat().st_size / 1e6:.1f} MB")


def average(lm: LanguageModel, source: str, share: float, embeddings_share: float) -> None:
    """Average the model with a base of the same shape, in place.

    Args:
        lm: the model.
        source: the base, as in ``--base``.
        share: share of the model's weights, 0 to 1; the rest is the base's.
        embeddings_share: the same for the embeddings and the head.
    """
    base = dict(language_model.load(source).model.named_parameters())  # tied weights occur once
    for name, weight in lm.model.named_parameters():
        is_embedding = name.startswith(("model.embed_tokens", "lm_head"))
        factor = embeddings_share if is_embedding else share
        weight.data.copy_(base[name].data.float().lerp(weight.data.float(), factor))


def pack(
    lm: LanguageModel,
    out: Path,
    *,
    layers: str = "q5_0",
    embeddings: str = "q5_0",
    about: dict[str, str] | None = None,
) -> None:
    """Write a model to ``out``.

    Args:
        lm: a Llama without biases.
        out: the GGUF file; an existing one is replaced.
        layers: format of the matrices in the layers, one of :data:`KINDS`.
        embeddings: format of the embeddings, and of an untied head.
        about: ``name`` and ``licence`` for the metadata.

    Raises:
        ValueError: the model isn't a plain Llama, or its width isn't a multiple of 32.
    """
    config: Any = lm.model.config
    if config.model_type != "llama" or config.rope_parameters["rope_type"] != "default":
        raise ValueError(f"{lm.source} holds a {config.model_type}, not a plain Llama")
    with files.atomic_write(out) as temporary:
        writer = GGUFWriter(temporary, "llama")
        writer.add_name((about or {}).get("name", Path(lm.source).name))
        writer.add_license((about or {}).get("licence", "other"))
        _add_shape(writer, config)
        _add_tokenizer(writer, lm.tokenizer, config.vocab_size, lm.separator)
        for name, weight in lm.model.state_dict().items():
            if name == "lm_head.weight" and config.tie_word_embeddings:
                continue
            kind = layers if name.startswith("model.layers.") else embeddings
            _add_weight(writer, gguf_files.gguf_name(name), _permute(name, weight, config), kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def _add_shape(writer: GGUFWriter, config: Any) -> None:  # noqa: ANN401 - as transformers has it
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(config.head_dim)


def _add_tokenizer(
    writer: GGUFWriter, tokenizer: PreTrainedTokenizerBase, size: int, separator: int
) -> None:
    backend: Any = tokenizer
    spec = json.loads(backend.backend_tokenizer.to_str())
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    special = {token["content"] for token in spec["added_tokens"] if token["special"]}
    if spec["model"]["type"] != "BPE" or spec["decoder"]["type"] != "ByteLevel":
        raise ValueError("the tokenizer isn't byte-level BPE")
    by_id = {number: token for token, number in vocabulary.items()}
    tokens = [by_id.get(number, f"[UNUSED{number}]") for number in range(size)]
    merges = [m if isinstance(m, str) else " ".join(m) for m in spec["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm" if '"Digits"' in json.dumps(spec) else "gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([_token_type(token, vocabulary, special) for token in tokens])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(separator)
    writer.add_eos_token_id(separator)
    writer.add_pad_token_id(separator)
    writer.add_add_bos_token(value=False)
    writer.add_add_space_prefix(value=False)


def _token_type(token: str, vocabulary: dict[str, int], special: set[str]) -> TokenType:
    if token not in vocabulary:
        return TokenType.UNUSED
    return TokenType.CONTROL if token in special else TokenType.NORMAL


def _permute(name: str, weight: torch.Tensor, config: Any) -> torch.Tensor:  # noqa: ANN401
    """Reorder query and key rows for llama.cpp's rotary embeddings; return others unchanged."""
    heads = {
        "q_proj.weight": config.num_attention_heads,
        "k_proj.weight": config.num_key_value_heads,
    }
    for ending, count in heads.items():
        if name.endswith(ending):
            half = len(weight) // count // 2
            return weight.reshape(count, 2, half, -1).transpose(1, 2).reshape(weight.shape)
    return weight


def _add_weight(writer: GGUFWriter, name: str, weight: torch.Tensor, kind: str) -> None:
    values = weight.float().contiguous().numpy()
    if values.ndim == 1:
        writer.add_tensor(name, values)
        return
    if values.shape[-1] % BLOCK:
        raise ValueError(f"{name} has rows of {values.shape[-1]}, not a multiple of {BLOCK}")
    quantization = GGMLQuantizationType[kind.upper()]
    writer.add_tensor(name, quants.quantize(values, quantization), raw_dtype=quantization)


if __name__ == "__main__":
    main()
