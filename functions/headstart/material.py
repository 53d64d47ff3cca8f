"""What the student's Canvas shows beside a task: pages that it links, pages of its module, and the course's syllabus.

Only for students who switched that on (``preferences.headstart.material``). It is read with their own grant when a
headstart is written, and it is not stored. What Canvas does not show is left out, and so is all of it when Canvas takes
too long: a headstart never fails for want of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, unquote

import structlog

from functions.shared.canvas.client import Canvas
from functions.shared.canvas.errors import (
    CanvasError,
    CanvasUnavailable,
    IntegrationNotConnected,
    ReauthorizationRequired,
)
from functions.shared.canvas.factory import CONNECTION_COLUMNS, CanvasFactory
from functions.shared.canvas.oauth import MODULE_ITEMS_SCOPE, PAGE_SCOPE, SYLLABUS_SCOPE, covers
from functions.shared.database import rpc, run
from functions.shared.jobs import JobContext
from functions.shared.leaks.solutions import plain_solutions, take_solutions
from functions.shared.llm.usage import estimated_tokens, first_tokens
from functions.shared.markup.html import read_html
from functions.shared.markup.text import visible

log = structlog.get_logger(__name__)

MATERIAL_SECONDS = 8.0  # for all calls to Canvas together: the student waits for the headstart
MAX_PAGES = 4
MAX_CHARACTERS = 8000  # of one page or syllabus
MIN_TOKENS = 50  # a shorter beginning says nothing
GOES_ON = "\n\n(It goes on.)"
COLUMNS = (
    "canvas_module_id,module_item_position,course:courses(canvas_id,integration:integrations("
    f"id,provider,status,scopes,lms_connection:lms_connections({CONNECTION_COLUMNS})))"
)


@dataclass(frozen=True)
class Source:
    """A page or a syllabus as a model may read it, and the solutions that were in it."""

    kind: str
    title: str
    url: str
    text: str
    solutions: tuple[str, ...] = ()
    urls: frozenset[str] = frozenset()

    def entry(self) -> dict[str, str]:
        """What the document says of it: ``extra.sources``."""
        return {"kind": self.kind, "title": self.title, "url": self.url}


@dataclass(frozen=True)
class Position:
    """Where a task stands in Canvas.

    :param origin: scheme, host and port of the installation
    :param module_id: Canvas id of its module, if it stands in one
    """

    origin: str
    course_id: int
    module_id: int | None
    item_position: int


def is_wanted(context: JobContext) -> bool:
    """Whether the student switched it on."""
    query = context.database.service().from_("user_settings").select("preferences").eq("user_id", context.job.user_id)
    rows = run(query.limit(1))
    wish = rows[0]["preferences"].get("headstart") if rows else None
    return isinstance(wish, dict) and wish.get("material") is True


def material_of(context: JobContext, assignment_id: str, description_html: str) -> list[Source]:
    """The material of one of the student's assignments; none when Canvas is not connected or gives nothing."""
    service = context.database.service()
    query = service.from_("assignments").select(COLUMNS).eq("id", assignment_id).eq("user_id", context.job.user_id)
    row = run(query.single())
    integration = row["course"]["integration"]
    if integration["provider"] != "canvas" or integration["status"] != "connected":
        return []

    def call(name: str, args: dict[str, Any]) -> Any:
        # every function used here may run twice without harm
        return rpc(service, name, args, safe=True)

    factory = CanvasFactory(context.settings, context.http, context.crypto, context.clock, call)
    connection = integration["lms_connection"]
    found: list[Source] = []
    try:
        place = Position(
            factory.origin(connection),
            int(row["course"]["canvas_id"]),
            int(row["canvas_module_id"]) if row["canvas_module_id"] else None,
            row["module_item_position"] or 0,
        )
        canvas = factory.canvas(connection, integration["id"], total_seconds=MATERIAL_SECONDS)
        # what was read before Canvas fails is kept
        found.extend(Reader(canvas, place, integration["scopes"]).read(description_html))
    except ReauthorizationRequired:
        call("svc_expire_integration", {"p_integration_id": integration["id"]})
    except (CanvasError, IntegrationNotConnected) as error:
        log.info("material_not_read", assignment_id=assignment_id, reason=type(error).__name__)
    return found


