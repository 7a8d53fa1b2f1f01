"""Write a Llama model folder as a GGUF file, as ``packages/huggingtweets-base`` ships its weights.

Weights of layers and embeddings are rounded to 4 to 8 bits in blocks of 32, norms stay fp32. The
tokenizer, byte-level BPE, goes into the file. llama.cpp reads it, and so does
``huggingtweets train --base OUT.gguf``.

    python scripts/pack_base.py my-base smollm2-posts.gguf [--layers q5_0] [--embeddings q8_0]

With ``--from smollm2 --share 0.5`` the weights are halfway between that base and the folder's. A
base that was trained further on posts forgets some of what it knew, and bots of unlike authors lose
by it; the average keeps most of both (WiSE-FT, Wortsman et al. 2021, arXiv 2109.01903).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gguf import (  # noqa: TID253 - a script's whole work
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

BLOCK = 32  # weights that share a scale
KINDS = ("q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "f16")


def main() -> None:
    """Read the command line and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="of a Llama with a byte-level BPE tokenizer")
    parser.add_argument("out", type=Path, help="the GGUF file to write")
    parser.add_argument("--layers", choices=KINDS, default="q5_0")
    parser.add_argument("--embeddings", choices=KINDS, default="q5_0")
    parser.add_argument("--from", dest="source", help="the base that the folder was made from")
    parser.add_argument("--share", type=float, help="of the way from it to the folder, 0 to 1")
    parser.add_argument(
        "--share-embeddings", type=float, help="the same of the embeddings (--share)"
    )
    parser.add_argument("--name", default="SmolLM2-135M posts", help="in the file's metadata")
    parser.add_argument("--licence", default="Apache-2.0", help="SPDX identifier, there too")
    given = parser.parse_args()
    if (given.source is None) != (given.share is None):
        parser.error("--from and --share go together")
    lm = language_model.load(given.folder)
    if given.source:
        of_embeddings = given.share if given.share_embeddings is None else given.share_embeddings
        average(lm, given.source, given.share, of_embeddings)
    pack(
        lm,
        given.out,
        layers=given.layers,
        embeddings=given.embeddings,
        about={"name": given.name, "licence": given.licence},
    )
    print(f"{given.out}: {given.out.stat().st_size / 1e6:.1f} MB")


def average(lm: LanguageModel, source: str, share: float, of_embeddings: float) -> None:
    """Move the model towards another of its shape, in place.

    Args:
        lm: the model.
        source: a base as ``--base`` takes it.
        share: of the way from that base to the model that is kept, 0 to 1.
        of_embeddings: the same of the embeddings, and of the head.
    """
    begin = dict(language_model.load(source).model.named_parameters())  # tied weights come once
    for name, weight in lm.model.named_parameters():
        kept = of_embeddings if name.startswith(("model.embed_tokens", "lm_head")) else share
        weight.data.copy_(begin[name].data.float().lerp(weight.data.float(), kept))


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
        out: the file; it is replaced if it is there.
        layers: one of :data:`KINDS`, of the matrices in the layers.
        embeddings: the same for the embeddings, and for the head where it isn't tied to them.
        about: ``name`` and ``licence``.

    Raises:
        ValueError: the model is no plain Llama, or its width is no multiple of 32.
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
            _add_weight(writer, gguf_files.gguf_name(name), _paired(name, weight, config), kind)
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
    made = json.loads(backend.backend_tokenizer.to_str())
    words: dict[str, int] = tokenizer.get_vocab()
    special = {token["content"] for token in made["added_tokens"] if token["special"]}
    if made["model"]["type"] != "BPE" or made["decoder"]["type"] != "ByteLevel":
        raise ValueError("its tokenizer is no byte-level BPE")
    by_number = {number: word for word, number in words.items()}
    tokens = [by_number.get(number, f"[UNUSED{number}]") for number in range(size)]
    merges = [m if isinstance(m, str) else " ".join(m) for m in made["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm" if '"Digits"' in json.dumps(made) else "gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([_type_of(token, words, special) for token in tokens])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(separator)
    writer.add_eos_token_id(separator)
    writer.add_pad_token_id(separator)
    writer.add_add_bos_token(value=False)
    writer.add_add_space_prefix(value=False)


def _type_of(token: str, words: dict[str, int], special: set[str]) -> TokenType:
    if token not in words:
        return TokenType.UNUSED
    return TokenType.CONTROL if token in special else TokenType.NORMAL


def _paired(name: str, weight: torch.Tensor, config: Any) -> torch.Tensor:  # noqa: ANN401
    """Query and key rows in the order of llama.cpp's rotary positions."""
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
        raise ValueError(f"{name} has rows of {values.shape[-1]}, no multiple of {BLOCK}")
    packed = GGMLQuantizationType[kind.upper()]
    writer.add_tensor(name, quants.quantize(values, packed), raw_dtype=packed)


if __name__ == "__main__":
    main()
