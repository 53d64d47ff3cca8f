"""The school's catalogue as XML, read as what it is: a foreign answer.

The form is that of CDCS: a root element with ``<course>`` elements, each with ``<cn>`` (a code with its section),
``<title>`` and ``<instructors>`` (names between semicolons). Other elements are ignored.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from functions.catalog_sync.errors import CatalogBadAnswer, CatalogUnavailable
from functions.shared.fetch import Fetcher
from functions.shared.http import DeadlineExceeded, OutboundError, Unreachable

MAX_BYTES = 32 * 1024 * 1024
TOTAL_SECONDS = 120.0
READ_SECONDS = 60.0
MAX_DEPTH = 50
MAX_SECTIONS = 50_000
MAX_FIELD_CHARACTERS = 10_000
FIELDS = ("cn", "title", "instructors")
PASSING = frozenset({408, 425, 429})  # answers that say nothing about the list
HEADERS = {"Accept": "application/xml, text/xml"}


@dataclass(frozen=True)
class Section:
    """One course of the list as the school writes it. A field that is absent is empty, blanks are single."""

    code: str
    title: str
    instructors: str


def read_term(fetcher: Fetcher, url: str, term: str, *, seconds: float = TOTAL_SECONDS) -> list[Section]:
    """The sections of one term; none when the school lists none.

    :param url: with ``{term}`` in it
    :raise CatalogUnavailable: the school does not answer, or not in time
    :raise CatalogBadAnswer: the answer is not the list
    """
    address = url.replace("{term}", quote(term, safe=""))
    total = min(TOTAL_SECONDS, seconds)
    try:
        with fetcher.get(
            address, max_bytes=MAX_BYTES, total_seconds=total, read_seconds=READ_SECONDS, headers=HEADERS
        ) as answer:
            if answer.status >= 500 or answer.status in PASSING:
                raise CatalogUnavailable(details=f"HTTP {answer.status}")
            if answer.status != 200:
                raise CatalogBadAnswer(details=f"HTTP {answer.status}")
            return parse(answer.chunks())
    except (Unreachable, DeadlineExceeded) as error:
        raise CatalogUnavailable(details=error.code) from error
    except OutboundError as error:
        raise CatalogBadAnswer(details=error.code) from error


def parse(chunks: Iterable[bytes]) -> list[Section]:
    """The sections in a document that comes in pieces. Its tree is never built.

    :raise CatalogBadAnswer: it is not complete XML, has a DTD, is a web page, or is larger than any catalogue
    """
    target = _Target()
    parser = DefusedXMLParser(target=target, forbid_dtd=True)
    try:
        for chunk in chunks:
            parser.feed(chunk)
        parser.close()
    except ParseError as error:
        raise CatalogBadAnswer(details="the XML is broken or cut") from error
    except DefusedXmlException as error:
        raise CatalogBadAnswer(details="the XML has a DTD or entities") from error
    except (ValueError, LookupError) as error:
        raise CatalogBadAnswer(details="the XML has an encoding that cannot be read") from error
    return target.sections


class _Target:
    """Collects the courses while the parser reads."""

    def __init__(self) -> None:
        self.sections: list[Section] = []
        self._path: list[str] = []
        self._course_at: int | None = None  # the depth of the course that is open
        self._fields: dict[str, list[str]] = {}
        self._room = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        name = tag.rpartition("}")[2].lower()
        if not self._path and name == "html":
            raise CatalogBadAnswer(details="a web page instead of the list")
        if len(self._path) >= MAX_DEPTH:
            raise CatalogBadAnswer(details="the XML is nested too deeply")
        if self._path and self._course_at is None and name == "course":
            self._course_at, self._fields = len(self._path), {}
        elif self._course_at is not None and len(self._path) == self._course_at + 1 and name in FIELDS:
            # of two fields of one name, the first counts
            self._room = 0 if name in self._fields else MAX_FIELD_CHARACTERS
            self._fields.setdefault(name, [])
        self._path.append(name)

    def data(self, text: str) -> None:
        """Text within an element, in any number of pieces."""
        if self._course_at is None or len(self._path) <= self._course_at + 1 or self._room <= 0:
            return
        field = self._fields.get(self._path[self._course_at + 1])
        if field is not None:
            field.append(text[: self._room])
            self._room -= len(text)

    def end(self, tag: str) -> None:
        """An element ends."""
        self._path.pop()
        if self._course_at != len(self._path):
            return
        self._course_at = None
        if len(self.sections) >= MAX_SECTIONS:
            raise CatalogBadAnswer(details="more sections than any school has")
        code, title, instructors = (" ".join("".join(self._fields.get(name, ())).split()) for name in FIELDS)
        self.sections.append(Section(code, title, instructors))

    def close(self) -> None:
        """The document has ended."""
