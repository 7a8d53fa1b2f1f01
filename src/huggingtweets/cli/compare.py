"""``huggingtweets compare``: compare authors, of several bots or of one."""

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

_MIN_WIDTH = 68  # columns under which authors are listed instead of shown in tables
_UNEQUAL = 1.5  # ratio of text from which --same-size is suggested


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
        raise InputError("--out stores the bots of --same-size. Give both or neither.")
    if plot is not None:
        run_plots.check_name(plot)
    screen = ConsoleOutput(quiet=as_json)
    comparison = comparing.compare(runs)
    if same_size:
        comparison = _on_equal_text(comparison, out, screen)
    if plot is not None:
        comparison.plot().save(plot)
    if as_json:
        print_json(comparison.to_json())
        return
    show(screen, comparison)
    if plot is not None:
        screen.say(f"\nThe plot is in {plot}")


# -- equal text ------------------------------------------------------------------------------------


def _on_equal_text(
    comparison: "Comparison", out: Path | None, screen: ConsoleOutput
) -> "Comparison":
    from huggingtweets.comparison.equal_size import compare_at_equal_size
    from huggingtweets.training import Interrupt

    def begin(task: "Task") -> None:
        screen.say(
            f"{task.number} of {task.total}: {task.author.shown} on {task.characters:,} of "
            f"{task.author.size.characters:,} characters"
        )

    with _output_folder(out) as folder, screen.watching():
        return compare_at_equal_size(
            comparison, folder, begin=begin, listen=screen, interrupt=Interrupt()
        )


@contextmanager
def _output_folder(out: Path | None) -> Iterator[Path]:
    """Yield the folder of the bots; add to an interruption whether it can be continued."""
    import tempfile

    try:
        if out is not None:
            yield out
            return
        with tempfile.TemporaryDirectory(prefix="huggingtweets-") as folder:
            yield Path(folder)
    except (Interrupted, KeyboardInterrupt) as error:
        message = str(error) if isinstance(error, Interrupted) else "Stopped."
        advice = (
            "Run the same command to continue."
            if out is not None
            else "Nothing was saved; with --out DIR the command can be continued."
        )
        raise Interrupted(f"{message} {advice}", out) from error


# -- output ----------------------------------------------------------------------------------------


def show(screen: ConsoleOutput, comparison: "Comparison") -> None:
    """Show a comparison as two tables, or as a list on a narrow terminal."""
    if screen.console.width < _MIN_WIDTH and screen.console.is_terminal:
        _show_as_list(screen, comparison)
    else:
        screen.say("Held-out bits per byte, hardest to predict first", "bold")
        screen.console.print(_predictability(comparison))
        screen.heading("Training posts and results")
        screen.console.print(_facts(comparison))
    screen.say(
        "\ngain: fewer bits than the untouched base · length: median characters of a post · "
        "new: words outside the longest run shared with a real post · taken: for the author's, by "
        "a classifier",
        "dim",
    )
    for line in _conclusions(comparison):
        screen.say(line)
    for note in comparison.notes:
        screen.say(f"warning: {note}", "yellow")


def _predictability(comparison: "Comparison") -> "Table":
    equal = comparison.has_same_size
    headings = [
        "bits per byte",
        "base",
        "gain",
        "compressor",
        *(["equal text", "gain"] if equal else []),
    ]
    rows = []
    for author in comparison.authors:
        row = _bits(author.bits_per_byte)
        if author.same_size is not None:
            bits = author.same_size.bits_per_byte
            row += [f"{bits.bot:.3f}", _percent(bits.gain)]
        rows.append([comparison.label(author), *row])
    return _table(headings, rows)


def _facts(comparison: "Comparison") -> "Table":
    headings = ["posts", "chars", "tokens", "length", "copied", "new", "taken", "trained"]
    rows = [[comparison.label(author), *_numbers(author)] for author in comparison.authors]
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


def _show_as_list(screen: ConsoleOutput, comparison: "Comparison") -> None:
    names = ["bits per byte", "base", "gain", "compressor"]
    facts = ["posts", "chars", "tokens", "length", "copied", "new", "taken", "trained"]
    for author in comparison.authors:
        screen.heading(comparison.label(author))
        values = list(zip(names, _bits(author.bits_per_byte), strict=True))
        if author.same_size is not None:
            values.append(("on equal text", f"{author.same_size.bits_per_byte.bot:.3f}"))
        values += zip(facts, _numbers(author), strict=True)
        screen.say(" · ".join(f"{name} {value}" for name, value in values))


def _bits(bits: "Bits") -> list[str]:
    compressor = "–" if bits.compressor is None else f"{bits.compressor:.3f}"
    return [f"{bits.bot:.3f}", f"{bits.base:.3f}", _percent(bits.gain), compressor]


def _numbers(author: "AuthorComparison") -> list[str]:
    from huggingtweets.evaluation.report import percent

    size = author.size
    return [
        f"{size.posts:,}",
        f"{size.characters:,}",
        "–" if size.tokens is None else f"{size.tokens:,}",
        f"{size.median_characters:.0f}",
        percent(author.copied),
        percent(author.novelty),
        percent(author.taken),
        _time(author.seconds),
    ]


def _conclusions(comparison: "Comparison") -> list[str]:
    """Describe the result in sentences."""
    first, last = comparison.authors[0], comparison.authors[-1]
    condition = " on equal text" if comparison.has_same_size else ""

    def bits(author: "AuthorComparison") -> str:
        return f"{(author.same_size or author).bits_per_byte.bot:.3f}"

    lines = [
        f"\nHardest to predict{condition}: {comparison.label(first)} ({bits(first)} bits per "
        f"byte); easiest: {comparison.label(last)} ({bits(last)})."
    ]
    if near := comparison.too_near:
        pairs = "; ".join(f"{comparison.label(a)} and {comparison.label(b)}" for a, b in near)
        lines.append(f"Not significantly different with so few held-out posts: {pairs}.")
    if any(author.authors_of_bot > 1 for author in comparison.authors):
        lines.append(
            "For a bot of several authors, copied, new, taken and trained are of the whole bot."
        )
    smallest, largest = (
        pick(comparison.authors, key=lambda author: author.size.characters) for pick in (min, max)
    )
    ratio = largest.size.characters / max(1, smallest.size.characters)
    if ratio >= _UNEQUAL and not comparison.has_same_size:
        lines.append(
            f"{comparison.label(largest)} has {ratio:.1f} times the text of "
            f"{comparison.label(smallest)}, which makes a better bot; "
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
