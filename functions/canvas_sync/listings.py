"""The assignments of all courses of a run, read at the same time and written in few calls.

A page is written together with the cursor of its course. The cursor holds the pages that are still to be read and the
ids that were seen, so a run that was killed goes on where it was, and still knows what is missing at the end. Where a
page leads to the next one, that one is read when the page is written: a killed run repeats one page of such a list.
Where Canvas numbers the pages and says which is the last, few lists are read with several requests each. A killed run
repeats the pages of a list that were not written: one, or the list's share of the requests where there are few lists.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from functions.canvas_sync.mapping import assignment_row, is_published
from functions.canvas_sync.report import Report, count
from functions.canvas_sync.work import Chain, ChainEnded, Event, Failed, PageRead, Work, Written
from functions.shared.canvas.client import Canvas, Row, row_id
from functions.shared.canvas.errors import (
    CanvasError,
    CourseGone,
    PaginationRefused,
    ReauthorizationRequired,
)
from functions.shared.canvas.throttle import MAX_IN_FLIGHT
from functions.shared.canvas.tokens import Rpc
from functions.shared.canvas.transport import CanvasRefused

# in one call to the database, because descriptions can have megabytes
MAX_CHUNK_CHARACTERS = 2_000_000
# of a stored address: the list has changed, or Canvas no longer knows the bookmark
STALE = (CourseGone, CanvasRefused, PaginationRefused)


@dataclass(frozen=True)
class Course:
    """A course whose assignments are to be listed."""

    id: str
    canvas_id: int


@dataclass(eq=False)
class Listing:
    """One course's list while it is read. Its rows wait in ``rows`` until they are written."""

    course: Course
    open: list[str]
    shown: set[int] = field(default_factory=set)
    hidden: set[int] = field(default_factory=set)
    rows: list[Row] = field(default_factory=list)
    pages: int = 0  # that wait, mapped or not
    writing: int = 0  # pages that the running call writes
    chains: int = 0  # that have not ended
    waiting: deque[Chain] = field(default_factory=deque)  # that have not begun
    paused: list[Chain] = field(default_factory=list)  # that go on when the rows are written
    unmapped: int = 0
    is_resumed: bool = False
    is_over: bool = False
    gone: frozenset[int] | None = None  # what a second look found
    stored: Row = field(default_factory=dict)  # the cursor in the database

    @property
    def is_complete(self) -> bool:
        """Whether all its pages were read and mapped."""
        return self.chains == 0 and self.unmapped == 0

    @property
    def on_their_way(self) -> int:
        """How many pages were asked for and are not written: a run that is killed now would repeat them."""
        return self.chains - len(self.waiting) - len(self.paused) + self.pages + self.writing

    def take(self, rows: list[Row]) -> int:
        """Maps the new ones among a page's rows; how many of them are drafts.

        A teacher's draft is not stored, and one that was stored before is hidden from learners now.
        """
        drafts = 0
        for row in rows:
            number = row_id(row)
            if number is None or number in self.shown or number in self.hidden:
                continue
            if is_published(row):
                self.shown.add(number)
                self.rows.append(assignment_row(row, number))
            else:
                self.hidden.add(number)
                drafts += 1
        return drafts


