"""``huggingtweets curate``: read and curate posts, and show what was dropped and why."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from huggingtweets.cli import options
from huggingtweets.cli.console import ConsoleOutput, print_json

if TYPE_CHECKING:
    import polars as pl

    from huggingtweets.curation import Curated
    from huggingtweets.events import Event

_EXAMPLES = 10


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: huggingtweets curate my-archive.zip --show-dropped")(curate)


def curate(
    sources: options.Sources,
    *,
    show_dropped: Annotated[
        bool, typer.Option("--show-dropped", help="Show every dropped post with its reason.")
    ] = False,
    keep_newlines: options.KeepNewlines = False,
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
    as_json: options.Json = False,
) -> None:
    """Read and curate posts without training: counts, examples, and reasons for dropped posts."""
    from huggingtweets import pipeline
    from huggingtweets.curation import CurationOptions

    mask = options.mask(keep_personal=keep_personal, scrub=scrub)
    chosen = CurationOptions(keep_newlines, near_duplicates=near_duplicates, mask=mask)
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
        screen.print_left_out(event)
        if event.is_warning:
            warnings.append(event.message)

    curated = pipeline.curate(sources, chosen, reading, listen)
    if as_json:
        print_json(_as_json(curated, show_dropped=show_dropped) | {"warnings": warnings})
    else:
        _show(screen, curated, show_dropped=show_dropped)


def _as_json(curated: "Curated", *, show_dropped: bool) -> dict[str, Any]:
    value: dict[str, Any] = {
        "counts": curated.counts,
        "counts_by_author": curated.counts_by_author,
        "left_out": curated.left_out,
        "masked": curated.masked,
        "examples": _examples(curated.kept)["text"].to_list(),
    }
    if show_dropped:
        columns = ["author", "id", "text", "reason", "detail"]
        value["dropped"] = curated.dropped.select(columns).to_dicts()
    return value


def _show(screen: ConsoleOutput, curated: "Curated", *, show_dropped: bool) -> None:
    screen.counts(curated.counts)
    screen.masked(curated.masked)
    if len(curated.counts_by_author) > 1:
        for author, counts in curated.counts_by_author.items():
            screen.say(f"{author}: {counts['kept']:,} kept of {counts['downloaded']:,}")
    if not curated.kept.is_empty():
        screen.heading("Kept, for example")
    for text in _examples(curated.kept)["text"]:
        screen.say(f"  • {text}")
    if curated.dropped.is_empty():
        return
    dropped = curated.dropped if show_dropped else _examples_of_each_reason(curated.dropped)
    screen.heading("Dropped" if show_dropped else "Dropped, for example (--show-dropped for all)")
    for row in dropped.iter_rows(named=True):
        screen.say(f"  • {row['reason']}, {row['detail']}: {' '.join(row['text'].split())}")


def _examples(table: "pl.DataFrame") -> "pl.DataFrame":
    """Return a few evenly spaced rows."""
    return table.gather_every(max(1, -(-table.height // _EXAMPLES)))


def _examples_of_each_reason(dropped: "pl.DataFrame") -> "pl.DataFrame":
    """Return three dropped posts for each reason."""
    return dropped.group_by("reason", maintain_order=True).head(3)
