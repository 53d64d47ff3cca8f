"""The servers of the GitHub stand-in: the API, and the host of archives, which must never see a token."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.standins.github.archives import example, pack

REPOSITORY = re.compile(r"/repos/([^/]+)/([^/]+)(?:/(commits|tarball)/(.+))?")
ARCHIVE = re.compile(r"/([^/]+)/([^/]+)/legacy\.tar\.gz/([0-9a-f]{40})")
TOKEN = "standin-github-token"


@dataclass
class Repository:
    """A repository with one commit for each branch. ``archive`` is sent instead of its files."""

    files: Mapping[str, str | bytes] = field(default_factory=example)
    private: bool = False
    default_branch: str = "main"
    branches: Mapping[str, Mapping[str, str | bytes]] = field(default_factory=dict)
    archive: bytes | None = None
    moved_to: str | None = None
    empty: bool = False
    archive_host: str | None = None

    def commits(self) -> dict[str, Mapping[str, str | bytes]]:
        """The files of each branch and of each commit, by name and by SHA."""
        named = {self.default_branch: self.files, **self.branches}
        return {**named, **{sha_of(files): files for files in named.values()}}


@dataclass
class Asked:
    """One request."""

    host: str
    path: str
    token: str | None
    accept: str | None


def sha_of(files: Mapping[str, str | bytes]) -> str:
    """The SHA of a commit of these files."""
    # a real one is a SHA-1, too
    return hashlib.sha1(repr(sorted(files.items())).encode(), usedforsecurity=False).hexdigest()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are expected here; everything else is shown."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class GitHubStandIn:
    """Use as a context manager.

    ``faults`` are used up one an answer of the API, and ``archive_faults`` one an archive; see ``Handler.fault``.
    """

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        self.repositories: dict[str, Repository] = {
            "example/quiz": Repository(),
            "example/private": Repository(private=True),
            "example/empty": Repository(empty=True),
            "example/huge": Repository(archive=b"\x1f\x8b" + bytes(51 * 1024 * 1024)),
            "example/old-name": Repository(moved_to="example/quiz"),
        }
        self.requests: list[Asked] = []
        self.faults: list[str] = []
        self.archive_faults: list[str] = []
        self.accepts_token = True
        stand_in = self

        class Api(ApiHandler):
            github = stand_in

        class Archives(ArchiveHandler):
            github = stand_in

        self._servers = [_Server((host, port), Api), _Server((host, 0), Archives)]
        self.url, self.archive_url = (f"http://{host}:{server.server_address[1]}" for server in self._servers)
        self._threads = [
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True) for server in self._servers
        ]

    def __enter__(self) -> GitHubStandIn:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for server, thread in zip(self._servers, self._threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()

    def add(self, name: str, repository: Repository) -> str:
        """Makes a repository known; its address on GitHub."""
        self.repositories[name] = repository
        return f"https://github.com/{name}"

    def find(self, owner: str, name: str) -> Repository | None:
        """A repository; names do not mind capital letters."""
        wanted = f"{owner}/{name}".lower()
        return next((found for key, found in self.repositories.items() if key.lower() == wanted), None)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    github: GitHubStandIn
    host = ""
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: requests are kept for whoever asks."""

    def note(self) -> None:
        """Keeps the request for tests."""
        token = self.headers.get("Authorization")
        self.github.requests.append(Asked(self.host, self.path, token, self.headers.get("Accept")))

    def answer(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        """A whole answer: bytes, text, or JSON for everything else."""
        data = (
            body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        )
        self.send_response(status)
        kind = "text/plain; charset=utf-8" if isinstance(body, str) else "application/json"
        kind = "application/x-gzip" if isinstance(body, bytes) else kind
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def fault(self, name: str) -> bool:
        """Answers with a fault, and says so; ``none`` is none.

        A status such as ``500``; ``secondary``, ``secondary:N`` and ``limit:N``, N seconds until the reset; ``reset``
        and ``cut`` (the connection ends before or in the answer), ``html``, ``list``, ``large``, ``gzip`` (unreadable),
        ``odd`` (text that UTF-8 cannot hold); ``away``, ``nowhere`` and ``bare`` (redirects to another host, to none,
        without one).
        """
        kind, _, seconds = name.partition(":")
        if kind.isdigit():
            self.answer(int(kind), {"message": "No."})
            return True
        match kind:
            case "secondary":
                after = {"Retry-After": seconds} if seconds else {}
                self.answer(403, {"message": "You have exceeded a secondary rate limit."}, after)
            case "limit":
                reset = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + int(seconds))}
                self.answer(403, {"message": "API rate limit exceeded"}, reset)
            case "reset":
                self.close_connection = True
            case "cut":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"{")
                self.close_connection = True
            case "html":
                self.answer(200, "<html>Unicorn!</html>")
            case "list":
                self.answer(200, [])
            case "large":
                self.answer(200, {"message": "x" * (3 * 1024 * 1024)})
            case "gzip":
                self.answer(200, b"not packed", {"Content-Encoding": "gzip"})
            case "odd":
                self.answer(200, {"full_name": "\ud800", "private": False, "default_branch": "\ud800"})
            case "away" | "nowhere" | "bare":
                place = {"away": "http://evil.test/x", "nowhere": "http://[broken"}.get(kind)
                self.answer(302, b"", {} if place is None else {"Location": place})
            case _:
                return False
        return True


