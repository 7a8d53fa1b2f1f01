"""Avatars: a square crop of an image, or an initial on a colour."""

from __future__ import annotations

import hashlib
import warnings
from typing import TYPE_CHECKING

from huggingtweets.errors import InputError
from huggingtweets.publish._text import clean, graphemes

if TYPE_CHECKING:
    from pathlib import Path

_KINDS = ("PNG", "JPEG", "GIF", "WEBP")
_SIDE = 184  # pixels, twice the displayed size
_MAX_PIXELS = 40_000_000


def initial(author: str) -> str:
    """Return the first letter of a handle, in upper case."""
    letters = [part for part in graphemes(clean(author)) if part[0].isalnum()]
    return letters[0].upper() if letters else "@"


def hue(author: str) -> int:
    """Return the hue of an author in degrees; the same with and without ``@``."""
    name = clean(author).removeprefix("@").casefold()
    return hashlib.sha256(name.encode()).digest()[0] * 360 // 256


def write_avatar(avatar: Path, target: Path) -> None:
    """Write the centre of an image as a small square PNG.

    Raises:
        InputError: the file is missing, isn't an image, or is too large.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # checked below
            with Image.open(avatar, formats=_KINDS) as image:
                if image.width * image.height > _MAX_PIXELS:
                    raise InputError(
                        f"{avatar} has {image.width} x {image.height} pixels, which is too many. "
                        "Make it smaller; 400 x 400 is enough."
                    )
                upright = ImageOps.exif_transpose(image).convert("RGBA")
        ImageOps.fit(upright, (_SIDE, _SIDE)).save(target, "PNG")
    except UnidentifiedImageError as error:
        raise InputError(f"{avatar} is not a PNG, JPEG, GIF or WebP image.") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{avatar} has too many pixels. Make it smaller.") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:  # Pillow's, for damaged files
        reason = getattr(error, "strerror", None) or "the image is damaged"
        raise InputError(f"{avatar} can't be used: {reason}.") from error
