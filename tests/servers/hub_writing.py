"""Write endpoints of the fake Hub: whoami, new repositories, uploads and commits."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING
from urllib.parse import unquote

from tests.servers.hub_access import PAGE, REPO, REV, Hub, RefusedError, Routes
from tests.servers.hub_cards import faults
from tests.servers.hub_repo import Repo, is_lfs, oid_of, sha256
from tests.servers.local import Reply, Request, as_json

if TYPE_CHECKING:
    import re

WRITING = Routes()


@WRITING.on("GET", "/api/whoami-v2")
def _whoami(hub: Hub, request: Request, _found: re.Match[str]) -> Reply:
    user = hub.user(request)
    if user is None:
        raise RefusedError(401, "Invalid username or password.")
    token = request.headers["authorization"].removeprefix("Bearer ")
    role = "read" if token in hub.read_only else "write"
    access_token = {"displayName": "test", "role": role}
    return as_json(
        {
            "type": "user",
            "id": "5e9ecfc04957053f60648a3e",
            "name": user,
            "fullname": user.title(),
            "orgs": [],
            "auth": {"type": "access_token", "accessToken": access_token},
        }
    )


@WRITING.on("POST", "/api/repos/create")
def _create(hub: Hub, request: Request, _found: re.Match[str]) -> Reply:
    asked = json.loads(request.body)
    owner = asked.get("organization") or hub.user(request) or ""
    user = hub.writer(request, owner)
    if asked.get("type") == "space" and asked.get("sdk") not in ("static", "gradio", "docker"):
        raise RefusedError(400, "A Space needs an SDK")
    kind, name = f"{asked.get('type', 'model')}s", f"{owner}/{asked['name']}"
    repo = Repo(kind, name)
    created = {"url": f"{hub.url}/{repo.page}", "name": name, "id": "621ffdc036468d709f17434d"}
    if (kind, name) in hub.repos:
        message = f"You already created this {kind[:-1]} repo: {name}"
        return as_json(created | {"error": message}, 409, X_Error_Message=message)
    repo.readers = frozenset({user}) if asked.get("visibility") == "private" else None
    repo.commit({".gitattributes": b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"})
    hub.repos[kind, name] = repo
    return as_json(created)


@WRITING.on("PUT", rf"/api/{REPO}/settings")
def _settings(hub: Hub, request: Request, found: re.Match[str]) -> Reply:
    repo = hub.repo(request, found)
    user = hub.writer(request, repo.name.split("/")[0])
    asked = json.loads(request.body)
    if "visibility" in asked:
        repo.readers = frozenset({user}) if asked["visibility"] == "private" else None
    return as_json({"visibility": asked.get("visibility")})


@WRITING.on("DELETE", "/api/repos/delete")
def _delete(hub: Hub, request: Request, _found: re.Match[str]) -> Reply:
    asked = json.loads(request.body)
    owner = asked.get("organization") or hub.user(request) or ""
    hub.writer(request, owner)
    if hub.repos.pop((f"{asked.get('type', 'model')}s", f"{owner}/{asked['name']}"), None) is None:
        raise RefusedError(404, "Repository not found", "RepoNotFound")
    return Reply(b"OK")


@WRITING.on("POST", "/api/validate-yaml")
def _validate(_hub: Hub, request: Request, _found: re.Match[str]) -> Reply:
    errors = [{"message": fault} for fault in faults(json.loads(request.body)["content"])]
    return as_json({"errors": errors, "warnings": []}, 400 if errors else 200)


@WRITING.on("POST", rf"/api/{REPO}/preupload/{REV}")
def _preupload(hub: Hub, request: Request, found: re.Match[str]) -> Reply:
    repo = hub.repo(request, found)
    hub.writer(request, repo.name.split("/")[0])
    existing = repo.commits[hub.commit(repo, found["rev"])]
    files = []
    for file in json.loads(request.body)["files"]:
        path = file["path"]
        mode = "lfs" if is_lfs(path, file["size"]) else "regular"
        old = {"oid": oid_of(path, existing[path])} if path in existing else {}
        files.append({"path": path, "uploadMode": mode, "shouldIgnore": False} | old)
    return as_json({"files": files})


@WRITING.on("POST", rf"{PAGE}\.git/info/lfs/objects/batch")
def _batch(hub: Hub, request: Request, found: re.Match[str]) -> Reply:
    repo = hub.repo(request, found)
    hub.writer(request, repo.name.split("/")[0])
    objects = []
    for wanted in json.loads(request.body)["objects"]:
        where = {"href": f"{hub.url}/lfs/{wanted['oid']}?signed=1"}
        needed = {} if wanted["oid"] in hub.objects else {"actions": {"upload": where}}
        objects.append({"oid": wanted["oid"], "size": wanted["size"]} | needed)
    kind = {"Content-Type": "application/vnd.git-lfs+json"}
    return Reply(json.dumps({"transfer": "basic", "objects": objects}).encode(), headers=kind)


@WRITING.on("PUT", "/lfs/(?P<oid>[0-9a-f]{64})")
def _put(hub: Hub, request: Request, found: re.Match[str]) -> Reply:
    if sha256(request.body) != found["oid"]:
        raise RefusedError(400, "The content does not match its name")
    hub.objects[found["oid"]] = request.body
    return Reply(b"", headers={"ETag": f'"{found["oid"]}"'})


@WRITING.on("POST", rf"/api/{REPO}/commit/{REV}")
def _commit(hub: Hub, request: Request, found: re.Match[str]) -> Reply:
    repo = hub.repo(request, found)
    hub.writer(request, repo.name.split("/")[0])
    ref = unquote(found["rev"])
    before = hub.commit(repo, found["rev"])
    changes: dict[str, bytes | None] = {}
    for line in request.body.splitlines():
        operation = json.loads(line)
        key, value = operation["key"], operation["value"]
        if key == "header" and value.get("parentCommit", before) != before:
            raise RefusedError(412, "A commit has happened since. Please refresh and try again.")
        if key == "file":
            changes[value["path"]] = base64.b64decode(value["content"])
        elif key == "lfsFile":
            if value["oid"] not in hub.objects:
                raise RefusedError(400, f"LFS pointer points to nothing: {value['path']}")
            changes[value["path"]] = hub.objects[value["oid"]]
        elif key.startswith("deleted"):
            end = "/" if key == "deletedFolder" else ""
            changes[value["path"].rstrip("/") + end] = None
    oid = repo.commit(changes, ref)
    url = f"{hub.url}/{repo.page}/commit/{oid}"
    return as_json({"success": True, "commitOid": oid, "commitUrl": url, "hookOutput": ""})
