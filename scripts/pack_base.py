"""Convert a Llama model folder to a GGUF file, the format of ``packages/huggingtweets-base``.

Weights of layers and embeddings are quantized to 4 to 8 bits in blocks of 32; norms stay fp32. The
file includes the byte-level BPE tokenizer. llama.cpp reads it, and so does
``huggingtweets train --base OUT.gguf``.

    python scripts/pack_base.py my-base my-base.gguf [--layers q5_0] [--embeddings q8_0]

With ``--from BASE --share 0.5`` the weights are halfway between that base and the folder's. A base
that was trained further on posts forgets some of what it knew, which hurts bots of authors unlike
those posts. The average keeps most of both (WiSE-FT, Wortsman et al. 2021, arXiv 2109.01903).

With ``--minus smollm2`` the file has the differences to that base, which ``added_to`` in
``huggingtweets.nn.bases`` adds again. Rounded to 4 bits they lose little. Whole weights, rounded to
5 bits, lose most of what a short training changed: it moves them by about 1 %, and a step of Q5_0
is several times that (docs/lab/speed.md).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from gguf import LlamaFileType  # noqa: TID253 - the script always needs it

from huggingtweets.nn import gguf_writer, language_model
from huggingtweets.nn.gguf_writer import About, Kind

if TYPE_CHECKING:
    from huggingtweets.nn.language_model import LanguageModel

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
    parser.add_argument(
        "--minus", metavar="BASE", help="write the differences to this base, not whole weights"
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
    if given.minus:
        subtract(lm, given.minus)
    pack(
        lm,
        given.out,
        layers=given.layers,
        embeddings=given.embeddings,
        about=About(given.name, given.licence),
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
    lm.model.float()
    for name, weight in lm.model.named_parameters():
        is_embedding = name.startswith(("model.embed_tokens", "lm_head"))
        factor = embeddings_share if is_embedding else share
        weight.data.copy_(base[name].data.float().lerp(weight.data.float(), factor))


def subtract(lm: LanguageModel, source: str) -> None:
    """Subtract the weights of a base of the same shape, in place."""
    base = dict(language_model.load(source).model.named_parameters())
    lm.model.float()
    for name, weight in lm.model.named_parameters():
        weight.data.sub_(base[name].data.float())


def pack(
    lm: LanguageModel,
    out: Path,
    *,
    layers: str = "q5_0",
    embeddings: str = "q5_0",
    about: About | None = None,
) -> None:
    """Write a model to ``out``.

    Args:
        lm: a model that llama.cpp knows.
        out: the GGUF file; an existing one is replaced.
        layers: format of the matrices in the layers, one of :data:`KINDS`.
        embeddings: format of the embeddings, and of an untied head.
        about: for the metadata.

    Raises:
        UnknownToLlamaCppError: llama.cpp doesn't know the architecture or the tokenizer.
    """
    kind = Kind(layers, embeddings, LlamaFileType.GUESSED)
    gguf_writer.write(lm, out, kind, about or About(Path(lm.source).name))


if __name__ == "__main__":
    main()
