"""Infer the config and split of each file of a Hub dataset from its path.

The Hub converts most datasets to Parquet files with a fixed naming scheme. The names of other files
follow the Hub's documentation (*File names and splits*): the split is a word in the name of the
file or a folder, or ``SPLIT-00000-of-00005``. Files without either are ``train``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from huggingtweets.errors import SourceError
from huggingtweets.sources._text import list_names

if TYPE_CHECKING:
    from collections.abc import Iterable

_CONVERTED = re.compile(
    r"(?P<config>[^/]+)/(?P<part>partial-)?(?P<split>\w+(?:\.\w+)*)(?:-part\d+)?/[^/]+\.parquet"
)
_SHARD = re.compile(r"(?P<split>\w+(?:\.\w+)*)-\d{5}-of-\d{5}(?:-\w+)?")
_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
_KINDS = ((".parquet",), (".csv", ".jsonl"), (".json",), (".txt",))
"""File extensions by priority: next to tables, .json and .txt files are rarely data."""

_NOT_DATA = frozenset(
    {
        *("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"),
        *("config.json", "metadata.json", "license.txt", "readme.txt", "requirements.txt"),
    }
)
_MAX_SHOWN = 20
_DEFAULT = "default"
_TRAIN = "train"


@dataclass(frozen=True, slots=True)
class DataFile:
    """A data file of a dataset.

    Attributes:
        path: in the repository.
        size: bytes.
        config: the table of the dataset that it belongs to.
        split: the part of that table.
        partial: whether the Hub converted only the beginning of the table.
    """

    path: str
    size: int
    config: str
    split: str
    partial: bool = False


def converted_files(files: Iterable[tuple[str, int]]) -> list[DataFile]:
    """Find the files of the Hub's Parquet conversion among paths and sizes."""
    return [
        DataFile(path, size, found["config"], found["split"], found["part"] is not None)
        for path, size in files
        if (found := _CONVERTED.fullmatch(path))
    ]


def own_files(files: Iterable[tuple[str, int]]) -> list[DataFile]:
    """Find the data files that the owner uploaded among paths and sizes."""
    data = [(path, size) for path, size in files if _may_be_data(PurePosixPath(path))]
    for extensions in _KINDS:
        chosen = [file for file in data if PurePosixPath(file[0]).suffix.lower() in extensions]
        if chosen:
            return _with_splits(chosen)
    return []


def choose_files(
    files: list[DataFile], config: str | None, split: str | None, dataset: str
) -> list[DataFile]:
    """Select the files of one config and split, sorted by path.

    Args:
        files: all data files, at least one.
        config: None for the default or only config.
        split: None for ``train`` or the only split.
        dataset: its name, for messages.

    Raises:
        SourceError: the config or split doesn't exist or is ambiguous; lists the available ones.
    """
    config = _choose(config, sorted({file.config for file in files}), _DEFAULT, dataset, "config")
    files = [file for file in files if file.config == config]
    where = dataset if config == _DEFAULT else f"{dataset}:{config}"
    split = _choose(split, sorted({file.split for file in files}), _TRAIN, where, "split")
    chosen = sorted((file for file in files if file.split == split), key=lambda file: file.path)
    extensions = {PurePosixPath(file.path).suffix.lower() for file in chosen}
    if len(extensions) > 1:
        names = list_names([file.path for file in chosen], _MAX_SHOWN)
        raise SourceError(
            f"The file names of {dataset} don't show which files are its split {split} ({names}); "
            "download the ones you want and give them as files."
        )
    return chosen


def _choose(name: str | None, available: list[str], default: str, where: str, what: str) -> str:
    """Return the named config or split, or the default or only one."""
    names = list_names(available, _MAX_SHOWN)
    if name in available:
        return name
    if name is not None:
        raise SourceError(f"{where} has no {what} {name[:80]!r}; it has {names}.")
    if default in available or len(available) == 1:
        return default if default in available else available[0]
    example = f"hf:{where}[{available[0]}]" if what == "split" else f"hf:{where}:{available[0]}"
    raise SourceError(f"{where} has several {what}s ({names}); name one, such as {example}.")


def _may_be_data(path: PurePosixPath) -> bool:
    hidden = any(part.startswith(".") for part in path.parts)
    return not hidden and path.name.lower() not in _NOT_DATA


def _with_splits(files: list[tuple[str, int]]) -> list[DataFile]:
    """Infer configs and splits; skip files without a split if others of the config have one."""
    inferred = [(path, size, _config(path), _split(path)) for path, size in files]
    with_splits = {config for _, _, config, split in inferred if split}
    return [
        DataFile(path, size, config, split or _TRAIN)
        for path, size, config, split in inferred
        if split or config not in with_splits
    ]


def _config(path: str) -> str:
    folders = PurePosixPath(path).parts[:-1]
    return next((name for name in folders if name != "data" and not _split_word(name)), _DEFAULT)


def _split(path: str) -> str | None:
    *folders, name = PurePosixPath(path).parts
    if shard := _SHARD.fullmatch(PurePosixPath(name).stem):
        return shard["split"]
    return next(
        (split for part in (name, *reversed(folders)) if (split := _split_word(part))), None
    )


def _split_word(name: str) -> str | None:
    """Return the split that a whole word of a name means: in ``test-1``, but not in ``latest``."""
    words = re.split(r"[\W\d_]+", name.lower())
    return next((_WORDS[word] for word in words if word in _WORDS), None)
