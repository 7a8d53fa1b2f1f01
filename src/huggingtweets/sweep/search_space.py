"""The search space of a sweep: a range, a choice or one value for each field of the recipe.

As a TOML file (JSON works the same):

.. code-block:: toml

    learning_rate = { low = 1e-4, high = 4e-3, log = true }
    epochs = { low = 1, high = 6 }      # integers
    rows = ["posts", "blocks"]          # a choice
    clip = 1.0                          # fixed
"""

from __future__ import annotations

import json
import math
import tomllib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from huggingtweets.errors import InputError
from huggingtweets.training import RECIPES, Recipe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import optuna

_WHOLE = ("epochs", "batch_tokens")
_NAMES = (
    "learning_rate",
    "epochs",
    "batch_tokens",
    "warmup",
    "weight_decay",
    "beta2",
    "clip",
    "rows",
)
_SHAPE = "{ low = …, high = …, log = true } for a range, [a, b] for a choice, or one value"
_MARGIN = 0.1  # share of a region's width added on both sides, as the best may be at the edge


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from ``low`` to ``high``, both included; integers if ``whole``."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def narrowed(self, values: Sequence[float]) -> Range | float:
        """Return the part around ``values``, or their common value."""
        low, high = min(values), max(values)
        if low == high:
            return low
        if self.log:
            margin = (high / low) ** _MARGIN
            low, high = low / margin, high * margin
        else:
            margin = (high - low) * _MARGIN
            low, high = low - margin, high + margin
        if self.whole:
            low, high = math.floor(low), math.ceil(high)
        return Range(max(low, self.low), min(high, self.high), self.log, self.whole)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several values."""

    values: tuple[float | str, ...]


Field = Range | Choice | float | str


@dataclass(frozen=True)
class Space:
    """The fields of the recipe that vary, or that differ from the default recipe.

    Attributes:
        fields: by name of a field of :class:`~huggingtweets.training.Recipe`.
    """

    fields: Mapping[str, Field]

    @property
    def varied(self) -> dict[str, Range | Choice]:
        """The fields that vary between trials."""
        return {n: f for n, f in self.fields.items() if isinstance(f, Range | Choice)}

    def recipe(self, chosen: Mapping[str, Any]) -> Recipe:
        """Return the recipe of a trial."""
        fixed = {n: f for n, f in self.fields.items() if not isinstance(f, Range | Choice)}
        return RECIPES["fast"].changed(**fixed, **chosen)

    def default(self, width: int) -> dict[str, Any]:
        """Return the varied fields of the default recipe.

        Args:
            width: hidden size of the base.

        Raises:
            InputError: a choice lacks the default value.
        """
        default = RECIPES["fast"].for_base(width)
        values = {name: getattr(default, name) for name in self.varied}
        for name, field in self.varied.items():
            if isinstance(field, Choice) and values[name] not in field.values:
                raise InputError(
                    f"The choice of {name} in the space must include {values[name]!r}, the default "
                    "recipe's value: every sweep also runs the default recipe."
                )
        return values

    def distributions(self) -> dict[str, optuna.distributions.BaseDistribution]:
        """Return the varied fields as Optuna distributions."""
        return {name: _distribution(field) for name, field in self.varied.items()}

    def narrowed(self, trials: Sequence[Mapping[str, Any]]) -> Space:
        """Return the region that contains the recipes of some trials.

        Raises:
            InputError: all recipes are equal, so nothing is left to vary.
        """
        fields = dict(self.fields)
        for name, field in self.varied.items():
            values = [trial[name] for trial in trials]
            if isinstance(field, Range):
                fields[name] = field.narrowed(values)
            else:
                left = tuple(value for value in field.values if value in values)
                fields[name] = Choice(left) if len(left) > 1 else left[0]
        region = Space(fields)
        if not region.varied:
            raise InputError("The best trials all have the same recipe; nothing is left to vary.")
        return region

    def as_json(self) -> dict[str, Any]:
        """Return the space in the format of the file."""
        return {name: _as_json(field) for name, field in self.fields.items()}


DEFAULT = Space(
    {
        "learning_rate": Range(1e-4, 4e-3, log=True),
        "epochs": Range(1, 6, whole=True),
        "batch_tokens": Range(256, 4096, log=True, whole=True),
        "warmup": Range(0.0, 0.3),
        "weight_decay": Range(0.0, 0.3),
        "beta2": Range(0.9, 0.999),
    }
)
"""About a factor of ten around the default recipe in both directions, where training works."""


def read_space(file: Path) -> Space:
    """Read a space from a TOML or JSON file.

    Raises:
        InputError: the file can't be read, or a field is invalid; the message lists all problems.
    """
    try:
        text = file.read_text("utf-8")
        values = json.loads(text) if file.suffix.lower() == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:  # TOML's and JSON's own errors are ValueErrors
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"The space {file} can't be read: {reason}.") from error
    return space_of(values, str(file))


def space_of(given: Any, where: str = "the space") -> Space:  # noqa: ANN401 - from a file
    """Parse and check a space.

    Args:
        given: fields in the format of :meth:`Space.as_json`.
        where: name of the space in error messages.

    Raises:
        InputError: a field is invalid.
    """
    if not isinstance(given, dict) or not given:
        raise InputError(f"{where} has no field. Fields are {', '.join(_NAMES)}; give {_SHAPE}.")
    fields: dict[str, Field] = {}
    faults = []
    for name, value in given.items():
        try:
            fields[name] = _field(name, value)
        except InputError as error:
            faults.append(str(error).rstrip("."))
    if not faults and not any(isinstance(f, Range | Choice) for f in fields.values()):
        faults.append("every field has one value, so there is nothing to search")
    if faults:
        raise InputError(f"{where} can't be used: {'; '.join(faults)}.")
    return Space(fields)


def _field(name: str, value: Any) -> Field:  # noqa: ANN401 - from a file
    if name not in _NAMES:
        raise InputError(f"there is no field {name!r}, only {', '.join(_NAMES)}")
    field: Field
    if isinstance(value, dict):
        field = _range(name, value)
    elif isinstance(value, list):
        if len(set(map(str, value))) < max(2, len(value)):
            raise InputError(f"{name} needs two or more different values to choose from")
        field = Choice(tuple(_value(name, option) for option in value))
    else:
        field = _value(name, value)
    return field


def _range(name: str, value: dict[str, Any]) -> Range:
    if name == "rows":
        raise InputError('rows can\'t be a range; give ["posts", "blocks"] or one of them')
    if unknown := sorted(value.keys() - {"low", "high", "log"}):
        raise InputError(f"{name} has {', '.join(unknown)}; a range has low, high and log")
    if not {"low", "high"} <= value.keys() or not isinstance(value.get("log", False), bool):
        raise InputError(f"{name} must be {_SHAPE}")
    low, high = (_value(name, value[end]) for end in ("low", "high"))
    log = value.get("log", False)
    assert isinstance(low, int | float)  # noqa: S101 - rows, the only text, is rejected above
    assert isinstance(high, int | float)  # noqa: S101
    if not low < high:
        raise InputError(f"{name} must have low under high, not {low} and {high}")
    if log and low <= 0:
        raise InputError(f"{name} has log = true, so low must be over 0, not {low}")
    return Range(low, high, log, name in _WHOLE)


def _value(name: str, value: Any) -> float | str:  # noqa: ANN401 - from a file
    """Check a single value of a field."""
    if name == "rows":
        if value not in ("posts", "blocks"):
            raise InputError(f"rows must be posts or blocks, not {value!r}")
        return str(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{name} must be a number, not {value!r}")
    if name in _WHOLE and not isinstance(value, int):
        raise InputError(f"{name} must be a whole number, not {value!r}")
    try:
        RECIPES["fast"].changed(**{name: value})
    except InputError as error:
        raise InputError(str(error).split(": ", 1)[1]) from error
    return value


def _distribution(field: Range | Choice) -> optuna.distributions.BaseDistribution:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if isinstance(field, Choice):
        return CategoricalDistribution(field.values)
    if field.whole:
        return IntDistribution(int(field.low), int(field.high), log=field.log)
    return FloatDistribution(field.low, field.high, log=field.log)


def _as_json(field: Field) -> Any:  # noqa: ANN401 - whatever JSON can hold
    if isinstance(field, Choice):
        return list(field.values)
    if isinstance(field, Range):
        return {key: value for key, value in asdict(field).items() if key != "whole"}
    return field
