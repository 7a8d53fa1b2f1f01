"""The likeness benchmark as Markdown tables, on the screen and in a document."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from benchmarks.likeness_results import DEMO

from benchmarks import markers
from huggingtweets.evaluation.report import percent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benchmarks.likeness_results import Result, Results

BEGIN, END = "<!-- likeness:begin -->", "<!-- likeness:end -->"

Value = float | None


@dataclass(frozen=True, slots=True)
class Column:
    """A number of each author, and how it is written."""

    title: str
    value: Callable[[Result], Value]
    form: Callable[[Value], str]


def gain(result: Result, compressor: Value) -> Value:
    """Share of the compressor's bits that the bot saves."""
    return None if not compressor else 1 - result.report.bits_per_byte.bot / compressor


def _alone(result: Result) -> Value:
    return gain(result, result.report.bits_per_byte.compressor)


def _stream(result: Result) -> Value:
    return gain(result, result.compressor_stream)


def _taken(who: str) -> Callable[[Result], Value]:
    def value(result: Result) -> Value:
        taken = result.report.taken_for_author
        return getattr(taken, who) if taken else None

    return value


def _number(form: str, unit: str = "", times: int = 1) -> Callable[[Value], str]:
    return lambda value: "–" if value is None else f"{times * value:{form}}{unit}"


_BITS, _WHOLE, _GAIN = _number(".3f"), _number(",.0f"), _number("+.1f", " %", 100)

COLUMNS = (
    Column("posts", lambda r: r.report.sizes.train + r.report.sizes.held_out, _WHOLE),
    Column("base", lambda r: r.report.bits_per_byte.base, _BITS),
    Column("bot", lambda r: r.report.bits_per_byte.bot, _BITS),
    Column("compressor, each post alone", lambda r: r.report.bits_per_byte.compressor, _BITS),
    Column("gain", _alone, _GAIN),
    Column("compressor, one stream", lambda r: r.compressor_stream, _BITS),
    Column("gain", _stream, _GAIN),
    Column("copied", lambda r: r.report.copied.bot, percent),
    Column("Markov chain", lambda r: r.report.copied.markov, percent),
    Column("distinct-2", lambda r: r.report.diversity.distinct_2.bot, percent),
    Column("real", lambda r: r.report.diversity.distinct_2.held_out, percent),
    Column("taken for author", _taken("bot"), percent),
    Column("real", _taken("held_out"), percent),
    Column("others", _taken("panel"), percent),
    Column("train s", lambda r: r.seconds, _WHOLE),
    Column("tokens/s", lambda r: r.tokens_per_second, _WHOLE),
)


def head() -> str:
    """The first two lines of the table."""
    titles = ["author", *(column.title for column in COLUMNS)]
    return f"{_line(titles)}\n|---|{'---:|' * len(COLUMNS)}"


def row(result: Result) -> str:
    """The line of one author."""
    return _line([result.name, *(column.form(column.value(result)) for column in COLUMNS)])


def medians(results: Sequence[Result]) -> list[str]:
    """Lines with the median of each column: all, those of ``bench``, the test-only ones."""
    groups = {"all": list(results)}
    bench = [result for result in results if DEMO.isdisjoint(result.report.authors)]
    if len(bench) < len(results):
        groups[f"without {' and '.join(sorted(DEMO))}"] = bench
    groups["test only*"] = [result for result in results if result.test_only]
    return [
        _line([f"median, {len(group)} {name}", *(_median(column, group) for column in COLUMNS)])
        for name, group in groups.items()
        if group
    ]


def table(results: Results) -> str:
    """One base: heading, table, medians."""
    sha = results.setup.base["sha256"]
    title = f"### Base `{results.setup.base['name']}`" + (f" ({sha[:12]})" if sha else "")
    lines = [row(result) for result in results.reports]
    return "\n".join([title, "", head(), *lines, *medians(results.reports)])


def described(results: Results) -> str:
    """When, where and how: the line above the tables."""
    day, machine, recipe = _day(results.date), results.machine, results.setup.recipe
    where = f"{machine['processor']}, {_several(machine['cores'], 'core')}, {machine['device']}"
    epochs, limit = _several(recipe["epochs"], "epoch"), results.setup.minutes
    within = f", within {limit:g} minutes each, the report included" if limit else ""
    first = f" (first {results.setup.posts} posts only)" if results.setup.posts else ""
    return (
        f"{day}, {where}, {machine['precision']}, {machine['system']}. Recipe `{recipe['name']}`: "
        f"{epochs}, learning rate {recipe['learning_rate']:g}{within}; "
        f"the newest {percent(results.setup.holdout)} of the posts held out{first}."
    )


NOTES = """\
\\* test only: never used to choose a setting.

Base, bot and compressor are bits per byte of the held-out posts, lower is better; *gain* is the
share of bits that the bot saves against the compressor column before it. The compressor (PPM, order
12) has read the training posts. It gets *each post alone*, as the bot does, or all of them in *one
stream*, and then it also learns from the held-out posts, unlike the bot. *Markov chain* is the
copied share of a chain of word pairs. The bot's weights are those of the best epoch or
interpolation point, chosen on the same held-out posts. *Taken for author* is the share that a
classifier of spelling and words attributes to the author; it does not judge sense."""


def markdown(all_results: Sequence[Results]) -> str:
    """All tables under the lines that tell where they come from."""
    parts: list[str] = []
    for results in (found for found in all_results if found.reports):
        parts += [described(results), table(results)]
    return "\n\n".join([*parts, NOTES])


def check_markers(file: Path) -> str:
    """The text of ``file``, which must have the place for the tables.

    Raises:
        InputError: it can't be read or has no such place.
    """
    return markers.check(file, BEGIN, END)


def put_markdown(file: Path, all_results: Sequence[Results]) -> None:
    """Put the tables between the two markers of ``file``.

    Raises:
        InputError: there are no markers.
    """
    markers.put(file, BEGIN, END, markdown(all_results))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _median(column: Column, results: Sequence[Result]) -> str:
    values = [value for result in results if (value := column.value(result)) is not None]
    return column.form(statistics.median(values) if values else None)


def _day(date: str) -> str:
    moment = datetime.fromisoformat(date)
    return f"{moment.day} {moment:%B %Y}"


def _several(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
