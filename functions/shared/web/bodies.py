"""Reads JSON bodies strictly: a body is one JSON object whose text a database can store, or it is refused."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from flask import Request
from gunicorn.http.errors import ParseException  # type: ignore[import-untyped]
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from functions.shared.errors import BadRequest, MalformedJson, PayloadTooLarge, UnsupportedMediaType, ValidationFailed

MAX_NESTING = 64
# a little more than the largest body that any path accepts
MAX_DISCARDED_BYTES = 64 * 2**20
MAX_DISCARD_SECONDS = 5.0
PIECE_BYTES = 64 * 2**10


class StrictRequest(Request):
    """A Flask request whose JSON is checked before it is used."""

    # media types in which a body is one text: the field ``text`` of what would be JSON
    text_types: Collection[str] = ()
    _strict: dict[str, Any] | None = None

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:
        """The body as a JSON object. An absent body is an empty object.

        :raise MalformedJson: not one JSON object in UTF-8, a key occurs twice, or a number is NaN
        :raise UnsupportedMediaType: the body has another type
        :raise PayloadTooLarge: the body has more bytes than the path accepts
        :raise ValidationFailed: the body has text that the database cannot store
        """
        if self._strict is None:
            raw = self._raw()
            if raw and self.mimetype in self.text_types:
                self._strict = parse_text(raw)
                return self._strict
            if raw and not self.is_json:
                raise UnsupportedMediaType()
            self._strict = parse_object(raw) if raw else {}
        return self._strict

    def _raw(self) -> bytes:
        limit = self.max_content_length
        with body_faults():
            if self.content_length is None and limit is not None and self.environ.get("wsgi.input_terminated"):
                # chunked: the length is not known beforehand, and werkzeug would cut silently at the limit
                raw: bytes = self.environ["wsgi.input"].read(limit + 1)
                if len(raw) > limit:
                    raise PayloadTooLarge()
                return raw
            return self.get_data(cache=True)


@contextmanager
def body_faults() -> Iterator[None]:
    """Around every read of a body: turns what can go wrong there into our errors.

    :raise PayloadTooLarge: the body has more bytes than the path accepts
    :raise BadRequest: the body was cut short, or a chunk is malformed
    """
    try:
        yield
    except RequestEntityTooLarge as error:
        raise PayloadTooLarge() from error
    except (OSError, ParseException, ClientDisconnected) as error:
        raise BadRequest() from error


def discard_rest(request: Request) -> None:
    """Reads what a refused request still sends, within limits, and drops it.

    A socket that closes with unread bytes is reset, and a reset can overtake the answer: the client would then see a
    broken connection instead of the refusal. Only gunicorn has a socket, so elsewhere this does nothing.
    """
    connection = request.environ.get("gunicorn.socket")
    if connection is None:
        return
    deadline, discarded, usual = time.monotonic() + MAX_DISCARD_SECONDS, 0, connection.gettimeout()
    try:
        while discarded < MAX_DISCARDED_BYTES and (left := deadline - time.monotonic()) > 0:
            connection.settimeout(left)
            piece = request.environ["wsgi.input"].read(PIECE_BYTES)
            if not piece:
                return
            discarded += len(piece)
    except (OSError, ParseException):
        return
    finally:
        connection.settimeout(usual)


def parse_object(raw: bytes) -> dict[str, Any]:
    """One JSON object.

    :raise MalformedJson: as for :meth:`StrictRequest.get_json`
    :raise ValidationFailed: there are NUL characters or lone surrogates; the details list their paths
    """
    try:
        value = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except (ValueError, RecursionError) as error:
        raise MalformedJson() from error
    if not isinstance(value, dict):
        raise MalformedJson()
    problems: list[dict[str, str]] = []
    _check(value, (), problems)
    if problems:
        raise ValidationFailed(details=problems)
    return value


def parse_text(raw: bytes) -> dict[str, Any]:
    """A body that is one text in UTF-8, as the field ``text``.

    :raise ValidationFailed: it is not UTF-8, or has NUL characters
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValidationFailed.at("text", "string_unicode") from error
    if problem := text_problem(text):
        raise ValidationFailed.at("text", problem)
    return {"text": text}


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _refuse_constant(_: str) -> Any:
    raise ValueError("NaN and Infinity are not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number out of range")
    return number


def _check(value: Any, path: tuple[str, ...], problems: list[dict[str, str]]) -> None:
    if len(path) > MAX_NESTING:
        raise MalformedJson()
    if isinstance(value, str):
        problem = text_problem(value)
        if problem:
            problems.append({"path": ".".join(path), "code": problem})
    elif isinstance(value, dict):
        for key, inner in value.items():
            if text_problem(key):
                problems.append({"path": ".".join((*path, "?")), "code": "extra_forbidden"})
            else:
                _check(inner, (*path, key[:100]), problems)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _check(inner, (*path, str(index)), problems)


def text_problem(text: str) -> str | None:
    """The code of what keeps a text from being stored, or None."""
    if "\0" in text:
        return "string_nul"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "string_unicode"
    return None
