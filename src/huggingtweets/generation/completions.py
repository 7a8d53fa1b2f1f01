"""Completions: new posts as programs ask for them, in parts, with limits and probabilities.

A post is checked when it is whole: a copy or a loop is written again, private data is masked. A
part that was handed over can't be taken back, so a part is held back until

- fifty more characters are there, longer than what masking knows by its form, such as an IBAN; and
- all that was handed over, taken as a post of its own, is no copy.

When a whole post is rejected, the next try continues from what was handed over. What a reader has
received is therefore never a copy, whole or not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from huggingtweets.errors import InputError
from huggingtweets.generation.batch_engine import Limits, Row
from huggingtweets.generation.requests import PostRequest, RequestBatch
from huggingtweets.privacy import masking

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from huggingtweets.generation.batch_engine import Scores
    from huggingtweets.generation.bots import Bot
    from huggingtweets.generation.sampling import Sampling

_HELD_BACK = 50
"""Characters; the longest of what masking knows by its form, an IBAN in groups, has 42."""

_CHECK_STEPS = 4
"""Tokens between two parts. Checking a part takes about a millisecond."""

Finish = Literal["stop", "length", "content_filter"]
"""The post ended, or a stop text came; a limit was reached; all tries were copies or loops."""


@dataclass(frozen=True, slots=True)
class TokenScore:
    """A sampled token.

    Attributes:
        text: of the token; a part of a character is U+FFFD.
        log_probability: natural logarithm of the model's own probability, before temperature and
            nucleus.
        likeliest: text and log-probability of the likeliest tokens in its place.
    """

    text: str
    log_probability: float
    likeliest: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a completion.

    Attributes:
        choice: number of the completion, from 0.
        text: what follows the parts before it; the first follows the prompt.
        tokens: number of its tokens.
        scores: of its tokens, if they were asked for. Empty where text was masked: the tokens would
            tell what.
        finish: why the completion ends, with its last part.
    """

    choice: int
    text: str
    tokens: int
    scores: tuple[TokenScore, ...] = ()
    finish: Finish | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a program wants beside a prompt and sampling settings.

    Attributes:
        n: number of completions.
        stream: whether parts are handed over before the completion is whole.
        limits: of each completion.
    """

    n: int = 1
    stream: bool = False
    limits: Limits = Limits()  # noqa: RUF009 - it is frozen


@dataclass(slots=True)
class _Choice:
    """A completion that is being written.

    Attributes:
        start: tokens that it begins with, what was handed over included.
        text: what ``start`` says, without white space at its beginning.
        tokens: sampled tokens that were handed over.
    """

    number: int
    start: Sequence[int]
    text: str
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class HandedOver:
    """What a reader already has of a completion that another server began.

    Attributes:
        text: its parts so far.
        tokens: number of their tokens.
        finish: why it ended, if it did.
    """

    text: str = ""
    tokens: int = 0
    finish: Finish | None = None

    def __add__(self, part: Part) -> HandedOver:
        return HandedOver(self.text + part.text, self.tokens + part.tokens, part.finish)


_NOTHING: Mapping[int, HandedOver] = MappingProxyType({})


class CompletionRequest(PostRequest):
    """Completions of one prompt; each is a :class:`Part` or several.

    Args:
        bot: the bot.
        prompt: what each post begins with.
        sampling: settings.
        wanted: how many, and how they are handed over.
        first: number of the first completion.
        client: who wants them; clients take turns.
        handed_over: what the reader has of completions, by their numbers; they go on from there.
            At least one has not ended.

    Attributes:
        lm: the bot's model.
        shown_prompt: the beginning of each post as its tokens say it.

    Raises:
        InputError: the prompt is too long for a post or the model.
    """

    def __init__(
        self,
        bot: Bot,
        prompt: str,
        sampling: Sampling,
        wanted: Wanted,
        *,
        first: int = 0,
        client: str = "",
        handed_over: Mapping[int, HandedOver] = _NOTHING,
    ) -> None:
        _check_length(prompt, sampling.max_chars)
        lm = bot.model
        had = {first + i: handed_over.get(first + i, HandedOver()) for i in range(wanted.n)}
        missing = {number: it for number, it in had.items() if it.finish is None}
        super().__init__(
            lm, prompt, len(missing), sampling, bot.index, mask=bot.mask, client=client,
            context=lm.encode_all(bot.context),
        )  # fmt: skip
        beginning = lm.decode(self.start[1:])
        self.shown_prompt = beginning.lstrip()
        self._limits = replace(wanted.limits, stops_after=len(beginning))
        self._stream, self._level = wanted.stream, bot.mask
        self._held_back = max(_HELD_BACK, *map(len, wanted.limits.stops), 0)
        self._open = [self._choice(number, it) for number, it in missing.items()]
        self._unstarted = list(self._open)
        self._choices: dict[Row, _Choice] = {}

    @property
    def prompt_tokens(self) -> int:
        """Number of tokens of the prompt, the separator included."""
        return len(self.start)

    def _choice(self, number: int, had: HandedOver) -> _Choice:
        if not had.text:
            return _Choice(number, list(self.start), self.shown_prompt)
        said = self.shown_prompt + had.text
        start = [self.lm.separator, *self.lm.encode(said)]
        return _Choice(number, start, said, had.tokens)

    def rows(self, most: int) -> list[Row]:
        """Return new rows, for the completions that have none."""
        rows = super().rows(most)
        for row in rows:
            choice = self._choices[row] = self._unstarted.pop(0)
            row.start = list(choice.start)
            if (limit := self._limits.most_tokens) is not None:
                row.limits = replace(self._limits, most_tokens=limit - choice.tokens)
        return rows

    def replacements(self, row: Row) -> list[Row]:
        """Return a row that continues what was handed over; none when the tries run out."""
        self._unstarted.append(self._choices.pop(row))
        return self.rows(1)

    def finish(self, row: Row, text: str) -> Part | None:
        """Return the last part of a completion, or None when another row must replace this one."""
        choice = self._choices[row]
        if row.ending != "separator" and self._is_empty(text):
            self.running -= 1  # cut so short that nothing is left: that is what was asked for
            self.missing -= 1
            whole, masked = choice.text, False
        else:
            post = self.accept(text)
            if post is None:
                return None
            whole, masked = post.text, post.masked
        del self._choices[row]
        self._open.remove(choice)
        return self._last_part(choice, row, whole, masked=masked)

    def _is_empty(self, text: str) -> bool:
        return text.replace("\ufffd", "").strip() in ("", self.shown_prompt.strip())

    def _last_part(self, choice: _Choice, row: Row, whole: str, *, masked: bool) -> Part:
        finish: Finish = "length" if row.ending == "length" else "stop"
        said = choice.text
        handed_over = len(choice.start) - len(row.start)
        tokens = len(row.tokens) - (len(choice.start) - 1)
        if masked and not whole.startswith(said):  # private data of the prompt is masked as well
            said = masking.mask(said, self._level)
        if not whole.startswith(said):  # a stop text begins in what was handed over
            finish = finish if said.startswith(whole) else "content_filter"
            return Part(choice.number, "", tokens, (), finish)
        scores = () if masked else self._scores(row, handed_over, self._tokens_of(row, whole))
        return Part(choice.number, whole[len(said) :], tokens, scores, finish)

    def progress(self) -> Iterator[Part]:
        """Yield what may be handed over of the completions that are being written."""
        if not self._stream:
            return
        for row, choice in self._choices.items():
            if row.steps and row.steps % _CHECK_STEPS == 0 and not row.ended:
                part = self._safe_part(row, choice)
                if part is not None:
                    yield part

    def _safe_part(self, row: Row, choice: _Choice) -> Part | None:
        text = self._decode(row.tokens)
        safe = min(len(text) - self._held_back, row.sampling.max_chars)
        if safe <= len(choice.text) or masking.reveals(text, self.prompt, self._level):
            return None
        tokens = self._tokens_within(row, choice, text[:safe])
        said = self._decode(row.tokens[:tokens])
        if len(said) <= len(choice.text) or not said.startswith(choice.text):
            return None
        if self.index is not None and self.index.is_copy(said):
            return None
        before, start = len(choice.start) - 1, len(row.start) - 1
        scores = self._scores(row, before - start, tokens - start)
        part = Part(choice.number, said[len(choice.text) :], tokens - before, scores)
        choice.start = [self.lm.separator, *row.tokens[:tokens]]
        choice.tokens += tokens - before
        choice.text = said
        return part

    def _tokens_within(self, row: Row, choice: _Choice, safe: str) -> int:
        """How many tokens of a row say a beginning of ``safe``, in whole characters."""
        best = len(choice.start) - 1
        for number in range(best + 1, len(row.tokens)):
            decoded = self.lm.decode(row.tokens[:number])
            said = self._clean(decoded)
            if len(said) > len(safe):
                break
            if safe.startswith(said) and not decoded.endswith("\ufffd"):
                best = number
        return best

    def _decode(self, tokens: Sequence[int]) -> str:
        return self._clean(self.lm.decode(tokens))

    def _clean(self, text: str) -> str:
        """A beginning of a post as the whole post has it: without halves of characters."""
        return (text if "\ufffd" in self.prompt else text.replace("\ufffd", "")).lstrip()

    def _tokens_of(self, row: Row, whole: str) -> int:
        """How many of a row's sampled tokens say a text; those after it were cut off."""
        if self._limits.top is None:
            return 0
        start = len(row.start) - 1
        return next(
            number
            for number in range(len(row.scores) + 1)
            if number == len(row.scores)
            or len(self._decode(row.tokens[: start + number])) >= len(whole)
        )

    def _scores(self, row: Row, first: int, last: int) -> tuple[TokenScore, ...]:
        """The scores of sampled tokens, from ``first`` to before ``last``."""
        if self._limits.top is None:
            return ()
        return tuple(self._score(scores) for scores in row.scores[first:last])

    def _score(self, scores: Scores) -> TokenScore:
        (token, log_probability), *likeliest = scores
        named = tuple((self.lm.decode([other]), value) for other, value in likeliest)
        return TokenScore(self.lm.decode([token]), log_probability, named)

    def unfinished(self) -> list[Part]:
        """Return the ends of the completions that ran out of tries."""
        return [Part(choice.number, "", 0, (), "content_filter") for choice in self._open]


def parts_of(request: CompletionRequest) -> Iterator[Part]:
    """Write completions for one caller, in a batch of their own."""
    batch = RequestBatch(request.lm)
    batch.add(request)
    while batch.requests:
        for _, part in batch.step():
            if isinstance(part, Exception):
                raise part
            if part is not None:
                yield part
    yield from request.unfinished()


def _check_length(prompt: str, max_chars: int) -> None:
    """Check that a prompt leaves room in a post, with a message for programs.

    Raises:
        InputError: it doesn't.
    """
    if len(prompt) >= max_chars:
        raise InputError(
            f"The beginning of the post has {len(prompt):,} characters and a post at most "
            f"{max_chars:,}; shorten it, or send a larger max_chars."
        )
