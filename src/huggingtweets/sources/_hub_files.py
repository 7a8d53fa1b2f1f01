"""Which files of a dataset on the Hub hold which config and split, told by their names alone.

The Hub converts most datasets to Parquet and names those files by a fixed scheme. For the others
the names follow what the Hub's own documentation asks for (*File names and splits*): the split as a
word in the name of the file or a folder, or ``SPLIT-00000-of-00005``; files without any are
``train``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from huggingtweets.errors import SourceError
from huggingtweets.sources._text import listed

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
"""Endings, likelier data first: beside tables, .json and .txt files hold something else."""

_NO_DATA = frozenset(
    {
        *("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"),
        *("config.json", "metadata.json", "license.txt", "readme.txt", "requirements.txt"),
    }
)
_SHOWN = 20
_DEFAULT = "default"
_TRAIN = "train"


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file with rows of a dataset.

    Attributes:
        path: in the repository.
        size: bytes.
        config: which of the tables of a dataset.
        split: which part of that table.
        partial: it is of a conversion that stopped before its end.
    """

    path: str
    size: int
    config: str
    split: str
    partial: bool = False


def converted_files(files: Iterable[tuple[str, int]]) -> list[DataFile]:
    """Find what the Hub's own conversion wrote, among paths and sizes."""
    return [
        DataFile(path, size, found["config"], found["split"], found["part"] is not None)
        for path, size in files
        if (found := _CONVERTED.fullmatch(path))
    ]


def own_files(files: Iterable[tuple[str, int]]) -> list[DataFile]:
    """Find what the dataset's owner uploaded, among paths and sizes."""
    data = [(path, size) for path, size in files if _may_be_data(PurePosixPath(path))]
    for endings in _KINDS:
        if chosen := [one for one in data if PurePosixPath(one[0]).suffix.lower() in endings]:
            return _with_splits(chosen)
    return []


def choose_files(
    files: list[DataFile], config: str | None, split: str | None, dataset: str
) -> list[DataFile]:
    """Take the files of one config and split, in order.

    Args:
        files: of all of them, at least one.
        config: None for the default one, or the only one.
        split: None for ``train``, or the only one.
        dataset: its name, for messages.

    Raises:
        SourceError: there is none of that name, or several to choose from, and which there are.
    """
    config = _pick(config, sorted({file.config for file in files}), _DEFAULT, dataset, "config")
    files = [file for file in files if file.config == config]
    where = dataset if config == _DEFAULT else f"{dataset}:{config}"
    split = _pick(split, sorted({file.split for file in files}), _TRAIN, where, "split")
    chosen = sorted((file for file in files if file.split == split), key=lambda file: file.path)
    endings = {PurePosixPath(file.path).suffix.lower() for file in chosen}
    if len(endings) > 1:
        names = listed([file.path for file in chosen], _SHOWN)
        raise SourceError(
            f"The files of {dataset} don't tell by their names which are its split {split} "
            f"({names}); download those you mean and give them as files."
        )
    return chosen


def _pick(asked: str | None, there: list[str], usual: str, where: str, what: str) -> str:
    names = listed(there, _SHOWN)
    if asked in there:
        return asked
    if asked is not None:
        raise SourceError(f"{where} has no {what} {asked[:80]!r}; it has {names}.")
    if usual in there or len(there) == 1:
        return usual if usual in there else there[0]
    form = f"hf:{where}[{there[0]}]" if what == "split" else f"hf:{where}:{there[0]}"
    raise SourceError(f"{where} has several {what}s ({names}); name one, such as {form}.")


def _may_be_data(path: PurePosixPath) -> bool:
    hidden = any(part.startswith(".") for part in path.parts)
    return not hidden and path.name.lower() not in _NO_DATA


def _with_splits(files: list[tuple[str, int]]) -> list[DataFile]:
    """Name configs and splits; where some files of a config tell theirs, the others are no data."""
    told = [(path, size, _config(path), _split(path)) for path, size in files]
    telling = {config for _, _, config, split in told if split}
    return [
        DataFile(path, size, config, split or _TRAIN)
        for path, size, config, split in told
        if split or config not in telling
    ]


def _config(path: str) -> str:
    folders = PurePosixPath(path).parts[:-1]
    return next((name for name in folders if name != "data" and not _word(name)), _DEFAULT)


def _split(path: str) -> str | None:
    *folders, name = PurePosixPath(path).parts
    if shard := _SHARD.fullmatch(PurePosixPath(name).stem):
        return shard["split"]
    return next((found for part in (name, *reversed(folders)) if (found := _word(part))), None)


def _word(name: str) -> str | None:
    """Find the word for a split in a name, where it stands alone: in ``test-1``, not ``latest``."""
    words = re.split(r"[\W\d_]+", name.lower())
    return next((_WORDS[word] for word in words if word in _WORDS), None)
