"""Read endpoints of the fake Hub: repositories, trees and files."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any
from urllib.parse import quote, unquote

from tests.servers.hub_access import PAGE, REPO, REV, Hub, RefusedError, Routes
from tests.servers.hub_repo import git_oid, is_lfs, sha256
from tests.servers.local import Reply, Request, as_json

CONVERTED = "refs/convert/parquet"
READING = Routes()


@READING.on("GET", "/api/agent-harnesses")
def _harnesses(_hub: Hub, _request: Request, _found: re.Match[str]) -> Reply:
    return as_json({"standardEnvVars": [], "harnesses": {}})


@READING.on("GET", rf"/api/{REPO}(?:/revision/{REV})?")
def _info(hub: Hub, request: Request, found: re.Match[str]) -> Reply:
    repo = hub.repo(request, found)
    return as_json(repo.info(hub.commit(repo, found["rev"]), hub.url))


@READING.on("GET", rf"/api/{REPO}/tree/{REV}(?:/(?P<path>.+))?")
def _tree(hub: Hub, request: Request, found: re.Match[str]) -> Reply:
    repo = hub.repo(request, found)
    commit = hub.commit(repo, found["rev"])
    recursive = request.query.get("recursive", "").lower() == "true"
    entries = repo.tree(commit, unquote(found["path"] or ""), recursive=recursive)
    if entries is None:
        raise RefusedError(404, "This path doesn't exist", "EntryNotFound")
    start = int(request.query.get("cursor", 0))
    shown = as_json(entries[start : start + hub.page], X_Repo_Commit=commit)
    if start + hub.page >= len(entries):
        return shown
    here = f"{hub.url}{request.path}?recursive={recursive}&cursor={start + hub.page}"
    return replace(shown, headers={**shown.headers, "Link": f'<{here}>; rel="next"'})


@READING.on("GET", rf"/api/{REPO}/parquet(?:/(?P<config>[^/]+)(?:/(?P<split>[^/]+))?)?")
def _parquet(hub: Hub, request: Request, found: re.Match[str]) -> Reply:
    repo = hub.repo(request, found)
    files = repo.commits[hub.commit(repo, quote(CONVERTED, safe=""))]
    listed: dict[str, dict[str, list[str]]] = {}
    for path in sorted(files):
        config, split, _ = path.split("/")
        urls = listed.setdefault(config, {}).setdefault(split, [])
        urls.append(f"{hub.url}{request.path}/{config}/{split}/{len(urls)}.parquet")
    value: Any = listed
    for name in (found["config"], found["split"]):
        value = value if name is None else value[name]
    return as_json(value)


@READING.on("GET HEAD", rf"{PAGE}/resolve/{REV}/(?P<path>.+)")
def _resolve(hub: Hub, request: Request, found: re.Match[str]) -> Reply:
    repo = hub.repo(request, found)
    user = hub.user(request)
    if repo.gated is not None and user not in repo.gated:
        message = f"Access to {repo.kind[:-1]} {repo.name} is restricted."
        raise RefusedError(403 if user else 401, message, "GatedRepo")
    commit = hub.commit(repo, found["rev"])
    path = unquote(found["path"])
    content = repo.commits[commit].get(path)
    if content is None:
        refused = RefusedError(404, "Entry not found", "EntryNotFound")
        headers = dict(refused.reply.headers) | {"X-Repo-Commit": commit}
        return Reply(refused.reply.body, 404, headers)
    if not is_lfs(path, len(content)):
        headers = {"X-Repo-Commit": commit, "ETag": f'"{git_oid(content)}"'}
        return _ranged(content, request, headers)
    oid = sha256(content)
    headers = {
        "X-Repo-Commit": commit,
        "X-Linked-Etag": f'"{oid}"',
        "X-Linked-Size": str(len(content)),
        # Another origin, to which the client must not send the token.
        "Location": f"{hub.url.replace('127.0.0.1', 'localhost')}/lfs/{oid}",
    }
    return Reply(f"Found. Redirecting to /lfs/{oid}".encode(), 302, headers)


@READING.on("GET HEAD", "/lfs/(?P<oid>[0-9a-f]{64})")
def _stored(hub: Hub, request: Request, found: re.Match[str]) -> Reply:
    if "authorization" in request.headers:
        raise RefusedError(400, "Only one auth mechanism allowed")
    return _ranged(hub.objects[found["oid"]], request, {"ETag": f'"{found["oid"]}"'})


def _ranged(content: bytes, request: Request, headers: dict[str, str]) -> Reply:
    headers |= {"Accept-Ranges": "bytes"}
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
    if asked is None:
        return Reply(content, headers=headers)
    first, last = int(asked[1]), int(asked[2] or len(content) - 1)
    part = content[first : last + 1]
    if not part:
        return Reply(b"", 416, headers | {"Content-Range": f"bytes */{len(content)}"})
    headers |= {"Content-Range": f"bytes {first}-{first + len(part) - 1}/{len(content)}"}
    return Reply(part, 206, headers)
