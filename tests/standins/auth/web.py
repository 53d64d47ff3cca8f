"""What every route needs: refusals, the request's body, addresses, and where people may be sent afterwards."""

from __future__ import annotations

import ipaddress
import json
import re
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from flask import Response, jsonify, request

from tests.standins.auth.config import config

VERSION_HEADER = "X-Supabase-Api-Version"
CODED_SHAPE_SINCE = "2024-01-01"
LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
ADDRESS = re.compile(rf"[a-zA-Z0-9.!#$%&'*+/=?^_`{{|}}~-]+@{LABEL}(?:\.{LABEL})*")
MAX_ADDRESS_BYTES = 255
HOST = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?")
NOT_IN_URLS = re.compile(r"[\x00-\x20\x7f]")
GLOBS = {"**": ".*", "*": "[^./]*", "?": "[^./]"}


class ApiError(Exception):
    """A refusal with status and code; ``more`` is added to the body. An empty code sets no header."""

    def __init__(self, status: int, code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.more = status, code, message, more

    def response(self) -> Response:
        """The answer, in the older or newer shape, as the caller's API version asks."""
        code = self.code or ("unexpected_failure" if self.status == 500 else "unknown")
        version = request.headers.get(VERSION_HEADER, "")
        coded = bool(re.fullmatch(r"\d{4}-\d\d-\d\d", version)) and version >= CODED_SHAPE_SINCE
        older = {"code": self.status, "error_code": code, "msg": self.message}
        response = jsonify(({"code": code, "message": self.message} if coded else older) | self.more)
        response.status_code = self.status
        if coded:
            response.headers[VERSION_HEADER] = CODED_SHAPE_SINCE
        if self.code and not (coded and self.code == "weak_password"):  # the real server forgets it there
            response.headers["X-Sb-Error-Code"] = self.code
        return response


def invalid(message: str) -> ApiError:
    """400 for something the caller sent."""
    return ApiError(400, "validation_failed", message)


def email_exists() -> ApiError:
    """422 for an address that somebody has."""
    return ApiError(422, "email_exists", "A user with this email address has already been registered")


def read(**fields: type) -> Any:
    """The request's JSON object with these fields. Absent and null ones are None; other keys are ignored.

    :raise ApiError: 400 ``bad_json``, or ``phone_provider_disabled`` for a phone number in place of an address
    """
    try:
        document = json.loads(request.get_data())
        json.dumps(document, allow_nan=False, ensure_ascii=False).encode()  # no infinity, no half of a character
    except (ValueError, RecursionError) as error:
        raise _bad_json(str(error)) from None
    if document is not None and not isinstance(document, dict):
        raise _bad_json("the body must be an object")
    given = {key.lower(): value for key, value in (document or {}).items()}
    for name, kind in fields.items():
        if given.get(name) is not None and type(given[name]) is not kind:
            raise _bad_json(f"{name} must be of type {kind.__name__}")
    if given.get("phone") and not given.get("email"):
        raise ApiError(400, "phone_provider_disabled", "Phone logins are disabled")
    return SimpleNamespace(**{name: given.get(name) for name in fields})


def _bad_json(reason: str) -> ApiError:
    return ApiError(400, "bad_json", f"Could not parse request body as JSON: {reason}")


def checked_address(address: str | None) -> str:
    """An e-mail address in lower case.

    :raise ApiError: 400 ``validation_failed``
    """
    if not address:
        raise invalid("An email address is required")
    if len(address.encode()) > MAX_ADDRESS_BYTES or not ADDRESS.fullmatch(address):
        raise invalid("Unable to validate email address: invalid format")
    return address.lower()


def redirect_target(wanted: str | None = None) -> str:
    """Where this request wants its person to end up; the site itself when that is not allowed."""
    asked = [wanted, request.args.get("redirect_to"), request.headers.get("Referer")]
    return next((url for url in asked if url and is_valid_redirect(url)), config().site_url)


def is_valid_redirect(url: str) -> bool:
    """Whether people may be sent to ``url``: the site itself, loopback addresses, or an allowed pattern."""
    try:
        base, target = urlsplit(config().site_url), urlsplit(url)
        same_port = base.port == target.port
    except ValueError:
        return False
    host = target.hostname or ""
    if NOT_IN_URLS.search(url) or host.isdecimal():
        return False
    if (base.hostname, base.scheme) == (host, target.scheme) and (same_port or host == "localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        pass
    if target.scheme in ("http", "https") and not HOST.fullmatch(host):
        return False
    without_fragment = url.partition("#")[0]
    return any(_glob(pattern).fullmatch(without_fragment) for pattern in config().redirect_allow_list)


def _glob(pattern: str) -> re.Pattern[str]:
    """The real server's globs but for braces and classes: ``*`` stays between dots and slashes, ``**`` crosses them."""
    parts = re.split(r"(\*\*|\*|\?)", pattern)
    return re.compile("".join(GLOBS.get(part) or re.escape(part) for part in parts), re.DOTALL)
