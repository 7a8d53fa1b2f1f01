"""WhatsApp exports, in the forms of phones: made-up people, real line forms."""

from __future__ import annotations

import zipfile
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from huggingtweets.errors import SourceError
from huggingtweets.sources import CountLeftOut, ReadOptions, open_source, read_posts

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

IOS = """\
[31/12/20, 11:58:01\u202fPM] Club: \u200eMessages and calls are end-to-end encrypted.
[31/12/20, 11:58:59\u202fPM] Ada: Happy new year
\u200e[31/12/20, 11:59:00\u202fPM] Ada: \u200eimage omitted
[31/12/20, 11:59:03\u202fPM] Bob: you too
[01/01/21, 12:00:01\u202fAM] Ada: two
lines: really

and a gap
\u200e[01/01/21, 12:00:02\u202fAM] Bob: \u200eThis message was deleted.
\u200e[01/01/21, 9:00:00\u202fAM] Ada: the hills \u200e<attached: 00000012-PHOTO.jpg>
\u200e[01/01/21, 9:00:05\u202fAM] Ada: \u200e<attached: 00000013-PHOTO-2021-01-01-09-00-05.jpg>
\u200e[01/01/21, 9:00:09\u202fAM] Ada: \u200eplan.pdf • \u200e3 pages \u200edocument omitted
\u200e[01/01/21, 9:00:10\u202fAM] Ada: \u200eYou deleted this message.
[01/01/21, 9:01:00\u202fAM] Ada: fixed it \u200e<This message was edited>
\u200e[01/01/21, 9:02:00\u202fAM] Bob: \u200eMissed voice call
\u200e[01/01/21, 9:03:00\u202fAM] Club: \u200eBob added Eve
[01/01/21, 9:04:00\u202fAM] ~\u202fEve Adams: hi
"""
ANDROID = """\
12/31/20, 11:58 PM - Messages and calls are end-to-end encrypted. Tap to learn more.
12/31/20, 11:58 PM - Ada created group "Club: 2021"
12/31/20, 11:59 PM - Ada: Happy new year
1/1/21, 12:01 AM - Bob: <Media omitted>
1/1/21, 12:02 AM - Ada: <Media omitted>
1/1/21, 12:03 AM - Ada: IMG-20210101-WA0001.jpg (file attached)
the hills behind the house
1/1/21, 12:04 AM - Ada: This message was deleted
1/1/21, 12:05 AM - Ada: null
1/1/21, 12:06 AM - +1 (555) 010-0000: who is this
1/1/21, 12:07 AM - Ada: ask @15550100000 <This message was edited>
1/1/21, 12:08 AM - Bob changed this group's icon
"""


def _write(folder: Path, text: str, name: str = "_chat.txt") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def _read(path: Path, **options: Any) -> tuple[pl.DataFrame, dict[str, int]]:  # noqa: ANN401
    counting = CountLeftOut(lambda _: None)
    posts = read_posts([path], ReadOptions(listen=counting, **options))
    return posts, counting.total


def _records(text: str) -> int:
    stamps = ("[", "\u200e[", "1", "3")
    return sum(line.startswith(stamps) for line in text.splitlines())


