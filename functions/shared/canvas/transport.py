"""HTTP to one Canvas host: deadlines, retries, waits for its throttle, size limits, safe paging.

It knows nothing of stored tokens, courses or assignments. It checks every answer, so that the layers above can rely on
its shape.
"""

from __future__ import annotations

import json
import math
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from functions.shared.canvas.errors import (
    CanvasBadAnswer,
    CanvasError,
    CanvasUnavailable,
    CourseForbidden,
    CourseGone,
    PaginationRefused,
)
from functions.shared.canvas.throttle import (
    MAX_PAUSE_SECONDS,
    MAX_REFUSED_SECONDS,
    MIN_ROOM_UNITS,
    Slots,
    Throttle,
    TokenPaused,
)
from functions.shared.canvas.throttle import RETRY_SECONDS as THROTTLED_RETRY_SECONDS
from functions.shared.http import READ_SECONDS, AddressRefused, Answer, AnswerTooLarge, Http, OutboundError
from functions.shared.retries import Backoff, retried

TOTAL_SECONDS = 60.0  # for one answer, also when it comes slowly
DELETE_SECONDS = 5.0  # a revocation that hangs must not keep the person waiting
PERSON_SECONDS = 6.0  # for all calls of one HTTP request: the person waits, and a thread of the functions with them
MAX_RESPONSE_BYTES = 64 * 1024 * 1024
MAX_PAGES = 500
UNAVAILABLE_RETRY_SECONDS = 15.0  # what a caller is told when Canvas does not answer
BACKOFF = Backoff(first_seconds=0.25, max_seconds=2.0)
LEAK_PER_SECOND = 10.0  # units that leave Canvas's throttle bucket
MAX_FAILING_LISTINGS = 6  # that may use their whole give-up time; the rest then gets one attempt each

CANVAS_PER_PAGE = 10
LINK = re.compile(r"<([^<>]*)>([^<]*)")
PARAMETER = re.compile(r""";\s*([!#$&+.^_`|~0-9A-Za-z-]+)\s*=\s*(?:"([^"]*)"|([^\s;,"]+))""")

Query = Mapping[str, str | list[str]]


class TokenRejected(Exception):
    """401 with WWW-Authenticate: Canvas rejects the access token, not the permission."""


class InsufficientScopes(CourseForbidden):
    """The permission that you gave does not cover this call. Connect Canvas again."""

    code = "course_forbidden"


class NotTaken(CanvasUnavailable):
    """Canvas cannot be reached at the moment. Try again later."""


class Throttled(NotTaken):
    """Canvas limits our requests at the moment. Try again later."""

    def __init__(self, response: Answer) -> None:
        super().__init__(retry_after=THROTTLED_RETRY_SECONDS)
        self.response = response


class CanvasRefused(CanvasBadAnswer):
    """Canvas refused the request as malformed. Report the request id."""

    def __init__(self, status: int, answer: object) -> None:
        super().__init__(details=f"HTTP {status}")
        self.answer = answer


@dataclass
class Counters:
    """The requests that one run sent, and how many Canvas throttled."""

    requests: int = 0
    throttled: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(self, *, requests: int = 0, throttled: int = 0) -> None:
        """Counts, from any thread."""
        with self._lock:
            self.requests += requests
            self.throttled += throttled


@dataclass(frozen=True)
class Page:
    """One page of a list, and the address of the next page.

    ``is_cut``: the page is full and came without any link, so ``next`` is our own guess, or there is none to guess.
    ``rest``: all further pages, where Canvas numbers them and names the last. They may be read at the same time.
    """

    rows: list[dict[str, Any]]
    next: str | None
    is_cut: bool = False
    rest: tuple[str, ...] = ()
    url: str = ""


