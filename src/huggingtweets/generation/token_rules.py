"""Which tokens a bot may write next, by the posts that it learnt.

**Mentions.** A model also invents handles, such as ``@Mars_Station_2``. Some of them belong to
strangers, and few make sense. So after an ``@`` only tokens are sampled that go on with a handle
from the posts, or end a whole one. A handle in a prompt is the user's own: it may be any.

**Openings.** A post without a prompt begins with a token that one of the posts begins with. Its
temperature can then be higher than that of the rest, so that frequent openings don't become more
frequent (:data:`FIRST_TEMPERATURE`), and the unlikely tokens that this lets in are the author's.

**Hashtags.** A hashtag is short and rarely varied, so each unlikely token in it counts: it makes
another tag, which doesn't exist or doesn't suit the text. So its tokens have a low temperature
(:data:`HASHTAG_FACTOR`).

Otherwise the probabilities of all allowed tokens keep their proportions.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import torch

from huggingtweets.data import hashtags
from huggingtweets.nn.language_model import TEMPERATURE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from transformers import PreTrainedTokenizerBase

    from huggingtweets.generation.copy_index import CopyIndex
    from huggingtweets.nn.language_model import LanguageModel

FIRST_TEMPERATURE = 1.0
"""Temperature of the first token of a post without a prompt, at the default temperature of 0.7. It
rises and falls with the chosen temperature, up to 1. At 0.7, three of four posts by a bot of NASA
began with a mention, one of five by NASA (``docs/lab/likeness.md``, "Temperature")."""

HASHTAG_FACTOR = 0.25
"""Factor on the temperature of a hashtag's tokens after its sign. With it, 7 of 60 posts had a
hashtag that didn't suit them, without it 16 (``docs/lab/likeness.md``, "Temperature")."""

MIN_OPENINGS = 100
"""Number of posts from which on they decide how a new one begins; fewer have too few openings."""

_MENTION = re.compile(r"(?<!\w)@((?:[\w-]+(?:\.[\w-]+)+|\w+)(?:@[\w-]+(?:\.[\w-]+)+)?)", re.ASCII)
"""``@nasa``, ``@nasa.bsky.social`` or ``@nasa@mastodon.social``; no e-mail address. Handles are in
ASCII, so that Japanese text can follow without a space."""

_FIRST_PART = re.compile(r"\w+", re.ASCII)
_UNFINISHED = re.compile(r"(?<!\w)@([\w.@-]*)\Z", re.ASCII)
_IN_TOKEN = re.compile(r"@(\w+)(.?)", re.ASCII | re.DOTALL)
_TAIL = 80
"""Characters at the end of a text that can be part of a handle."""


def handles_in(posts: Iterable[str]) -> list[str]:
    """Return the mentioned handles without their first ``@``, sorted.

    The first part of a domain name counts too: text such as ``@NASA.Great`` looks like one.
    """
    found = {handle for post in posts if "@" in post for handle in _MENTION.findall(post)}
    first = (_FIRST_PART.match(handle) for handle in found if "@" not in handle)
    return sorted(found | {match[0] for match in first if match})


