"""Which of a bot's posts is shown: the first that is worth it, always the same for a seed."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from huggingtweets.publish.picture import PROMPT, Picture
from huggingtweets.storage import files

if TYPE_CHECKING:
    from pathlib import Path

    from huggingtweets.generation.writer import GeneratedPost, Writer
    from huggingtweets.storage.run_folder import RunFolder


def nth_post(writer: Writer, prompt: str = PROMPT, number: int = 1) -> GeneratedPost | None:
    """The post that a writer comes to as its ``number``-th; None where it wrote none but copies.

    They are drawn one after the other, as a batch would give the shortest first.
    """
    posts = (post for _ in range(number) for post in writer.write(prompt, 1))
    return next(islice(posts, number - 1, None), None)


def write_picture(run: RunFolder, writer: Writer, number: int = 1) -> None:
    """Draw the ``number``-th post that a bot writes, into its folder.

    Args:
        run: whose bot it is.
        writer: the bot's, with the run's seed.
        number: from 1.
    """
    post = nth_post(writer, number=number) or nth_post(writer, prompt="")
    text, prompt = (post.text, post.prompt) if post else ("", PROMPT)
    save(Picture(run.record().authors, text, prompt), run.picture)


def save(picture: Picture, path: Path) -> None:
    """Write a picture, atomically."""
    png = picture.png()
    with files.atomic_write(path) as temporary:
        temporary.write_bytes(png)
