"""Replace the part of a document between two invisible marker lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from huggingtweets.errors import InputError
from huggingtweets.storage import files

if TYPE_CHECKING:
    from pathlib import Path


def check(file: Path, begin: str, end: str) -> str:
    """The text of ``file``, which must have the place.

    Raises:
        InputError: it can't be read or has no such place.
    """
    try:
        text = file.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"{file} can't be read, so no table can be put there.") from error
    if not (text.count(begin) == text.count(end) == 1 and text.index(begin) < text.index(end)):
        raise InputError(f"{file} needs one line {begin} and one line {end} after it.")
    return text


def put(file: Path, begin: str, end: str, content: str) -> None:
    """Put ``content`` between the two markers of ``file``, in place of what was there.

    Raises:
        InputError: there are no markers.
    """
    before, rest = check(file, begin, end).split(begin)
    after = rest.split(end)[1]
    files.write_text(file, f"{before}{begin}\n\n{content}\n\n{end}{after}")