class TokenRules:
    """Which tokens may come next.

    Args:
        lm: the model.
        index: the posts that it learnt.
    """

    def __init__(self, lm: LanguageModel, index: CopyIndex) -> None:
        self._lm, self._index = lm, index
        self._vocabulary = _vocabulary_of(lm.tokenizer)
        self._handles = index.handles
        self._known = frozenset(self._handles)
        self._tokens: dict[str, torch.Tensor] = {}

    def temperature(self, chosen: float, tail: str) -> float:
        """Return the temperature of the next token.

        Args:
            chosen: temperature of the whole post.
            tail: what comes before the token.
        """
        if hashtags.ends_inside(tail):
            return chosen * HASHTAG_FACTOR
        if tail or not self._openings:
            return chosen
        return max(chosen, min(1.0, chosen * FIRST_TEMPERATURE / TEMPERATURE))

    def tail(self, before: str, token: int | None = None) -> str:
        """Return as much of a text as matters for its next token.

        Args:
            before: the text, or its tail.
            token: what was sampled after it.
        """
        return (before + (self._vocabulary.text(token) if token is not None else ""))[-_TAIL:]

    def restrict(self, logits: torch.Tensor, tail: str) -> None:
        """Set the logits of all tokens to minus infinity that may not come next.

        Args:
            logits: of the next token, (vocabulary,); changed in place.
            tail: what comes before it.
        """
        if not tail and self._openings:
            self._keep(logits, torch.tensor(self._openings))
        if len(self._forbidden):
            logits[self._forbidden.to(logits.device)] = -torch.inf
        unfinished = _UNFINISHED.search(tail)
        if unfinished is None:
            return
        handle = unfinished[1]
        goes_on, may_end = self._continuations(handle), self._may_end(handle)
        if not len(goes_on) and not may_end:
            return  # such as the hyphen of "@NASA-funded"
        self._keep(logits, goes_on, self._vocabulary.ends if may_end else None)

    def _keep(
        self, logits: torch.Tensor, tokens: torch.Tensor, others: torch.Tensor | None = None
    ) -> None:
        """Set all logits to minus infinity but those of some tokens.

        Args:
            logits: (vocabulary,); changed in place.
            tokens: numbers of tokens to keep.
            others: whether to keep each token besides, for those that the tokenizer has.
        """
        tokens = tokens.to(logits.device)
        kept = logits[tokens]
        if others is None:
            logits.fill_(-torch.inf)
        else:
            logits[: len(others)].masked_fill_(~others.to(logits.device), -torch.inf)
            logits[len(others) :] = -torch.inf  # rows of the embeddings that no token has
        logits[tokens] = kept

    def _may_end(self, handle: str) -> bool:
        """Whether a handle is whole, or a word that can't become a known one any more."""
        if self._begun(handle):
            return not handle or handle.rstrip(".-@") in self._known
        return not handle or _FIRST_PART.fullmatch(handle) is not None

    def _begun(self, handle: str) -> Sequence[str]:
        """The known handles that begin so."""
        first = bisect_left(self._handles, handle)
        last = bisect_left(self._handles, handle + "\U0010ffff")
        return self._handles[first:last]

    def _continuations(self, handle: str) -> torch.Tensor:
        """The tokens that go on with the beginning of a known handle."""
        if handle not in self._tokens:
            rests = {known[len(handle) :] for known in self._begun(handle)}
            texts = {rest[:end] for rest in rests for end in range(1, len(rest) + 1)}
            by_text = self._vocabulary.by_text
            tokens = sorted(token for text in texts for token in by_text.get(text, ()))
            self._tokens[handle] = torch.tensor(tokens, dtype=torch.long)
        return self._tokens[handle]

    @cached_property
    def _openings(self) -> list[int]:
        """The tokens that posts begin with; none where there are few posts."""
        if len(self._index.posts) < MIN_OPENINGS:
            return []
        return sorted({ids[0] for ids in self._lm.encode_all(self._index.first_words) if ids})

    @cached_property
    def _forbidden(self) -> torch.Tensor:
        """The tokens that begin an unknown handle by themselves, such as Qwen's ``@Override``."""
        tokens = [
            token
            for token, text in self._vocabulary.mentioning.items()
            if not all(
                handle in self._known if after else self._begun(handle)
                for handle, after in _IN_TOKEN.findall(text)
            )
        ]
        return torch.tensor(tokens, dtype=torch.long)


class _Vocabulary:
    """The texts of a tokenizer's tokens, as they are after another token."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._before = list(tokenizer.encode("a", add_special_tokens=False))
        self._length = len(self._decode([self._before])[0])
        self._texts: dict[int, str] = {}

    def text(self, token: int) -> str:
        """The text of a token; empty for a separator."""
        if token not in self._texts:
            self._texts[token] = self._decode([[*self._before, token]])[0][self._length :]
        return self._texts[token]

    @cached_property
    def mentioning(self) -> dict[int, str]:
        """The tokens that have an ``@`` and what follows it."""
        tokens = [number for name, number in self._tokenizer.get_vocab().items() if "@" in name]
        return {token: text for token in tokens if _IN_TOKEN.search(text := self.text(token))}

    @cached_property
    def ends(self) -> torch.Tensor:
        """Whether each token ends a handle before it, (vocabulary,).

        Half a character (U+FFFD) doesn't: it may be left out of the post.
        """
        return torch.tensor([not text or not _continues(text[0]) for text in self._all])

    @cached_property
    def by_text(self) -> dict[str, list[int]]:
        """The tokens that are part of a handle, by their text."""
        found: dict[str, list[int]] = {}
        for token, text in enumerate(self._all):
            if text.isascii():
                found.setdefault(text, []).append(token)
        return found

    @cached_property
    def _all(self) -> list[str]:
        rows = [[*self._before, token] for token in range(len(self._tokenizer))]
        return [text[self._length :] for text in self._decode(rows)]

    def _decode(self, rows: list[list[int]]) -> list[str]:
        texts: list[str] = self._tokenizer.batch_decode(
            rows, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return texts


def _continues(character: str) -> bool:
    is_letter = character.isascii() and character.isalnum()
    return is_letter or character in "_@\ufffd"


@lru_cache(maxsize=4)
def _vocabulary_of(tokenizer: PreTrainedTokenizerBase) -> _Vocabulary:
    """Reading all tokens takes half a second, so their texts are kept."""
    return _Vocabulary(tokenizer)
