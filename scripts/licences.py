"""Write docs/licences.md, the licence of everything that is installed or shipped.

    python scripts/licences.py [--check]

Every package of requirements.lock is looked up in this environment, and every data file below src/
and packages/ in a list here. A licence that is not permissive ends the command with status 1,
unless :data:`EXCEPTIONS` says why it may stay. ``--check`` writes nothing; it compares the page.
"""

from __future__ import annotations

import re
import sys
import tomllib
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "licences.md"

PERMISSIVE = frozenset(
    {
        "0BSD",
        "Apache-2.0",
        "BSD",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSL-1.0",
        "CC0-1.0",
        "CNRI-Python",
        "ISC",
        "LLVM-exception",
        "MIT",
        "MIT-0",
        "MIT-CMU",
        "PSF-2.0",
        "Zlib",
    }
)
"""SPDX identifiers of licences that ask for no more than a notice. ``BSD`` is any BSD licence of a
package that doesn't say which."""

EXCEPTIONS = {
    "certifi": "MPL-2.0 covers its own files, which are installed unchanged from the index",
    "click-default-group": "in the public domain, or BSD-3-Clause",
    "hypothesis": "MPL-2.0, for development only",
    "orjson": "MPL-2.0 covers its own files, which are installed unchanged from the index",
    "pathspec": "MPL-2.0, for development only",
    "tqdm": "MPL-2.0 covers its own files, which are installed unchanged from the index",
}
"""Packages with another licence, and why they may stay."""

ELSEWHERE = {
    "appnope": "BSD-2-Clause",
    "audioop-lts": "PSF-2.0",
    "colorama": "BSD-3-Clause",
    "httpx2-jsfetch": "BSD-3-Clause",
    "pyreadline3": "BSD-3-Clause",
    "pywin32-ctypes": "BSD-3-Clause",
}
"""Packages that the lock has for other systems or newer versions of Python; none is needed here."""

# Free-form names in metadata that is older than SPDX expressions.
_SPELLINGS = {
    r"apache( software license)?|apache( license, version)? 2\.0( license)?": "Apache-2.0",
    r"mit( license)?": "MIT",
    r"bsd[ -]3[ -]clause( license)?|3-clause bsd license": "BSD-3-Clause",
    r"bsd[ -]2[ -]clause( license)?": "BSD-2-Clause",
    r"bsd( license)?": "BSD",
    r"isc license( \(iscl\))?|isc": "ISC",
    r"mozilla public license 2\.0 \(mpl 2\.0\)": "MPL-2.0",
    r"python software foundation license": "PSF-2.0",
}

EXTRAS = (
    *("app", "bluesky", "llama-cpp", "llm", "onnx", "pretrain", "ray", "ray-serve"),
    *("serve", "sweep", "trackio", "wandb", "x"),
)
"""Extras for users whose packages are in the lock."""

SHIPPED = (  # pattern, licence, what it is
    ("src/huggingtweets/fonts/Inter-*", "OFL-1.1", "fonts of pictures"),
    ("src/huggingtweets/fonts/Noto*", "OFL-1.1", "fonts of pictures"),
    ("src/huggingtweets/fonts/Twemoji.ttf", "CC-BY-4.0", "emoji of pictures"),
    ("src/huggingtweets/fonts/*.txt", "–", "the texts of these licences"),
    ("src/huggingtweets/base/*", "MIT", "`pocket`, trained by this project"),
    ("src/huggingtweets/sample/NASA.zip", "public domain", "posts of NASA, a US government work"),
    (
        "src/huggingtweets/evaluation/panel.parquet",
        "public domain",
        "official posts of members of the US Congress",
    ),
    ("src/huggingtweets/publish/templates/*", "MIT", "cards and pictures"),
    ("src/huggingtweets/publish/web/page.*", "MIT", "the page of `export --to web`"),
    (
        "src/huggingtweets/publish/web/wllama*",
        "MIT",
        "llama.cpp as WebAssembly, of `@wllama/wllama` and `@wllama/wllama-compat` 3.13.0",
    ),
    ("src/huggingtweets/publish/web/*.txt", "–", "the texts of these licences"),
    ("src/huggingtweets/web/static/*", "MIT", "the web app"),
    ("packages/huggingtweets-base/*", "Apache-2.0", "`smollm2-posts`, trained from SmolLM2"),
)
"""Files that are no Python code. Licences here ask for no more than a notice, which they carry."""


def licence(name: str) -> str:
    """The licence of an installed package as an SPDX expression, from its metadata.

    Raises:
        LookupError: it isn't installed, or its metadata doesn't say.
    """
    if name in ELSEWHERE:
        return ELSEWHERE[name]
    found = metadata.metadata(name).json
    if expression := found.get("license_expression"):
        return str(expression)
    marks = [mark for mark in found.get("classifier", ()) if mark.startswith("License ::")]
    named = str(found.get("license", ""))
    # the free-form field is often the more precise one, and often the whole text
    spdx = re.fullmatch(r"[\w.-]+( (OR|AND|WITH) [\w.-]+)*", named)
    if spdx and set(re.split(r" (?:OR|AND|WITH) ", named)) <= PERMISSIVE | {"MPL-2.0"}:
        return named
    spelled = {_spelled(text) for text in [named, *(mark.split(" :: ")[-1] for mark in marks)]}
    names = sorted(spelled - {""})
    if "BSD" in names and len(names) > 1:
        names.remove("BSD")
    if not names:
        raise LookupError(f"{name} doesn't tell its licence; look it up and add it to ELSEWHERE.")
    return " OR ".join(names)


