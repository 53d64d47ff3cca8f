"""Replays recorded exchanges against a running Auth and names every difference.

A file of cases is a list of stories; the steps of a story share kept values. A step has ``do`` ("METHOD /path"), and
may have ``as`` (``service`` or the name of a kept token), ``json`` or ``raw`` (the body), ``headers``, ``wait``
(seconds before it), ``keep`` (name: dotted path into the answer), ``plain`` (without API version header),
``compare: code`` (only the error code of the body), ``loose`` (status and headers alone) and ``older`` (what servers
before 2.196 answer; it counts as well). ``${name}`` stands for a kept value, ``${run}`` for a word that is new in
every run. Recorded values that differ from run to run are markers such as ``<uuid>`` and ``<time>``.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

HERE = Path(__file__).parent
VERSION = {"X-Supabase-Api-Version": "2024-01-01"}
COMPARED_HEADERS = ("location", "x-total-count", "cache-control", "x-sb-error-code")
MOVING_NUMBERS = {"expires_at", "iat", "exp", "timestamp"}
MOVING_PARTS = {"token", "expires_at", "access_token", "refresh_token", "sb"}
UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
TOKEN = re.compile(r"[\w-]+\.[\w-]+\.[\w-]*")
HASH = re.compile(r"(pkce_)?[0-9a-f]{56}")

Json = Any


@dataclass(frozen=True)
class Target:
    """A server to replay against: Auth itself, or a gateway's /auth/v1, which wants an API key with each request."""

    name: str
    base: str
    service: str
    api_key: str | None = None


@dataclass
class Run:
    """One playing of a story: a fresh word, and what was kept from its answers so far."""

    service: str
    word: str = field(default_factory=lambda: secrets.token_hex(5))
    kept: dict[str, str] = field(default_factory=dict)

    def fill(self, text: str) -> str:
        """Replaces ``${...}``."""
        known = {"run": self.word, "service": self.service, **self.kept}
        return re.sub(r"\$\{(\w+)\}", lambda found: str(known[found[1]]), text)

    def bearer(self, name: str) -> str:
        """The token a step is done with."""
        return self.fill(name) if "${" in name else {"service": self.service, **self.kept}[name]


def stories(file: str) -> list[dict[str, Json]]:
    """The stories of a recorded file."""
    loaded: list[dict[str, Json]] = json.loads((HERE / file).read_text())
    return loaded


def play(story: dict[str, Json], target: Target) -> list[str]:
    """Plays a story; one line per difference, none when everything was answered as recorded."""
    run, found = Run(target.service), []
    with httpx.Client(base_url=target.base, timeout=20, follow_redirects=False, trust_env=False) as client:
        for step in story["steps"]:
            time.sleep(step.get("wait", 0))
            answer = client.request(**_request(step, run, target))
            where = f"{target.name}: {story['name']} / {step['name']}"
            differing = list(_compare(step, run, answer))
            if differing and "older" in step and not list(_compare(step | step["older"], run, answer)):
                differing = []
            found += [f"{where}: {difference}" for difference in differing]
            try:
                kept = {name: _dig(answer.json(), path) for name, path in step.get("keep", {}).items()}
            except (KeyError, IndexError, TypeError, ValueError):
                return [*found, f"{where}: nothing to keep in {answer.status_code} {answer.text[:200]}"]
            run.kept |= kept
    return found


def _request(step: dict[str, Json], run: Run, target: Target) -> dict[str, Json]:
    method, path = run.fill(step["do"]).split(" ", 1)
    headers = {} if step.get("plain") else dict(VERSION)
    if target.api_key:
        headers["apikey"] = target.service if step.get("as") == "service" else target.api_key
    headers |= {name: run.fill(value) for name, value in step.get("headers", {}).items()}
    if step.get("as"):
        headers["Authorization"] = f"Bearer {run.bearer(step['as'])}"
    body = step["raw"] if "raw" in step else json.dumps(step["json"]) if "json" in step else None
    if body is not None:
        headers.setdefault("Content-Type", "application/json")
    content = None if body is None else run.fill(body).encode()
    return {"method": method, "url": path, "headers": headers, "content": content}