class ApiHandler(Handler):
    """The API."""

    host = "api"

    def do_GET(self) -> None:
        """Repositories, commits, archives; ``/`` lists the repositories."""
        if self.path == "/":
            self.answer(200, {"repositories": [f"https://github.com/{name}" for name in self.github.repositories]})
            return
        self.note()
        if self.headers.get("Authorization") not in (None, f"Bearer {TOKEN}") or (
            self.headers.get("Authorization") and not self.github.accepts_token
        ):
            self.answer(401, {"message": "Bad credentials"})
            return
        if self.github.faults and self.fault(self.github.faults.pop(0)):
            return
        match = REPOSITORY.fullmatch(urlsplit(self.path).path)
        found = self.github.find(match[1], match[2]) if match else None
        # who may not see a repository is not told that it exists
        if match is None or found is None or (found.private and not self.headers.get("Authorization")):
            self.answer(404, {"message": "Not Found"})
        elif found.moved_to is not None:
            place = f"{self.github.url}/repos/{found.moved_to}"
            self.answer(301, {"message": "Moved Permanently", "url": place}, {"Location": place})
        elif match[3] == "commits":
            self.commit(found, unquote(match[4]))
        elif match[3] == "tarball":
            host = found.archive_host or self.github.archive_url
            self.answer(302, b"", {"Location": f"{host}/{match[1]}/{match[2]}/legacy.tar.gz/{unquote(match[4])}"})
        else:
            name = next(key for key, value in self.github.repositories.items() if value is found)
            about = {"full_name": name, "private": found.private, "default_branch": found.default_branch, "size": 1}
            self.answer(200, {**about, "visibility": "private" if found.private else "public"})

    def commit(self, repository: Repository, ref: str) -> None:
        """The SHA that a name stands for."""
        files = repository.commits().get(ref)
        if repository.empty:
            self.answer(409, {"message": "Git Repository is empty."})
        elif files is None:
            self.answer(422, {"message": f"No commit found for SHA: {ref}"})
        elif self.headers.get("Accept") == "application/vnd.github.sha":
            self.answer(200, sha_of(files))
        else:
            self.answer(200, {"sha": sha_of(files)})


class ArchiveHandler(Handler):
    """The host of archives."""

    host = "archives"

    def do_GET(self) -> None:
        """One archive."""
        self.note()
        if self.github.archive_faults and self.fault(self.github.archive_faults.pop(0)):
            return
        match = ARCHIVE.fullmatch(urlsplit(self.path).path)
        found = self.github.find(match[1], match[2]) if match else None
        files = found.commits().get(match[3]) if match and found else None
        if found is None or files is None:
            self.answer(404, "404: Not Found")
        else:
            self.answer(200, pack(files) if found.archive is None else found.archive)