class Reader:
    """Reads the material of one task, as far as the grant goes."""

    def __init__(self, canvas: Canvas, place: Position, scopes: Sequence[str]) -> None:
        self._canvas = canvas
        self._place = place
        self._scopes = scopes

    def read(self, description_html: str) -> Iterator[Source]:
        """Linked pages first, then the nearest ones of the module, then the syllabus.

        :raise ReauthorizationRequired: Canvas no longer accepts the grant
        """
        if covers(self._scopes, [PAGE_SCOPE]):
            linked = linked_pages(description_html, self._place)
            names = [*linked, *(self._module_pages() if len(linked) < MAX_PAGES else [])]
            for name in list(dict.fromkeys(names))[:MAX_PAGES]:
                if (page := self._tried(self._page, name)) is not None:
                    yield page
        if covers(self._scopes, [SYLLABUS_SCOPE]) and (syllabus := self._tried(self._syllabus, "")) is not None:
            yield syllabus

    def _module_pages(self) -> list[str]:
        if self._place.module_id is None or not covers(self._scopes, [MODULE_ITEMS_SCOPE]):
            return []
        return self._tried(self._nearest_pages, self._place.module_id) or []

    def _nearest_pages(self, module_id: int) -> list[str]:
        page = next(self._canvas.module_items(self._place.course_id, module_id))
        pages = [(item.get("position"), item.get("page_url")) for item in page.rows if item.get("type") == "Page"]
        named = [(place if isinstance(place, int) else 0, name) for place, name in pages if isinstance(name, str)]
        # what comes before a task explains it more often than what comes after it
        own = self._place.item_position
        return [name for place, name in sorted(named, key=lambda one: (one[0] > own, abs(one[0] - own)))]

    def _page(self, name: str) -> Source | None:
        row = self._canvas.page(self._place.course_id, name)
        slug = quote(str(row.get("url") or name), safe="")
        address = f"{self._place.origin}/courses/{self._place.course_id}/pages/{slug}"
        return source_of("page", row.get("title"), address, row.get("body"))

    def _syllabus(self, _: str) -> Source | None:
        row = self._canvas.syllabus(self._place.course_id)
        address = f"{self._place.origin}/courses/{self._place.course_id}/assignments/syllabus"
        return source_of("syllabus", row.get("name"), address, row.get("syllabus_body"))

    @staticmethod
    def _tried(read: Any, wanted: Any) -> Any:
        """What ``read`` gives; None for what Canvas does not show.

        :raise CanvasUnavailable: the time is over, or Canvas does not answer
        """
        try:
            return read(wanted)
        except (ReauthorizationRequired, CanvasUnavailable):
            raise
        except CanvasError:
            return None


def linked_pages(html: str, place: Position) -> list[str]:
    """Names of the pages of the task's own course that its description links, in their order."""
    pattern = re.compile(rf"{re.escape(place.origin)}/courses/{place.course_id}/pages/([^/?#]{{1,500}})(?:[?#].*)?")
    links = (node.attributes.get("href") or "" for node in read_html(html).tree.css("a[href]"))
    return list(dict.fromkeys(unquote(match[1]) for link in links if (match := pattern.fullmatch(link.strip()))))


def source_of(kind: str, title: object, url: str, html: object) -> Source | None:
    """A page for a model, cleaned as descriptions are; None when it says nothing."""
    if not isinstance(html, str):
        return None
    page = read_html(html)
    solutions = [*page.hidden, *take_solutions(page.tree)]
    text, cut = plain_solutions(page.markdown())
    if not text.strip():
        return None
    named = " ".join(visible(title).split())[:200] if isinstance(title, str) else ""
    shown = text.strip() if len(text.strip()) <= MAX_CHARACTERS else text.strip()[:MAX_CHARACTERS] + GOES_ON
    return Source(kind, named or kind.capitalize(), url, shown, (*solutions, *cut), page.urls() | {url})


def fitting(sources: Sequence[Source], max_tokens: int) -> tuple[Source, ...]:
    """The first sources, as far as they fit; the last one may be cut."""
    found, left = [], max_tokens
    for source in sources:
        if left < MIN_TOKENS:
            break
        text = first_tokens(source.text, left)
        left -= estimated_tokens(text)
        found.append(replace(source, text=text if text == source.text else text.removesuffix(GOES_ON) + GOES_ON))
    return tuple(found)
