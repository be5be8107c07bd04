"""A hub on this machine: the few addresses that huggingface_hub asks for when it uploads and downloads a model.

Files that hubs keep apart from git (safetensors) go through git LFS, as they do without the package `hf_xet`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

#: The only token that may write.
TOKEN = "hf_of_the_tests"
OWNER = "somebody"


@dataclass
class Repository:
    """Files by path, and the commits that wrote them."""

    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)


@dataclass
class LocalHub:
    """The hub; `asked` holds method and path of every request, `tokens` what was in its header."""

    endpoint: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)
    refused_cards: list[str] = field(default_factory=list)


def answer(hub: LocalHub, method: str, path: str, body: bytes, may_write: bool) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and content of an answer; 404 for everything that the client has no business to ask."""

    def said(content: Any, status: int = 200, **headers: str) -> tuple[int, dict[str, str], bytes]:
        return status, {"Content-Type": "application/json", **headers}, json.dumps(content).encode()

    def refused(status: int, code: str, why: str) -> tuple[int, dict[str, str], bytes]:
        return said({"error": why}, status, **{"X-Error-Code": code, "X-Error-Message": why})

    if path == "/":
        return 200, {}, b""
    if path == "/api/validate-yaml":
        return said({"errors": [], "warnings": []})
    if found := re.fullmatch(r"/large/(\w+)", path):
        assert method == "PUT" and hashlib.sha256(body).hexdigest() == found[1]
        hub.large[found[1]] = body
        return 200, {}, b""
    if path == "/api/repos/create":
        asked = json.loads(body)
        owner, name = asked.get("organization") or OWNER, asked["name"]
        if not may_write:
            return refused(401, "", "Invalid username or password.")
        if owner != OWNER:
            why = f'You don\'t have the rights to create a model under the namespace "{owner}"'
            return refused(403, "", why)
        repo_id = f"{owner}/{name}"
        if repo_id in hub.repositories:
            return said({"url": f"{hub.endpoint}/{repo_id}"}, 409)
        hub.repositories[repo_id] = Repository(asked.get("visibility") == "private" or bool(asked.get("private")))
        return said({"url": f"{hub.endpoint}/{repo_id}", "name": repo_id})
    found = re.match(r"/(?:api/models/)?([\w.-]+/[\w.-]+?)(?:\.git)?/(.+)|/api/models/([\w.-]+/[\w.-]+)()$", path)
    repository = hub.repositories.get((found[1] or found[3]) if found else "")
    if found is None or repository is None or (repository.private and not may_write):
        return refused(401 if not may_write else 404, "RepoNotFound", "Repository not found")
    repo_id, rest = found[1] or found[3], found[2] or "revision/main"
    if method == "POST" and not may_write:
        return refused(403, "", "You need to be logged in")
    commit = repository.commits[-1] if repository.commits else "0" * 40
    kind, _, of = rest.partition("/")
    if kind == "preupload":
        modes = [
            ("lfs" if each["path"].endswith(".safetensors") else "regular", each) for each in json.loads(body)["files"]
        ]
        return said({"files": [{"path": e["path"], "uploadMode": mode, "shouldIgnore": False} for mode, e in modes]})
    if rest == "info/lfs/objects/batch":
        objects = [
            {**each, "actions": {"upload": {"href": f"{hub.endpoint}/large/{each['oid']}", "header": {}}}}
            for each in json.loads(body)["objects"]
        ]
        return said({"transfer": "basic", "objects": objects})
    if kind == "commit":
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                repository.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                repository.files[value["path"]] = hub.large[value["oid"]]
            elif line["key"] == "deletedFile":
                del repository.files[value["path"]]
        repository.commits.append(hashlib.sha1(body).hexdigest())
        commit = repository.commits[-1]
        return said({"commitUrl": f"{hub.endpoint}/{repo_id}/commit/{commit}", "commitOid": commit, "success": True})
    if kind == "revision":
        if unquote(of) not in ("main", *repository.commits):
            return refused(404, "RevisionNotFound", "no such revision")
        return said({"id": repo_id, "sha": commit, "siblings": [{"rfilename": name} for name in repository.files]})
    if kind == "tree":
        return said(
            [
                {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for name, content in sorted(repository.files.items())
            ]
        )
    if kind == "resolve":
        content = repository.files[unquote(of.partition("/")[2])]
        return 200, {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": commit}, content
    return refused(404, "EntryNotFound", f"{method} {path}")


@contextmanager
def running_hub() -> Iterator[LocalHub]:
    """A hub that answers on localhost until the block ends."""
    hub = LocalHub()

    class Handler(BaseHTTPRequestHandler):
        def reply(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            given = self.headers.get("Authorization")
            hub.asked.append((self.command, urlsplit(self.path).path))
            hub.tokens.add(given)
            status, headers, content = answer(
                hub, self.command, urlsplit(self.path).path, body, may_write=given == f"Bearer {TOKEN}"
            )
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_HEAD = do_POST = do_PUT = reply

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
