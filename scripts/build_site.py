"""Build the documentation site: the pages of docs/ and the Python API reference.

    python scripts/build_site.py site     # what `make site` does

The site is static HTML that loads nothing from the network. The build fails if a page is missing
from ``PAGES``, a link is broken or pdoc warns.
"""

from __future__ import annotations

import re
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

import jinja2
import pdoc.doc
import pdoc.render
from markdown_it import MarkdownIt
from mdit_py_plugins.anchors import anchors_plugin

import huggingtweets
from huggingtweets.errors import InputError
from huggingtweets.training import recipe

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
TEMPLATES = Path(__file__).parent / "site_templates"
REPOSITORY = "https://github.com/huggingtweets/huggingtweets"
API = "api.html"
_ROLE = re.compile(r":[a-z]+:`(?:~(?:\w+\.)*)?([\w.]+)`")
"""A Sphinx role; group 1 is the name, or its last part after a tilde."""

PAGES = {
    "Start": ["README.md", "tutorial.md"],
    "How to": [
        *(
            "how-to/install.md",
            "how-to/posts.md",
            "how-to/chats.md",
            "how-to/train.md",
            "how-to/update.md",
            "how-to/base.md",
        ),
        *("how-to/web-app.md", "how-to/serve.md", "how-to/compare.md", "how-to/explore.md"),
        *("how-to/sweep.md", "how-to/fleets.md"),
        *("how-to/share.md", "how-to/export.md", "how-to/adapters.md", "how-to/privacy.md"),
    ],
    "Reference": ["reference.md", API, "sources.md", "glossary.md"],
    "Explanation": ["how-it-works.md", "scale.md"],
    "Results": ["benchmarks.md", "performance.md"],
    "Lab notes": [
        *("lab/likeness.md", "lab/samples.md", "lab/base.md", "lab/recipe.md"),
        *("lab/speed.md", "lab/robustness.md", "lab/security.md", "lab/reading.md"),
        *("lab/web-app.md", "lab/export.md"),
    ],
    "Studies": [
        "research/README.md",
        "research/layers.md",
        "research/augmentation.md",
        "research/merging.md",
        "research/updating.md",
        "research/few-shot.md",
        "research/models.md",
        "research/hashtags.md",
        "research/adapters.md",
    ],
    "Project": ["licences.md", "releasing.md"],
}
"""Pages by section, in the order of the menu; paths are relative to docs/."""


def slug(title: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-")


class Site:
    """Writes the pages of docs/ and the API reference into one folder."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.sources = [DOCS / page for pages in PAGES.values() for page in pages if page != API]
        self.assets: set[Path] = set()
        self._markdown = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
        self._markdown.use(anchors_plugin, max_level=4, slug_func=slug)
        self._template = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
        ).get_template("page.html.j2")

    def build(self) -> None:
        """Write the whole site.

        Raises:
            InputError: a page is missing from the menu, or a link is broken.
        """
        if unlisted := set(DOCS.rglob("*.md")) - set(self.sources):
            names = ", ".join(str(page.relative_to(ROOT)) for page in sorted(unlisted))
            raise InputError(f"Add {names} to PAGES in scripts/build_site.py.")
        for page in self.sources:
            self._write_page(page)
        for asset in self.assets:
            self._target(asset).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(asset, self._target(asset))
        (self.out / API).write_text(api_reference(), "utf-8")

    def _write_page(self, page: Path) -> None:
        tokens = self._markdown.parse(page.read_text("utf-8"))
        for token in tokens:
            for child in token.children or ():
                for attribute in ("href", "src"):
                    if address := child.attrs.get(attribute):
                        child.attrs[attribute] = self._address(page, str(address))
        body = self._markdown.renderer.render(tokens, self._markdown.options, {})
        target = self._target(page)
        target.parent.mkdir(parents=True, exist_ok=True)
        up = "../" * len(page.relative_to(DOCS).parents[1:])
        html = self._template.render(
            title=_title(page), body=body, menu=self._menu(page), up=up, repository=REPOSITORY
        )
        target.write_text(html, "utf-8")

    def _address(self, page: Path, address: str) -> str:
        """Return the address on the site for a link of a page."""
        path, _, heading = address.partition("#")
        if not path or "://" in path or path.startswith("mailto:"):
            return address
        target = (page.parent / path).resolve()
        if not target.exists():
            raise InputError(f"{page.relative_to(ROOT)} links to {address}, which doesn't exist.")
        if DOCS not in target.parents or target.is_dir():
            return f"{REPOSITORY}/blob/main/{target.relative_to(ROOT)}"
        if target.suffix == ".md":
            path = f"{path.removesuffix('.md').replace('README', 'index')}.html"
        else:
            self.assets.add(target)
        return path + (f"#{heading}" if heading else "")

    def _target(self, source: Path) -> Path:
        """Return the file on the site for a file of docs/."""
        target = self.out / source.relative_to(DOCS)
        if source.name == "README.md":
            return target.with_name("index.html")
        return target.with_suffix(".html") if source.suffix == ".md" else target

    def _menu(self, current: Path) -> list[tuple[str, list[tuple[str, str, bool]]]]:
        """Return sections of pages: title, address, and whether it is the current page."""
        up = "../" * len(current.relative_to(DOCS).parents[1:])

        def entry(name: str) -> tuple[str, str, bool]:
            if name == API:
                return "Python API", up + API, False
            page = DOCS / name
            address = self._target(page).relative_to(self.out).as_posix()
            return _title(page), up + address, page == current

        return [(section, [entry(name) for name in pages]) for section, pages in PAGES.items()]


def _title(page: Path) -> str:
    """Return the first heading of a page."""
    match = re.search(r"^# (.+)$", page.read_text("utf-8"), re.MULTILINE)
    if not match:
        raise InputError(f"{page.relative_to(ROOT)} has no heading.")
    return match[1]


def api_reference() -> str:
    """Return the docstrings of the public names as one HTML page.

    Raises:
        InputError: a public name has no docstring.
    """
    names = huggingtweets.__all__
    # pdoc reads a module's __dict__, which lacks names that are loaded lazily.
    vars(huggingtweets).update({name: getattr(huggingtweets, name) for name in names})
    pdoc.render.configure(
        docformat="google", search=False, show_source=False, template_directory=TEMPLATES
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        module = pdoc.doc.Module(huggingtweets)
        # pdoc finds the docstring of a constant only where it is defined.
        recipes = pdoc.doc.Module(recipe)
        module.members["RECIPES"].docstring = recipes.members["RECIPES"].docstring
        if undocumented := [name for name in names if not module.members[name].docstring]:
            raise InputError(f"These public names have no docstring: {', '.join(undocumented)}.")
        _replace_roles(module)
        return pdoc.render.html_module(module, {module.fullname: module})


def _replace_roles(doc: pdoc.doc.Doc[Any]) -> None:
    """Replace Sphinx roles such as :func:`train`, which pdoc doesn't know, by code; recursive."""
    doc.docstring = _ROLE.sub(r"`\1`", doc.docstring)
    if isinstance(doc, pdoc.doc.Namespace):
        for member in doc.members.values():
            _replace_roles(member)


def main() -> int:
    """Build the site in the folder named on the command line."""
    if len(sys.argv) != 2:
        print("usage: build_site.py FOLDER", file=sys.stderr)
        return 2
    out = Path(sys.argv[1])
    try:
        Site(out).build()
    except InputError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"The site is in {out / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
