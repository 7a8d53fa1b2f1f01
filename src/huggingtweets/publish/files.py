"""Which files of a bot folder may go up: those of a kind that is named here, and no others."""

from __future__ import annotations

import hashlib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from huggingtweets.errors import BotError

if TYPE_CHECKING:
    from collections.abc import Mapping

Content = Path | bytes
"""A file to send: where it lies, or what is in it."""

_KINDS = (
    *("README.md", "predictions.png", "pipeline.svg"),
    *("config.json", "generation_config.json"),
    *("model.safetensors", "model.safetensors.index.json", "model-?????-of-?????.safetensors"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "merges.txt", "vocab.txt", "chat_template.jinja"),
    *("tokenizer.model", "spiece.model", "sentencepiece.bpe.model"),
)


def is_publishable(name: str) -> bool:
    """Whether a file of this name is a part of a bot."""
    return any(fnmatchcase(name, kind) for kind in _KINDS)


def parts_of(bot: Path) -> dict[str, Content]:
    """The files of a bot folder that go up, by name.

    Links are passed over, as what they lead to is no part of the bot.

    Raises:
        BotError: the folder is not a whole bot's.
    """
    if bot.is_symlink() or not bot.is_dir():
        raise BotError(f"{bot} is not a folder with a bot in it.")
    found: dict[str, Content] = {
        file.name: file
        for file in sorted(bot.iterdir())
        if is_publishable(file.name) and file.is_file() and not file.is_symlink()
    }
    for kind in ("config.json", "tokenizer_config.json", "model*.safetensors"):
        if not any(fnmatchcase(name, kind) for name in found):
            raise BotError(f"{bot} has no {kind} of its own, so it is not a whole bot.")
    return found


def unpublished_files(bot: Path) -> list[str]:
    """What else lies in a bot folder, and stays there."""
    going = parts_of(bot)
    return sorted(file.name for file in bot.iterdir() if file.name not in going)


def size(content: Content) -> int:
    """Bytes."""
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def changed(files: Mapping[str, Content], there: Mapping[str, str]) -> dict[str, Content]:
    """Those of ``files`` that are not the same on the Hub.

    Args:
        files: by name.
        there: for each file on the Hub its SHA-256 or, for a small one, git's name of it.
    """
    return {
        name: content
        for name, content in files.items()
        if there.get(name) not in (_sha256(content), _git_name(content))
    }


def _sha256(content: Content) -> str:
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _git_name(content: Content) -> str:
    digest = hashlib.sha1(b"blob %d\0" % size(content), usedforsecurity=False)
    if isinstance(content, bytes):
        digest.update(content)
        return digest.hexdigest()
    with content.open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()
