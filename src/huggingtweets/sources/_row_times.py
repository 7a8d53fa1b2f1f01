"""Find the time of each row of a table, and say which dates could not be read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from huggingtweets.sources._dates import Ambiguous, read_date, read_zone
from huggingtweets.sources._fields import is_set
from huggingtweets.sources._text import list_names
from huggingtweets.sources.reading import SEE_SPLIT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from huggingtweets.sources._dates import Order
    from huggingtweets.sources._json_rows import Rows

_TWO_NUMBERS = re.compile(r"\D*\d{1,2}\s?[-/]\s?\d{1,2}\s?[-/]")
_UNDATED = f"these posts count as undated, and as the oldest{SEE_SPLIT}"


@dataclass
class RowTimes:
    """Reads the times of a file's rows.

    Whether 03/01/2023 is in January or in March is decided by the other rows of the file: one
    such as 13/01/2023 decides it for all, unless another says the opposite.

    Attributes:
        rows: reads the file's rows again.
        where: the file's name, for messages.
        place: what a row's number counts: lines or rows.
    """

    rows: Callable[[], Rows]
    where: str
    place: str
    _order: Order | None = None
    _is_settled: bool = False
    _dates: int = 0
    _missed: dict[bool, list[str]] = field(default_factory=lambda: {True: [], False: []})
    _counts: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})

    def read(self, number: int, fields: Mapping[str, object]) -> datetime | None:
        """Return the time of a row: of the first column that has one.

        Args:
            number: of the row.
            fields: of the row, as :func:`~huggingtweets.sources._columns.known_columns` names them.
        """
        zone = read_zone(fields.get("timezone"))
        missed: tuple[object, Ambiguous | None] | None = None
        for value in _values(fields):
            found = read_date(value, self._order, zone)
            if isinstance(found, Ambiguous) and not self._is_settled:
                self._settle()
                found = read_date(value, self._order, zone)
            if isinstance(found, datetime):
                self._dates += 1
                return found
            if missed is None or (found and missed[1] is None):
                missed = value, found
        if missed:
            self._dates += 1
            self._note(number, *missed)
        return None

    def warnings(self) -> Iterator[str]:
        """Yield a sentence for the dates that could not be read, and one for the ambiguous."""
        dates = "date" if self._dates == 1 else "dates"
        if count := self._counts[False]:
            yield (
                f"{count:,} of {self._dates:,} {dates} in {self.where} can't be read, such as "
                f"{self._missed[False][0]}; {_UNDATED}."
            )
        if count := self._counts[True]:
            yield (
                f"{count:,} of {self._dates:,} {dates} in {self.where} can be read in two ways, "
                f"such as {self._missed[True][0]}, and no other row tells which is meant; "
                f"{_UNDATED}. Write dates like 2023-01-31."
            )

    def _note(self, number: int, value: object, found: Ambiguous | None) -> None:
        is_ambiguous = found is not None
        self._counts[is_ambiguous] += 1
        if not self._missed[is_ambiguous]:
            shown = f"{list_names([str(value)], 1)!r} in {self.place} {number:,}"
            if found:
                days = (found.day_first, found.month_first)
                shown += f" ({' or '.join(f'{day.day} {day:%B} {day.year}' for day in days)})"
            self._missed[is_ambiguous].append(shown)

    def _settle(self) -> None:
        """Look for rows that only one order can read."""
        self._is_settled = True
        orders: set[Order] = set()
        for _, fields in self.rows():
            for value in _values(fields):
                if isinstance(value, str) and _TWO_NUMBERS.match(value):
                    orders |= _possible_order(value)
            if len(orders) > 1:
                return
        self._order = orders.pop() if orders else None


def _possible_order(value: str) -> set[Order]:
    """Return the one order that can read a date, if the other can't."""
    day_first, month_first = read_date(value, "day"), read_date(value, "month")
    if (day_first is None) == (month_first is None):
        return set()
    return {"month"} if day_first is None else {"day"}


def _values(fields: Mapping[str, object]) -> Iterator[object]:
    """Yield the values of a row that may be its time, the likeliest first."""
    day, clock = fields.get("day"), fields.get("clock")
    number = 1
    name = "created_at"
    while name in fields:
        value = fields[name]
        if value is day and is_set(day) and is_set(clock):
            yield f"{day} {clock}"
        if is_set(value):
            yield value
        number += 1
        name = f"created_at_{number}"
