"""``huggingtweets explore``: topics, maps and style of authors, and who writes like whom."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from huggingtweets.cli import options
from huggingtweets.cli.console import ConsoleOutput, escape_control_chars, print_json
from huggingtweets.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from huggingtweets.events import Event
    from huggingtweets.exploration.result import Exploration

_MOST_COLUMNS = 4  # authors whose style fits beside each other on a terminal


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: huggingtweets explore my-archive.zip runs/friend --out us.html")(
        explore
    )


def explore(
    authors: Annotated[
        list[str],
        typer.Argument(
            metavar="AUTHOR...",
            help="Run folders, and any SOURCE of `train`: files, exports, accounts, datasets.",
            show_default=False,
        ),
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE.html",
            help="Write the report to this page. It holds posts.",
            show_default=False,
        ),
    ] = None,
    base: Annotated[
        str,
        typer.Option(
            "--base",
            help="Base that reads the posts to tell which are similar; `words` compares words "
            "alone.",
        ),
    ] = "pocket",
    topics: Annotated[
        int | None,
        typer.Option(
            "--topics",
            help="Number of topics, 1 to 50. Default: of 2 to 20, the one whose topics are most "
            "distinct.",
            show_default=False,
        ),
    ] = None,
    keep_personal: options.KeepPersonal = False,
    scrub: options.Scrub = False,
    near_duplicates: options.NearDuplicates = 0.9,
    text_column: options.TextColumn = None,
    speaker: options.Speaker = None,
    join: options.Join = False,
    keep_names: options.KeepNames = False,
    author: options.Author = None,
    i_am_the_author: options.IAmTheAuthor = False,
    forget: options.Forget = None,
    yes: options.Yes = False,
    device: options.Device = None,
    seed: options.Seed = 0,
    as_json: options.Json = False,
) -> None:
    """Explore authors: their topics, a map of posts, their style, and who writes like whom."""
    from huggingtweets.curation import CurationOptions
    from huggingtweets.exploration import explore as exploring
    from huggingtweets.exploration import page
    from huggingtweets.storage import files

    if out is not None:
        _check_page(out)
    mask = options.mask(keep_personal=keep_personal, scrub=scrub)
    curating = CurationOptions(near_duplicates=near_duplicates, mask=mask)
    screen = ConsoleOutput(quiet=as_json)
    reading = options.reading(
        screen,
        text_column,
        speaker=speaker,
        join=join,
        keep_names=keep_names,
        author=author,
        i_am_the_author=i_am_the_author,
        forget=forget,
        yes=yes,
    )
    warnings: list[str] = []

    def listen(event: "Event") -> None:
        if event.is_warning:
            warnings.append(event.message)
        screen(event)

    with screen.watching():
        found = exploring.explore(
            authors,
            curating,
            reading,
            base=base,
            number=topics,
            seed=seed,
            device=device,
            listen=listen,
        )
        if out is not None:
            files.write_text(out, page.render(found))
    if as_json:
        print_json(found.to_json() | {"warnings": warnings, "page": str(out) if out else None})
        return
    show(screen, found)
    if out is not None:
        screen.say(f"\nThe report is {out}; it holds posts.")
    else:
        screen.say("\nWith --out FILE.html you get the maps and example posts.", "dim")


def _check_page(out: Path) -> None:
    """Check the name of the page before anything is read."""
    if out.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--out must be an .html file, not {out}.")
    if out.is_dir():
        raise InputError(f"--out must be an .html file, but {out} is a folder.")


def show(screen: ConsoleOutput, found: "Exploration") -> None:
    """Show the topics, the style and the nearest authors."""
    total = found.posts.height
    screen.heading(f"Topics of {total:,} posts by {', '.join(found.names.values())}")
    for topic in found.topics:
        by = ""
        if len(found.names) > 1:
            author, count = next(iter(topic.posts.items()))
            by = f" ({count / topic.size:.0%} {found.names[author]})"
        screen.say(f"{topic.size / total:>5.0%}  {topic.name}{by}")
    beside = f", beside {found.panel.authors} other people" if found.panel.authors else ""
    screen.heading(f"Style{beside}")
    screen.console.print(_styles(found))
    if (number := len(found.names)) > _MOST_COLUMNS:
        screen.say(
            f"(the first {_MOST_COLUMNS} of {number} authors; --out FILE.html shows all)", "dim"
        )
    if found.distances:
        screen.heading("Who writes like whom (0 same, 1 unrelated)")
        for author, name in found.names.items():
            if not found.distances.can_compare(author):
                screen.say(f"{name}: can't be compared")
                continue
            other, distance = found.distances.nearest(author)
            own = found.distances.own(author)
            screen.say(f"{name}: {found.names[other]} {distance:.2f} (own halves {own:.2f})")
    for note in found.notes:
        screen.say(note, "dim")


def _styles(found: "Exploration") -> "Table":
    from rich.table import Table
    from rich.text import Text

    from huggingtweets.exploration.style import FEATURES

    shown = dict(list(found.names.items())[:_MOST_COLUMNS])
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for name in (*shown.values(), "others", "range"):
        heading = Text(escape_control_chars(name))
        table.add_column(heading, justify="right", overflow="fold")
    for key, feature in FEATURES.items():
        low, mean, high = found.panel.features.get(key, (None, None, None))
        values = [found.styles[author].features[key] for author in shown]
        cells = ["–" if value is None else format(value, feature.form) for value in (*values, mean)]
        ends = "" if low is None else f"{low:{feature.form}} to {high:{feature.form}}"
        table.add_row(feature.label, *cells, ends)
    return table
