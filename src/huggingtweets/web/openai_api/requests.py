"""Read the JSON of a request for completions: every field is used, or refused by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta

from huggingtweets.arguments import PostLength, Prompt, Seed, Text, TopP, check
from huggingtweets.decoding import decode
from huggingtweets.errors import InputError
from huggingtweets.generation.batch_engine import Limits
from huggingtweets.generation.completions import Wanted
from huggingtweets.generation.sampling import Sampling
from huggingtweets.nn.language_model import TEMPERATURE, TOP_P
from huggingtweets.web.openai_api.errors import ApiError, bad_value

MOST_CHOICES = 128
"""Completions of one request, for all its prompts together; OpenAI's limit of ``n``."""

_Count = Annotated[
    int, Meta(ge=1, le=MOST_CHOICES, description=f"a whole number from 1 to {MOST_CHOICES}")
]
_Temperature = Annotated[float, Meta(ge=0, le=2, description="a number from 0 to 2")]
_Tokens = Annotated[int, Meta(ge=1, le=1_000_000, description="a whole number from 1 to 1,000,000")]
_Top = Annotated[int, Meta(ge=0, le=20, description="a whole number from 0 to 20")]
_Stop = Annotated[
    str, Meta(min_length=1, max_length=200, description="text of 1 to 200 characters")
]
_MOST_STOPS = 4
_GREEDY = 1e-9
"""The temperature that stands for 0: the likeliest token has all the probability."""

_SHARED: dict[str, Any] = {
    "model": Text,
    "n": _Count,
    "stream": bool,
    "seed": Seed,
    "max_tokens": _Tokens,
    "temperature": _Temperature,
    "top_p": TopP,
    "max_chars": PostLength,
    "hashtag": Text,
}
_COMPLETION: dict[str, Any] = {**_SHARED, "echo": bool, "logprobs": _Top}
_CHAT: dict[str, Any] = {
    **_SHARED,
    "max_completion_tokens": _Tokens,
    "logprobs": bool,
    "top_logprobs": _Top,
}
_ELSEWHERE = frozenset({"prompt", "messages", "stop", "stream_options"})
"""Read by a function of their own."""

_IGNORED = frozenset(
    {"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key"}
)
"""Fields that say nothing about the text."""

_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "best_of": (1,),
    "suffix": ("",),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "tools": ([],),
    "functions": ([],),
    "tool_choice": ("none", "auto"),
    "function_call": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
}
"""Fields for what bots can't do, and the values that ask for nothing of it."""


@dataclass(frozen=True, slots=True)
class CompletionOrder:
    """A request for completions.

    Attributes:
        model: name of the bot.
        prompts: what posts begin with.
        sampling: settings.
        wanted: how many of each prompt, and their limits.
        chat: whether the response is that of a chat.
        echo: whether a completion repeats its prompt.
        usage: whether a stream ends with the numbers of tokens.
        hashtag: of the author that each post shall have; empty for none.
    """

    model: str
    prompts: tuple[str, ...]
    sampling: Sampling
    wanted: Wanted
    chat: bool
    echo: bool = False
    usage: bool = False
    hashtag: str = ""

    @property
    def field(self) -> str | None:
        """The request's field to blame for what can't be written; None if it may be another."""
        if self.hashtag:
            return None
        return "messages" if self.chat else "prompt"


