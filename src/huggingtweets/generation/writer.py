"""From prompts to new posts: batched sampling with a key-value cache, and the novelty filter.

Posts of a batch are handed over as they finish, and rows that are done leave the batch, so the last
long post doesn't make the short ones wait.
"""

from __future__ import annotations

from dataclasses import dataclass
from inspect import signature
from itertools import count
from math import ceil
from typing import TYPE_CHECKING, Any

from huggingtweets.data import batching
from huggingtweets.errors import BotError, InputError
from huggingtweets.generation import copy_index
from huggingtweets.nn import kv_cache, language_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import torch

    from huggingtweets.data.batching import Row
    from huggingtweets.generation.copy_index import CopyIndex
    from huggingtweets.nn.language_model import LanguageModel

MOST_ROWS = 512
_CACHE_BYTES = 640e6  # of keys and values at a time
_TOKENS = 100  # of a long post
_STEPS_BETWEEN_LENGTH_CHECKS = 8
_TRIES = 8
"""Draws of a token that fall outside the nucleus before the vocabulary is sorted after all."""
_DRAWS_PER_POST = 20
"""Give up on a post after so many draws that were all copies, loops or empty."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to draw; all faults are told at once.

    Attributes:
        temperature: 1 samples from the model as it is, less is safer, more is wilder.
        top_p: share of the probability to draw from (nucleus sampling, Holtzman et al. 2020,
            arXiv 1904.09751).
        max_chars: characters of a post at most; a longer one is cut at a word.
        seed: the same seed and settings give the same posts; None draws anew each time.
    """

    temperature: float = language_model.TEMPERATURE
    top_p: float = language_model.TOP_P
    max_chars: int = 280
    seed: int | None = None

    def __post_init__(self) -> None:
        faults = []
        if not 0 < self.temperature <= 100:
            faults.append(f"temperature must be over 0 and at most 100, not {self.temperature}")
        if not 0 < self.top_p <= 1:
            faults.append(f"top-p must be over 0 and at most 1, not {self.top_p}")
        if not 1 <= self.max_chars <= 100_000:
            faults.append(f"max-chars must be from 1 to 100,000, not {self.max_chars}")
        if self.seed is not None and not 0 <= self.seed < 2**63:
            faults.append(f"seed must be from 0 to 2^63 - 1, not {self.seed}")
        if faults:
            raise InputError("These settings can't be used: " + "; ".join(faults) + ".")


@dataclass(frozen=True, slots=True)
class GeneratedPost:
    """A generated post.

    Attributes:
        text: prompt included.
        prompt: what it was to begin with, empty for none.
        copied_words: longest run of words it shares with a training post, or None where the
            training posts are not at hand.
        copied: whether the copy rule of :mod:`~huggingtweets.generation.copy_index` catches it, or
            None.
    """

    text: str
    prompt: str = ""
    copied_words: int | None = None
    copied: bool | None = None


NewPost = GeneratedPost  # its name until 0.1


