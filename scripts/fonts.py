"""Build the fonts in src/huggingtweets/fonts: only the glyphs that posts need, a few MB in all.

Needs Debian and npm to download the fonts, and ``pip install fonttools brotli``:

    python scripts/fonts.py /tmp/fonts src/huggingtweets/fonts

The same packages give the same bytes. The licence files beside the fonts are maintained by hand.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fontTools.pens.t2CharStringPen import T2CharStringPen
from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont

if TYPE_CHECKING:
    from fontTools.misc.psCharStrings import T2CharString

DEBIAN_PACKAGES = ("fonts-inter", "fonts-noto-core", "fonts-noto-cjk")
EMOJI_PACKAGE = "twemoji-colr-font@15.0.3"
EMOJI = "package/twemoji.woff2"
TYPOGRAPHIC = frozenset(map(ord, "#*0123456789©®™"))
"""Emoji only if a variation selector follows; otherwise ordinary characters."""
SHARED = frozenset(map(ord, "\u00a0\u200b\u200c\u200d\u25cc"))
"""Spaces, joiners and the dotted circle, which text shaping needs in each font of a script."""
BLOCKS = (
    *(("Arabic", 0x0600, 0x08FF), ("Hebrew", 0x0590, 0x05FF), ("Armenian", 0x0530, 0x058F)),
    *(("Georgian", 0x10A0, 0x10FF), ("Ethiopic", 0x1200, 0x137F), ("Devanagari", 0x0900, 0x097F)),
    *(("Bengali", 0x0980, 0x09FF), ("Gurmukhi", 0x0A00, 0x0A7F), ("Gujarati", 0x0A80, 0x0AFF)),
    *(("Tamil", 0x0B80, 0x0BFF), ("Telugu", 0x0C00, 0x0C7F), ("Kannada", 0x0C80, 0x0CFF)),
    *(("Malayalam", 0x0D00, 0x0D7F), ("Sinhala", 0x0D80, 0x0DFF), ("Thai", 0x0E00, 0x0E7F)),
    *(("Lao", 0x0E80, 0x0EFF), ("Myanmar", 0x1000, 0x109F), ("Khmer", 0x1780, 0x17FF)),
    *(("", 0x1D00, 0x1DBF), ("Math", 0x1D400, 0x1D7FF)),  # small capitals, fancy letters
    *(("Symbols", 0x2460, 0x27BF), ("Symbols2", 0x2190, 0x2BFF)),
)
"""Variant of Noto Sans, and the Unicode block to take from it (first, last)."""
VERTICAL = frozenset({"valt", "vert", "vkrn", "vpal", "vrt2"})
REGIONAL = tuple(
    f"{script}.{language}"
    for script in ("DFLT", "hani", "hang", "kana", "latn")
    for language in ("dflt", "JAN", "KOR", "ZHS")
)
"""Japan, Korea and China write some characters differently."""


@dataclass(frozen=True)
class Source:
    """A font to take glyphs from.

    Attributes:
        path: relative to ``usr/share/fonts`` of the Debian packages.
        wanted: characters to keep; None keeps all that aren't rendered as emoji.
        face: index of the font in a collection.
        languages: languages whose shaping is kept, as ``script.LANGUAGE``; ``*`` for all.
    """

    path: str
    wanted: frozenset[int] | None = None
    face: int = -1
    languages: tuple[str, ...] = ("*",)


def main() -> None:
    """Download the fonts, reduce them and save them."""
    work, target = Path(sys.argv[1]), Path(sys.argv[2])
    fetch(work)
    emoji = TTFont(work / EMOJI, recalcTimestamp=False)
    emoji.flavor = None  # typst can't read woff2
    emoji.save(target / "Twemoji.ttf")
    rendered_as_emoji = frozenset(emoji.getBestCmap()) - TYPOGRAPHIC
    for source in sources():
        path = work / "usr/share/fonts" / source.path
        font = TTFont(path, fontNumber=source.face, recalcTimestamp=False)
        wanted = source.wanted or frozenset(font.getBestCmap())
        subset(font, wanted - rendered_as_emoji, list(source.languages))
        font.save(target / f"{path.stem}{'.ttf' if 'glyf' in font else '.otf'}")


def fetch(work: Path) -> None:
    """Download the packages and unpack them in ``work``."""
    work.mkdir(parents=True, exist_ok=True)
    subprocess.run(["apt-get", "download", *DEBIAN_PACKAGES], cwd=work, check=True)
    for package in sorted(work.glob("*.deb")):
        subprocess.run(["dpkg", "-x", package.name, "."], cwd=work, check=True)
    subprocess.run(["npm", "pack", EMOJI_PACKAGE], cwd=work, check=True)
    for package in sorted(work.glob("*.tgz")):
        subprocess.run(["tar", "-xzf", package.name], cwd=work, check=True)


def sources() -> list[Source]:
    """Return the fonts, in order of priority for a character."""
    noto = "truetype/noto/NotoSans"
    return [
        *(Source(f"opentype/inter/Inter-{weight}.otf") for weight in ("Regular", "SemiBold")),
        *(
            Source(f"{noto}{script}-Regular.ttf", block(start, end))
            for script, start, end in BLOCKS
        ),
        Source("opentype/noto/NotoSansCJK-Regular.ttc", east_asian(), 0, REGIONAL),
    ]


def block(start: int, end: int) -> frozenset[int]:
    """Return a Unicode block and the characters that scripts share."""
    return frozenset(range(start, end + 1)) | SHARED


def east_asian() -> frozenset[int]:
    """Return kana, Hangul and the most common characters of the national standards."""
    firsts = (
        ("gb2312", 0xB0, 0xD7),  # level 1: 3,755 characters
        ("big5", 0xA4, 0xC6),  # level 1: 5,401
        ("euc_jp", 0xB0, 0xCF),  # level 1: 2,965
        ("euc_kr", 0xB0, 0xC8),  # 2,350 syllables
    )
    pairs = (
        bytes((lead, trail)).decode(codec, "ignore")
        for codec, first, last in firsts
        for lead in range(first, last + 1)
        for trail in range(0x40, 0xFF)
    )
    common = frozenset(ord(text) for text in pairs if len(text) == 1 and ord(text) > 0xFF)
    punctuation_and_kana, wide = range(0x3000, 0x3190), range(0xFF00, 0xFFF0)
    return common.union(punctuation_and_kana, wide)


def subset(font: TTFont, wanted: frozenset[int], languages: list[str]) -> None:
    """Keep only the glyphs for ``wanted``, their shaping, and the font's licence."""
    options = Options()
    options.hinting = False
    options.name_IDs = ["*"]
    options.layout_features = [f for f in options.layout_features if f not in VERTICAL]
    options.layout_scripts = languages
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=wanted)
    subsetter.subset(font)
    if "CFF " in font:
        font["CFF "].cff.topDictIndex[0].CharStrings[".notdef"] = box(font)


def box(font: TTFont) -> T2CharString:
    """Return an empty box, for characters that no font has."""
    pen = T2CharStringPen(None, None)
    unit = font["head"].unitsPerEm / 20
    for inset, corners in (
        (0, (0, 1, 2, 3)),
        (1, (3, 2, 1, 0)),
    ):  # the opposite direction makes a hole
        left, right = (3 + inset) * unit, (10 - inset) * unit
        bottom, top = inset * unit, (14 - inset) * unit
        points = ((left, bottom), (left, top), (right, top), (right, bottom))
        for number, corner in enumerate(corners):
            (pen.lineTo if number else pen.moveTo)(points[corner])
        pen.closePath()
    top_dict = font["CFF "].cff.topDictIndex[0]
    private = top_dict.FDArray[0].Private if hasattr(top_dict, "FDArray") else top_dict.Private
    return pen.getCharString(private, font["CFF "].cff.GlobalSubrs)


if __name__ == "__main__":
    main()