def read(body: bytes, *, chat: bool) -> CompletionOrder:
    """Read a request.

    Raises:
        ApiError: it is no JSON object, a field has a wrong value, or isn't known.
    """
    given = _object(body)
    known = _CHAT if chat else _COMPLETION
    _check_names(given, known)
    values = {name: _checked(given, name, kind) for name, kind in known.items() if name in given}
    if "model" not in values:
        raise bad_value("The request must name a model.", "model", "missing_required_parameter")
    n = values.get("n", 1)
    prompts = (_last_message(given),) if chat else _prompts(given)
    if n * len(prompts) > MOST_CHOICES:
        raise bad_value(
            f"Ask for at most {MOST_CHOICES} completions at a time, not {n * len(prompts)}.", "n"
        )
    temperature = values.get("temperature", TEMPERATURE)
    sampling = Sampling(
        temperature=max(temperature, _GREEDY),
        top_p=values.get("top_p", TOP_P),
        max_chars=values.get("max_chars", 280),
        seed=values.get("seed"),
    )
    most_tokens = values.get("max_completion_tokens", values.get("max_tokens"))
    limits = Limits(most_tokens, _stops(given), top=_top(values, chat=chat))
    if values.get("hashtag") and limits != Limits():
        raise bad_value(
            "hashtag can't be combined with max_tokens, stop or logprobs; use max_chars.", "hashtag"
        )
    return CompletionOrder(
        model=values["model"],
        prompts=prompts,
        sampling=sampling,
        wanted=Wanted(n, values.get("stream", False), limits),
        chat=chat,
        echo=values.get("echo", False),
        usage=_wants_usage(given),
        hashtag=values.get("hashtag", ""),
    )


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = decode(body, dict[str, Any])
    except (ValueError, RecursionError) as error:
        message = "The request must be a JSON object, in UTF-8."
        raise ApiError(400, message, code="invalid_json") from error
    return {name: field for name, field in value.items() if field is not None}


def _check_names(given: dict[str, Any], known: dict[str, Any]) -> None:
    for name, value in given.items():
        if name in known or name in _ELSEWHERE or name in _IGNORED:
            continue
        if name not in _NEUTRAL:
            shown = name[:100].encode("ascii", "backslashreplace").decode()
            raise bad_value(f"Unknown field in the request: {shown}.", shown, "unknown_parameter")
        if not any(value == neutral for neutral in _NEUTRAL[name]):
            raise bad_value(
                f"Bots can't do what {name} asks for; leave it out.", name, "unsupported_parameter"
            )


def _checked(given: dict[str, Any], name: str, kind: Any) -> Any:  # noqa: ANN401 - a type and its value
    try:
        return check({name: given[name]}, {name: kind})[name]
    except InputError as error:
        raise bad_value(str(error).replace(name.replace("_", "-"), name, 1), name) from None


def _prompts(given: dict[str, Any]) -> tuple[str, ...]:
    prompt = given.get("prompt", "")
    texts = prompt if isinstance(prompt, list) else [prompt]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise bad_value("prompt must be text, or a list of texts; not of tokens.", "prompt")
    return tuple(_checked({"prompt": text}, "prompt", Prompt) for text in texts)


def _last_message(given: dict[str, Any]) -> str:
    """The text of the last message, with which the post begins. A bot knows no conversation."""
    messages = given.get("messages")
    if not isinstance(messages, list) or not messages or not isinstance(messages[-1], dict):
        raise bad_value("messages must be a list with at least one message.", "messages")
    content = messages[-1].get("content")
    parts = content if isinstance(content, list) else [{"type": "text", "text": content or ""}]
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    if len(texts) < len(parts) or not all(isinstance(text, str) for text in texts):
        raise bad_value("The content of the last message must be text.", "messages")
    return str(_checked({"messages": "".join(map(str, texts))}, "messages", Prompt))


def _stops(given: dict[str, Any]) -> tuple[str, ...]:
    stop = given.get("stop", [])
    texts = stop if isinstance(stop, list) else [stop]
    if len(texts) > _MOST_STOPS:
        raise bad_value(f"stop must have at most {_MOST_STOPS} texts, not {len(texts)}.", "stop")
    return tuple(_checked({"stop": text}, "stop", _Stop) for text in texts)


def _top(values: dict[str, Any], *, chat: bool) -> int | None:
    """How many of the likeliest tokens to record; None records none."""
    if not chat:
        found: int | None = values.get("logprobs")
        return found
    if not values.get("logprobs", False):
        if values.get("top_logprobs"):
            raise bad_value("top_logprobs needs logprobs: true.", "top_logprobs")
        return None
    top: int = values.get("top_logprobs", 0)
    return top


def _wants_usage(given: dict[str, Any]) -> bool:
    options = given.get("stream_options", {})
    if not isinstance(options, dict):
        raise bad_value("stream_options must be an object.", "stream_options")
    usage = options.get("include_usage") or False
    return bool(_checked({"include_usage": usage}, "include_usage", bool))