class Writer:
    """Draws posts from a bot.

    Args:
        lm: the bot.
        sampling: how to draw.
        index: the training posts, to catch copies; None checks nothing.
        allow_copies: hand copies over as well, marked.
        allow_loops: hand over posts that go round in circles as well.
        context: posts to imitate, oldest first. Before each new post the model reads as many of
            the newest as leave room for it; they are never part of its text.
    """

    def __init__(
        self,
        lm: LanguageModel,
        sampling: Sampling,
        index: CopyIndex | None = None,
        *,
        allow_copies: bool = False,
        allow_loops: bool = False,
        context: Sequence[str] = (),
    ) -> None:
        import torch

        self.lm, self.sampling, self.index = lm, sampling, index
        self.allow_copies, self.allow_loops = allow_copies, allow_loops
        self.rejected = 0
        """Copies drawn again so far."""
        self.loops = 0
        """Posts drawn again because they went round in circles."""
        self._context = lm.encode_all(context)
        takes = signature(lm.model.forward).parameters
        self._only_last = {"logits_to_keep": 1} if "logits_to_keep" in takes else {}
        self._generator = torch.Generator(device=lm.device)
        if sampling.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(sampling.seed)

    def write(self, prompt: str = "", n: int = 10) -> Iterator[GeneratedPost]:
        """Give ``n`` new posts as they finish; fewer when nearly all draws are copies or loops.

        Raises:
            InputError: at once, when the prompt is longer than a post or the model's context, or
                leaves no room there for a single post to imitate.
        """
        start = encode_prompt(self.lm, prompt, self.sampling)
        before = batching.concat_with_separators(self._fitting(start), self.lm.separator)
        return self._write(prompt, before, start, n)

    def context_post_count(self, prompt: str = "") -> int:
        """How many posts of the context are read before a post that begins with ``prompt``."""
        return len(self._fitting(encode_prompt(self.lm, prompt, self.sampling)))

    def _fitting(self, start: Row) -> list[Row]:
        """Posts of the context that leave room for a new post after the tokens ``start``."""
        room = self.lm.context - len(start) - self.lm.max_post_tokens
        fitting = batching.fit_recent_posts(self._context, room)
        if self._context and not fitting:
            raise InputError(
                f"None of the {len(self._context)} posts to imitate fits into the "
                f"{self.lm.context} tokens that the model reads, beside the prompt and a new post; "
                "shorten the prompt, or take more or shorter posts."
            )
        return fitting

    def _write(self, prompt: str, before: Row, start: Row, n: int) -> Iterator[GeneratedPost]:
        missing, draws_left = n, n * _DRAWS_PER_POST
        while missing > 0 and draws_left > 0:
            batches = ceil(missing / rows_at_once(self.lm))
            rows = ceil(missing / batches)  # of one size, as a small one takes as many steps
            draws_left -= rows
            for text in self._draw(start, rows, before):
                post = self._checked(text, prompt)
                if post is not None:
                    missing -= 1
                    yield post

    def _checked(self, text: str, prompt: str) -> GeneratedPost | None:
        """The post, or None when it is empty, a copy or a loop and must be drawn again."""
        post = to_generated_post(text, prompt, self.index)
        if post is not None and not self.allow_loops and goes_round(post):
            self.loops += 1
            return None
        if post is not None and post.copied and not self.allow_copies:
            self.rejected += 1
            return None
        return post

    def _draw(self, start: Row, rows: int, before: Sequence[int] = ()) -> Iterator[str]:
        """Sample ``rows`` posts that begin with the tokens ``start``; give each when it ends.

        What comes before the first token is read once, as it is the same for all rows.
        """
        import torch

        written: list[list[int]] = [list(start[1:]) for _ in range(rows)]
        prompt = len(self.lm.decode(start[1:]))
        most, max_chars = self.lm.context - len(before), self.sampling.max_chars
        end = self.lm.separator
        logits, cache = self._forward(torch.tensor([[*before, *start]]).to(self.lm.device), None)
        cache.batch_repeat_interleave(rows)
        kv_cache.preallocate(cache)
        for step in count(1):
            # a single row of logits, at first, is that of all posts
            tokens = sample(logits.expand(len(written), -1), self.sampling, self._generator)
            going = []
            for i, token in enumerate(tokens.tolist()):
                if token != end:
                    written[i].append(token)
                if token == end or is_long_enough(self.lm, written[i], step, max_chars, most):
                    yield cut_at_word(self.lm.decode(written[i]), max_chars, after=prompt)
                else:
                    going.append(i)
            if len(going) < len(written):
                written = [written[i] for i in going]
                if not written:
                    return
                kept = torch.tensor(going, device=self.lm.device)
                cache.batch_select_indices(kept)
                tokens = tokens[kept]
            logits, cache = self._forward(tokens[:, None], cache)

    def _forward(self, inputs: torch.Tensor, cache: Any) -> tuple[torch.Tensor, Any]:  # noqa: ANN401 - transformers' cache classes have no common typed base
        """Logits of the next token, (rows, vocabulary) in fp32, and the cache."""
        import torch

        with torch.inference_mode():
            out = self.lm.model(
                input_ids=inputs, past_key_values=cache, use_cache=True, **self._only_last
            )
            return out.logits[:, -1].float(), out.past_key_values


def rows_at_once(lm: LanguageModel) -> int:
    """How many posts' keys and values fit into 640 MB; more of them at once are quicker."""
    config = lm.model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    each = next(lm.model.parameters()).element_size()
    a_token = 2 * config.num_hidden_layers * heads * size * each
    return max(1, min(MOST_ROWS, int(_CACHE_BYTES / (a_token * _TOKENS))))


def encode_prompt(lm: LanguageModel, prompt: str, sampling: Sampling) -> Row:
    """The tokens that a post with this prompt begins with, the separator first.

    Raises:
        InputError: the prompt is longer than a post or the model's context.
    """
    if len(prompt) >= sampling.max_chars:
        raise InputError(
            f"The prompt has {len(prompt)} characters and a post at most "
            f"{sampling.max_chars}; shorten it or raise --max-chars."
        )
    # the space before the next word belongs to that word's token
    ids = lm.encode(prompt.rstrip())
    if len(ids) + 2 > lm.context:
        raise InputError(
            f"The prompt has {len(ids)} tokens and the model reads at most "
            f"{lm.context}; shorten it."
        )
    return [lm.separator, *ids]


