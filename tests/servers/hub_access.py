"""The repositories of a fake Hub, their access control, and injected faults."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import unquote

from tests.servers.hub_repo import Repo, is_lfs, sha256
from tests.servers.local import Reply, Request, Server, as_json

if TYPE_CHECKING:
    from collections.abc import Mapping

REPO = r"(?P<kind>models|datasets|spaces)/(?P<name>[^/]+/[^/]+)"
PAGE = r"/(?:(?P<kind>datasets|spaces)/)?(?P<name>[^/]+/[^/]+)"
REV = r"(?P<rev>[^/]+)"
_Answer = Callable[["Hub", Request, re.Match[str]], Reply]


class Routes(list[tuple[str, re.Pattern[str], _Answer]]):
    """The handler of each pattern of methods and paths."""

    def on(self, methods: str, pattern: str) -> Callable[[_Answer], _Answer]:
        """Add a handler for these methods and paths that match the whole pattern."""

        def add(answer: _Answer) -> _Answer:
            self.append((methods, re.compile(pattern), answer))
            return answer

        return add


class RefusedError(Exception):
    """A replacement for a response."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        headers = {"X_Error_Message": message} | ({"X_Error_Code": code} if code else {})
        self.reply = as_json({"error": message}, status, **headers)


@dataclass
class _Fault:
    pattern: re.Pattern[str]
    reply: Reply | Callable[[Reply], Reply]
    times: int


def cut(reply: Reply) -> Reply:
    """Cut a response off halfway: a fault for :meth:`Hub.fail`."""
    return Reply(reply.body, reply.status, reply.headers, "cut")


class Hub(Server):
    """Attributes:
    repos: by kind and name.
    tokens: user of each token.
    read_only: tokens without write access.
    page: entries of a tree per response.
    objects: uploaded LFS files by their SHA-256.
    routes: handlers by patterns of methods and paths.
    """

    routes: ClassVar[Routes] = Routes()

    def __init__(self, tokens: Mapping[str, str] | None = None, page: int = 1000) -> None:
        super().__init__()
        self.repos: dict[tuple[str, str], Repo] = {}
        self.tokens = dict(tokens or {})
        self.read_only: set[str] = set()
        self.page = page
        self.objects: dict[str, bytes] = {}
        self._faults: list[_Fault] = []

    def add(self, kind: str, name: str, files: Mapping[str, bytes], ref: str = "main") -> Repo:
        """Commit files to a repository, creating it if necessary."""
        repo = self.repos.setdefault((kind, name), Repo(kind, name))
        repo.commit(files, ref)
        self.objects |= {sha256(c): c for path, c in files.items() if is_lfs(path, len(c))}
        return repo

    def fail(
        self, pattern: str, reply: Reply | Callable[[Reply], Reply], times: int = 1_000_000
    ) -> None:
        """Inject a fault into the next requests whose method and path match ``pattern``.

        A function receives the correct response and returns another; a reply that cuts an upload
        stops reading.
        """
        self._faults.append(_Fault(re.compile(pattern), reply, times))

    def stop_failing(self) -> None:
        """Answer everything as it should be again."""
        self._faults.clear()

    def heal(self) -> None:
        """Remove all injected faults."""
        self._faults.clear()

    def asked_for(self, pattern: str) -> list[int]:
        """Return the indices of the requests whose method and path match ``pattern``."""
        asked = zip(self.methods, self.asked, strict=False)
        lines = [f"{method} {path}" for method, (path, _) in asked]
        return [number for number, line in enumerate(lines) if re.search(pattern, line)]

    # -- answering -------------------------------------------------------------------------------

    def handle(self, request: Request) -> Reply:
        fault = self._fault(f"{request.method} {request.path}")
        if isinstance(fault, Reply):
            return fault
        try:
            reply = self._route(request)
        except RefusedError as refused:
            reply = refused.reply
        return fault(reply) if fault else reply

    def _fault(self, line: str) -> Reply | Callable[[Reply], Reply] | None:
        with self._lock:
            for fault in self._faults:
                if fault.times and fault.pattern.search(line):
                    fault.times -= 1
                    return fault.reply
        return None

    def _route(self, request: Request) -> Reply:
        for methods, pattern, answer in self.routes:
            if request.method in methods.split() and (found := pattern.fullmatch(request.path)):
                return answer(self, request, found)
        raise RefusedError(404, "Sorry, we can't find the page you are looking for.")

    def user(self, request: Request) -> str | None:
        """Return the user of a request."""
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token and token not in self.tokens:
            raise RefusedError(401, "Invalid credentials in Authorization header")
        return self.tokens.get(token)

    def writer(self, request: Request, owner: str) -> str:
        """Return the user of a request that changes a repository of ``owner``."""
        user = self.user(request)
        if user is None:
            raise RefusedError(401, "Invalid username or password.")
        token = request.headers["authorization"].removeprefix("Bearer ")
        if token in self.read_only or user != owner:
            raise RefusedError(403, f'You don\'t have the rights to write under "{owner}"')
        return user

    def repo(self, request: Request, found: re.Match[str]) -> Repo:
        """Return the requested repository if the user may see it."""
        user = self.user(request)
        repo = self.repos.get((found["kind"] or "models", found["name"]))
        if repo is not None and (repo.readers is None or user in repo.readers):
            return repo
        if user is None:
            # The real Hub omits the code; the client adds it, but only for https.
            raise RefusedError(401, "Invalid username or password.", "RepoNotFound")
        raise RefusedError(404, "Repository not found", "RepoNotFound")

    def commit(self, repo: Repo, revision: str | None) -> str:
        """Return the requested commit."""
        commit = repo.resolve(unquote(revision or "main"))
        if commit is None:
            raise RefusedError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit
