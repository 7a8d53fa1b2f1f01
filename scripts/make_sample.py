"""Write the bundled sample, an X archive of @NASA, from the table of its tweets.

The result has the format of a real archive, so the demo reads it like a user's own: numbers are
strings, tweets are wrapped in ``{"tweet": ...}``, newest first, and only its ``RT @`` text marks a
retweet, while ``retweeted`` is false. The table lacks some fields that X writes: ``lang`` is always
``en``, and a reply names the user it answers, but not the post. The same table always gives the
same bytes.

Usage: python scripts/make_sample.py [NASA.parquet]
"""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import polars as pl

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "src" / "huggingtweets" / "sample" / "NASA.zip"
DEFAULT_TABLE = ROOT.parent / "shared" / "data" / "demo" / "NASA.parquet"
ACCOUNT_ID = "11348282"  # @NASA's
ZIP_TIME = (2015, 12, 15, 4, 0, 0)  # the last tweet's hour; fixed, so that the bytes don't change


def tweet(row: dict[str, Any]) -> dict[str, Any]:
    """Convert a row to an item of ``tweets.js``."""
    fields = {
        "retweeted": False,
        "source": "",
        "display_text_range": ["0", str(len(row["text"]))],
        "favorite_count": str(row["favorite_count"]),
        "id_str": row["tweet_id"],
        "truncated": False,
        "retweet_count": str(row["retweet_count"]),
        "id": row["tweet_id"],
        "created_at": row["created_at"].strftime("%a %b %d %H:%M:%S +0000 %Y"),
        "favorited": False,
        "full_text": row["text"],
        "lang": "en",
    }
    if row["kind"] == "reply":
        user = row["in_reply_to_or_retweeted_id"]
        fields |= {"in_reply_to_user_id": user, "in_reply_to_user_id_str": user}
    return {"tweet": fields}


def members(table: pl.DataFrame) -> dict[str, str]:
    """Return the files of the archive by name."""
    rows = table.sort("created_at", "tweet_id", descending=True).iter_rows(named=True)
    tweets = [tweet(row) for row in rows]
    account = {"username": "NASA", "accountId": ACCOUNT_ID, "accountDisplayName": "NASA"}
    manifest = {
        "userInfo": {"accountId": ACCOUNT_ID, "userName": "NASA", "displayName": "NASA"},
        "archiveInfo": {"isPartialArchive": False},
        "dataTypes": {
            "account": _data_type("account", 1),
            "tweets": _data_type("tweets", len(tweets)),
        },
    }
    return {
        "data/manifest.js": _assigned("__THAR_CONFIG", manifest),
        "data/account.js": _assigned("YTD.account.part0", [{"account": account}]),
        "data/tweets.js": _assigned("YTD.tweets.part0", tweets),
    }


def write_zip(files: dict[str, str], target: Path) -> None:
    """Write the archive with a fixed time in every entry."""
    with zipfile.ZipFile(target, "w") as archive:
        for name, text in files.items():
            info = zipfile.ZipInfo(name, ZIP_TIME)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, text.encode(), compresslevel=9)


def _data_type(name: str, count: int) -> dict[str, Any]:
    file = {"fileName": f"data/{name}.js", "globalName": f"YTD.{name}.part0", "count": str(count)}
    return {"files": [file]}


def _assigned(variable: str, value: object) -> str:
    return f"window.{variable} = {json.dumps(value, ensure_ascii=False, indent=2)}"


def main() -> None:
    """Read the table named on the command line, or the default one; write the sample."""
    table = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_TABLE
    write_zip(members(pl.read_parquet(table)), TARGET)
    sys.stdout.write(f"{TARGET} ({TARGET.stat().st_size:,} bytes)\n")


if __name__ == "__main__":
    main()
