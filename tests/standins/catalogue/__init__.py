"""A school's course catalogue that really listens on a port, as CDCS does, and misbehaves on request.

In a test::

    with CatalogueStandIn() as catalogue:
        catalogue.terms["Fall 2026"].pop()
        catalogue.faults["Spring 2027"] = "cut"

From outside: ``python -m tests.standins.catalogue --port 8940 --fault "Spring 2027=cut"``.
"""

from __future__ import annotations

import logging
import random
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from xml.sax.saxutils import escape

from flask import Flask, Response, request
from werkzeug.serving import WSGIRequestHandler, make_server

FALL, SPRING = "Fall 2026", "Spring 2027"
SUBJECTS = {
    "CSC": ("Introduction to Programming", "Data Structures", "Computer Models", "Operating Systems", "AI & Society"),
    "MTH": ("Calculus I", "Calculus II", "Linear Algebra", "Probability", "Topology < Geometry"),
    "PSY": ("General Psychology", "Perception", "Memory", "Child Development", "Statistics for Psychology"),
    "HIS": ("The Ancient World", "Revolutions", "Empires of the Sea", "The Cold War", "Archives & Methods"),
    "DAN": ("Ballet", "Contact Improvisation"),
}
NAMES = ("Ada Moreau", "Ben Okafor", "Chloé Duval", "Dmitri Sokolov", "Elif Şahin", "Fatima Noor", "Gao Lin")
DTD = '<!DOCTYPE courses [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c SYSTEM "file:///nowhere">]>'
HUGE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Course:
    """One section as the school lists it; None leaves the element out."""

    cn: str | None
    title: str | None
    instructors: str | None = None

    def xml(self) -> str:
        """Its element, with one that nobody asked for."""
        fields = {"cn": self.cn, "title": self.title, "instructors": self.instructors}
        inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items() if value is not None)
        return f"<course>{inner}<status>Open</status></course>"


def believable(seed: int, term: str) -> list[Course]:
    """Two sections of most courses of a term; the same seed and term list the same."""
    dice = random.Random(f"{seed}:{term}")
    listed = []
    for department, titles in SUBJECTS.items():
        for number, title in enumerate(titles):
            for section in range(1, dice.choice((2, 3))):
                who = "; ".join(dice.sample(NAMES, dice.choice((1, 2))))
                listed.append(Course(f"{department} {101 + 10 * number}-{section:02}", title, who))
    return listed


class CatalogueStandIn:
    """Runs in threads of this process; a context manager. ``terms`` and ``faults`` may be changed at any time.

    ``faults`` gives a term one of ``FAULTS``. ``asked`` lists the terms that were asked for.
    """

    def __init__(self, seed: int = 1, port: int = 0, host: str = "127.0.0.1") -> None:
        self.terms = {term: believable(seed, term) for term in (FALL, SPRING)}
        self.faults: dict[str, str] = {}
        self.asked: list[str] = []
        self._server = make_server(host, port, self._app(), threaded=True, request_handler=_Quiet)
        self._server.daemon_threads = True  # type: ignore[attr-defined]
        self.url = f"http://{host}:{self._server.server_port}/XMLQuery.aspx?id=XML&term={{term}}&type=Lecture"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def _app(self) -> Flask:
        app = Flask(__name__)

        @app.get("/XMLQuery.aspx")
        def answer() -> Response:
            term = request.args.get("term", "")
            self.asked.append(term)
            xml = document(self.terms.get(term, []))
            return FAULTS[self.faults[term]](xml) if term in self.faults else _xml(xml)

        return app

    def __enter__(self) -> CatalogueStandIn:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Quiet(WSGIRequestHandler):
    """No access log."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing."""


def document(courses: list[Course]) -> str:
    """The whole answer for a term."""
    inner = "\n".join(course.xml() for course in courses)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<courses>\n{inner}\n</courses>\n'


def _xml(text: str | bytes, status: int = 200) -> Response:
    return Response(text, status, content_type="text/xml; charset=utf-8")


def _with_dtd(xml: str) -> Response:
    return _xml(xml.replace("<courses>", f"{DTD}<courses>", 1).replace("</title>", "&b;</title>", 1))


def _endless(first: bytes) -> Iterator[bytes]:
    yield first
    for _ in range(HUGE_BYTES // 65536):
        yield b"<course><cn>XXX 100</cn><title>x</title></course>" * 1337


def _huge(xml: str) -> Response:
    return Response(_endless(b"<courses>"), content_type="text/xml")


def _bomb(xml: str) -> Response:
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    packed = packer.compress(b"<courses>") + b"".join(packer.compress(b" " * 2**20) for _ in range(64)) + packer.flush()
    answer = _xml(packed)
    answer.headers["Content-Encoding"] = "gzip"
    return answer


def _elsewhere(xml: str) -> Response:
    return Response(status=302, headers={"Location": "http://169.254.169.254/latest/meta-data"})


FAULTS: dict[str, Callable[[str], Response]] = {
    "down": lambda xml: _xml("Service Unavailable", 503),
    "gone": lambda xml: _xml("Not Found", 404),
    "empty": lambda xml: _xml(document([])),
    "broken": lambda xml: _xml(xml.replace("</title>", "</titel>", 1)),
    "cut": lambda xml: _xml(xml.encode()[: len(xml) // 2]),
    "nothing": lambda xml: _xml(""),
    "web_page": lambda xml: _xml("<html><body><form>Sign in</form></body></html>"),
    "latin_lie": lambda xml: _xml(xml.encode("latin-1", "replace").replace(b"Chlo\xe9", b"Chlo\xe9\xff")),
    "odd_encoding": lambda xml: _xml(xml.replace("UTF-8", "x-unheard-of", 1)),
    "dtd": _with_dtd,
    "deep": lambda xml: _xml("<courses>" + "<a>" * 100_000),
    "huge": _huge,
    "bomb": _bomb,
    "elsewhere": _elsewhere,
}