def _spelled(text: str) -> str:
    for pattern, spdx in _SPELLINGS.items():
        if re.fullmatch(pattern, text.strip(), re.IGNORECASE):
            return spdx
    return "" if re.search(r"\n|copyright|unknown|^$|dfsg", text, re.IGNORECASE) else text.strip()


def is_permissive(expression: str) -> bool:
    """Whether one choice of an SPDX expression has only licences of :data:`PERMISSIVE`.

    With brackets, all licences must be; none here needs more.
    """
    bracketed = "(" in expression
    choices = [expression.replace(" OR ", " AND ")] if bracketed else expression.split(" OR ")
    names = (
        re.split(r" (?:AND|WITH) ", choice.replace("(", "").replace(")", "")) for choice in choices
    )
    return any(set(each) <= PERMISSIVE for each in names)


def locked(lock: Path = ROOT / "requirements.lock") -> dict[str, str]:
    """Names and versions of a lock file."""
    return dict(re.findall(r"^([\w.-]+)==([^\s;\\]+)", lock.read_text("utf-8"), re.MULTILINE))


def needed(extra: str | None) -> set[str]:
    """Packages that the project needs, with all that they need in turn, by canonical name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    asked = project["optional-dependencies"][extra] if extra else project["dependencies"]
    queue = [Requirement(text) for text in asked]
    found: set[tuple[str, frozenset[str]]] = set()
    while queue:
        requirement = queue.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if (name, extras) in found:
            continue
        found.add((name, extras))
        try:
            more = metadata.requires(name) or []
        except metadata.PackageNotFoundError:  # for other systems
            continue
        queue += [
            each
            for each in map(Requirement, more)
            if each.marker is None
            or any(each.marker.evaluate({"extra": chosen}) for chosen in ("", *extras))
        ]
    return {name for name, _ in found}


def report() -> tuple[str, list[str]]:
    """The document, and a sentence for each fault."""
    faults: list[str] = []
    hard = needed(None)
    extras = set.union(*map(needed, EXTRAS))
    lines = []
    for name in sorted(map(canonicalize_name, locked())):
        who = "everyone" if name in hard else "an extra" if name in extras else "development"
        try:
            spdx = licence(name)
        except (LookupError, metadata.PackageNotFoundError) as error:
            faults.append(f"{name}: {error}")
            continue
        if not is_permissive(spdx) and name not in EXCEPTIONS:
            faults.append(
                f"{name} is under {spdx}, which is not in the list of permissive licences."
            )
        lines.append(f"| {name} | {spdx} | {who} | {EXCEPTIONS.get(name, '')} |")
    faults += [
        f"{file} has no licence in scripts/licences.py."
        for file in data_files()
        if not any(fnmatch(file, pattern) for pattern, _, _ in SHIPPED)
    ]
    shipped = [f"| `{pattern}` | {spdx} | {what} |" for pattern, spdx, what in SHIPPED]
    return _DOCUMENT.format(packages="\n".join(lines), shipped="\n".join(shipped)), faults


def data_files() -> list[str]:
    """Files that are shipped and no code, relative to the project."""
    return sorted(
        str(file.relative_to(ROOT))
        for folder in ("src/huggingtweets", "packages/huggingtweets-base/src")
        for file in (ROOT / folder).rglob("*")
        if file.is_file() and file.suffix not in {".py", ".pyc", ".j2"} and file.name != "py.typed"
    )


_DOCUMENT = """\
# Licences

The code of huggingtweets is under the MIT licence. `make docs` writes this page from the metadata
of the packages in `requirements.lock`; `make check` fails when it is out of date, or when a licence
is neither permissive nor an exception with a reason. No package is under the GPL, LGPL or AGPL.

## Shipped in the packages

| files | licence | what |
|---|---|---|
{shipped}

## Installed from the index

`pip install huggingtweets` brings those of *everyone*. PyPI's torch for Linux also asks for the
packages of `requirements-cuda.lock`, most of which are under NVIDIA's own terms; a torch for CPUs
does not.

| package | licence | installed for | reason for an exception |
|---|---|---|---|
{packages}
"""


def main(arguments: list[str]) -> int:
    """Write or compare the document; the exit status is the program's."""
    text, faults = report()
    if not faults and arguments == ["--check"]:
        if not DOCUMENT.exists() or DOCUMENT.read_text("utf-8") != text:
            faults.append(f"{DOCUMENT.relative_to(ROOT)} is out of date. Run: make docs")
    elif not faults:
        DOCUMENT.write_text(text, "utf-8")
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
