"""``huggingtweets compare``: authors beside each other, as many as there are bots."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from huggingtweets.cli import options
from huggingtweets.cli.console import ConsoleOutput, escape_control_chars, print_json
from huggingtweets.errors import InputError, Interrupted

if TYPE_CHECKING:
    from rich.table import Table

    from huggingtweets.comparison.equal_size import Task
    from huggingtweets.comparison.result import AuthorComparison, Bits, Comparison

_NARROW = 68  # columns under which authors stand below each other instead of in tables
_UNEQUAL = 1.5  # times as much text as another, from which equal text is worth a line


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: huggingtweets compare runs/me runs/friend --same-size")(compare)


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Run folders of at least two bots, or of one bot of several authors.",
            show_default=False,
        ),
    ],
    *,
    same_size: Annotated[
        bool,
        typer.Option(
            "--same-size",
            help="Also train a new bot of each author on as much text as the smallest has. The "
            "runs themselves don't change.",
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Folder for the bots of --same-size; the same command continues there. Default: a "
            "temporary folder.",
            show_default=False,
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot",
            metavar="FILE",
            help="Write the chart to this .svg or .png.",
            show_default=False,
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Compare authors: whose posts are hardest to predict, and what their bots learnt."""
    from huggingtweets.comparison import compare as comparing
    from huggingtweets.plots import run_plots

    if out is not None and not same_size:
        raise InputError("--out keeps the bots of --same-size; give both, or neither.")
    if plot is not None:
        run_plots.check_name(plot)
    screen = ConsoleOutput(quiet=as_json)
    comparison = comparing.compare(runs)
    if same_size:
        comparison = _at_same_size(comparison, out, screen)
    if plot is not None:
        comparison.plot().save(plot)
    if as_json:
        print_json(comparison.to_json())
        return
    show(screen, comparison)
    if plot is not None:
        screen.say(f"\nThe plot is in {plot}")


# -- equal text ------------------------------------------------------------------------------------


def _at_same_size(
    comparison: "Comparison", out: Path | None, screen: ConsoleOutput
) -> "Comparison":
    from huggingtweets.comparison.equal_size import compare_at_equal_size
    from huggingtweets.training import Interrupt

    def begin(task: "Task") -> None:
        screen.say(
            f"{task.number} of {task.total}: @{task.author.author} on {task.characters:,} of "
            f"{task.author.size.characters:,} characters"
        )

    with _folder(out) as folder, screen.watching():
        return compare_at_equal_size(
            comparison, folder, begin=begin, listen=screen, interrupt=Interrupt()
        )


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    """Where the bots go, and what a user who stops is told."""
    import tempfile

    try:
        if out is not None:
            yield out
            return
        with tempfile.TemporaryDirectory(prefix="huggingtweets-") as folder:
            yield Path(folder)
    except (Interrupted, KeyboardInterrupt) as error:
        told = str(error) if isinstance(error, Interrupted) else "Stopped."
        rest = (
            "Go on with the same command."
            if out is not None
            else "Nothing is kept; with --out DIR the same command could go on."
        )
        raise Interrupted(f"{told} {rest}", out) from error


# -- what is shown ---------------------------------------------------------------------------------


def show(screen: ConsoleOutput, comparison: "Comparison") -> None:
    """Show it as two tables, or author by author where the terminal is narrow."""
    if screen.console.width < _NARROW and screen.console.is_terminal:
        _show_below_each_other(screen, comparison)
    else:
        screen.say("Held-out bits per byte, hardest to foresee first", "bold")
        screen.console.print(_predictability(comparison))
        screen.heading("What was learnt from, and what came of it")
        screen.console.print(_facts(comparison))
    screen.say(
        "\ngain: bits fewer than the untouched base's · length: characters of a post, median · "
        "new: words outside the longest run shared with a real post · taken: for the author's, by "
        "a classifier",
        "dim",
    )
    for line in _told(comparison):
        screen.say(line)
    for note in comparison.notes:
        screen.say(f"warning: {note}", "yellow")


def _predictability(comparison: "Comparison") -> "Table":
    equal = comparison.has_same_size
    headings = ["bits per byte", "base", "gain", "PPMd", *(["equal text", "gain"] if equal else [])]
    rows = []
    for one in comparison.authors:
        row = _bits(one.bits_per_byte)
        if one.same_size is not None:
            bits = one.same_size.bits_per_byte
            row += [f"{bits.bot:.3f}", _percent(bits.gain)]
        rows.append([comparison.label(one), *row])
    return _table(headings, rows)


def _facts(comparison: "Comparison") -> "Table":
    headings = ["posts", "chars", "tokens", "length", "copied", "new", "taken", "trained"]
    rows = [[comparison.label(one), *_numbers(one)] for one in comparison.authors]
    return _table(headings, rows)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    table.add_column("author", overflow="fold")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(escape_control_chars(cell)) for cell in row))
    return table


def _show_below_each_other(screen: ConsoleOutput, comparison: "Comparison") -> None:
    names = ["bits per byte", "base", "gain", "PPMd"]
    facts = ["posts", "chars", "tokens", "length", "copied", "new", "taken", "trained"]
    for one in comparison.authors:
        screen.heading(comparison.label(one))
        values = list(zip(names, _bits(one.bits_per_byte), strict=True))
        if one.same_size is not None:
            values.append(("on equal text", f"{one.same_size.bits_per_byte.bot:.3f}"))
        values += zip(facts, _numbers(one), strict=True)
        screen.say(" · ".join(f"{name} {value}" for name, value in values))


def _bits(bits: "Bits") -> list[str]:
    ppmd = "–" if bits.ppmd is None else f"{bits.ppmd:.3f}"
    return [f"{bits.bot:.3f}", f"{bits.base:.3f}", _percent(bits.gain), ppmd]


def _numbers(one: "AuthorComparison") -> list[str]:
    from huggingtweets.evaluation.report import percent

    size = one.size
    return [
        f"{size.posts:,}",
        f"{size.characters:,}",
        "–" if size.tokens is None else f"{size.tokens:,}",
        f"{size.median_characters:.0f}",
        percent(one.copied),
        percent(one.novelty),
        percent(one.taken),
        _time(one.seconds),
    ]


def _told(comparison: "Comparison") -> list[str]:
    """What the numbers say, in words."""
    first, last = comparison.authors[0], comparison.authors[-1]
    on = " on equal text" if comparison.has_same_size else ""

    def bits(one: "AuthorComparison") -> str:
        return f"{(one.same_size or one).bits_per_byte.bot:.3f}"

    lines = [
        f"\nHardest to foresee{on}: {comparison.label(first)} ({bits(first)} bits per byte); "
        f"easiest: {comparison.label(last)} ({bits(last)})."
    ]
    if near := comparison.too_near:
        pairs = "; ".join(f"{comparison.label(a)} and {comparison.label(b)}" for a, b in near)
        lines.append(f"Too near to tell apart by so few held-out posts: {pairs}.")
    if any(one.authors_of_bot > 1 for one in comparison.authors):
        lines.append("copied, new, taken and trained are of the whole bot where it has several.")
    smallest, largest = (
        pick(comparison.authors, key=lambda one: one.size.characters) for pick in (min, max)
    )
    times = largest.size.characters / max(1, smallest.size.characters)
    if times >= _UNEQUAL and not comparison.has_same_size:
        lines.append(
            f"{comparison.label(largest)} has {times:.1f} times the text of "
            f"{comparison.label(smallest)}, from which a bot learns more; "
            "--same-size compares them on equal text."
        )
    return lines


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