@dataclass
class Transport:
    """Sends requests to one host, for one access token at a time. Threads may share it.

    :param http: shared by all; it holds no identity
    :param base_url: scheme, host and port
    :param give_up_seconds: how long one listing may keep failing before it is reported
    :param total_seconds: for all calls together, where a person waits for them. Then nothing is waited out: a throttled
        or unreachable Canvas is reported at once. A job has no such limit
    :param slots: of the access token, where other clients use it as well
    """

    http: Http
    base_url: str
    give_up_seconds: float = 10.0
    counters: Counters = field(default_factory=Counters)
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    total_seconds: float | None = None
    slots: Slots | None = None

    def __post_init__(self) -> None:
        self._patience = self.give_up_seconds * MAX_FAILING_LISTINGS
        self.throttle = Throttle(self.sleep, self.clock, self.slots)
        self._ends_at = None if self.total_seconds is None else self.clock() + self.total_seconds

    @property
    def is_patient(self) -> bool:
        """Whether failures may be waited out, as in a job."""
        return self._ends_at is None

    # ---- domain calls -------------------------------------------------------------------------------------------

    def get(self, path: str, token: str, query: Query | None = None) -> Any:
        """The JSON of one resource.

        :raise TokenRejected: Canvas rejects the access token
        :raise CourseForbidden, CourseGone, CanvasRefused: Canvas does not give the resource
        :raise CanvasUnavailable, CanvasBadAnswer: there is no usable answer after retries
        """
        return self._fetch(self._url(path, query), token)[0]

    def page(self, url: str, token: str) -> Page:
        """One page of a list. ``url`` is from :meth:`first` or the previous page. Errors as :meth:`get`."""
        return self._fetch_page(url, token)

    def first(self, path: str, query: Query | None = None) -> str:
        """The address of the first page of a list."""
        return self._url(path, query)

    def delete(self, path: str, token: str) -> int:
        """Sends a DELETE once. The answer is its status.

        :raise CanvasUnavailable: Canvas does not answer
        """
        return self._send("DELETE", self._url(path, None), token=token, total_seconds=DELETE_SECONDS).status

    def post_form(self, path: str, form: Mapping[str, str], *, repeatable: bool) -> Answer:
        """Posts a form without a token. Redirects are not followed.

        :param repeatable: without it the form is sent once, whatever happens: a code works once
        :raise NotTaken: Canvas refused the request before it read the form, or could not be reached
        :raise CanvasUnavailable: Canvas does not answer, or fails
        """
        url = self._url(path, None)

        def post() -> Answer:
            response = self._send("POST", url, form=form)
            if is_throttled(response):
                raise Throttled(response)
            if response.status >= 500:
                raise CanvasUnavailable(details=f"HTTP {response.status}", retry_after=UNAVAILABLE_RETRY_SECONDS)
            return response

        patience = _Patience(self)
        pause = patience.pause if repeatable else lambda _: None
        return retried(post, on=CanvasUnavailable, pause=lambda error, _: pause(error), sleep=self.sleep)

    # ---- one answer ---------------------------------------------------------------------------------------------

    def _url(self, path: str, query: Query | None) -> str:
        return str(httpx.URL(self.base_url + path, params=query or None))

    def _fetch_page(self, url: str, token: str) -> Page:
        body, response = self._fetch(url, token, want_list=True)
        links = parse_links(response.headers.get("link", ""))
        rows = [row for row in body if isinstance(row, dict)]
        if "next" in links:
            following = self._safe_next(url, links["next"])
            last = self._safe_next(url, links["last"]) if "last" in links else following
            return Page(rows, following, rest=_numbered_rest(following, last), url=url)
        # Canvas leaves the header out when its links would be too long
        is_cut = not links and len(body) >= _page_size(url)
        return Page(rows, _numbered_next(url) if is_cut else None, is_cut=is_cut, url=url)

    def stored(self, url: str) -> str:
        """The address of a page that was stored, checked again as if Canvas had just sent it.

        :raise PaginationRefused: it leads elsewhere
        """
        return self._safe_next(self.base_url, url)

    def _safe_next(self, url: str, link: str) -> str:
        try:
            target = httpx.URL(url).join(link)
        except httpx.InvalidURL as error:
            raise PaginationRefused(details="the next link is not a URL") from error
        home = httpx.URL(self.base_url)
        if (target.scheme, target.host, target.port) != (home.scheme, home.host, home.port) or target.userinfo:
            # the access token would go to another host
            raise PaginationRefused(details="the next link leads to another origin")
        if not target.path.startswith("/api/v1/"):
            raise PaginationRefused(details="the next link leads out of the API")
        return str(target)

    def _fetch(self, url: str, token: str, *, want_list: bool = False) -> tuple[Any, Answer]:
        patience = _Patience(self)

        def get() -> tuple[Any, Answer]:
            with self.throttle.slot() as slot:
                patience.begins()
                response = self._send("GET", url, token=token)
                if is_throttled(response):
                    self.counters.add(throttled=1)
                    # who waits for nothing tells the others, who share the token
                    if self.is_patient or self.slots is not None:
                        self.throttle.refused(slot, throttle_delay(response))
                    raise Throttled(response)
                self.throttle.answered(slot, _number(response.headers.get("x-rate-limit-remaining")))
            return _body(response, want_list=want_list), response

        def pause(error: CanvasError, _: int) -> float | None:
            if isinstance(error, Throttled) and self.is_patient:
                # the next attempt waits for its slot, as all requests of this token do
                return None if self.throttle.is_exhausted else 0.0
            return None if isinstance(error, TokenPaused) else patience.pause(error)

        return retried(get, on=CanvasError, pause=pause, sleep=self.sleep)

    def _send(
        self,
        method: str,
        url: str,
        *,
        token: str | None = None,
        form: Mapping[str, str] | None = None,
        total_seconds: float = TOTAL_SECONDS,
    ) -> Answer:
        headers = {"Accept": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        seconds, read_seconds = self._allowed(total_seconds)
        self.counters.add(requests=1)
        try:
            return self.http.request(
                method,
                url,
                headers=headers,
                data=form,
                total_seconds=seconds,
                read_seconds=read_seconds,
                max_bytes=MAX_RESPONSE_BYTES,
            )
        except AnswerTooLarge as error:
            raise CanvasBadAnswer(details="the answer is too large") from error
        except AddressRefused as error:
            raise CanvasBadAnswer(
                "This Canvas installation has an address that must not be called. Tell an administrator."
            ) from error
        except OutboundError as error:
            never_sent = isinstance(error.__cause__, httpx.ConnectError | httpx.ConnectTimeout)
            failure = NotTaken if never_sent else CanvasUnavailable
            raise failure(details=type(error).__name__, retry_after=UNAVAILABLE_RETRY_SECONDS) from error

    def _allowed(self, total_seconds: float) -> tuple[float, float]:
        """Seconds for the next call, and for a silence in it.

        :raise CanvasUnavailable: the time of all calls is over
        """
        # a course that says nothing is given up after the set time, not after that of another kind of call
        read_seconds = min(READ_SECONDS, self.give_up_seconds)
        if self._ends_at is None:
            return total_seconds, read_seconds
        left = self._ends_at - self.clock()
        if left <= 0:
            raise CanvasUnavailable(details="no time is left", retry_after=UNAVAILABLE_RETRY_SECONDS)
        # an answer can go silent just before its end, and only then is the silence counted
        return min(total_seconds, left), min(read_seconds, left / 2)


class _Patience:
    """How long one request is repeated: after failures for the give-up time, after throttling for longer."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        # the first attempt begins now, and the time that it takes to fail counts
        self.begins()
        self._failing_since: float | None = None
        self._failures = 0
        self._throttled_seconds = 0.0

    def begins(self) -> None:
        """The next attempt begins now: what it waited for a slot is no failure."""
        self._began = self._transport.clock()

    def pause(self, error: CanvasError) -> float | None:
        """Seconds until the next attempt. None when the error is final or the time is over."""
        if not self._transport.is_patient:
            return None
        if isinstance(error, Throttled):
            return self._after_throttle(error.response)
        if isinstance(error, CanvasUnavailable | CanvasBadAnswer) and not isinstance(error, CanvasRefused):
            return self._after_failure()
        return None

    def _after_failure(self) -> float | None:
        transport = self._transport
        now = transport.clock()
        self._failing_since = self._failing_since if self._failing_since is not None else self._began
        self._failures += 1
        seconds = BACKOFF.seconds(self._failures)
        if now - self._failing_since + seconds > min(transport.give_up_seconds, transport._patience):
            transport._patience -= now - self._failing_since
            return None
        return seconds

    def _after_throttle(self, response: Answer) -> float | None:
        """Seconds until Canvas's bucket should have room. None after ``MAX_REFUSED_SECONDS`` in all."""
        self._transport.counters.add(throttled=1)
        if self._throttled_seconds >= MAX_REFUSED_SECONDS:
            return None
        seconds = throttle_delay(response) * random.uniform(0.8, 1.0)  # noqa: S311 (jitter, no secret)
        self._throttled_seconds += seconds
        # what was waited for the throttle is no failure
        self._began = self._transport.clock() + seconds
        return seconds


def parse_links(header: str) -> dict[str, str]:
    """The addresses of a Link header by relation, lower case, as RFC 8288 writes them; the first of each counts.

    A link may have several relations, names in any case, blanks around ``=`` and commas in its address.
    """
    links: dict[str, str] = {}
    for address, parameters in LINK.findall(header):
        for name, quoted, token in PARAMETER.findall(parameters):
            if name.lower() == "rel":
                for relation in (quoted or token).lower().split():
                    links.setdefault(relation, address)
                break  # a second rel of one link does not count
    return links


def _page_size(url: str) -> int:
    """How many rows a full page has: what the address asks for, else Canvas's own number."""
    asked = httpx.URL(url).params.get("per_page", "")
    return int(asked) if re.fullmatch(r"[0-9]{1,4}", asked) else CANVAS_PER_PAGE


def _numbered_next(url: str) -> str | None:
    """The address of the page after this one, where pages have numbers."""
    number = httpx.URL(url).params.get("page", "1")
    if not re.fullmatch(r"[0-9]{1,6}", number):
        return None
    return str(httpx.URL(url).copy_set_param("page", str(int(number) + 1)))


def _numbered_rest(following: str, last: str) -> tuple[str, ...]:
    """The pages from ``following`` to ``last``, where the two addresses differ only in the page's number."""
    first, final = httpx.URL(following), httpx.URL(last)
    numbers = [address.params.get("page", "") for address in (first, final)]
    if not all(re.fullmatch(r"[0-9]{1,6}", number) for number in numbers):
        return ()
    begin, end = map(int, numbers)
    if not 0 < end - begin < MAX_PAGES or first.path != final.path:
        return ()
    plain = [sorted(address.params.set("page", "").multi_items()) for address in (first, final)]
    if plain[0] != plain[1]:
        return ()
    return tuple(str(first.copy_set_param("page", str(number))) for number in range(begin, end + 1))


def _number(given: str | None) -> float | None:
    """A finite number of a header, or None."""
    try:
        found = float(given or "")
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def is_throttled(response: Answer) -> bool:
    """429, or 403 with the words of Canvas's throttle. Its X-Rate-Limit-Remaining header proves nothing."""
    return response.status == 429 or (response.status == 403 and b"Rate Limit Exceeded" in response.content[:2000])


def throttle_delay(response: Answer) -> float:
    """Seconds until the bucket has room, from 1 to 5. A proxy's Retry-After counts, within these bounds."""
    given = response.headers.get("retry-after", "").strip()
    if given.isdigit():
        wanted = float(given)
    elif given:
        try:
            wanted = parsedate_to_datetime(given).timestamp() - time.time()
        except ValueError:
            wanted = MAX_PAUSE_SECONDS
    else:
        remaining = _number(response.headers.get("x-rate-limit-remaining"))
        if remaining is None:
            remaining = MIN_ROOM_UNITS - LEAK_PER_SECOND
        wanted = (MIN_ROOM_UNITS - remaining) / LEAK_PER_SECOND
    return min(max(wanted, 1.0), MAX_PAUSE_SECONDS)


def _body(response: Answer, *, want_list: bool) -> Any:
    status = response.status
    if status >= 500 or status == 408:
        raise CanvasUnavailable(details=f"HTTP {status}", retry_after=UNAVAILABLE_RETRY_SECONDS)
    if status == 401 and "www-authenticate" in response.headers:
        raise TokenRejected
    if status == 401 and b"nsufficient scopes" in response.content[:2000]:
        raise InsufficientScopes
    if status in (401, 403):
        raise CourseForbidden
    if status == 404:
        raise CourseGone
    if status in (400, 422):
        raise CanvasRefused(status, _lenient(response.content))
    if status != 200:
        raise CanvasBadAnswer(details=f"HTTP {status}")
    try:
        body = json.loads(response.content, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise CanvasBadAnswer(details="the answer is not JSON") from error
    if not isinstance(body, list if want_list else dict):
        raise CanvasBadAnswer(details="the answer has another shape")
    return body


def _no_constant(name: str) -> None:
    raise ValueError(name)  # NaN and Infinity are not JSON


def _lenient(content: bytes) -> object:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def pages(first: str, fetch: Callable[[str], Page]) -> Iterator[Page]:
    """All pages of a list. ``fetch`` gets one page.

    A full page without any link may be the last one, or one whose links were lost. So the next number is asked for, and
    the list counts as complete when that page is empty.

    :raise PaginationRefused: a page leads to one that was seen before, the list does not end, or it cannot be told
        whether it has ended
    """
    seen: set[str] = set()
    known: set[str] = set()
    stale = 0
    url: str | None = first
    guessed = False
    while url is not None:
        if url in seen or len(seen) >= MAX_PAGES:
            raise PaginationRefused(details="the pages do not end")
        seen.add(url)
        page = _guessed_page(fetch, url) if guessed else fetch(url)
        ids = {str(row.get("id")) for row in page.rows}
        has_news = not ids <= known
        if guessed and not page.rows:
            return
        if guessed and not has_news:
            # the list has no numbers, and Canvas sent its beginning again
            raise PaginationRefused(details="a full page has no link to the next one")
        # Rows may move by one between numbered pages. Two pages in a row without a new row are a loop.
        stale = stale + 1 if ids and not has_news else 0
        if stale >= 2 and page.next:
            raise PaginationRefused(details="the pages repeat themselves")
        known |= ids
        yield page
        if page.is_cut and page.next is None:
            raise PaginationRefused(details="a full page has no link to the next one")
        url, guessed = page.next, page.is_cut


def _guessed_page(fetch: Callable[[str], Page], url: str) -> Page:
    try:
        return fetch(url)
    except (CanvasRefused, CourseGone) as error:
        # the pages of this list have no numbers
        raise PaginationRefused(details="a full page has no link to the next one") from error
