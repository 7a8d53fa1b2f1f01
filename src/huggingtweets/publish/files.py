"""The files of a bot folder that may be published: an allow-list of names."""

from __future__ import annotations

import hashlib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from huggingtweets.errors import BotError
from huggingtweets.privacy import opt_out

if TYPE_CHECKING:
    from collections.abc import Mapping

    from huggingtweets.storage.run_folder import RunFolder, RunRecord

Content = Path | bytes
"""A file to upload: its path or its contents."""

_PATTERNS = (
    *("README.md", "predictions.png", "pipeline.svg"),
    *("config.json", "generation_config.json"),
    *("model.safetensors", "model.safetensors.index.json", "model-?????-of-?????.safetensors"),
    *("adapter_config.json", "adapter_model.safetensors"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "merges.txt", "vocab.txt", "chat_template.jinja"),
    *("tokenizer.model", "spiece.model", "sentencepiece.bpe.model"),
)


def check_may_leave(run: RunFolder) -> RunRecord:
    """Check that a run's bot may be passed on, and return the run's record.

    Raises:
        OptedOutError: an author asked not to be imitated.
        BotError: the run is not finished, or its bot is out of date.
    """
    record = run.record()
    if record.state != "done":
        raise BotError(
            f"{run.path} is not finished ({run.display_state()}). "
            f"Resume it with: huggingtweets train --resume {run.path}"
        )
    opt_out.check_run(record)
    run.check_up_to_date()
    return record


def is_publishable(name: str) -> bool:
    """Whether a file with this name belongs to a bot."""
    return any(fnmatchcase(name, pattern) for pattern in _PATTERNS)


def parts_of(bot: Path) -> dict[str, Content]:
    """Return the files of a bot folder to publish, by name, without symbolic links.

    Raises:
        BotError: the folder doesn't hold a complete bot.
    """
    if bot.is_symlink() or not bot.is_dir():
        raise BotError(f"{bot} is not a bot folder.")
    parts: dict[str, Content] = {
        file.name: file
        for file in sorted(bot.iterdir())
        if is_publishable(file.name) and file.is_file() and not file.is_symlink()
    }
    small = "adapter_config.json" in parts and "config.json" not in parts
    adapter = ("adapter_config.json", "tokenizer_config.json", "adapter_model.safetensors")
    whole = ("config.json", "tokenizer_config.json", "model*.safetensors")
    for kind in adapter if small else whole:
        if not any(fnmatchcase(name, kind) for name in parts):
            raise BotError(f"{bot} is not a complete bot: it has no {kind}.")
    return parts


def check_others_have_its_base(bot: Path) -> None:
    """Check that others can use a bot folder; whole models need no base.

    Raises:
        BotError: it is a small bot whose base is a folder on this machine, or it is damaged.
    """
    from huggingtweets.nn import adapters
    from huggingtweets.nn.model_folder import UnusableModelError

    if not adapters.is_adapter(bot):
        return
    try:
        base = adapters.read_base(bot)
    except UnusableModelError as error:
        raise BotError(f"{bot} is not a complete bot: {error}.") from error
    if Path(base).is_absolute():
        raise BotError(
            f"{bot} is a small bot of a base that is a folder on this machine, so nobody else can "
            f"use it. Make a full bot of it first: huggingtweets expand {bot.parent} --replace"
        )


def unpublished_files(bot: Path) -> list[str]:
    """Return the names of the files in a bot folder that are not published."""
    published = parts_of(bot)
    return sorted(file.name for file in bot.iterdir() if file.name not in published)


def size(content: Content) -> int:
    """Return the size in bytes."""
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def changed(files: Mapping[str, Content], remote: Mapping[str, str]) -> dict[str, Content]:
    """Return the files that differ from those on the Hub.

    Args:
        files: by name.
        remote: SHA-256 of each file on the Hub or, for a small one, its git blob hash.
    """
    return {
        name: content
        for name, content in files.items()
        if remote.get(name) not in (_sha256(content), _git_blob_hash(content))
    }


def _sha256(content: Content) -> str:
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _git_blob_hash(content: Content) -> str:
    digest = hashlib.sha1(b"blob %d\0" % size(content), usedforsecurity=False)
    if isinstance(content, bytes):
        digest.update(content)
        return digest.hexdigest()
    with content.open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()
