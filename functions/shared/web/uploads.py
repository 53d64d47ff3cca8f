"""Receives an uploaded file without holding it in memory: ``multipart/form-data`` with one file and a few fields.

The file goes to a temporary file that has no name, so that nothing of it is left when the client hangs up or the
process is killed. Its digest is made on the way.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Generic, TypeVar

from flask import request
from pydantic import BaseModel, ValidationError
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData

from functions.shared.errors import BadRequest, PayloadTooLarge, UnsupportedMediaType, ValidationFailed
from functions.shared.web.bodies import body_faults, text_problem
from functions.shared.web.failures import findings

T = TypeVar("T", bound=BaseModel)

PIECE_BYTES = 64 * 1024
# bounds what is held in memory: the headers of a part, and a field's text
MAX_BUFFER_BYTES = 1024 * 1024
MAX_FIELD_BYTES = 16 * 1024
MAX_PARTS = 20
FILE = "file"


def file_part(form: type[BaseModel]) -> str:
    """The name of the part that is the file; a form may name another in ``file_part``."""
    return str(getattr(form, "file_part", FILE))


class NotMultipart(UnsupportedMediaType):
    """The body is not multipart/form-data. Send the file as a form."""


@dataclass(frozen=True)
class Upload(Generic[T]):
    """What was received. ``filename`` is the client's word: use it as a label, never as a path."""

    file: IO[bytes]
    size: int
    sha256: str
    filename: str
    fields: T


@contextmanager
def received(form: type[T], *, max_bytes: int) -> Iterator[Upload[T]]:
    """The upload of the current request. The file stands at its beginning and is gone after the block.

    :param form: the fields beside the file; fields that it does not know are refused
    :param max_bytes: of the file alone; the operation's ``max_body_bytes`` limits the whole body
    :raise NotMultipart: the body has another type
    :raise PayloadTooLarge: the file or the body is too large; the rest of it is not read
    :raise BadRequest: the body is malformed or broke off
    :raise ValidationFailed: a part is missing, given twice, unknown or not valid
    """
    boundary = request.mimetype_params.get("boundary")
    if request.mimetype != "multipart/form-data" or not boundary:
        raise NotMultipart()
    with tempfile.TemporaryFile() as file:
        parts = _Parts(file, max_bytes, file_part(form))
        decoder = MultipartDecoder(boundary.encode(), MAX_BUFFER_BYTES, max_parts=MAX_PARTS)
        for event in _events(decoder):
            parts.take(event)
        yield parts.upload(form)


def _events(decoder: MultipartDecoder) -> Iterator[Event]:
    """What the decoder finds in the body."""
    stream, limit, read = request.stream, request.max_content_length, 0
    while True:
        with body_faults():
            piece = stream.read(PIECE_BYTES)
        read += len(piece)
        if limit is not None and read > limit:
            raise PayloadTooLarge()
        try:
            with body_faults():
                decoder.receive_data(piece or None)
                event = decoder.next_event()
        except ValueError as error:
            raise BadRequest() from error
        while not isinstance(event, NeedData):
            yield event
            if isinstance(event, Epilogue):
                return
            try:
                with body_faults():
                    event = decoder.next_event()
            except ValueError as error:
                raise BadRequest() from error


@dataclass
class _Parts:
    """Puts the parts of a form together as they arrive."""

    file: IO[bytes]
    max_bytes: int
    part: str
    size: int = 0
    filename: str | None = None
    fields: dict[str, bytes] = field(default_factory=dict)
    problems: list[dict[str, str]] = field(default_factory=list)
    _current: str | None = None
    _digest: hashlib._Hash = field(default_factory=hashlib.sha256)

    def take(self, event: Event) -> None:
        """One event of the decoder."""
        if isinstance(event, File | Field):
            self._begin(event)
        elif isinstance(event, Data) and self._current == self.part:
            self.size += len(event.data)
            if self.size > self.max_bytes:
                raise PayloadTooLarge()
            self._digest.update(event.data)
            self.file.write(event.data)
        elif isinstance(event, Data) and self._current is not None:
            value = self.fields[self._current] + event.data
            if len(value) > MAX_FIELD_BYTES:
                raise PayloadTooLarge()
            self.fields[self._current] = value

    def _begin(self, event: File | Field) -> None:
        self._current = None
        is_file = isinstance(event, File)
        if is_file != (event.name == self.part):
            self._refuse(event.name, "file_expected" if event.name == self.part else "extra_forbidden")
        elif (self.filename is not None) if is_file else (event.name in self.fields):
            self._refuse(event.name, "given_twice")
        else:
            self._current = event.name
            if isinstance(event, File):
                self.filename = event.filename
            else:
                self.fields[event.name] = b""

    def _refuse(self, name: str, problem: str) -> None:
        self.problems.append({"path": "?" if text_problem(name) else name[:100], "code": problem})

    def upload(self, form: type[T]) -> Upload[T]:
        """All of it, checked."""
        if self.filename is None and not self.problems:
            self._refuse(self.part, "missing")
        texts: dict[str, str] = {}
        for name, value in self.fields.items():
            # what is no UTF-8 becomes lone surrogates, which are refused like those of JSON
            texts[name] = value.decode("utf-8", "surrogateescape")
            if problem := text_problem(texts[name]):
                self._refuse(name, problem)
        if self.problems:
            raise ValidationFailed(details=self.problems)
        try:
            fields = form.model_validate(texts)
        except ValidationError as error:
            raise ValidationFailed(details=findings(error)) from error
        self.file.seek(0)
        return Upload(self.file, self.size, self._digest.hexdigest(), self.filename or "", fields)
