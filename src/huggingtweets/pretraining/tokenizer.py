"""The tokenizer: byte-level BPE trained on the same mix as the model.

Byte-level (Radford et al. 2019, section 2.2), so any language, emoji or script can be written.
@mentions and #hashtags are ordinary text; the one special token separates posts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from transformers import PreTrainedTokenizerFast

SEPARATOR = "<|endoftext|>"
SEPARATOR_ID = 0
FEWEST_TOKENS = 257
"""All bytes and the separator."""

# GPT-2's way to cut a text into words, except that a digit is a word of its own: numbers are then
# read alike wherever they stand, and no token is spent on the years that this corpus is full of.
_WORDS = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def train_tokenizer(texts: Iterable[str], vocabulary: int, longest: int) -> PreTrainedTokenizerFast:
    """Train a tokenizer.

    Args:
        texts: a sample of the mix.
        vocabulary: tokens, at least 257; fewer where the texts are few.
        longest: the model's context in tokens.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
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