def _compare(step: dict[str, Json], run: Run, answer: httpx.Response) -> Iterator[str]:
    if answer.status_code != step["status"]:
        yield f"status: recorded {step['status']}, got {answer.status_code} {answer.text[:200]}"
    body = normal(_body(answer), run.word)
    if step.get("compare") == "code":
        code = body.get("code") if isinstance(body, dict) else None
        yield from differences(step["body"].get("code"), code, "body.code")
    elif "loose" not in step:
        yield from differences(step["body"], body, "body")
    seen = {
        name: normal(answer.headers[name], run.word, name)
        for name in COMPARED_HEADERS
        if name in answer.headers and (name != "x-total-count" or "counts" in step)
    }
    yield from differences(step["response_headers"], seen, "headers")


def _body(answer: httpx.Response) -> Json:
    if not answer.content:
        return None
    try:
        return answer.json()
    except ValueError:
        return {"<text>": answer.text[:120]}


def _dig(body: Json, path: str) -> Json:
    for part in path.split("."):
        body = body[int(part)] if isinstance(body, list) else body[part]
    return body


def normal(value: Json, run: str, key: str = "") -> Json:
    """Puts markers where values differ from run to run. Access tokens are opened, so that their claims count."""
    if isinstance(value, dict):
        return {name: normal(item, run, name) for name, item in value.items()}
    if isinstance(value, list):
        return value[0] if key == "aud" and len(value) == 1 else [normal(item, run, key) for item in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "<int>" if key in MOVING_NUMBERS else _rounded(value) if key == "expires_in" else value
    return _normal_text(value.replace(run, "${run}"), run, key) if isinstance(value, str) else value


def _rounded(seconds: float) -> int:
    """A token's life to ten seconds: newer servers compute it and may answer 3599."""
    return int(round(seconds, -1))


def _normal_text(text: str, run: str, key: str) -> Json:
    if key == "access_token" and TOKEN.fullmatch(text):
        head, claims = (normal(_segment(part), run) for part in text.split(".")[:2])
        return {"<jwt>": {"header": head | {"kid": "<kid>"}, "claims": claims | {"iss": "<url>"}}}
    if UUID.fullmatch(text):
        return "<uuid>"
    if TIME.fullmatch(text):
        return "<time>"
    if key == "hashed_token" and HASH.fullmatch(text):
        return "<hash>"
    if key == "email_otp" and text.isdigit():
        return f"<{len(text)} digits>"
    if key in ("action_link", "location"):
        return _normal_url(text, with_path=key == "action_link")
    by_name = {"refresh_token": "<token>", "ip_address": "<ip>"} | {name: f"<{name}>" for name in ("x", "y", "kid")}
    return (by_name | {"version": "<version>"}).get(key, text)


def _normal_url(text: str, with_path: bool) -> str:
    url = urlsplit(text)
    pairs = parse_qsl(url.query) + parse_qsl(url.fragment)
    pairs = [(name, str(_rounded(int(value))) if name == "expires_in" else value) for name, value in pairs]
    parts = sorted(name if name in MOVING_PARTS else f"{name}={value}" for name, value in pairs)
    return f"<url> {url.path if with_path else ''} " + " ".join(parts)


def _segment(part: str) -> Json:
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def differences(want: Json, got: Json, where: str) -> Iterator[str]:
    """Every place in which two normalised values differ."""
    if isinstance(want, dict) and isinstance(got, dict):
        for name in sorted(want.keys() | got.keys()):
            if name not in got:
                yield f"{where}.{name}: missing (recorded {want[name]!r})"
            elif name not in want:
                yield f"{where}.{name}: extra {got[name]!r}"
            else:
                yield from differences(want[name], got[name], f"{where}.{name}")
    elif isinstance(want, list) and isinstance(got, list) and len(want) == len(got):
        for at, (one, other) in enumerate(zip(want, got, strict=True)):
            yield from differences(one, other, f"{where}[{at}]")
    elif want != got:
        yield f"{where}: recorded {want!r}, got {got!r}"
