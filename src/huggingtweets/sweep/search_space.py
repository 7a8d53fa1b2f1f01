"""The space of recipes a sweep looks through: a range, a choice or one value for each field.

As a TOML file (JSON reads the same):

.. code-block:: toml

    learning_rate = { low = 1e-4, high = 4e-3, log = true }
    epochs = { low = 1, high = 6 }      # whole numbers, as both ends are
    rows = ["posts", "blocks"]          # one of these
    clip = 1.0                          # always this
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
_STRETCH = 0.1  # of a region's width, added to both sides: its best may lie at the edge


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from ``low`` to ``high``, both included."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def narrowed(self, values: Sequence[float]) -> Range | float:
        """The part around ``values``, or the single value that they all are."""
        low, high = min(values), max(values)
        if low == high:
            return low
        if self.log:
            reach = (high / low) ** _STRETCH
            low, high = low / reach, high * reach
        else:
            reach = (high - low) * _STRETCH
            low, high = low - reach, high + reach
        if self.whole:
            low, high = math.floor(low), math.ceil(high)
        return Range(max(low, self.low), min(high, self.high), self.log, self.whole)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some values."""

    values: tuple[float | str, ...]


Field = Range | Choice | float | str


@dataclass(frozen=True)
class Space:
    """What may vary, and what of the recipe it starts from is set to another value.

    Attributes:
        fields: by the names of :class:`~huggingtweets.training.Recipe`.
    """

    fields: Mapping[str, Field]

    @property
    def varied(self) -> dict[str, Range | Choice]:
        """The fields that a trial chooses."""
        return {n: f for n, f in self.fields.items() if isinstance(f, Range | Choice)}

    def recipe(self, chosen: Mapping[str, Any]) -> Recipe:
        """The recipe of a trial."""
        fixed = {n: f for n, f in self.fields.items() if not isinstance(f, Range | Choice)}
        return RECIPES["fast"].changed(**fixed, **chosen)

    def default(self, width: int) -> dict[str, Any]:
        """The varied fields of the recipe that ``train`` uses unless told otherwise.

        Args:
            width: of the base's hidden states.

        Raises:
            InputError: a choice doesn't hold it.
        """
        usual = RECIPES["fast"].for_base(width)
        values = {name: getattr(usual, name) for name in self.varied}
        for name, field in self.varied.items():
            if isinstance(field, Choice) and values[name] not in field.values:
                raise InputError(
                    f"The space's choice of {name} must hold {values[name]!r}, that of the default "
                    "recipe, which every sweep is compared with."
                )
        return values

    def distributions(self) -> dict[str, optuna.distributions.BaseDistribution]:
        """The varied fields as Optuna draws them."""
        return {name: _distribution(field) for name, field in self.varied.items()}

    def narrowed(self, trials: Sequence[Mapping[str, Any]]) -> Space:
        """The region that holds the chosen values of some trials.

        Raises:
            InputError: they are all the same, so nothing is left to vary.
        """
        fields = dict(self.fields)
        for name, field in self.varied.items():
            values = [trial[name] for trial in trials]
            if isinstance(field, Range):
                fields[name] = field.narrowed(values)
            else:
                left = tuple(value for value in field.values if value in values)
                fields[name] = Choice(left) if len(left) > 1 else left[0]
        made = Space(fields)
        if not made.varied:
            raise InputError("The best trials all have the same recipe: nothing is left to vary.")
        return made

    def as_json(self) -> dict[str, Any]:
        """As a file would have it."""
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
"""About a factor of ten around the default recipe each way, within what trains at all."""


def read_space(file: Path) -> Space:
    """Read a space from a TOML or JSON file.

    Raises:
        InputError: it can't be read, or a field can't be used; one sentence tells all faults.
    """
    try:
        text = file.read_text("utf-8")
        given = json.loads(text) if file.suffix.lower() == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:  # TOML's and JSON's own errors are ValueErrors
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"The space {file} can't be read: {reason}.") from error
    return space_of(given, str(file))


def space_of(given: Any, where: str = "the space") -> Space:  # noqa: ANN401 - from a file
    """Check a space that was read.

    Args:
        given: field names and what :meth:`Space.as_json` gives.
        where: to name in an error.

    Raises:
        InputError: a field can't be used.
    """
    if not isinstance(given, dict) or not given:
        raise InputError(f"{where} names no field; give each of {', '.join(_NAMES)} {_SHAPE}.")
    fields: dict[str, Field] = {}
    faults = []
    for name, value in given.items():
        try:
            fields[name] = _field(name, value)
        except InputError as error:
            faults.append(str(error).rstrip("."))
    if not faults and not any(isinstance(f, Range | Choice) for f in fields.values()):
        faults.append("every field has one value, so there is nothing to try")
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
        field = Choice(tuple(_value(name, one) for one in value))
    else:
        field = _value(name, value)
    return field


def _range(name: str, value: dict[str, Any]) -> Range:
    if name == "rows":
        raise InputError('rows has no range; give ["posts", "blocks"] or one of them')
    if unknown := sorted(value.keys() - {"low", "high", "log"}):
        raise InputError(f"{name} has {', '.join(unknown)}; a range has low, high and log")
    if not {"low", "high"} <= value.keys() or not isinstance(value.get("log", False), bool):
        raise InputError(f"{name} must be {_SHAPE}")
    low, high = (_value(name, value[end]) for end in ("low", "high"))
    log = value.get("log", False)
    assert isinstance(low, int | float)  # noqa: S101 - rows, the only text, is refused above
    assert isinstance(high, int | float)  # noqa: S101
    if not low < high:
        raise InputError(f"{name} must have low under high, not {low} and {high}")
    if log and low <= 0:
        raise InputError(f"{name} has log = true, so low must be over 0, not {low}")
    return Range(low, high, log, name in _WHOLE)


def _value(name: str, value: Any) -> float | str:  # noqa: ANN401 - from a file
    """A value that a recipe can have."""
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
