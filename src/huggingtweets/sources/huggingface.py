"""Posts in a dataset on the Hugging Face Hub.

Its files are downloaded once, into the cache that everything else of Hugging Face uses, and read
one after the other like files of the user's own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from huggingtweets.errors import SourceError
from huggingtweets.sources._formats import SUPPORTED
from huggingtweets.sources._hub import CONVERTED, MAIN, HubDataset
from huggingtweets.sources._hub_errors import NoDatasetError, NoHubError
from huggingtweets.sources._hub_files import DataFile, choose_files, converted_files, own_files
from huggingtweets.sources.files import READERS, FileGroup, PostFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from huggingtweets.data.posts import Post
    from huggingtweets.sources.reading import ReadOptions

LARGEST = 5 * 1000**3
"""Bytes that are downloaded of one dataset at most."""

_ID = r"(?P<dataset>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)"
_SPLIT = r"(?:\[(?P<split>[\w.]+)\])?"
_NAMED = re.compile(rf"hf:{_ID}(?::(?P<config>[^\[\]:/]+))?{_SPLIT}", re.IGNORECASE | re.ASCII)
_BARE = re.compile(rf"{_ID}{_SPLIT}", re.ASCII)
_PAGE = re.compile(
    rf"https?://(?:www\.)?(?:huggingface|hf)\.co/datasets/{_ID}"
    r"(?:/viewer(?:/(?P<config>[^/?#]+)(?:/(?P<split>[\w.]+))?)?|/tree/main)?/?(?:[?#].*)?",
    re.IGNORECASE | re.ASCII,
)
_SITE = re.compile(r"hf:.*|https?://(?:www\.)?(?:huggingface|hf)\.co(?:[/?#].*)?", re.IGNORECASE)
_ENDING = re.compile(r".*\.[a-z]\w{0,7}", re.IGNORECASE)


@dataclass(frozen=True)
class HuggingFace:
    """One split of a dataset on the Hub.

    Attributes:
        dataset: its name, ``owner/name``.
        config: which of its tables, where it has several.
        split: which part of the table; ``train`` or the only one if not given.
        reading: by what name, and which column.
        guessed: it may also be a path that isn't there.
    """

    dataset: str
    config: str | None
    split: str | None
    reading: ReadOptions
    guessed: bool = False

    @property
    def name(self) -> str:
        """Return ``huggingface``."""
        return "huggingface"

    def posts(self) -> Iterator[Post]:
        """Yield a post for every row of every file, also where its text is empty."""
        found = False
        author = self.dataset.split("/")[1]
        for number, (title, path) in enumerate(self._files):
            whole = FileGroup(self.name, author, number)
            file = PostFile(path, self.reading.text_column, self.reading.author, whole)
            try:
                for post in file.posts():
                    found = True
                    yield post
            except SourceError as error:  # the path in the cache says little
                raise SourceError(str(error).replace(str(path), title)) from error
        if not found:
            raise SourceError(f"The dataset {self.dataset} holds no posts.")

    @cached_property
    def _files(self) -> list[tuple[str, Path]]:
        """Return what to call each file and where it is; downloaded at the first look."""
        try:
            return self._fetch()
        except NoDatasetError as error:
            if not self.guessed:
                raise
            raise SourceError(
                f"There is neither a file or folder {self.dataset} here nor a dataset of that name "
                "on the Hugging Face Hub (to see private ones, log in with `hf auth login`); give "
                f"{SUPPORTED}."
            ) from error
        except NoHubError as error:
            if not self.guessed:
                raise
            here = f"There is no file or folder {self.dataset} here"
            raise SourceError(f"{here}, and if a dataset is meant: {error}") from error

    def _fetch(self) -> list[tuple[str, Path]]:
        hub = HubDataset(self.dataset, self.reading.listen)
        for name, find in ((CONVERTED, converted_files), (MAIN, own_files)):
            branch = hub.branch(name)
            if branch is None or not (files := find(branch.files)):
                continue
            chosen = choose_files(files, self.config, self.split, self.dataset)
            self._check_size(chosen)
            paths = [file.path for file in chosen]
            titles = [f"{path} of the dataset {self.dataset}" for path in paths]
            return list(zip(titles, hub.download(branch, paths), strict=True))
        hub.require()
        raise SourceError(
            f"The dataset {self.dataset} holds no file that can be read ({', '.join(READERS)}); "
            "give another one, or a file."
        )

    def _check_size(self, files: list[DataFile]) -> None:
        size = sum(file.size for file in files)
        if size > LARGEST or any(file.partial for file in files):
            told = "is so large that the Hub converted only its beginning"
            if size > LARGEST:
                most = f"{LARGEST / 1e9:.0f} GB"
                told = f"has {size / 1e9:,.1f} GB, and at most {most} are downloaded"
            raise SourceError(
                f"The split {files[0].split} of the dataset {self.dataset} {told}; name a smaller "
                "one, or download what you need of it and give that as a file."
            )


def open_dataset(spec: str, reading: ReadOptions, *, guess: bool = True) -> HuggingFace | None:
    """Find the dataset that is meant; None where none is.

    Args:
        spec: such as ``hf:owner/name[split]``, ``hf:owner/name:config[split]``, or the address of
            the dataset's page.
        reading: how to read it.
        guess: ``owner/name[split]`` will do too, unless it looks like a path that isn't there.

    Raises:
        SourceError: a dataset is meant, but can't be one.
    """
    found, guessed = _NAMED.fullmatch(spec) or _PAGE.fullmatch(spec), False
    if found is None and guess and not _looks_like_a_path(spec):
        found, guessed = _BARE.fullmatch(spec), True
    if found is None:
        if _SITE.fullmatch(spec):
            raise SourceError(
                f"{spec[:200]} is no dataset of the Hugging Face Hub; name one like hf:owner/name, "
                "hf:owner/name[split], or by the address of its page."
            )
        return None
    if reading.full:
        raise SourceError("--full is for accounts on Bluesky; a dataset is always read whole.")
    config = None if guessed else found["config"]
    return HuggingFace(found["dataset"], config, found["split"], reading, guessed)


def _looks_like_a_path(spec: str) -> bool:
    """Tell a mistyped path from a dataset: it has a file's ending, or its folder is there."""
    return _ENDING.fullmatch(spec) is not None or Path(spec).parent.is_dir()
