"""Read and curate the sources of a request in a child process, and sum up what they hold.

Both stages run in the child: curating a million posts would slow the pages of other visitors.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import polars as pl

from huggingtweets import curation, sources
from huggingtweets.data import batching
from huggingtweets.errors import ColumnError, InsufficientTextError, SourceError
from huggingtweets.events import Event
from huggingtweets.serving.schemas import Dropped, SourceSummary
from huggingtweets.sources.in_child import call_in_child
from huggingtweets.sources.reading import SEE_SPLIT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from huggingtweets.curation import Curated
    from huggingtweets.processes.limited import Send
    from huggingtweets.sources.reading import ReadOptions

_EXAMPLES = 10
_MOST_EXAMPLE_CHARACTERS = 2_000
_MOST_AUTHORS = 1_000
_MOST_WARNINGS = 3


def summarise(specs: Sequence[str | Path], reading: ReadOptions) -> SourceSummary:
    """Read and curate sources in a child process.

    Raises:
        SourceError: a source can't be read or is beyond the limits.
        OptedOutError: an author has opted out of being imitated.
        Interrupted: ``reading.is_cancelled`` said so.
    """
    fields = call_in_child(f"{__name__}:summary_fields", None, specs, reading)
    fields["authors"] = tuple(fields["authors"])
    fields["names"] = tuple(fields["names"])
    fields["chats"] = tuple(fields["chats"])
    fields["kept_examples"] = tuple(fields["kept_examples"])
    fields["dropped"] = tuple(Dropped(**dropped) for dropped in fields["dropped"])
    return SourceSummary(**fields)


def summary_fields(
    argument: tuple[None, Sequence[str | Path], ReadOptions], send: Send
) -> dict[str, Any]:
    """Return the fields of a summary, in the child.

    Raises:
        SourceError: the sources have posts of too many authors.
    """
    _, specs, reading = argument
    warnings: list[str] = []

    def listen(event: Event) -> None:
        send(event.as_dict())
        if event.is_warning:
            warnings.append(event.message.replace(SEE_SPLIT, ""))  # an option of the command line

    counting = sources.CountLeftOut(listen)
    try:
        posts = sources.read_posts(specs, replace(reading, listen=counting))
    except ColumnError as error:  # of which only the message leaves the child
        send(Event(stage="read", columns=error.columns).as_dict())
        raise
    read = posts["author"].unique(maintain_order=True).to_list()
    if len(read) > _MOST_AUTHORS:
        raise SourceError(
            f"The sources have posts of {len(read):,} authors, more than the limit of "
            f"{_MOST_AUTHORS:,}; give the posts of a few."
        )
    curated = curation.curate(posts)
    kept = curated.kept["text"]
    counts_by_author = curated.counts_by_author
    authors = tuple(author for author in read if counts_by_author[author]["kept"])
    warning, obstacle = _trainability(curated)
    summary = SourceSummary(
        authors=authors,
        counts=curated.counts,
        counts_by_author=counts_by_author,
        kept_examples=_examples(kept),
        dropped=_dropped(curated),
        warning=" ".join([*filter(None, [warning]), *warnings[:_MOST_WARNINGS]]) or None,
        characters=int(kept.str.len_chars().sum()),
        left_out=counting.total,
        names=tuple(f"@{name}" if name in counting.handles else name for name in authors),
        obstacle=obstacle,
        masked=curated.masked,
        chats=tuple(sources.chats_in(posts)),
    )
    return asdict(summary)


def _examples(texts: pl.Series) -> tuple[str, ...]:
    """Ten evenly spaced texts."""
    count = min(_EXAMPLES, len(texts))
    rows = (round(i * (len(texts) - 1) / max(1, count - 1)) for i in range(count))
    return tuple(_shown(texts[row]) for row in rows)


def _shown(text: str) -> str:
    """A text as long as a page can show."""
    is_long = len(text) > _MOST_EXAMPLE_CHARACTERS
    return f"{text[:_MOST_EXAMPLE_CHARACTERS]}…" if is_long else text


def _dropped(curated: Curated) -> tuple[Dropped, ...]:
    dropped = []
    for reason, count in curated.counts.items():
        if reason not in ("downloaded", "kept"):
            texts = curated.dropped.filter(pl.col("reason") == reason)["text"]
            example = _shown(texts[-1]) if len(texts) else None
            dropped.append(Dropped(reason, count, example))
    return tuple(dropped)


def _trainability(curated: Curated) -> tuple[str | None, str | None]:
    """A warning if there is little text, and what keeps a training from starting."""
    try:
        warning = batching.text_amount_warning(curated.kept)
        batching.check_posts_per_author(curated.kept)
    except InsufficientTextError as error:
        return None, str(error)
    return warning, None
