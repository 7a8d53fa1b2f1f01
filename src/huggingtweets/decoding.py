"""Convert JSON and plain values to annotated types, in any number of threads at once.

msgspec examines a dataclass, ``TypedDict`` or ``Struct`` when it first meets it. As a type may
contain itself, the result is stored before it is complete. A second thread that needs the type at
that moment reads memory that isn't written yet, and the process ends with a segmentation fault
(seen with msgspec 0.22 in a web app on a busy machine). So here each type is examined under a lock
before anything is converted to it.
"""

from __future__ import annotations

import threading
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}
_lock = threading.Lock()


def decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    """Return the decoder of a type; threads can share it."""
    if kind not in _decoders:
        with _lock:
            _decoders.setdefault(kind, msgspec.json.Decoder(kind))
    return _decoders[kind]


def decode(document: bytes, kind: type[T]) -> T:
    """Return a JSON document as a value of the type.

    Raises:
        ValueError: it is no valid JSON in UTF-8, or has other values.
        Exception: whatever ``__post_init__`` of a dataclass raises.
    """
    return decoder(kind).decode(document)


def convert(value: object, kind: type[T]) -> T:
    """Return plain values, as JSON has them, as a value of the type.

    Raises:
        ValueError: they don't have its names and types.
        Exception: whatever ``__post_init__`` of a dataclass raises.
    """
    decoder(kind)
    return msgspec.convert(value, kind)
