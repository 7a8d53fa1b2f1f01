"""Recognise files that are no text by their first bytes, and say what to do with them."""

from __future__ import annotations

_AS_CSV = "save it as CSV (UTF-8) and give that file"
_EXCEL = f"an Excel workbook; {_AS_CSV}"
_SIGNATURES = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", f"an Excel or Word file from before 2007; {_AS_CSV}"),
    (b"SQLite format 3\0", "an SQLite database; export its table of posts as .csv and give that"),
    (b"PAR1", "a Parquet file; rename it to end in .parquet"),
    (b"ARROW1", "an Arrow file; save it as .parquet and give that file"),
    (b"%PDF-", "a PDF; give the file with the posts as text, a table or the network's archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it and give the file with the posts"),
    (b"Rar!\x1a\x07", "a RAR archive; unpack it and give the file with the posts"),
    (b"\x1f\x8b", "compressed twice; unpack it once"),
    (b"\xfd7zXZ\0", "compressed twice; unpack it once"),
    (b"\x28\xb5\x2f\xfd", "compressed twice; unpack it once"),
    (b"{\\rtf", "a document of a word processor; save it as plain text (.txt, UTF-8)"),
    (b"\x89PNG", "a picture, not posts"),
    (b"\xff\xd8\xff", "a picture, not posts"),
)
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_OFFICE = {
    b"xl/": _EXCEL,
    b"word/": "a Word document; save it as plain text (.txt, UTF-8), one post a line",
    b"spreadsheet": f"a LibreOffice spreadsheet; {_AS_CSV}",
}
_PAGES = (b"<!doctype html", b"<html")
_HEAD = 4_096  # bytes
_EXTENSIONS = {
    **dict.fromkeys((".xlsx", ".xls", ".xlsm", ".xlsb"), _EXCEL),
    **dict.fromkeys((".ods", ".numbers", ".gsheet"), f"a spreadsheet; {_AS_CSV}"),
    **dict.fromkeys(
        (".docx", ".doc", ".odt", ".rtf", ".pages"),
        "a document; save it as plain text (.txt, UTF-8), one post a line",
    ),
    **dict.fromkeys(
        (".db", ".sqlite", ".sqlite3"),
        "a database; export its table of posts as .csv and give that file",
    ),
    **dict.fromkeys(
        (".html", ".htm", ".mhtml"),
        "a web page; give the archive that the network offers for download, or a table of posts",
    ),
    **dict.fromkeys(
        (".rar", ".7z", ".xz", ".gz", ".bz2", ".zst", ".lz4", ".br", ".z", ".lzma"),
        "a compressed file; unpack it and give the file with the posts",
    ),
    ".pdf": "a PDF; give the posts as text, a table or the network's archive",
}


def what_it_is(head: bytes) -> str | None:
    """Say what a file is that begins with these bytes and is no text; None if it may be text."""
    if head.startswith(_ZIP):
        known = (what for part, what in _OFFICE.items() if part in head[:_HEAD])
        return next(known, "a zip file; rename it to end in .zip")
    if head[:_HEAD].lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_PAGES):
        return "a web page; give the archive that the network offers for download, or a table"
    return next((what for mark, what in _SIGNATURES if head.startswith(mark)), None)


def what_ends_in(extension: str) -> str | None:
    """Say what a file with this extension is, and what to do with it; None if that is unknown."""
    return _EXTENSIONS.get(extension.lower())
