"""What parts of completions become: one response, or the events of a stream."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from huggingtweets.generation.completions import Part, TokenScore
    from huggingtweets.web.openai_api.requests import CompletionOrder

DONE = "data: [DONE]\n\n"
"""The end of a stream."""


def event(value: object) -> str:
    """Return a server-sent event."""
    return f"data: {json.dumps(value)}\n\n"


@dataclass(slots=True)
class _Choice:
    """A completion so far.

    Attributes:
        given: its prompt.
        prompt: what the prompt became as the beginning of a post.
        text: what was said.
        started: whether anything was.
        offset: characters before the next token.
        finish: why it ended.
        scores: of its tokens.
        masked: whether something in it was masked; the scores of its tokens would tell what.
    """

    given: str
    prompt: str
    text: str = ""
    started: bool = False
    offset: int = 0
    finish: str | None = None
    scores: list[TokenScore] = field(default_factory=list)
    masked: bool = False


class Answer:
    """The response to one request.

    A completion continues the prompt. In a chat it is the whole post, with the last message as its
    beginning: a message is read by itself.

    Args:
        order: the request.
        shown_prompts: what each prompt became as the beginning of a post.
        prompt_tokens: number of tokens of all prompts.
    """

    def __init__(
        self, order: CompletionOrder, shown_prompts: Sequence[str], prompt_tokens: int
    ) -> None:
        self._order = order
        kind = "chatcmpl" if order.chat else "cmpl"
        self._head = {
            "id": f"{kind}-{secrets.token_hex(12)}",
            "created": int(time.time()),
            "model": order.model,
        }
        self._choices = [
            _Choice(given, shown, offset=len(shown))
            for given, shown in zip(order.prompts, shown_prompts, strict=True)
            for _ in range(order.wanted.n)
        ]
        self.prompt_tokens, self.completion_tokens = prompt_tokens, 0

    @property
    def is_complete(self) -> bool:
        """Whether all completions have ended."""
        return all(choice.finish for choice in self._choices)

    @property
    def usage(self) -> dict[str, int]:
        """The numbers of tokens."""
        prompt, completion = self.prompt_tokens, self.completion_tokens
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }

    def add(self, part: Part) -> dict[str, Any]:
        """Take a part and return the ``choice`` of its event in a stream."""
        choice = self._choices[part.choice]
        said = part.text if choice.started else self._first(choice, part.text)
        choice.started = choice.started or bool(part.text)
        probabilities = None
        if self._order.wanted.limits.top is not None:
            choice.masked = choice.masked or bool(part.text and not part.scores)
            probabilities = self._log_probabilities(part.scores, choice.offset)
        choice.offset += len(part.text)
        choice.text += said
        choice.scores += part.scores
        choice.finish = part.finish
        self.completion_tokens += part.tokens
        body = {"delta": {"content": said} if said else {}} if self._order.chat else {"text": said}
        return {
            "index": part.choice,
            **body,
            "logprobs": probabilities if part.scores else None,
            "finish_reason": part.finish,
        }

    def _first(self, choice: _Choice, text: str) -> str:
        """The first text of a completion, as it continues the prompt."""
        if self._order.chat:
            return text
        if choice.given != choice.given.rstrip():
            text = text.removeprefix(" ")  # the prompt has it
        return choice.given + text if self._order.echo else text

    def opening_events(self) -> Iterator[str]:
        """Yield the events of a stream before its first part: role and beginning of messages."""
        if self._order.chat:
            for number, choice in enumerate(self._choices):
                delta = {"role": "assistant", "content": choice.prompt}
                yield self.event(
                    {"index": number, "delta": delta, "logprobs": None, "finish_reason": None}
                )

    def event(self, choice: dict[str, Any]) -> str:
        """Return the event of a stream with a choice of :meth:`add`."""
        body = {**self._head, "object": self._kind("chunk"), "choices": [choice]}
        return event({**body, "usage": None} if self._order.usage else body)

    def closing_events(self) -> Iterator[str]:
        """Yield the events after the last part."""
        if self._order.usage:
            body = {**self._head, "object": self._kind("chunk"), "choices": []}
            yield event({**body, "usage": self.usage})
        yield DONE

    def whole(self) -> dict[str, Any]:
        """Return the response to a request without a stream."""
        choices = [self._whole(number, choice) for number, choice in enumerate(self._choices)]
        return {
            **self._head,
            "object": self._kind(),
            "choices": choices,
            "usage": self.usage,
        }

    def _whole(self, number: int, choice: _Choice) -> dict[str, Any]:
        probabilities = None
        if self._order.wanted.limits.top is not None and not choice.masked:
            probabilities = self._log_probabilities(choice.scores, len(choice.prompt))
        if self._order.chat:
            text = choice.prompt + choice.text
            body: dict[str, Any] = {
                "message": {"role": "assistant", "content": text, "refusal": None}
            }
        else:
            body = {"text": choice.text}
        return {
            "index": number,
            **body,
            "logprobs": probabilities,
            "finish_reason": choice.finish,
        }

    def _kind(self, part: str = "") -> str:
        if not self._order.chat:
            return "text_completion"
        return f"chat.completion.{part}" if part else "chat.completion"

    def _log_probabilities(self, scores: Sequence[TokenScore], chars: int) -> dict[str, Any]:
        if self._order.chat:
            return {"content": [_chat_score(score) for score in scores], "refusal": None}
        offsets = []
        for score in scores:
            offsets.append(chars)
            chars += len(score.text)
        tops = [dict(score.likeliest) or None for score in scores]
        return {
            "tokens": [score.text for score in scores],
            "token_logprobs": [score.log_probability for score in scores],
            "top_logprobs": tops if any(tops) else None,
            "text_offset": offsets,
        }


def _chat_score(score: TokenScore) -> dict[str, Any]:
    likeliest = [_token(text, value) for text, value in score.likeliest]
    return {**_token(score.text, score.log_probability), "top_logprobs": likeliest}


def _token(text: str, log_probability: float) -> dict[str, Any]:
    # a token that is a part of a character has no text, and its bytes aren't known here
    data = None if "\ufffd" in text else list(text.encode())
    return {"token": text, "logprob": log_probability, "bytes": data}
