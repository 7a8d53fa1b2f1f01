"""Somebody's face: from whatever image they have, else an initial on a colour."""

from __future__ import annotations

import hashlib
import warnings
from typing import TYPE_CHECKING

from huggingtweets.errors import InputError
from huggingtweets.publish._text import clean, graphemes

if TYPE_CHECKING:
    from pathlib import Path

_KINDS = ("PNG", "JPEG", "GIF", "WEBP")
_SIDE = 184  # twice as large as it is shown
_MOST_PIXELS = 40_000_000


def initial(author: str) -> str:
    """The first letter of a handle, the same on card and picture."""
    letters = [part for part in graphemes(clean(author)) if part[0].isalnum()]
    return letters[0].upper() if letters else "@"


def hue(author: str) -> int:
    """A colour that is always the same for a handle, in degrees."""
    return hashlib.sha256(clean(author).casefold().encode()).digest()[0] * 360 // 256


def write_avatar(avatar: Path, target: Path) -> None:
    """Write the middle of an image as a small square PNG.

    Raises:
        InputError: it isn't there, isn't an image, or is far too large.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # told below
            with Image.open(avatar, formats=_KINDS) as image:
                if image.width * image.height > _MOST_PIXELS:
                    raise InputError(
                        f"{avatar} has {image.width} x {image.height} pixels; "
                        "make it smaller, 400 x 400 are plenty."
                    )
                upright = ImageOps.exif_transpose(image).convert("RGBA")
        ImageOps.fit(upright, (_SIDE, _SIDE)).save(target, "PNG")
    except UnidentifiedImageError as error:
        raise InputError(f"{avatar} is not a PNG, JPEG, GIF or WebP image.") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{avatar} has far too many pixels; make it smaller.") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:  # Pillow's, for broken files
        reason = getattr(error, "strerror", None) or "the image is damaged"
        raise InputError(f"{avatar} can't be used: {reason}.") from error
