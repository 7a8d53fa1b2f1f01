"""Generate malformed Mastodon and Telegram exports and JSON files."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from typing import TYPE_CHECKING, Any

from tests.sources.cases import Sample, activity, message, row
from tests.sources.mangle import WILD, damaged, dumps, encoded
from tests.sources.tumblr_cases import legacy, npf

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

_HTML = ("<p>", "</p", "<br", "<a href='", '"', "<span class=invisible>", "&amp", "<![x[", "<!--")


def mangled_export(random: Random) -> tuple[str, bytes]:
    """Return the name and content of a mangled outbox, chat export or list of posts."""
    kind = random.choice([_outbox, _outbox, _chat, _posts])
    name, document = kind(random)
    text = dumps(document)
    if random.random() < 0.1:
        place = random.randrange(len(text) + 1)
        text = (
            text[:place] + random.choice(["", *'"{}[],:\\\n\t=\u2028', "[" * 5_000]) + text[place:]
        )
    content = encoded(random, text)
    if name == "outbox.json" and random.random() < 0.6:
        name, content = _packed(random, content)
    return name, damaged(random, content) if random.random() < 0.3 else content


def _outbox(random: Random) -> tuple[str, object]:
    items = some_items(random, activity)
    for item in items:
        if isinstance(item, dict) and isinstance(item.get("object"), dict):
            html = "".join(random.choice([*_HTML, " words "]) for _ in range(random.randrange(9)))
            item["object"] = changed(random, item["object"] | {"content": html})
    return "outbox.json", changed(random, {"type": "OrderedCollection", "orderedItems": items})


def _chat(random: Random) -> tuple[str, object]:
    chat = changed(random, {"type": "saved", "id": 5, "messages": some_items(random, message)})
    whole = {"personal_information": {"user_id": 7}, "chats": {"list": [chat, chat]}}
    return "result.json", changed(random, whole) if random.random() < 0.4 else chat


def _posts(random: Random) -> tuple[str, object]:
    items = some_items(random, random.choice([row, legacy, npf]))
    return "posts.json", items if random.random() < 0.5 else changed(random, {"a": 1, "b": items})


def some_items(random: Random, make: Callable[[Sample], dict[str, Any]]) -> list[Any]:
    """Return a few mangled items of a list."""
    made = (make(Sample(number, f"Post number {number}")) for number in range(random.randrange(5)))
    return [
        changed(random, item) if random.random() < 0.9 else random.choice(WILD) for item in made
    ]


def changed(random: Random, fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields of which up to two are missing or of another kind."""
    fields = dict(fields)
    for name in random.sample(list(fields), min(len(fields), random.choice([0, 0, 0, 1, 2]))):
        if random.random() < 0.3:
            del fields[name]
        else:
            fields[name] = random.choice(WILD)
    return fields


def _packed(random: Random, outbox: bytes) -> tuple[str, bytes]:
    actor = dumps(changed(random, {"preferredUsername": "ada", "id": "https://m.example/ada"}))
    names = ["outbox.json"] * 8 + ["a/outbox.json", "./outbox.json", "../outbox.json", "é.json"]
    members = {random.choice(names): outbox, "actor.json": actor.encode("utf-8", "replace")}
    stream = io.BytesIO()
    if random.random() < 0.3:
        with zipfile.ZipFile(stream, "w") as packed:
            for name, content in members.items():
                packed.writestr(name, content)
        return "export.zip", stream.getvalue()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            info.type = random.choice([tarfile.REGTYPE] * 20 + [tarfile.SYMTYPE, tarfile.CHRTYPE])
            if random.random() < 0.05:
                info.pax_headers = {"size": "-5", "path": "x" * 200_000}
            archive.addfile(info, io.BytesIO(content))
    content = stream.getvalue()
    return "export.tar.gz", gzip.compress(content, 1) if random.random() < 0.5 else content