def test_an_iphone_chat(tmp_path: Path) -> None:
    posts, left_out = _read(_write(tmp_path, IOS), speaker="Ada")
    assert posts["text"].to_list() == [
        "Happy new year",
        "two\nlines: really\n\nand a gap",
        "the hills",
        "fixed it",
    ]
    assert posts["created_at"][0] == datetime(2020, 12, 31, 23, 58, 59, tzinfo=UTC)
    assert posts["created_at"][1] == datetime(2021, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert posts["source"].unique().to_list() == ["whatsapp"]
    assert left_out == {
        "of other people": 3,
        "system lines": 3,
        "pictures, sounds and files": 3,
        "deleted": 1,
    }
    assert posts.height + sum(left_out.values()) == _records(IOS)


def test_an_android_chat(tmp_path: Path) -> None:
    posts, left_out = _read(_write(tmp_path, ANDROID, "WhatsApp Chat with Club.txt"), speaker="Ada")
    assert posts["text"].to_list() == [
        "Happy new year",
        "the hills behind the house",
        "ask @user",
    ]
    assert posts["created_at"][1] == datetime(2021, 1, 1, 0, 3, tzinfo=UTC)
    assert left_out["of other people"] == 2
    assert posts.height + sum(left_out.values()) == _records(ANDROID)


@pytest.mark.parametrize(
    "stamp",
    [
        "[2/13/21, 4:05:06\u202fPM] ",
        "[13.02.21, 16:05:06] ",
        "[13/02/2021 16:05:06] ",
        "[2021-02-13, 16:05:06] ",
        "[2021/2/13 下午4:05:06] ",
        "2/13/21, 4:05\u202fPM - ",
        "13/02/2021, 16:05 - ",
        "13/02/2021 16:05 - ",
        "13/2/21 4:05 p.\u00a0m. - ",
        "13/02/2021 à 16:05 - ",
        "13.02.21, 16:05 - ",
        "13.2.2021 klo 16.05 - ",
        "13-02-2021 16:05 - ",
        "2021-02-13 16:05 - ",
        "2021/02/13 16:05 - ",
        "21. 2. 13. 오후 4:05 - ",
        "\u200f13/02/2021, 4:05 م - ",
        "١٣/٠٢/٢٠٢١، ١٦:٠٥ - ",
        "\u200f[١٣\u200f/٢\u200f/٢٠٢١، ٤:٠٥:٣٢ م] ",
    ],
)
def test_the_forms_of_dates(tmp_path: Path, stamp: str) -> None:
    path = _write(tmp_path, f"{stamp}Ada: hello\n{stamp}Ada: again: yes\n")
    posts, _ = _read(path)
    assert posts["text"].to_list() == ["hello", "again: yes"]
    assert [time.replace(second=0) for time in posts["created_at"]] == [
        datetime(2021, 2, 13, 16, 5, tzinfo=UTC)
    ] * 2


def test_an_ambiguous_date_is_settled_by_the_rest_of_the_chat(tmp_path: Path) -> None:
    lines = "".join(
        f"0{month}/0{day}/2023, 10:00 - Ada: hello\n" for month, day in ((1, 3), (1, 5), (2, 4))
    )
    path = _write(tmp_path, lines)  # as day/month it would go back in time
    assert [time.month for time in _read(path)[0]["created_at"]] == [1, 1, 2]


@pytest.mark.parametrize(
    "omitted",
    [
        *("<Media omitted>", "<Medien ausgeschlossen>", "<Multimedia omitido>", "<Mídia oculta>"),
        *("<Médias omis>", "<Media omessi>", "<Media weggelaten>", "<Без медиафайлов>"),
        *("<Medya dahil edilmedi>", "<メディアは含まれていません>", "image omitted"),
        *("Bild weggelassen", "imagen omitida", "image absente", "immagine omessa"),
        *("imagem ocultada", "afbeelding weggelaten", "\u200eפריט המדיה לא נכלל omitted"),
        *("STK-20210101-WA0007.webp (Datei angehängt)", "PTT-1.opus (archivo adjunto)"),
    ],
)
def test_media_left_out_in_the_main_languages(tmp_path: Path, omitted: str) -> None:
    text = f"13/02/2021, 16:05 - Ada: {omitted}\n13/02/2021, 16:06 - Ada: words of mine\n"
    posts, left_out = _read(_write(tmp_path, text))
    assert posts["text"].to_list() == ["words of mine"]
    assert sum(left_out.values()) == 1


def test_the_zip_of_either_phone_and_its_folder_are_read(tmp_path: Path) -> None:
    for name, text in (("_chat.txt", IOS), ("WhatsApp-Chat mit Club.txt", ANDROID)):
        path = tmp_path / "WhatsApp Chat - Club.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, text)
            archive.writestr("IMG-20210101-WA0001.jpg", b"\xff\xd8")
        assert _read(path, speaker="Ada")[0]["text"][0] == "Happy new year"
    _write(tmp_path, IOS)  # and the unpacked folder
    assert _read(tmp_path, speaker="Ada")[0]["text"][0] == "Happy new year"


def test_who_wrote_is_listed_if_nobody_was_chosen(tmp_path: Path) -> None:
    path = _write(tmp_path, IOS)
    with pytest.raises(SourceError, match=r"choose one with `--from NAME`: Ada \(4\), Bob \(1\), "):
        read_posts([path])
    with pytest.raises(SourceError, match="no message from 'Zoe'; its people are: Ada"):
        read_posts([path], ReadOptions(speaker="Zoe"))
    assert _read(path, speaker="eve adams")[0]["text"].to_list() == ["hi"]


def test_ids_are_the_same_in_a_later_export_that_begins_elsewhere(tmp_path: Path) -> None:
    whole = _read(_write(tmp_path, ANDROID), speaker="Ada")[0]
    later = "".join(ANDROID.splitlines(keepends=True)[4:])
    part = _read(_write(tmp_path, later), speaker="Ada")[0]
    assert part["id"].to_list() == whole["id"].to_list()[1:]


def test_a_chat_in_an_unknown_form_is_not_read_as_one_post_a_line(tmp_path: Path) -> None:
    path = _write(tmp_path, "Ada, on 3 May: hello\nBob, on 3 May: hello\n")
    with pytest.raises(SourceError, match="named like a WhatsApp chat"):
        open_source(path)
    plain = _write(tmp_path, "12/31/20 was a good day\n", "diary.txt")
    assert open_source(plain).name == "txt"


def test_what_an_iphone_writes_for_files_in_any_language(tmp_path: Path) -> None:
    at = "[24/11/2023, 17:49:36] Ada: "
    lines = [
        f"{at}hello",
        f"\u200e{at}report.pdf • \u200e3 pages \u200edocument omitted",
        f"\u200e{at}my boat \u200eimage omitted",
        f"\u200f{at}\u200fהתמונה הושמטה",
        f"\u200e{at}\u200ePOLL:\nTea?\n\u200eOPTION: yes (\u200e1 vote)",
        f"{at}Location: https://maps.google.com/?q=51.9,4.4",
    ]
    posts, left_out = _read(_write(tmp_path, "\n".join(lines)), speaker="Ada")
    assert posts["text"].to_list() == ["hello", "my boat"]
    assert sum(left_out.values()) == 4
