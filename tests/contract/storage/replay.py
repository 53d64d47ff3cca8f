"""Replays recorded exchanges against a running Storage and names every difference.

A file of cases is a list of stories; the steps of a story share kept values. A step has ``do`` ("METHOD /path"), ``as``
(null, ``service``, ``anon``, ``ana``, ``ben`` or ``bearer`` and a token) and at most one body: ``json``, ``text``,
``hex``, ``bytes`` ({"size", "of"}) or ``parts`` of a form. It may have ``headers`` (null takes one away, an object is
sent as base64 of its JSON), ``chunked`` (the size of a piece), ``length`` (what is declared, true or not), ``hold``
(fewer bytes than declared come, and the connection stays open), ``wait`` (seconds before it) and ``keep``
(name: dotted path into the answer, with ``#token`` the token of the URL there, or ``header:name``). Compared are
status, body and headers; with ``compare: code`` only the codes of the body, with ``loose`` only the status, with
``any`` nothing, with ``unordered`` a list without its order. ``${name}`` stands for a kept value, ``${run}`` for a word
that is new in every run. Recorded values that differ from run to run are markers such as ``<uuid>`` and ``<time>``.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import re
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from tests.contract.auth.replay import differences

Json = Any

HERE = Path(__file__).parent
UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d(:?\d\d)?)?")
DATE = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT")
TOKEN = re.compile(r"[\w-]+\.[\w-]+\.[\w-]*")
HEADERS = (
    "content-type",
    "content-length",
    "content-range",
    "content-disposition",
    "accept-ranges",
    "cache-control",
    "etag",
    "last-modified",
    "expires",
    "x-robots-tag",
)
SECONDS = 30


@dataclass(frozen=True)
class Target:
    """A server to replay against: Storage itself, or a gateway's /storage/v1.

    ``tokens`` are what ``anon``, ``service`` and people show; ``ids`` are the people's.
    """

    name: str
    base: str
    tokens: Mapping[str, str]
    ids: Mapping[str, str]


@dataclass
class Run:
    """One playing of a story: a fresh word, and what was kept from its answers so far."""

    target: Target
    word: str = field(default_factory=lambda: secrets.token_hex(5))
    kept: dict[str, str] = field(default_factory=dict)

    def fill(self, value: Json) -> Json:
        """Replaces ``${...}`` everywhere in a value."""
        if isinstance(value, dict):
            return {self.fill(name): self.fill(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self.fill(item) for item in value]
        return re.sub(r"\$\{([\w|]+)\}", self._value, value) if isinstance(value, str) else value

    def _value(self, found: re.Match[str]) -> str:
        name, _, how = found[1].partition("|")
        text = str({"run": self.word, **self.target.ids, **self.kept}[name])
        if how == "upper":
            return text.upper()
        if how == "bent":
            head, mark = text.rsplit(".", 1)
            return f"{head}.{'B' if mark[0] == 'A' else 'A'}{mark[1:]}"
        return text

    def normal(self, value: Json, key: str = "") -> Json:
        """Puts markers where values differ from run to run; a signed URL is opened, so that its claims count."""
        if isinstance(value, dict):
            return {self._hidden(name): self.normal(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [self.normal(item, key) for item in value]
        if not isinstance(value, str):
            return value
        if key in ("signedURL", "url") and "?token=" in value:
            path, token = value.split("?token=")
            return {"<signed>": {"path": self._hidden(path), **self._opened(token)}}
        if key == "token" and TOKEN.fullmatch(value):
            return {"<signed>": self._opened(value)}
        if key == "nextCursor":
            return "<cursor>"
        return "<time>" if TIME.fullmatch(value) else self._hidden(value)

    def _opened(self, token: str) -> Json:
        part = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        lives = claims.pop("exp") - claims.pop("iat")
        return {"claims": {name: self.normal(value) for name, value in claims.items()}, "lives": lives}

    def _hidden(self, text: str) -> str:
        text = text.replace(self.word, "${run}")
        for person, known in self.target.ids.items():
            text = text.replace(known, f"${{{person}}}").replace(known.upper(), f"${{{person}|upper}}")
        return UUID.sub("<uuid>", text)


@dataclass(frozen=True)
class Answer:
    """What came back; status 0 when nothing did."""

    status: int
    headers: Mapping[str, str]
    raw: bytes

    def body(self) -> Json:
        """The body as it is recorded: JSON, a short text, or length and hash."""
        raw = self.raw.rstrip() if self.status >= 400 else self.raw
        if not raw:
            return None
        if self.headers.get("content-type", "").startswith("application/json"):
            with suppress(ValueError):
                return json.loads(raw)
        if len(raw) <= 300:
            with suppress(ValueError):
                return {"<text>": raw.decode()}
        return {"<bytes>": len(raw), "<sha256>": hashlib.sha256(raw).hexdigest()}

    def seen(self, run: Run) -> dict[str, str]:
        """The headers that matter, without what any server or proxy may do as well."""
        kind, found = self.headers.get("content-type", ""), {}
        is_json = kind.startswith("application/json")
        for name in HEADERS:
            value = self.headers.get(name)
            if name == "content-length" and (self.status not in (200, 206) or is_json or not kind):
                continue
            if value is None or (name == "content-type" and self.status == 304):
                continue
            if name == "content-type" and is_json:
                value = "application/json"
            found[name] = "<date>" if DATE.fullmatch(value) else str(run.normal(value))
        return found


def stories(file: str) -> list[dict[str, Json]]:
    """The stories of a recorded file."""
    loaded: list[dict[str, Json]] = json.loads((HERE / file).read_text())
    return loaded


def play(story: dict[str, Json], target: Target) -> list[str]:
    """Plays a story and cleans up; one line per difference, none when everything was answered as recorded."""
    run, found, made = Run(target), [], []
    for step in story["steps"]:
        time.sleep(step.get("wait", 0))
        answer = ask(step, run)
        where = f"{target.name}: {story['name']} / {step['name']}"
        found += [f"{where}: {difference}" for difference in compare(step, run, answer)]
        if step["do"] == "POST /bucket" and answer.status == 200:
            made.append(run.fill(step["json"].get("id") or step["json"]["name"]))
        try:
            run.kept |= {name: _pick(path, answer) for name, path in step.get("keep", {}).items()}
        except (KeyError, IndexError, TypeError, ValueError):
            found.append(f"{where}: nothing to keep in {answer.status} {answer.raw[:200]!r}")
            break
    for bucket in map(quote, made):
        ask({"do": f"POST /bucket/{bucket}/empty", "as": "service"}, run)
        ask({"do": f"DELETE /bucket/{bucket}", "as": "service"}, run)
    return found


def compare(step: dict[str, Json], run: Run, answer: Answer) -> Iterator[str]:
    """Every difference between what a step recorded and an answer."""
    if "any" in step:
        return
    body, wanted = run.normal(answer.body()), step["body"]
    if answer.status != step["status"]:
        yield f"status: recorded {step['status']}, got {answer.status} {str(body)[:200]}"
    if "loose" in step:
        return
    if step.get("compare") == "code":
        body, wanted = ({name: part.get(name) for name in ("statusCode", "error", "code")} for part in (body, wanted))
    elif "unordered" in step:
        body, wanted = (sorted(part, key=lambda row: json.dumps(row, sort_keys=True)) for part in (body, wanted))
    yield from differences(wanted, body, "body")
    yield from differences(step["response_headers"], answer.seen(run), "headers")


def ask(step: dict[str, Json], run: Run) -> Answer:
    """One request, byte for byte as the step says: the path is not tidied, the length may lie."""
    method, path = run.fill(step["do"]).split(" ", 1)
    body, kind = _body(step, run)
    headers = _headers(step, run, kind)
    length, at = step.get("length"), urlsplit(run.target.base)
    line = http.client.HTTPConnection(at.hostname or "", at.port, timeout=SECONDS)
    try:
        line.putrequest(method, at.path + path, skip_accept_encoding=True)
        for name, value in headers.items():
            line.putheader(name, value)
        if "chunked" in step:
            line.putheader("Transfer-Encoding", "chunked")
        elif body is not None or length is not None or method in ("POST", "PUT"):
            line.putheader("Content-Length", str(len(body or b"") if length is None else length))
        line.endheaders()
        # refused before all was sent, the answer says why
        with suppress(BrokenPipeError, ConnectionResetError):
            if "chunked" in step:
                body = b"".join(_chunks(body or b"", step["chunked"]))
            line.send(body or b"")
            if length is not None and length > len(body or b"") and "hold" not in step:
                line.sock.shutdown(socket.SHUT_WR)
        answer = line.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
        return Answer(0, {}, f"no answer: {type(error).__name__}".encode())
    finally:
        line.close()


def _headers(step: dict[str, Json], run: Run, kind: str | None) -> dict[str, str]:
    who, tokens = step["as"], run.target.tokens
    headers: dict[str, str | None] = {}
    if who is not None:
        token = tokens[who] if who in tokens else run.fill(who.removeprefix("bearer "))
        headers = {"apikey": tokens["service" if who == "service" else "anon"], "Authorization": f"Bearer {token}"}
    for name, value in step.get("headers", {}).items():
        filled = run.fill(value)
        headers[name] = base64.b64encode(json.dumps(filled).encode()).decode() if isinstance(filled, dict) else filled
    if kind and not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = kind
    return {name: value for name, value in headers.items() if value is not None}


def _body(step: dict[str, Json], run: Run) -> tuple[bytes | None, str | None]:
    """The bytes of a step's or a part's body, and the content type that comes with them."""
    if "json" in step:
        return json.dumps(run.fill(step["json"])).encode(), "application/json"
    if "text" in step:
        return run.fill(step["text"]).encode(), None
    if "hex" in step:
        return bytes.fromhex(step["hex"]), None
    if "bytes" in step:
        size, of = step["bytes"]["size"], step["bytes"].get("of", "headstart ").encode()
        return (of * (size // len(of) + 1))[:size], None
    if "parts" not in step:
        return None, None
    mark, lines = f"contract{run.word}", []
    for part in step["parts"]:
        named = f'; filename="{part["filename"]}"' if "filename" in part else ""
        lines.append(f'--{mark}\r\nContent-Disposition: form-data; name="{part["name"]}"{named}\r\n'.encode())
        if "type" in part:
            lines.append(f"Content-Type: {part['type']}\r\n".encode())
        lines += [b"\r\n", _body(part, run)[0] or b"", b"\r\n"]
    return b"".join(lines) + f"--{mark}--\r\n".encode(), f"multipart/form-data; boundary={mark}"


def _chunks(body: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(body), size):
        piece = body[start : start + size]
        yield b"%x\r\n%s\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def _pick(what: str, answer: Answer) -> str:
    if what.startswith("header:"):
        return answer.headers[what.removeprefix("header:")]
    path, _, parameter = what.partition("#")
    value = json.loads(answer.raw)
    for part in path.split("."):
        value = value[int(part)] if isinstance(value, list) else value[part]
    return parse_qs(urlsplit(value).query)[parameter][0] if parameter else str(value)
