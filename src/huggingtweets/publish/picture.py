"""The picture of a post, ``predictions.png``: what is shown where a link to a bot is shared.

Typst sets it: its wheel brings shaping, the bidi algorithm, line breaks of all scripts and fallback
from font to font. It sees the fonts of this package alone, so nothing depends on what the machine
has installed, no network, and one folder that holds nothing but its template and the avatars.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import regex

from huggingtweets.errors import InputError
from huggingtweets.publish._avatar import hue, initial, write_avatar
from huggingtweets.publish._text import clean, cut, graphemes, reads_right_to_left
from huggingtweets.publish.card import PROMPTS
from huggingtweets.publish.facts import title

if TYPE_CHECKING:
    from collections.abc import Sequence

    import typst

PROMPT = PROMPTS[0]
"""What a bot's first picture begins with."""
MOST_FACES = 3

_MAIN_FONT = "Inter"
_MOST_SHOWN = 600  # graphemes; no more fit in the smallest size
_NAMES = regex.compile(r"[@#][\w.]*\w")  # isolated, or their sign goes astray among Arabic words


@dataclass(frozen=True, slots=True)
class Picture:
    """What to draw.

    Attributes:
        authors: whose manner the bot has.
        post: what it wrote, prompt included.
        prompt: what the post was to begin with, empty for none.
        avatars: PNG, JPEG, GIF or WebP files of the first authors; the others get their initial.
    """

    authors: Sequence[str]
    post: str
    prompt: str = PROMPT
    avatars: Sequence[Path] = ()

    def png(self) -> bytes:
        """The picture; the same values give the same bytes.

        Raises:
            InputError: an avatar can't be used, or there are more than three.
        """
        import typst

        if len(self.avatars) > MOST_FACES:
            raise InputError(f"A picture has room for {MOST_FACES} avatars, not for more.")
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
        """What the template reads."""
        # isolated, so that handles written right to left don't change places
        handles = [f"\u2068{clean(author)}\u2069" for author in self.authors]
        return {
            # the first that has a character draws it: only letters of Inter are in others too
            "fonts": sorted(_fonts().families(), key=lambda name: (name != _MAIN_FONT, name)),
            "title": title(handles),
            "faces": [
                _face(author, i if i < len(self.avatars) else None)
                for i, author in enumerate(self.authors[:MOST_FACES] or [""])
            ],
            "prompt": _paragraph(clean(self.prompt)),
            "post": _paragraph(clean(self.post, lines=True) or "…"),
        }


def _face(author: str, file: int | None) -> dict[str, Any]:
    """An avatar, or an initial on a colour that is always the same for a handle."""
    return {
        "file": None if file is None else f"/{file}.png",
        "initial": initial(author),
        "hue": hue(author),
    }


def _paragraph(text: str) -> dict[str, Any]:
    shown = cut(text, lambda words: len(graphemes(words)) <= _MOST_SHOWN)
    return {
        "text": _NAMES.sub("\u2068\\g<0>\u2069", shown),
        "rtl": reads_right_to_left(text),
        "lang": _language(text),
    }


def _language(text: str) -> str:
    """The language that decides the shape of Chinese characters, told by what stands with them."""
    if regex.search(r"[\p{Hiragana}\p{Katakana}]", text):
        return "ja"
    if regex.search(r"\p{Hangul}", text):
        return "ko"
    return "zh" if regex.search(r"\p{Han}", text) else "en"


@lru_cache(maxsize=1)
def _fonts() -> typst.Fonts:
    """The package's own fonts, so that a picture is the same on every machine."""
    import typst

    folder = resources.files("huggingtweets").joinpath("fonts")
    return typst.Fonts(
        include_system_fonts=False, include_embedded_fonts=False, font_paths=[str(folder)]
    )
