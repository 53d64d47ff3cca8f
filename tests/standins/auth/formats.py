"""Small formats of the real server: durations, times, addresses, codes, redirect rules."""

from __future__ import annotations

import hashlib
import ipaddress
import re
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from urllib.parse import SplitResult, urlsplit

ADDRESS = re.compile(
    r"[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
    r"(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*"
)
PHONE = re.compile(r"[1-9][0-9]{1,14}")
HOST = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?")
DURATION_PART = re.compile(r"(\d+\.?\d*|\.\d+)([^\d.]*)")
SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
LONGEST_SECONDS = 2**63 / 1e9
ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


def timestamp(moment: datetime) -> str:
    """A time as the real server's JSON has it: UTC, no trailing zeros, ``Z``."""
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    text = moment.strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".")
    return f"{text}Z"


def parse_duration(text: str) -> float:
    """Seconds of a duration such as ``24h`` or ``1m30s``; a bare ``0`` needs no unit.

    :raise ValueError: in the real server's words
    """
    body = text[1:] if text[:1] in ("-", "+") else text
    if body == "0":
        return 0.0
    seconds, at = 0.0, 0
    while at < len(body):
        part = DURATION_PART.match(body, at)
        if part is None:
            break
        if not part[2]:
            raise ValueError(f'time: missing unit in duration "{text}"')
        if part[2] not in SECONDS:
            raise ValueError(f'time: unknown unit "{part[2]}" in duration "{text}"')
        seconds += float(part[1]) * SECONDS[part[2]]
        at = part.end()
    if not body or at < len(body) or seconds >= LONGEST_SECONDS:
        raise ValueError(f'time: invalid duration "{text}"')
    return -seconds if text.startswith("-") else seconds


def new_code(length: int) -> str:
    """A random code of decimal digits, as mails carry it."""
    return "".join(secrets.choice("0123456789") for _ in range(length))


def new_refresh_token() -> str:
    """Twelve random characters."""
    return "".join(secrets.choice(ALPHABET) for _ in range(12))


def token_hash(address: str, code: str) -> str:
    """What is stored of a code: SHA-224 over address and code."""
    return hashlib.sha224((address + code).encode()).hexdigest()


def valid_redirect(url: str, site_url: str, allow_list: Iterable[str]) -> bool:
    """Whether a person may be sent to ``url``: the site itself, loopback addresses, or an allowed pattern."""
    if not url:
        return False
    try:
        base, target = urlsplit(site_url), urlsplit(url)
        ports = (base.port, target.port)
    except ValueError:
        return False
    host = target.hostname or ""
    same_site = (base.hostname or "", base.scheme) == (host, target.scheme)
    if same_site and (ports[0] == ports[1] or _is_localhost(host)):
        return True
    if host.isdecimal():
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        pass
    if target.scheme in ("http", "https") and not HOST.fullmatch(host):
        return False
    without_fragment = url.split("#", 1)[0]
    return any(_glob(pattern).fullmatch(without_fragment) for pattern in allow_list)


def _is_localhost(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _glob(pattern: str) -> re.Pattern[str]:
    """A glob with the separators ``.`` and ``/``: ``*`` stays within one part, ``**`` crosses parts."""
    out, depth, at = "", 0, 0
    while at < len(pattern):
        char = pattern[at]
        if pattern.startswith("**", at):
            out, at = out + ".*", at + 1
        elif char == "*":
            out += "[^./]*"
        elif char == "?":
            out += "[^./]"
        elif char == "{":
            out, depth = out + "(?:", depth + 1
        elif char == "}" and depth:
            out, depth = out + ")", depth - 1
        elif char == "," and depth:
            out += "|"
        elif char == "[" and "]" in pattern[at:]:
            end = pattern.index("]", at)
            inner = pattern[at + 1 : end]
            out, at = out + "[" + ("^" + inner[1:] if inner.startswith("!") else inner) + "]", end
        elif char == "\\" and at + 1 < len(pattern):
            out, at = out + re.escape(pattern[at + 1]), at + 1
        else:
            out += re.escape(char)
        at += 1
    try:
        return re.compile(out, re.DOTALL)
    except re.error:
        return re.compile(r"(?!)")


def resolve(base: str, reference: str) -> SplitResult:
    """``reference`` seen from ``base``: an absolute path replaces the base's path, as in a browser."""
    target = urlsplit(reference)
    if target.netloc:
        return target
    origin = urlsplit(base)
    path = target.path if target.path.startswith("/") else f"/{target.path}"
    return SplitResult(origin.scheme, origin.netloc, path, "", "")
