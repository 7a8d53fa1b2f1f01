"""Export a bot as a folder of static files, whose page writes posts in the visitor's browser.

The browser runs llama.cpp as WebAssembly, from the npm packages ``@wllama/wllama`` and
``@wllama/wllama-compat`` (for browsers without JSPI or 64-bit memory, such as older Safaris), which
this package carries. The page loads nothing from another host, and its policy forbids it.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import re
from importlib import resources
from typing import TYPE_CHECKING, Any

from huggingtweets.errors import BotError
from huggingtweets.evaluation.report import percent
from huggingtweets.publish import gguf
from huggingtweets.publish._avatar import hue, initial
from huggingtweets.publish.card import CARD, PROMPTS, template
from huggingtweets.publish.escaping import escape_html, one_line
from huggingtweets.publish.facts import Facts, title
from huggingtweets.publish.share import handle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from huggingtweets.events import EventHandler
    from huggingtweets.publish.gguf import GgufFacts
    from huggingtweets.storage.run_folder import RunFolder

WLLAMA = "3.13.0"
"""Version of both npm packages."""

PACKED = {  # name in the folder: SHA-256 of the unpacked file
    "wllama.js": "e7f3745ee508c111c22d178d23c52cc74016dd8cec39e4600d87e28d287d7981",
    "wllama.wasm": "79ac5be917b71d50571a4f584436a9f6baf6b6e57719d094ed8bd950e9a65780",
    "wllama-compat.js": "942062a7495790a317061b27a6bcd2bd3b247e2ddef53a069baf5abb07284758",
    "wllama-compat.wasm": "35df8c1e2f7dbd74b8e8b01054fb9f1fbe86cf566945fbf4cef3965855a8b92e",
}
"""Files of the npm packages: ``esm/index.min.js`` and ``esm/wasm/wllama.wasm`` of the first,
``wasm/wllama.js`` and ``wasm/wllama.wasm`` of the second."""

OWN = ("page.js", "page.css", "LICENCE-wllama.txt")
PAGE, SETTINGS, ICON = "index.html", "bot.json", "icon.svg"

PART_BYTES = 24_000_000
"""Largest part of a model. Hosts refuse large files: GitHub over 25 MB in its web editor,
Cloudflare Pages over 25 MiB."""

CONTEXT = 512
"""Tokens that the page makes room for in each post; the beginning may have 200 characters."""

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' blob: 'wasm-unsafe-eval'",
        "worker-src 'self' blob:",
        "connect-src 'self' blob:",
        "style-src 'self'",
        "img-src 'self' blob:",
        "base-uri 'none'",
        "form-action 'none'",
    )
)
"""Content security policy. llama.cpp's workers are made from memory (``blob:``)."""

