"""What a run was made of and what it made, as artifacts.

    download    -> tweets-HANDLE (raw-dataset) and the base (pretrained-model)
    preprocess  uses tweets-HANDLE -> dataset-HANDLE (train-dataset)
    train       uses dataset-HANDLE and the base -> model-HANDLE (finetuned-model)

Where posts are to stay out of the tracker a note of what is in them stands for each dataset, so
that the lineage and its versions are the same.
"""

from __future__ import annotations

import hashlib
import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingtweets.nn import bases
from huggingtweets.storage import files
from huggingtweets.track.protocol import Artifact

if TYPE_CHECKING:
    from huggingtweets.storage.run_folder import RunFolder


class Lineage:
    """The artifacts of a run.

    Args:
        run: whose.
        notes: folder for what is written about it; it must stay.
        raw: whether posts may be part of an artifact.
    """

    def __init__(self, run: RunFolder, notes: Path, *, raw: bool) -> None:
        self._run, self._notes, self._raw = run, notes, raw
        self._record = run.record()
        self._handle = safe_name("-and-".join(self._record.authors))

    @cached_property
    def tweets(self) -> Artifact:
        """The posts as read."""
        posts = {"posts": self._record.counts.get("downloaded", 0)}
        return self._dataset(f"tweets-{self._handle}", "raw-dataset", "posts", posts)

    @cached_property
    def dataset(self) -> Artifact:
        """The posts as curated and split."""
        posts = {"posts": self._record.counts.get("kept", 0)}
        return self._dataset(f"dataset-{self._handle}", "train-dataset", "kept", posts)

    @cached_property
    def base(self) -> Artifact:
        """What the bot was made from: its name, and the digests of its files or its revision."""
        source = str(self._record.config["base"])
        built_in = source in bases.BUILT_IN
        folder = bases.folder_of(source) if built_in else Path(source)
        local = folder.is_dir()
        name = folder.name if local and not built_in else source
        what = {"files": _digests(folder)} if local else {"revision": _revision(source)}
        note = self._note(f"base-{safe_name(name)}", {"base": name, **what})
        return Artifact(safe_name(name), "pretrained-model", {"base.json": note})

    def bot(self) -> Artifact | None:
        """The bot folder, once there is a bot."""
        if self._run.record().state not in ("trained", "done") or not self._run.bot.is_dir():
            return None
        found = {file.name: file.absolute() for file in self._run.bot.iterdir() if file.is_file()}
        return Artifact(f"model-{self._handle}", "finetuned-model", found)

    def _dataset(self, name: str, kind: str, table: str, metadata: dict[str, Any]) -> Artifact:
        file = (self._run.path / "data" / f"{table}.parquet").absolute()
        if self._raw:
            return Artifact(name, kind, {file.name: file}, metadata)
        note = self._note(name, {"file": file.name, "sha256": _sha256(file), **metadata})
        return Artifact(name, kind, {f"{table}.json": note}, metadata)

    def _note(self, name: str, value: dict[str, Any]) -> Path:
        file = (self._notes / f"{name}.json").absolute()
        files.write_json(file, value)
        return file


def safe_name(text: str) -> str:
    """The text as artifacts may be called; a mark is added where characters had to go."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", text)[:100]
    if plain == text and plain.strip("._-"):
        return plain
    return f"{plain.strip('_')}-{hashlib.sha256(text.encode()).hexdigest()[:6]}".lstrip("-.")


def _digests(folder: Path) -> dict[str, str]:
    found = sorted(file for file in folder.iterdir() if file.suffix in (".json", ".safetensors"))
    return {file.name: _sha256(file) for file in found}


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _revision(model: str) -> str | None:
    """The commit of a model of the Hugging Face Hub that is on this machine."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(model, "config.json")
    return Path(found).parent.name if isinstance(found, str) else None