@dataclass
class ListingSync:
    """Syncs the assignments of courses; see :class:`functions.canvas_sync.sync.IntegrationSync` for the parameters."""

    canvas: Canvas
    rpc: Rpc
    integration_id: str
    run_id: str
    report: Report
    step: Callable[[], None]
    now: Callable[[], datetime]

    def run(self, courses: list[Course]) -> None:
        """Reads and writes all of them. A course that fails is reported.

        :raise ReauthorizationRequired: Canvas no longer accepts the grant
        """
        args = {"p_integration_id": self.integration_id, "p_run": self.run_id}
        cursors: Mapping[str, Row] = self.rpc("svc_get_sync_cursors", args)
        self._live: dict[str, Listing] = {}
        self._dirty: dict[str, Listing] = {}  # that have something to write
        self._unmapped: deque[PageRead[Listing]] = deque()
        self._written: list[tuple[Listing, list[Chain]]] | None = None  # by the call that is running
        with Work[Listing](self.canvas, lambda listing: not listing.is_over) as self._work:
            for course in courses:
                self._begin(course, cursors.get(course.id))
            self._ask()
            while self._live or self._written is not None:
                self.step()
                # further pages are asked for first, then one page is mapped, which takes a while
                for event in self._work.take(wait=not self._unmapped):
                    self._handle(event)
                if self._unmapped:
                    self._map(self._unmapped.popleft())
                self._write()
                self._ask()
        self.step()

    def _begin(self, course: Course, cursor: Row | None) -> None:
        if cursor is not None and cursor.get("complete_at"):
            # this run had finished it before it was killed
            self.report.courses_done += 1
            return
        listing = Listing(course, [self.canvas.first_assignments(course.canvas_id)])
        listing.stored = self._cursor(listing)
        if cursor is not None:
            listing.is_resumed, listing.stored, listing.open = True, cursor, list(cursor["open"])
            listing.shown, listing.hidden = set(cursor["shown"]), set(cursor["hidden"])
        self._live[course.id] = listing
        self._start(listing, listing.open)
        self._mark(listing)

    def _start(self, listing: Listing, addresses: Sequence[str]) -> None:
        """Reads these pages. Only the last one knows whether more have come meanwhile, so the list goes on there."""
        listing.chains += len(addresses)
        for number, address in enumerate(addresses, 1):
            listing.waiting.append(self._work.chain(address, is_single=number < len(addresses)))

    def _ask(self) -> None:
        """Asks for as many pages of each list as its share of the requests allows."""
        share = max(MAX_IN_FLIGHT // max(len(self._live), 1), 1)
        for listing in self._live.values():
            while listing.waiting and listing.on_their_way < share:
                self._work.read(listing, listing.waiting.popleft())

    # ---- what happens ---------------------------------------------------------------------------------------------

    def _handle(self, event: Event[Listing]) -> None:
        if isinstance(event, Written):
            written, self._written = self._written or [], None
            for (listing, chains), answer in zip(written, event.answer, strict=True):
                self._answered(listing, chains, answer)
        elif isinstance(event, Failed):
            self._failed(event.listing, event.error)
        elif event.listing.is_over:
            if isinstance(event, PageRead):
                self._work.page_done()
        elif isinstance(event, PageRead):
            self._came(event)
        elif isinstance(event, ChainEnded):
            event.listing.chains -= 1
            self._mark(event.listing)
        else:
            event.listing.gone = event.found.gone
            self._take(event.listing, event.found.still_there)

    def _came(self, event: PageRead[Listing]) -> None:
        listing, page, chain = event.listing, event.page, event.chain
        listing.pages += 1
        listing.unmapped += 1
        self._unmapped.append(event)
        if chain.is_single or page.next is None:
            self._work.read(listing, chain)  # which finds that it has ended
        elif page.rest:
            listing.chains -= 1
            self._start(listing, page.rest)

    def _map(self, event: PageRead[Listing]) -> None:
        listing, page = event.listing, event.page
        if listing.is_over:
            return
        listing.unmapped -= 1
        listing.open = [url for url in listing.open if url != page.url]
        if not event.chain.is_single and page.next is not None:
            listing.open += page.rest or (page.next,)
            if not page.rest:
                listing.paused.append(event.chain)
        self._take(listing, page.rows)

    def _take(self, listing: Listing, rows: list[Row]) -> None:
        drafts = listing.take(rows)
        count(self.report.assignments, "seen", drafts)
        count(self.report.assignments, "unchanged", drafts)
        self._mark(listing)

    def _mark(self, listing: Listing) -> None:
        """Notes that there is something to write: rows, or the end."""
        if listing.pages > listing.unmapped or listing.is_complete:
            self._dirty[listing.course.id] = listing

    def _failed(self, listing: Listing | None, error: BaseException) -> None:
        if listing is None or isinstance(error, ReauthorizationRequired) or not isinstance(error, CanvasError):
            raise error
        if listing.is_over:
            return
        if listing.is_resumed and isinstance(error, STALE):
            self._drop(listing)
            self._begin(listing.course, None)
        else:
            self._give_up(listing, error.code)

    def _answered(self, listing: Listing, chains: list[Chain], answer: Row) -> None:
        listing.writing = 0
        if listing.is_over:
            return
        if answer.get("error"):
            self._give_up(listing, answer["error"])
            return
        for outcome in ("seen", "inserted", "updated", "unchanged", "restored", "removed"):
            count(self.report.assignments, outcome, int(answer[outcome]))
        for chain in chains:
            self._work.read(listing, chain)
        if answer["unseen"]:
            self._work.confirm(listing, listing.course.canvas_id, answer["unseen"])
        elif answer["is_finished"]:
            self._end(listing)

    def _give_up(self, listing: Listing, code: str) -> None:
        self.report.fail(code, listing.course.id, listing.course.canvas_id)
        self._end(listing)

    def _end(self, listing: Listing) -> None:
        self._drop(listing)
        self.report.courses_done += 1

    def _drop(self, listing: Listing) -> None:
        """Forgets a listing; what still comes of it is dropped."""
        listing.is_over = True
        self._live.pop(listing.course.id, None)
        self._dirty.pop(listing.course.id, None)
        self._release(listing, listing.pages)

    def _release(self, listing: Listing, pages: int) -> None:
        for _ in range(pages):
            self._work.page_done()
        listing.pages -= pages

    # ---- writing --------------------------------------------------------------------------------------------------

    def _write(self) -> None:
        """Begins to write what is waiting, unless a call is running."""
        if self._written is not None or not self._dirty:
            return
        self._written = []
        parts: list[Row] = []
        room = MAX_CHUNK_CHARACTERS
        # in the order of ids, so that two runs cannot wait for each other's rows
        for _, listing in sorted(self._dirty.items()):
            if room <= 0:
                break
            rows = portion(listing.rows, room)
            room -= sum(weight(row) for row in rows)
            del listing.rows[: len(rows)]
            is_whole = not listing.rows
            self._written.append((listing, listing.paused if is_whole else []))
            parts.append(self._part(listing, rows))
        self._work.write(lambda: self.rpc("svc_apply_assignment_pages", {"p_pages": parts}))

    def _part(self, listing: Listing, rows: list[Row]) -> Row:
        part: Row = {"course_id": listing.course.id, "assignments": rows}
        if listing.rows:
            # the cursor moves when the whole page is written
            return {**part, "cursor": listing.stored}
        del self._dirty[listing.course.id]
        listing.paused = []
        listing.writing = listing.pages - listing.unmapped
        self._release(listing, listing.writing)
        listing.stored = part["cursor"] = self._cursor(listing)
        if listing.is_complete:
            part["shown"], part["hidden"] = part["cursor"]["shown"], part["cursor"]["hidden"]
            part["finished"] = self._finished(listing)
            if listing.gone is not None:
                part["gone"] = sorted(listing.gone)
        return part

    def _cursor(self, listing: Listing) -> Row:
        ids = {"shown": sorted(listing.shown), "hidden": sorted(listing.hidden)}
        return {**self._finished(listing), "open": listing.open, "complete_at": None, **ids}

    def _finished(self, listing: Listing) -> Row:
        seen, done = len(listing.shown) + len(listing.hidden), self.now().isoformat()
        return {"run": self.run_id, "listing": "assignments", "open": [], "seen": seen, "complete_at": done}


def weight(row: Row) -> int:
    """Roughly the characters of a row in a call to the database."""
    return len(row["description_html"] or "") + len(row.get("hidden_notes") or "") + 2000


def portion(rows: list[Row], limit: int) -> list[Row]:
    """The first rows, of at most so many characters together; one at least."""
    size = 0
    for number, row in enumerate(rows):
        size += weight(row)
        if number and size > limit:
            return rows[:number]
    return rows[:]
