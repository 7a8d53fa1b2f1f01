"""Read posts from a dataset on the Hugging Face Hub.

Its files are downloaded once, into the cache that all Hugging Face libraries share, and read one
after another like local files.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from huggingtweets.data.posts import Name
from huggingtweets.errors import SourceError
from huggingtweets.sources._formats import SUPPORTED
from huggingtweets.sources._hub import CONVERTED, MAIN, HubDataset
from huggingtweets.sources._hub_errors import DatasetNotFoundError, HubUnavailableError
from huggingtweets.sources._hub_files import DataFile, choose_files, converted_files, own_files
from huggingtweets.sources.files import READERS, FileGroup, PostFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from huggingtweets.data.posts import Post
    from huggingtweets.sources.reading import ReadOptions

MAX_BYTES = 5 * 1000**3
"""The largest split that is downloaded."""

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
_FILE_NAME = re.compile(r".*\.[a-z]\w{0,7}", re.IGNORECASE)


@dataclass(frozen=True)
class HuggingFace:
    """One split of a dataset on the Hub.

    Attributes:
        dataset: its name, ``owner/name``.
        config: one of its tables; None for the default or only one.
        split: a part of the table; None for ``train`` or the only one.
        reading: how to read it.
        guessed: whether the spec may also be the path of a missing file.
        left_out: number of records left out at the last reading, by reason.
    """

    dataset: str
    config: str | None
    split: str | None
    reading: ReadOptions
    guessed: bool = False
    left_out: Counter[str] = field(default_factory=Counter, compare=False)

    @property
    def name(self) -> str:
        """``huggingface``."""
        return "huggingface"

    def posts(self) -> Iterator[Post]:
        """Yield a post for every row of every file, even if its text is empty."""
        self.left_out.clear()
        found = False
        author = Name(self.dataset.split("/")[1])
        for number, (title, path) in enumerate(self._files):
            group = FileGroup(self.name, author, number)
            options = self.reading.text_column, self.reading.author, group
            file = PostFile(path, *options, self.reading.i_am_the_author)
            try:
                for post in file.posts():
                    found = True
                    yield post
            except SourceError as error:  # show the path in the dataset, not in the cache
                raise SourceError(str(error).replace(str(path), title)) from error
            self.left_out.update(file.left_out)
        if not found:
            raise SourceError(f"The dataset {self.dataset} holds no posts.")

    @cached_property
    def _files(self) -> list[tuple[str, Path]]:
        """Download the files; return the display name and the path of each."""
        try:
            return self._fetch()
        except DatasetNotFoundError as error:
            if not self.guessed:
                raise
            raise SourceError(
                f"There is no file or folder {self.dataset}, and no dataset of that name on the "
                "Hugging Face Hub (log in with `hf auth login` to see private ones); give "
                f"{SUPPORTED}."
            ) from error
        except HubUnavailableError as error:
            if not self.guessed:
                raise
            raise SourceError(
                f"There is no file or folder {self.dataset}. If you mean the dataset: {error}"
            ) from error

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
            f"The dataset {self.dataset} has no file in a supported format "
            f"({', '.join(READERS)}); give another dataset or a file."
        )

    def _check_size(self, files: list[DataFile]) -> None:
        size = sum(file.size for file in files)
        if size > MAX_BYTES or any(file.partial for file in files):
            reason = "is so large that the Hub converted only its beginning"
            if size > MAX_BYTES:
                limit = f"{MAX_BYTES / 1e9:.0f} GB"
                reason = f"has {size / 1e9:,.1f} GB, more than the limit of {limit}"
            raise SourceError(
                f"The split {files[0].split} of the dataset {self.dataset} {reason}; name a "
                "smaller one, or download the part you need and give it as a file."
            )


def open_dataset(spec: str, reading: ReadOptions, *, guess: bool = True) -> HuggingFace | None:
    """Parse a spec as a dataset; None if it names none.

    Args:
        spec: such as ``hf:owner/name[split]``, ``hf:owner/name:config[split]``, or the address of
            the dataset's page.
        reading: how to read it.
        guess: also accept ``owner/name[split]``, unless it looks like the path of a missing file.

    Raises:
        SourceError: it names an invalid dataset.
    """
    found, guessed = _NAMED.fullmatch(spec) or _PAGE.fullmatch(spec), False
    if found is None and guess and not _looks_like_a_path(spec):
        found, guessed = _BARE.fullmatch(spec), True
    if found is None:
        if _SITE.fullmatch(spec):
            raise SourceError(
                f"{spec[:200]} is not a dataset of the Hugging Face Hub; give hf:owner/name, "
                "hf:owner/name[split] or the address of its page."
            )
        return None
    if reading.full:
        raise SourceError("--full is for accounts on Bluesky; datasets are always read in full.")
    config = None if guessed else found["config"]
    return HuggingFace(found["dataset"], config, found["split"], reading, guessed)


def _looks_like_a_path(spec: str) -> bool:
    """Return whether a spec is a mistyped path: it has an extension, or its folder exists."""
    return _FILE_NAME.fullmatch(spec) is not None or Path(spec).parent.is_dir()