def is_long_enough(
    lm: LanguageModel, ids: Sequence[int], step: int, max_chars: int, most: int
) -> bool:
    """Whether a row may stop: at ``most`` tokens, or when the text is over its limit.

    Args:
        lm: tells the text.
        ids: tokens so far without the separator.
        step: tokens drawn so far; the text is looked at every eighth time.
        max_chars: of the text.
        most: tokens that the model reads.
    """
    if len(ids) + 1 >= most:
        return True
    if step % _STEPS_BETWEEN_LENGTH_CHECKS:
        return False
    return len(lm.decode(ids)) > max_chars


def to_generated_post(text: str, prompt: str, index: CopyIndex | None) -> GeneratedPost | None:
    """What was drawn as a post, compared with the training posts; None when it is empty.

    Args:
        text: prompt included.
        prompt: what it was to begin with.
        index: the training posts; None compares with nothing.
    """
    if "\ufffd" not in prompt:  # tokens are bytes: some stand for half a character
        text = text.replace("\ufffd", "").strip()
    if not text.strip() or text.strip() == prompt.strip():
        return None
    if index is None:
        return GeneratedPost(text, prompt)
    run = index.longest_run(text)
    return GeneratedPost(text, prompt, run.words, index.is_copy(text))


def goes_round(post: GeneratedPost) -> bool:
    """Whether a post must be drawn again as it is a loop, which its prompt was not."""
    return copy_index.is_loop(post.text) and not copy_index.is_loop(post.prompt)


def sample(logits: torch.Tensor, sampling: Sampling, generator: torch.Generator) -> torch.Tensor:
    """Draw one token a row by temperature and nucleus sampling.

    Args:
        logits: (rows, vocabulary).
        sampling: temperature and top-p.
        generator: on the logits' device.

    Returns:
        Token ids, (rows,).

    Raises:
        BotError: the logits are no numbers.
    """
    # from the highest down, so that a temperature near 0 gives no infinity
    below = logits - logits.amax(dim=-1, keepdim=True)
    probabilities = below.div_(max(sampling.temperature, 1e-30)).softmax(dim=-1)
    tokens = _sample_from(probabilities, generator)
    if sampling.top_p == 1:
        return tokens
    left = _outside_nucleus(probabilities, tokens, sampling.top_p).nonzero()[:, 0]
    for _ in range(_TRIES):
        if not len(left):
            return tokens
        some = probabilities[left]
        tokens[left] = _sample_from(some, generator)
        left = left[_outside_nucleus(some, tokens[left], sampling.top_p)]
    if len(left):
        tokens[left] = _sample_from(_nucleus(probabilities[left], sampling.top_p), generator)
    return tokens


def _sample_from(probabilities: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """One token a row, by where a random number falls in the sums; (rows,)."""
    import torch

    summed = probabilities.cumsum(-1)
    whole = summed[:, -1:].contiguous()
    if not whole.isfinite().all():
        raise BotError(
            "What the bot computes is no number; its weights are damaged. Train it again."
        )
    chance = torch.rand(len(summed), 1, generator=generator, device=summed.device)
    at = torch.searchsorted(summed, chance * whole, right=True)
    last = torch.searchsorted(summed, whole)  # that can be drawn, against rounding
    return at.minimum(last)[:, 0]


def _outside_nucleus(
    probabilities: torch.Tensor, tokens: torch.Tensor, top_p: float
) -> torch.Tensor:
    """Whether each token is outside its row's nucleus: likelier ones have ``top_p`` already.

    Drawing again until a token is inside draws from the nucleus in its proportions, and takes two
    passes over the vocabulary where sorting it takes as long as the rest of a small model's step.
    """
    import torch

    own = probabilities.gather(1, tokens[:, None])
    # compared into numbers at once, as a mask would take several times as long
    likelier = torch.gt(probabilities, own, out=torch.empty_like(probabilities))
    return likelier.mul_(probabilities).sum(-1) >= top_p


def _nucleus(probabilities: torch.Tensor, top_p: float) -> torch.Tensor:
    """The likeliest tokens that together have ``top_p``, all others 0; by sorting."""
    ordered, order = probabilities.sort(dim=-1, descending=True)
    # a token stays while the mass before it is under top_p, so the first always does
    outside = ordered.cumsum(-1) - ordered >= top_p
    return probabilities.scatter(-1, order, ordered.masked_fill(outside, 0.0))


def cut_at_word(text: str, max_chars: int, after: int = 0) -> str:
    """The text, or its whole words that fit into ``max_chars``; a single longer word is cut.

    No word that begins in the first ``after`` characters, the prompt, is taken away.
    """
    text = text.strip()
    if len(text) <= max_chars:
        return text
    head = text[:max_chars]
    if text[max_chars].isspace() or head[-1].isspace():
        return head.rstrip()
    words = head.rsplit(None, 1)
    return words[0] if len(words) > 1 and len(words[0]) > after else head
