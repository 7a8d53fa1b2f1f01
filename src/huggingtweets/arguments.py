"""What a value from outside may be, and the check that refuses every other value.

A visitor's request, a call of the library and an option of the command line end in the same
parameters. Their annotations are the types of this module; :func:`checked` and
:func:`check_fields` enforce them. A number is never inferred from a text or a boolean.
"""

from __future__ import annotations

import functools
import inspect
import reprlib
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Meta

from huggingtweets.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

P = ParamSpec("P")
T = TypeVar("T")

MOST_POSTS = 10_000
"""Limit of posts for one prompt."""

_WHOLE_CHARACTERS = r"\A[^\0\ud800-\udfff]*\Z"
"""Half of a surrogate pair can't be encoded as UTF-8, and no path may hold a null character."""

PostCount = Annotated[
    int, Meta(ge=1, le=MOST_POSTS, description=f"a whole number from 1 to {MOST_POSTS:,}")
]
Temperature = Annotated[float, Meta(gt=0, le=100, description="a number over 0 and at most 100")]
TopP = Annotated[float, Meta(gt=0, le=1, description="a number over 0 and at most 1")]
Share = Annotated[float, Meta(ge=0, le=1, description="a number from 0 to 1")]
PostLength = Annotated[int, Meta(ge=1, le=100_000, description="a whole number from 1 to 100,000")]
Seed = Annotated[int, Meta(ge=0, le=2**63 - 1, description="a whole number from 0 to 2^63 - 1")]
Epochs = Annotated[int, Meta(ge=1, le=1_000, description="a whole number from 1 to 1,000")]
LearningRate = Annotated[float, Meta(gt=0, lt=1, description="a number over 0 and under 1")]
Text = Annotated[
    str,
    Meta(
        max_length=5_000,
        pattern=_WHOLE_CHARACTERS,
        description="text of at most 5,000 whole characters, none of them null",
    ),
]
Prompt = Annotated[
    str,
    Meta(
        max_length=100_000,
        pattern=_WHOLE_CHARACTERS,
        description="text of at most 100,000 whole characters, none of them null",
    ),
]
Secret = Annotated[
    str,
    Meta(
        max_length=1_000,
        pattern=_WHOLE_CHARACTERS,
        description="text of at most 1,000 whole characters",
        extra={"secret": True},
    ),
]
"""A password or token; no message shows it."""

Texts = Annotated[tuple[Text, ...], Meta(max_length=100, description="a list of texts")]

_BARE: dict[object, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}
"""Python's own types among the checked ones."""


def check(values: Mapping[str, object], types: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of ``types``'s keys, converted where nothing is lost (3.0 to 3).

    Args:
        values: by name; names that are missing are not checked.
        types: what each may be.

    Raises:
        InputError: one sentence that names every invalid value.
    """
    faults, result = [], {}
    for name, kind in types.items():
        if name not in values:
            continue
        try:
            result[name] = _convert(values[name], kind)
        except (ValueError, TypeError, RecursionError):  # ValidationError is a ValueError
            faults.append(_fault(name, values[name], kind))
    if faults:
        raise InputError("These settings can't be used: " + "; ".join(faults) + ".")
    return result


def checked(function: Callable[P, T]) -> Callable[P, T]:
    """Check the arguments of a function or method by its annotations at every call.

    Parameters whose annotation is not built from the types of this module or of Python's numbers,
    texts and tuples belong to the program itself and pass unchecked.
    """
    signature = inspect.signature(function)
    types = _types_of(
        {name: parameter.annotation for name, parameter in signature.parameters.items()},
        vars(inspect.getmodule(function)),
    )

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        bound = signature.bind(*args, **kwargs)
        bound.arguments.update(check(bound.arguments, types))
        return function(*bound.args, **bound.kwargs)

    return call


def checked_methods(kind: type[T]) -> type[T]:
    """Check the arguments of all public methods of a class, as :func:`checked` does."""
    for name, value in list(vars(kind).items()):
        if inspect.isfunction(value) and not name.startswith("_"):
            setattr(kind, name, checked(value))
    return kind


def check_fields(instance: Any) -> None:  # noqa: ANN401 - any frozen dataclass
    """Check the fields of a frozen dataclass; called from its ``__post_init__``.

    Raises:
        InputError: one sentence that names every invalid field.
    """
    kind: Any = type(instance)
    types = _field_types(kind)
    for name, value in check({name: getattr(instance, name) for name in types}, types).items():
        object.__setattr__(instance, name, value)


@functools.cache
def _field_types(kind: Any) -> dict[str, Any]:  # noqa: ANN401 - a class
    return _types_of(kind.__annotations__, vars(inspect.getmodule(kind)))


def _types_of(annotations: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    """The checked types among annotations; ``names`` are those of their module."""
    types = {}
    for name, annotation in annotations.items():
        try:
            holder = SimpleNamespace(__annotations__={name: annotation})
            kind = get_type_hints(holder, dict(names), include_extras=True)[name]
        except NameError:  # imported for type checking only: a type of the program itself
            continue
        if kind in _BARE or _metas(kind):
            types[name] = kind
    return types


def _convert(value: object, kind: object) -> object:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        if isinstance(value, float) and value.is_integer():  # JSON has one kind of number
            return msgspec.convert(int(value), kind)
        raise


def _metas(kind: object) -> list[Meta]:
    """The limits of a type, or of the members of a union."""
    parts = getattr(kind, "__metadata__", None) or get_args(kind)
    metas = [part for part in parts if isinstance(part, Meta)]
    return metas or [meta for part in get_args(kind) for meta in _metas(part)]


def _fault(name: str, value: object, kind: object) -> str:
    metas = _metas(kind)
    expected = metas[0].description if metas else _BARE[kind]
    fault = f"{name.replace('_', '-')} must be {expected}"
    is_secret = bool(metas and metas[0].extra)
    return fault if is_secret else f"{fault}, not {_shown(value)}"


def _shown(value: object) -> str:
    """A value as a message shows it: short, in whole characters."""
    try:
        text = reprlib.repr(value)
    except ValueError:  # an integer of thousands of digits
        return "a huge number"
    return text.encode("ascii", "backslashreplace").decode() if not text.isprintable() else text
