"""The picture of a post: size, golden pictures in six scripts, unusual input.

The looks are kept as small grey copies in ``tests/golden/pictures``. When a change is meant to move
them, look at the picture that the failed test names and put it there.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from huggingtweets.errors import InputError
from huggingtweets.publish.picture import PROMPT, Picture, nth_post, save, write_picture

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from huggingtweets.generation.writer import Writer
    from huggingtweets.storage.run_folder import RunFolder

GOLDEN = Path(__file__).parents[1] / "golden" / "pictures"
SMALL = (300, 158)
SCRIPTS = {
    "emoji": Picture(
        ["@NASA"],
        "My dream is to see the whole family 👨‍👩‍👧‍👦 wave 👋🏽 from Mars 🚀 "
        "under our flags 🇫🇷 🏳️‍🌈 — 1️⃣ small step ❤️",
    ),
    "russian": Picture(
        ["@Пушкин", "@Σαπφώ"],
        "Моя мечта — увидеть, как над Невой снова встаёт солнце. Το όνειρό μου είναι ένα ποίημα.",
        "Моя мечта",
    ),
    "arabic": Picture(
        ["@ناسا"], "حلمي هو أن أكون مع @NASA في عام 2024 كل يوم، وأن أرى الأرض من القمر", "حلمي هو"
    ),
    "hebrew": Picture(
        ["@חלל", "@שמש"], "החלום שלי הוא לקנות 42 ספרים ו-3.5 ק״ג תפוחים ב-@Shuk!", "החלום שלי"
    ),
    "japanese": Picture(["@宇宙"], "私の夢は、月の上で詩を書くことです。直骨", "私の夢は"),
    "chinese": Picture(
        ["@新华社"], "我的梦想是成为一名宇航员，在月球上写一首诗。直骨", "我的梦想是"
    ),
    "korean": Picture(["@우주"], "나의 꿈은 달에서 시를 쓰는 것입니다.", "나의 꿈은"),
    "hindi": Picture(
        ["@इसरो"], "मेरा सपना है कि हम सब चाँद पर क्षत्रिय गीत गाएँ। ความฝันของฉันคือดวงจันทร์", "मेरा सपना है"
    ),
}
HOSTILE = {
    "nothing": Picture([], "", ""),
    "spaces": Picture(["  "], "\u200b\u3000\u00a0 \u2028\u2029", " \n "),
    "controls": Picture(["\x1b[31m\x00"], "\x00\x07\x1b[2J \ud800\udfff \u202e\u2066 x", "\ud83d"),
    "code": Picture(
        ['"]) #panic("x")'], '#panic("x") $x$ *b* `c` \\ // /* <a> @ref', '#read("/0")'
    ),
    "long": Picture(["a_very_long_handle"] * 6, "word " * 4000, "prompt " * 600),
    "one word": Picture(["w" * 500], "W" * 3000, "w" * 3000),
    "one arabic word": Picture(["ب" * 500], "ب" * 3000, "ب" * 300),
    "lines": Picture(["n"], "one\n\n\r\ntwo\u2028three\n" * 300),
    "emoji": Picture(["😀"], "👨‍👩‍👧‍👦🏳️‍🌈🇩🇪👋🏿\u200d" * 100, "👨‍👩‍👧‍👦"),
    "marks": Picture(["z"], "Z" + "\u0301" * 5000 + "\u0301", "\u0301" * 50),
    "no font": Picture(["ꦗ"], "ꦲꦏ꧀ꦱꦫ 𓀀 \U000fffff \ufffe \ufdd0 � \U0010ffff", "ꦗ"),
}


def pixels(png: bytes) -> NDArray[np.uint8]:
    import numpy as np

    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("RGB"))


def small(png: bytes) -> Image.Image:
    with Image.open(io.BytesIO(png)) as image:
        return image.convert("L").resize(SMALL, Image.Resampling.BOX)


@pytest.mark.parametrize("script", SCRIPTS)
def test_matches_the_golden_pictures(script: str, tmp_path: Path) -> None:
    import numpy as np

    new = small(SCRIPTS[script].png())
    file = tmp_path / f"{script}.png"
    new.save(file, optimize=True)
    with Image.open(GOLDEN / f"{script}.png") as old:
        moved = np.abs(np.asarray(old, dtype=int) - np.asarray(new, dtype=int))
    # anti-aliasing may differ between processors; a moved letter differs much more
    assert moved.mean() < 0.5, file
    assert (moved > 64).mean() < 0.002, file


@pytest.mark.parametrize("name", HOSTILE)
def test_unusual_posts_render(name: str) -> None:
    drawn = pixels(HOSTILE[name].png())
    assert drawn.shape == (630, 1200, 3)
    paper = drawn[0, 0]
    assert (drawn[:, :40] == paper).all()
    assert (drawn[:, -40:] == paper).all()
    assert (drawn[-30:] == paper).all()
    inside = drawn[175:540, 75:1125]
    margins = (inside[:, :30], inside[:, -30:], inside[:12], inside[-12:])
    assert all((margin == 255).all() for margin in margins), "text runs over the edge of its card"


def test_rendering_is_deterministic() -> None:
    assert Picture(["ann"], "My dream is 🚀").png() == Picture(["ann"], "My dream is 🚀").png()
    assert Picture(["ann"], "My dream is 🚀").png() != Picture(["ann"], "My dream is 🌍").png()


def test_system_fonts_are_not_used() -> None:
    from huggingtweets.publish import picture

    families = picture._fonts().families()
    assert {"Inter", "Noto Sans Arabic", "Noto Sans CJK JP", "Twemoji Mozilla"} < set(families)
    assert all(name.startswith(("Inter", "Noto Sans", "Twemoji")) for name in families)


def test_han_characters_follow_the_language() -> None:
    shapes = {
        language: pixels(Picture([], f"直骨次 {marker}", "").png())[:, :380].tobytes()
        for language, marker in (("zh", ""), ("ja", "の"), ("ko", "나"))
    }
    assert len(set(shapes.values())) > 1


def test_no_arrow_without_prompt() -> None:
    with_arrow, without = (Picture(["ann"], "hello", prompt).png() for prompt in ("hello", ""))
    accent = pixels(with_arrow)[94, 80]
    assert (pixels(with_arrow)[200:240, 100:] == accent).all(axis=2).any()
    assert not (pixels(without)[200:, 100:] == accent).all(axis=2).any()


@pytest.fixture
def avatars(tmp_path: Path) -> list[Path]:
    """A red, a green and a blue avatar in different formats."""
    files = []
    for colour, kind in (("#ff0000", "png"), ("#00ff00", "gif"), ("#0000ff", "webp")):
        files.append(tmp_path / f"{colour[1:]}.{kind}")
        Image.new("RGB", (80, 40), colour).save(files[-1], lossless=True)  # only WebP uses it
    return files


def test_avatars(avatars: list[Path]) -> None:
    drawn = pixels(Picture(["a", "b", "c", "d"], "hello", avatars=avatars).png())
    middles = [drawn[94, x].tolist() for x in (110, 178, 246)]
    assert middles == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    two = pixels(Picture(["a", "b"], "hello", avatars=avatars[:1]).png())
    assert two[94, 90].tolist() == [255, 0, 0]
    assert two[60, 178].tolist() != [255, 0, 0]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "can't be used: No such file"),
        (b"", "is not a PNG, JPEG, GIF or WebP image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is not a PNG, JPEG, GIF or WebP image"),
        (b"\x89PNG\r\n\x1a\n" + b"\x00" * 50, "damaged|is not a PNG"),
        (b"\xff\xd8\xff" + b"\x00" * 1000, "damaged|is not a PNG"),
    ],
)
def test_invalid_avatar_is_refused(content: bytes | None, fault: str, tmp_path: Path) -> None:
    file = tmp_path / "me.png"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError, match=fault) as told:
        Picture(["ann"], "hello", avatars=[file]).png()
    assert str(file) in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("side", [7_000, 10_000, 20_000])
def test_decompression_bomb_is_refused(side: int, tmp_path: Path) -> None:
    file = tmp_path / "bomb.png"
    Image.new("1", (side, side)).save(file)
    with pytest.raises(InputError, match=r"bomb\.png has .* pixels"):
        Picture(["ann"], "hello", avatars=[file]).png()


def test_four_avatars_are_refused(avatars: list[Path]) -> None:
    with pytest.raises(InputError, match="at most 3 avatars"):
        Picture(["ann"], "hello", avatars=[*avatars, avatars[0]]).png()


def test_failed_picture_keeps_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "predictions.png"
    file.write_bytes(b"old")
    with pytest.raises(InputError):
        save(Picture(["ann"], "hello", avatars=[tmp_path / "nobody.png"]), file)
    assert file.read_bytes() == b"old"
    save(Picture(["ann"], "hello"), file)
    assert pixels(file.read_bytes()).shape == (630, 1200, 3)


class Parrot:
    """A writer with fixed posts, one per call; None means only copies."""

    def __init__(self, *said: str | None) -> None:
        self.said = list(said)
        self.prompts: list[str] = []

    def write(self, prompt: str, n: int) -> Iterator[object]:
        from huggingtweets.generation.sampling import GeneratedPost

        assert n == 1
        self.prompts.append(prompt)
        text = self.said.pop(0) if self.said else None
        return iter([GeneratedPost(text, prompt)] if text else [])


def test_nth_post() -> None:
    def nth(*said: str | None, number: int) -> str | None:
        writer: Writer = Parrot(*said)  # type: ignore[assignment]  # all that is needed of one
        post = nth_post(writer, number=number)
        return post.text if post else None

    assert nth("a", "b", "c", number=1) == "a"
    assert nth("a", "b", "c", number=3) == "c"
    assert nth("a", None, "c", number=2) is None


def test_picture_falls_back_to_a_post_without_prompt(tmp_path: Path) -> None:
    from huggingtweets.storage.run_folder import RunFolder, RunRecord

    run: RunFolder = RunFolder(tmp_path)
    run.save(RunRecord("me", ["ann"], {}, {}, {}))
    for said, prompts in (((None, "b"), [PROMPT, ""]), ((), [PROMPT, ""]), (("a",), [PROMPT])):
        writer = Parrot(*said)
        write_picture(run, writer)  # type: ignore[arg-type]  # all that is needed of one
        assert writer.prompts == prompts
        assert run.picture.is_file()
        run.picture.unlink()
