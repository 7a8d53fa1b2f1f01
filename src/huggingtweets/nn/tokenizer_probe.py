"""Try a tokenizer that may come from a stranger, in a child process with limits.

A tokenizer is a small program: its patterns can take exponential time, and forty replacements of
one letter by two make terabytes of it. So what ``tokenizer.json`` can do to the length of a text is
bounded first, then the tokenizer encodes and decodes a few texts in the child. What passed, and
what this program saved itself, is remembered by its hash and not tried again.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from huggingtweets.errors import BaseModelError
from huggingtweets.nn.model_folder import UnusableModelError
from huggingtweets.processes import limited
from huggingtweets.storage import files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from huggingtweets.processes.limited import Send

LIMITS = limited.Limits(memory_bytes=4_000_000_000, seconds=30)
"""Of the child: 100 MB and half a second are usual, 1 GB and 8 s without ``tokenizer.json``."""

_RULES = "2"  # part of the hash: what passed earlier rules is tried again
_MOST_FILE_BYTES = 100_000_000
_MOST_TOKEN_CHARS = 2_000
_MOST_TOKENS_PER_CHAR = 32  # bytes of one character, each a token, after NFKC
_MOST_GROWTH = 1_000
_MOST_STEPS = 100
_UNICODE_GROWTH = {"NFKC": 18, "NFKD": 18, "NFC": 3, "NFD": 4, "Lowercase": 3, "ByteLevel": 4}
"""The longest results for one character; U+FDFA becomes 18 characters."""

_PROBES = (
    "",
    "My dream is",
    "Today we talked about the new budget: thank you all for coming! #community @ann",
    "don't   stop\n\n\tnow 12,345.67 https://example.org/?q=a%20b&c=d",
    "Grüße aus Zürich, 東京 서울 Москва, مرحبا 👩‍👧‍👦🇺🇳 \ufdfa \u0301\u0000",
    "a" * 280,
    "aA1 -" * 56,
    " " * 280,
    "!?" * 140,
)


def check(folder: Path, cache: Path, rows: int | None) -> None:
    """Try a folder's tokenizer in a child process, unless it passed before.

    Args:
        folder: the model folder.
        cache: folder in which what passed is remembered.
        rows: number of embeddings, which the ids of tokens must be less than; None if unknown.

    Raises:
        UnusableModelError: it fails, or takes too much time or memory.
    """
    passed = _passed(folder, cache, rows)
    if passed.exists():
        return
    try:
        limited.call(f"{__name__}:probe", (folder, rows), LIMITS, lambda _: None)
    except BaseModelError as error:
        raise UnusableModelError(str(error)) from error
    except limited.LimitError as error:
        reasons = {
            "memory": f"takes more than {LIMITS.memory_bytes / 1e9:.0f} GB of memory",
            "time": f"takes more than {LIMITS.seconds:.0f} s",
        }
        reason = reasons.get(error.reason, "fails")
        raise UnusableModelError(f"its tokenizer {reason} on short texts") from error
    _remember(passed)


def remember(folder: Path, cache: Path, rows: int | None) -> None:
    """Note that this program made a folder's tokenizer, so that it isn't tried."""
    _remember(_passed(folder, cache, rows))


def _passed(folder: Path, cache: Path, rows: int | None) -> Path:
    return cache / "tokenizers" / _digest(folder, rows)


def _remember(passed: Path) -> None:
    with suppress(OSError):  # a cache that can't be written costs half a second each time
        files.make_folder(passed.parent)
        passed.touch(0o600)


def _digest(folder: Path, rows: int | None) -> str:
    """SHA-256 of all files that may define the tokenizer."""
    digest = hashlib.sha256(f"{_RULES} {rows}".encode())
    for file in sorted(folder.iterdir()):
        if _defines_tokenizer(file):
            digest.update(f"\n{file.name} {file.stat().st_size} ".encode())
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()


def _defines_tokenizer(file: Path) -> bool:
    named = file.name.startswith(("tokenizer", "special_tokens", "added_tokens", "vocab", "merges"))
    return (named or file.suffix in (".model", ".tiktoken", ".txt")) and file.is_file()


@contextmanager
def faults(source: str) -> Iterator[None]:
    """Turn a tokenizer's own errors into a :class:`BaseModelError`.

    Rust's panics are no subclass of ``Exception``.
    """
    try:
        yield
    except BaseException as error:
        if type(error).__name__ == "PanicException":
            raise BaseModelError(f"The tokenizer of {source!r} fails on this text.") from error
        raise


def probe(argument: tuple[Path, int | None], _send: Send) -> None:
    """Try a tokenizer; runs in the child.

    Raises:
        BaseModelError: it can't be used; the message is a part of a sentence.
    """
    folder, rows = argument
    file = folder / "tokenizer.json"
    try:
        if file.is_file():
            _check_definition(file)
            from tokenizers import Tokenizer

            backend: Any = Tokenizer.from_file(str(file))
        else:
            for part in filter(_defines_tokenizer, folder.iterdir()):
                _check_size(part)
            from transformers import AutoTokenizer

            made = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
            backend = getattr(made, "backend_tokenizer", None)
            if backend is None:
                return _try_slow(made)
        _check_ids(backend, rows)
        _try(backend)
    except UnusableModelError as error:
        raise BaseModelError(str(error)) from error
    except MemoryError:
        raise
    except BaseException as error:  # Rust panics with one
        reason = " ".join(str(error).split())[:100].rstrip(".") or type(error).__name__
        raise BaseModelError(f"its tokenizer can't be used ({reason})") from error


def _check_size(file: Path) -> None:
    if file.stat().st_size > _MOST_FILE_BYTES:
        raise UnusableModelError(f"its {file.name} is larger than {_MOST_FILE_BYTES / 1e6:.0f} MB")


def _check_definition(file: Path) -> None:
    """Bound what the steps of a tokenizer can do to the length of a text."""
    _check_size(file)
    try:
        definition = json.loads(file.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise UnusableModelError("its tokenizer.json is damaged") from error
    if not isinstance(definition, dict):
        raise UnusableModelError("its tokenizer.json is damaged")
    for part in ("normalizer", "pre_tokenizer", "decoder"):
        steps = list(_steps(definition.get(part)))
        growth = 1.0
        for step in steps:
            growth *= _growth(step)
        if growth > _MOST_GROWTH or len(steps) > _MOST_STEPS:
            raise UnusableModelError(
                f"the {part.replace('_', '-')} of its tokenizer can make a text "
                f"{min(growth, 1e12):,.0f} times as long, in {len(steps)} steps"
            )


def _steps(part: object) -> Iterator[dict[str, Any]]:
    """Yield the steps of a part of a tokenizer, which may be nested."""
    todo = [part]
    while todo:
        step = todo.pop()
        if isinstance(step, list):
            todo += step
        elif isinstance(step, dict):
            inner = [step[name] for name in _NESTED if isinstance(step.get(name), list)]
            todo += inner
            if not inner:
                yield step


_NESTED = ("normalizers", "pretokenizers", "decoders")


def _growth(step: dict[str, Any]) -> float:
    """Return how many times as long a step can make one character."""
    texts = (step.get(name) for name in ("content", "prepend", "replacement", "prefix", "suffix"))
    longest = max((len(text) for text in texts if isinstance(text, str)), default=1)
    if step.get("type") == "Prepend":  # once a text, which may be empty
        longest += 1
    return max(1, longest, _UNICODE_GROWTH.get(str(step.get("type")), 1))


def _check_ids(backend: Any, rows: int | None) -> None:  # noqa: ANN401 - a Tokenizer
    tokens = backend.get_vocab(with_added_tokens=False)
    if long := next((token for token in tokens if len(token) > _MOST_TOKEN_CHARS), None):
        raise UnusableModelError(f"its tokenizer has a token of {len(long):,} characters")
    for token in backend.get_added_tokens_decoder().values():
        if len(token.content) > _MOST_TOKEN_CHARS:
            raise UnusableModelError(
                f"its tokenizer has a token of {len(token.content):,} characters"
            )
    highest = max(tokens.values(), default=0)
    if rows is not None and highest >= rows:
        raise UnusableModelError(
            f"its tokenizer has a token with the number {highest:,}, but the model has {rows:,}"
        )


def _try(backend: Any) -> None:  # noqa: ANN401 - a Tokenizer
    """Encode and decode the probes, and decode every token."""
    backend.encode_special_tokens = True
    backend.no_padding()  # as transformers does
    backend.no_truncation()
    for text in _PROBES:
        ids = backend.encode(text, add_special_tokens=False).ids
        _check_lengths(text, len(ids), len(backend.decode(ids)))
    numbers = sorted(backend.get_vocab(with_added_tokens=True).values())
    for decoded in backend.decode_batch([[number] for number in numbers]):
        if len(decoded) > _MOST_TOKEN_CHARS:
            raise UnusableModelError(
                f"its tokenizer decodes one token to {len(decoded):,} characters"
            )


def _try_slow(tokenizer: Any) -> None:  # noqa: ANN401 - a tokenizer in Python
    for text in _PROBES:
        ids = tokenizer.encode(text, add_special_tokens=False)
        _check_lengths(text, len(ids), len(tokenizer.decode(ids)))


def _check_lengths(text: str, tokens: int, decoded: int) -> None:
    most = _MOST_TOKENS_PER_CHAR * (len(text) + 8)
    if tokens > most or decoded > most:
        raise UnusableModelError(
            f"its tokenizer turns {len(text)} characters into {tokens:,} tokens and back into "
            f"{decoded:,} characters"
        )