ISOLATION = {
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""Headers with which browsers allow several threads. Without them the page uses one."""


def write(run: RunFolder, folder: Path, kind: str, listen: EventHandler) -> GgufFacts:
    """Write the page and what it loads into a new folder.

    Args:
        run: a finished run.
        folder: an empty folder.
        kind: number format of the model, as for GGUF files.
        listen: called with what is being done.

    Raises:
        InputError: llama.cpp doesn't know such a model, or the bot has no held-out post.
        BotError: a file of this package is damaged.
    """
    facts = Facts.of(run)
    made = gguf.write(run, folder, kind, listen)
    model = folder / made.file
    parts = _split(model)
    for file in folder.iterdir():
        if file.name not in parts:
            file.unlink()
    for name, content in _packed():
        (folder / name).write_bytes(content)
    for name in OWN:
        (folder / name).write_bytes(_resource(name).read_bytes())
    (folder / ICON).write_text(_icon(facts), encoding="utf-8")
    settings = json.dumps(_settings(run, facts, made, parts), indent=1, ensure_ascii=False)
    (folder / SETTINGS).write_text(settings + "\n", encoding="utf-8")
    (folder / PAGE).write_text(_page(facts, made), encoding="utf-8")
    (folder / CARD).write_text(_readme(facts), encoding="utf-8")
    return made


def is_page(folder: Path) -> bool:
    """Whether a folder is such an export."""
    return all((folder / name).is_file() for name in (PAGE, SETTINGS, *PACKED))


def is_part(name: str) -> bool:
    """Whether a file of that name is a part of a page's model."""
    return re.fullmatch(r"model-\d+-of-\d+\.bin", name) is not None


def _split(model: Path) -> dict[str, int]:
    """Split a model into files of at most :data:`PART_BYTES`; return their sizes by name."""
    count = -(-model.stat().st_size // PART_BYTES)
    sizes = {}
    with model.open("rb") as whole:
        for number in range(1, count + 1):
            part = model.with_name(f"model-{number:02}-of-{count:02}.bin")
            part.write_bytes(whole.read(PART_BYTES))
            sizes[part.name] = part.stat().st_size
    model.unlink()
    return sizes


def _packed() -> Iterator[tuple[str, bytes]]:
    """Unpack and check the files of the npm packages."""
    for name, expected in PACKED.items():
        try:
            content = lzma.decompress(_resource(f"{name}.xz").read_bytes())
        except (OSError, lzma.LZMAError) as error:
            raise BotError(f"{name} of huggingtweets is damaged. Install it again.") from error
        if hashlib.sha256(content).hexdigest() != expected:
            raise BotError(f"{name} of huggingtweets was changed. Install it again.")
        yield name, content


def _resource(name: str) -> Any:  # noqa: ANN401 - importlib's Traversable has another name in 3.14
    return resources.files(__package__).joinpath("web", name)


def _settings(
    run: RunFolder, facts: Facts, made: GgufFacts, parts: dict[str, int]
) -> dict[str, Any]:
    """Return what the page's script needs."""
    from huggingtweets.generation import bots
    from huggingtweets.generation.sampling import Sampling

    lm, sampling = bots.load_from_run(run), Sampling()
    one = len(facts.record.names) == 1
    return {
        "title": title([handle(name) for name in facts.record.names]),
        "kind": f"AI {'bot' if one else 'cyborg'}",
        "parts": [{"name": name, "bytes": size} for name, size in parts.items()],
        "bytes": made.bytes,
        "context": min(lm.context, CONTEXT),
        "post_tokens": made.post_tokens,
        "max_chars": sampling.max_chars,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
    }


def _page(facts: Facts, made: GgufFacts) -> str:
    """Render ``index.html``."""
    copied = facts.report.copied.bot
    return template("huggingtweets.publish", "web-page.html.j2").render(
        policy=POLICY,
        title=one_line(facts.title),
        names=" & ".join(one_line(name) for name in facts.record.names),
        said_by=gguf.said_by(facts),
        licence=gguf.licence(facts),
        example=PROMPTS[0],
        facts=_table(facts, made),
        copied=f"In a test, {percent(copied)} of this bot's unfiltered posts were copies.",
    )


def _table(facts: Facts, made: GgufFacts) -> list[tuple[str, str]]:
    """Return the facts of the card that fit on a page, with their names."""
    record, sizes = facts.record, facts.report.sizes
    where = "in llama.cpp" if made.in_llama_cpp else "read back"
    base = one_line(facts.base)
    rows = [
        ("Base", f"{base} ({facts.built_in.licence})" if facts.built_in else base),
        ("Posts learned from", f"{sizes.train:,}"),
        ("Held-out posts", f"{sizes.held_out:,}"),
        (
            "Bits per byte",
            f"{made.bits_per_byte:.3f} {where}, {made.bits_per_byte_here:.3f} before",
        ),
        ("Model", f"{made.bytes / 1e6:,.0f} MB, {made.kind}"),
        ("Made", f"{record.created_at[:10]}, huggingtweets {record.versions.get('huggingtweets')}"),
    ]
    if facts.languages:
        rows.insert(3, ("Language", ", ".join(facts.languages)))
    return [(name, one_line(value)) for name, value in rows]


def _icon(facts: Facts) -> str:
    """Return the avatar: the first author's initial on a colour."""
    author = facts.record.authors[0]
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">'
        f'<circle cx="32" cy="32" r="32" fill="hsl({hue(author)} 45% 38%)"/>'
        '<text x="32" y="43" text-anchor="middle" font-family="system-ui,sans-serif" '
        f'font-size="31" font-weight="700" fill="#fff">{escape_html(initial(author))}</text>'
        "</svg>\n"
    )


def _readme(facts: Facts) -> str:
    """Return the folder's README, with the front matter that makes it a Space on the Hub."""
    from huggingface_hub import SpaceCardData

    data = SpaceCardData(
        title=one_line(facts.title)[:100],
        emoji="🤖",
        colorFrom="green",
        colorTo="blue",
        sdk="static",
        app_file=PAGE,
        pinned=False,
        license="other",
        tags=["huggingtweets", "ai-bot"],
        custom_headers={name.lower(): value for name, value in ISOLATION.items()},
    )
    return template("huggingtweets.publish", "web-page-readme.md.j2").render(
        head=str(data.to_yaml()).strip(),
        title=facts.title,
        said_by=gguf.said_by(facts),
        licence=gguf.licence(facts),
        headers=ISOLATION,
    )
