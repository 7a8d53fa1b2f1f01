"""The tokenizer: byte-level BPE trained on the same mix of corpora as the model.

Being byte-level (Radford et al. 2019, section 2.2), it can encode any language, emoji or script.
@mentions and #hashtags are ordinary text; the only special token separates posts.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import polars as pl
    from tokenizers.pre_tokenizers import PreTokenizer
    from transformers import PreTrainedTokenizerFast

SEPARATOR = "<|endoftext|>"
SEPARATOR_ID = 0

# GPT-2's pattern for splitting a text into words, except that each digit is a word. Numbers are
# then encoded the same everywhere, and no tokens are used for the many years in this corpus.
_WORDS = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

_PLAIN_WORDS = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s"
"""The same pattern for texts without consecutive spaces; polars doesn't support look-ahead."""

_STABLE_CHARACTERS = (
    r"\x00-\x{36F}\x{3B1}-\x{3C9}\x{400}-\x{481}\x{5D0}-\x{5EA}\x{621}-\x{64A}\x{200B}-\x{205E}"
    r"\x{20A0}-\x{20AC}\x{2100}-\x{27BF}\x{3041}-\x{3096}\x{30A1}-\x{30FA}\x{4E00}-\x{9FA5}"
    r"\x{AC00}-\x{D7A3}\x{FE00}-\x{FE0F}\x{1F1E6}-\x{1F1FF}\x{1F300}-\x{1F9FF}"
)
"""Common characters (for use inside a character class) that every version of Unicode classifies
alike as letter, number, space or neither. Polars and ``tokenizers`` have different tables."""

_NOT_PLAIN = rf"[^{_STABLE_CHARACTERS}]|\s\s"


def train_tokenizer(texts: Iterable[str], vocabulary: int, longest: int) -> PreTrainedTokenizerFast:
    """Train a tokenizer.

    Args:
        texts: sample of the mix.
        vocabulary: vocabulary size, at least 257 for all bytes and the separator; smaller if there
            is too little text.
        longest: the model's context in tokens.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = _splitter()
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[SEPARATOR],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=SEPARATOR,
        eos_token=SEPARATOR,
        pad_token=SEPARATOR,
        clean_up_tokenization_spaces=False,
        model_max_length=longest,
    )


def _splitter() -> PreTokenizer:
    from tokenizers import Regex, pre_tokenizers

    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def parts(tokenizer: PreTrainedTokenizerFast, texts: pl.Series) -> pl.Series:
    """Split texts at token boundaries, so the parts have the same tokens as the whole.

    A corpus repeats its words, so few different parts remain to be encoded. Polars splits ten times
    as fast as ``tokenizers``.

    Args:
        tokenizer: any tokenizer; texts are split only for one from :func:`train_tokenizer`.
        texts: strings.

    Returns:
        Lists of strings.
    """
    whole = texts.reshape((-1, 1)).arr.to_list()
    backend = tokenizer.backend_tokenizer
    if backend.normalizer is not None or repr(backend.pre_tokenizer) != _splitter_repr():
        return whole
    plain = ~texts.str.contains(_NOT_PLAIN)
    return texts.str.extract_all(_PLAIN_WORDS).zip_with(plain, whole)


@cache
def _splitter_repr() -> str:
    return repr(_splitter())
