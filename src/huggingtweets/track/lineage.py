"""The inputs and outputs of a run as artifacts.

    download    -> tweets-HANDLE (raw-dataset) and the base (pretrained-model)
    preprocess  uses tweets-HANDLE -> dataset-HANDLE (train-dataset)
    train       uses dataset-HANDLE and the base -> model-HANDLE (finetuned-model)

The training of a bot that was updated starts from its version before, which takes the base's place.

By default each dataset holds only a JSON file with the number and the digest of the posts. The
lineage and its versions are the same.
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
        run: the run.
        folder: permanent folder for JSON files that describe artifacts.
        raw: whether artifacts may contain posts.
    """

    def __init__(self, run: RunFolder, folder: Path, *, raw: bool) -> None:
        self._run, self._folder, self.raw = run, folder, raw
        self._record = run.record()
        self._handle = safe_name("-and-".join(self._record.authors))

    @cached_property
    def tweets(self) -> Artifact:
        """The downloaded posts."""
        posts = {"posts": self._record.counts.get("downloaded", 0)}
        return self._dataset(f"tweets-{self._handle}", "raw-dataset", "posts", posts)

    @cached_property
    def dataset(self) -> Artifact:
        """The posts after curation and split."""
        posts = {"posts": self._record.counts.get("kept", 0)}
        return self._dataset(f"dataset-{self._handle}", "train-dataset", "kept", posts)

    @cached_property
    def base(self) -> Artifact:
        """What training started from: the version before, or the base.

        The base is described by its name, and the digests of its files or its revision on the Hub.
        """
        before = self._run.versions().get(int(self._record.update.get("from_version", 0)))
        if before is not None and (bot := _files_of(before)):
            return Artifact(f"model-{self._handle}", "finetuned-model", bot)
        source = str(self._record.config["base"])
        built_in = source in bases.BUILT_IN
        folder = bases.model_folder(source) if built_in else Path(source)
        local = folder.is_dir()
        name = folder.name if local and not built_in else source
        version = {"files": _digests(folder)} if local else {"revision": _revision(source)}
        description = self._write_json(f"base-{safe_name(name)}", {"base": name, **version})
        return Artifact(safe_name(name), "pretrained-model", {"base.json": description})

    def bot(self) -> Artifact | None:
        """The files of the bot, or None if there is none yet."""
        if self._run.record().state not in ("trained", "done") or not self._run.bot.is_dir():
            return None
        return Artifact(f"model-{self._handle}", "finetuned-model", _files_of(self._run))

    def _dataset(self, name: str, kind: str, table: str, metadata: dict[str, Any]) -> Artifact:
        file = (self._run.path / "data" / f"{table}.parquet").absolute()
        if self.raw:
            return Artifact(name, kind, {file.name: file}, metadata)
        values = {"file": file.name, "sha256": _sha256(file), **metadata}
        return Artifact(name, kind, {f"{table}.json": self._write_json(name, values)}, metadata)

    def _write_json(self, name: str, value: dict[str, Any]) -> Path:
        file = (self._folder / f"{name}.json").absolute()
        files.write_json(file, value)
        return file


def safe_name(text: str) -> str:
    """A valid artifact name; a hash is appended if characters had to be replaced."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", text)[:100]
    if plain == text and plain.strip("._-"):
        return plain
    return f"{plain.strip('_')}-{hashlib.sha256(text.encode()).hexdigest()[:6]}".lstrip("-.")


def _files_of(run: RunFolder) -> dict[str, Path]:
    files = run.bot.iterdir() if run.bot.is_dir() else ()
    return {file.name: file.absolute() for file in files if file.is_file()}


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.iterdir() if file.suffix in (".json", ".safetensors"))
    return {file.name: _sha256(file) for file in files}


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _revision(model: str) -> str | None:
    """The commit of a Hub model in the local cache, or None."""
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(model, "config.json")
    return Path(path).parent.name if isinstance(path, str) else None
