"""A repository of the fake Hub: commits, branches, and files with git's hashes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.servers.hub_cards import metadata

if TYPE_CHECKING:
    from collections.abc import Mapping

_LFS = (".parquet", ".safetensors", ".bin", ".zip")
_LARGE = 10_000_000


def is_lfs(path: str, size: int) -> bool:
    """Return whether the Hub stores such a file with LFS."""
    return path.endswith(_LFS) or size > _LARGE


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def oid_of(path: str, content: bytes) -> str:
    """Return the hash that identifies a file's content: git's, or LFS's."""
    return sha256(content) if is_lfs(path, len(content)) else git_oid(content)


@dataclass
class Repo:
    """Attributes:
    kind: ``models`` or ``datasets``.
    name: with its owner.
    gated: users who accepted the terms; None if it isn't gated.
    readers: users who may see it; None if it is public.
    commits: files by path, by commit.
    refs: the commit of each branch.
    """

    kind: str
    name: str
    gated: frozenset[str] | None = None
    readers: frozenset[str] | None = None
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)

    def commit(self, changes: Mapping[str, bytes | None], ref: str = "main") -> str:
        """Add, replace or (None) delete files; a folder's path ends with a slash."""
        before = self.commits.get(self.refs.get(ref, ""), {})
        gone = tuple(path for path in changes if path.endswith("/"))
        files = {path: content for path, content in before.items() if not path.startswith(gone)}
        files |= {path: content for path, content in changes.items() if content is not None}
        for path, content in changes.items():
            if content is None:
                files.pop(path, None)
        oids = [oid_of(path, content) for path, content in sorted(files.items())]
        seed = f"{self.name} {ref} {len(self.commits)} {oids}"
        commit = hashlib.sha1(seed.encode(), usedforsecurity=False).hexdigest()
        self.commits[commit] = files
        self.refs[ref] = commit
        return commit

    def resolve(self, revision: str) -> str | None:
        """Return the commit of a branch or a commit's name."""
        return self.refs.get(revision) or (revision if revision in self.commits else None)

    def info(self, commit: str, endpoint: str) -> dict[str, Any]:
        """Return the Hub's description of a repository at a commit."""
        private = self.readers is not None
        return {
            "_id": "621ffdc036468d709f17434d",
            "id": self.name,
            "modelId": self.name,
            "author": self.name.split("/")[0],
            "sha": commit,
            "private": private,
            "gated": "manual" if self.gated is not None else False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": self._tags(commit),
            "createdAt": "2024-03-01T00:00:00.000Z",
            "lastModified": "2024-03-01T00:00:00.000Z",
            "siblings": [{"rfilename": path} for path in sorted(self.commits[commit])],
            "spaces": [],
            "url": f"{endpoint}/{self.page}",
        }

    def _tags(self, commit: str) -> list[str]:
        card = self.commits[commit].get("README.md", b"").decode(errors="replace")
        return list(metadata(card).get("tags", [])) if card.startswith("---") else []

    @property
    def page(self) -> str:
        return self.name if self.kind == "models" else f"{self.kind}/{self.name}"

    def tree(self, commit: str, folder: str, *, recursive: bool) -> list[dict[str, Any]] | None:
        """List a folder as the Hub does; None if it doesn't exist."""
        inside = f"{folder}/" if folder else ""
        entries: dict[str, dict[str, Any]] = {}
        for path, content in sorted(self.commits[commit].items()):
            if not path.startswith(inside):
                continue
            parts = path.removeprefix(inside).split("/")
            for depth in range(1, len(parts) if recursive else min(len(parts), 2)):
                above = inside + "/".join(parts[:depth])
                entries[above] = {"type": "directory", "oid": "0" * 40, "size": 0, "path": above}
            if recursive or len(parts) == 1:
                entries[path] = _entry(path, content)
        return list(entries.values()) if entries or not folder else None


def _entry(path: str, content: bytes) -> dict[str, Any]:
    entry = {"type": "file", "oid": git_oid(content), "size": len(content), "path": path}
    if not is_lfs(path, len(content)):
        return entry
    lfs = {"oid": sha256(content), "size": len(content), "pointerSize": 130}
    return entry | {"lfs": lfs}
