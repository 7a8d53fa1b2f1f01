"""The picture of a generated post, ``predictions.png``: the preview of links to a bot.

Typst renders it: its wheel has text shaping, the bidi algorithm, line breaking of all scripts and
font fallback. It gets only the fonts of this package, so the result doesn't depend on the machine.
It has no network and reads one folder with its template and the avatars.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import regex

from huggingtweets.errors import InputError
from huggingtweets.publish._avatar import hue, initial, write_avatar
from huggingtweets.publish._text import clean, cut, graphemes, reads_right_to_left
from huggingtweets.publish.card import PROMPTS
from huggingtweets.publish.facts import title
from huggingtweets.storage import files

if TYPE_CHECKING:
    from collections.abc import Sequence

    import typst

    from huggingtweets.generation.sampling import GeneratedPost
    from huggingtweets.generation.writer import Writer
    from huggingtweets.storage.run_folder import RunFolder

PROMPT = PROMPTS[0]
"""Prompt of a bot's default picture."""
MOST_FACES = 3

_MAIN_FONT = "Inter"
_MAX_GRAPHEMES = 600  # no more fit in the smallest size
_NAMES = regex.compile(r"[@#][\w.]*\w")  # isolated, or bidi moves the sign in Arabic text


@dataclass(frozen=True, slots=True)
class Picture:
    """The contents of a picture.

    Attributes:
        authors: the bot's authors as people read them, such as ``@name`` for a handle.
        post: the generated post, prompt included.
        prompt: the prompt, empty for none.
        avatars: PNG, JPEG, GIF or WebP files of the first authors; the others get their initial.
        dark: whether the ground is dark.
    """

    authors: Sequence[str]
    post: str
    prompt: str = PROMPT
    avatars: Sequence[Path] = ()
    dark: bool = False

    def png(self) -> bytes:
        """Render the picture as PNG; equal values give equal bytes.

        Raises:
            InputError: an avatar can't be used, or there are more than three.
        """
        import typst

        if len(self.avatars) > MOST_FACES:
            raise InputError(f"A picture can show at most {MOST_FACES} avatars.")
        template = resources.files(__package__).joinpath("templates/picture.typ").read_bytes()
        with tempfile.TemporaryDirectory() as name:
            for i, avatar in enumerate(self.avatars):
                write_avatar(avatar, Path(name) / f"{i}.png")
            source = Path(name) / "picture.typ"
            source.write_bytes(template)
            return typst.compile(
                str(source),
                root=name,
                font_paths=_fonts(),
                format="png",
                ppi=72,
                sys_inputs={"picture": json.dumps(self._values())},
            )

    def _values(self) -> dict[str, Any]:
        """Return the data for the template."""
        names = [_isolated(clean(author)) for author in self.authors]
        return {
            # a character is drawn with the first font that has it, preferably Inter
            "fonts": sorted(_fonts().families(), key=lambda name: (name != _MAIN_FONT, name)),
            "title": title(names),
            "faces": [
                _face(author, i if i < len(self.avatars) else None)
                for i, author in enumerate(self.authors[:MOST_FACES] or [""])
            ],
            "dark": self.dark,
            "prompt": _paragraph(clean(self.prompt)),
            "post": _paragraph(clean(self.post, lines=True) or "…"),
        }


def _isolated(name: str) -> str:
    """Isolate a name, so that bidi doesn't reorder it; the sign of a handle stays before it."""
    sign = "@" if name.startswith("@") else ""
    return f"{sign}\u2068{name.removeprefix('@')}\u2069"


def _face(author: str, file: int | None) -> dict[str, Any]:
    """Describe an avatar file, or an initial on the handle's colour."""
    return {
        "file": None if file is None else f"/{file}.png",
        "initial": initial(author),
        "hue": hue(author),
    }


def _paragraph(text: str) -> dict[str, Any]:
    shown = cut(text, lambda words: len(graphemes(words)) <= _MAX_GRAPHEMES)
    return {
        "text": _NAMES.sub("\u2068\\g<0>\u2069", shown),
        "rtl": reads_right_to_left(text),
        "lang": _language(text),
    }


def _language(text: str) -> str:
    """Guess the language that decides the shape of Han characters, from the other characters."""
    if regex.search(r"[\p{Hiragana}\p{Katakana}]", text):
        return "ja"
    if regex.search(r"\p{Hangul}", text):
        return "ko"
    return "zh" if regex.search(r"\p{Han}", text) else "en"


@lru_cache(maxsize=1)
def _fonts() -> typst.Fonts:
    """Load only this package's fonts, so that a picture is the same on every machine."""
    import typst

    folder = resources.files("huggingtweets").joinpath("fonts")
    return typst.Fonts(
        include_system_fonts=False, include_embedded_fonts=False, font_paths=[str(folder)]
    )


def nth_post(writer: Writer, prompt: str = PROMPT, number: int = 1) -> GeneratedPost | None:
    """Return a writer's ``number``-th post; None if it wrote only copies.

    Posts are generated one at a time, because a batch would return the shortest first.
    """
    posts = (post for _ in range(number) for post in writer.write(prompt, 1))
    return next(islice(posts, number - 1, None), None)


def write_picture(run: RunFolder, writer: Writer, number: int = 1) -> None:
    """Render a bot's ``number``-th post into its folder.

    Args:
        run: the run.
        writer: the bot's writer, with the run's seed.
        number: number of the post, from 1.
    """
    post = nth_post(writer, number=number) or nth_post(writer, prompt="")
    text, prompt = (post.text, post.prompt) if post else ("", PROMPT)
    save_to_run(Picture(run.record().names, text, prompt), run)


def save_to_run(picture: Picture, run: RunFolder) -> None:
    """Make a picture that of a run's bot, on a light and on a dark ground."""
    save(picture, run.picture)
    save(replace(picture, dark=True), run.dark_picture)


def save(picture: Picture, path: Path) -> None:
    """Render and write a picture atomically."""
    png = picture.png()
    with files.atomic_write(path) as temporary:
        temporary.write_bytes(png)
