"""Replace the part of a document between two marker comments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from huggingtweets.errors import InputError
from huggingtweets.storage import files

if TYPE_CHECKING:
    from pathlib import Path


def check(file: Path, begin: str, end: str) -> str:
    """Return the text of ``file``, which must have both markers in order, once each.

    Raises:
        InputError: the file can't be read, or a marker is missing.
    """
    try:
        text = file.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"{file} can't be read, so no table can be written to it.") from error
    if not (text.count(begin) == text.count(end) == 1 and text.index(begin) < text.index(end)):
        raise InputError(f"{file} needs one line {begin} and one line {end} after it.")
    return text


def put(file: Path, begin: str, end: str, content: str) -> None:
    """Replace the text between the two markers of ``file`` with ``content``.

    Raises:
        InputError: the file can't be read, or a marker is missing.
    """
    before, rest = check(file, begin, end).split(begin)
    after = rest.split(end)[1]
    files.write_text(file, f"{before}{begin}\n\n{content}\n\n{end}{after}")
