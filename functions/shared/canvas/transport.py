"""HTTP to one Canvas host: deadlines, retries, throttle waits, caps, safe paging (canvas facts 4 to 6, 16).

Knows no token store and no domain. Every answer is checked here, so that above it a row is a dict and a list a list.
"""

from __future__ import annotations

import json
import random
import re
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
from functions.shared.http import AddressRefused, Answer, AnswerTooLarge, Http, OutboundError
from functions.shared.retries import Backoff, retried

TOTAL_SECONDS = 60.0  # for one answer, however slowly it drips
DELETE_SECONDS = 5.0  # a revocation that hangs must not keep the person waiting
MOST_BYTES = 64 * 1024 * 1024
MOST_PAGES = 500
MAX_THROTTLE_PAUSE_SECONDS = 5.0
MAX_THROTTLED_SECONDS = 60.0  # in all, for one request
THROTTLED_RETRY_SECONDS = 30.0  # what a caller is told when that was not enough
BACKOFF = Backoff(first_seconds=0.25, max_seconds=2.0)
LEAK_PER_SECOND = 10.0  # what Canvas's bucket loses (canvas facts 5)
ROOM_WANTED = 200.0
PATIENCE_IN_LISTINGS = 6  # how many listings may use up their whole give-up time before the rest get one try each

Query = Mapping[str, str | list[str]]


class TokenRejected(Exception):
    """401 with WWW-Authenticate: the access token, not the permission, is the problem (canvas facts 4)."""


class InsufficientScopes(CourseForbidden):
    """The permission given does not cover this call; connect again."""

    code = "course_forbidden"


class Throttled(CanvasUnavailable):
    """Canvas limits our requests; try again in a moment."""

    def __init__(self, response: Answer) -> None:
        super().__init__(retry_after=THROTTLED_RETRY_SECONDS)
        self.response = response


class CanvasRefused(CanvasBadAnswer):
    """Canvas refused the request as malformed."""

    def __init__(self, status: int, answer: object) -> None:
        super().__init__(details=f"HTTP {status}")
        self.answer = answer


@dataclass
class Counters:
    """What one run cost: requests sent, throttle refusals met."""

    requests: int = 0
    throttled: int = 0


@dataclass(frozen=True)
class Page:
    """One page of a list and the address of the one after it."""

    rows: list[dict[str, Any]]
    next: str | None


@dataclass
class Transport:
    """Sends requests to one host, ``base_url`` (no path). ``http`` is shared by everybody; it carries no identity.

    ``give_up_seconds`` is how long one listing may keep failing before it is reported.
    """

    http: Http
    base_url: str
    give_up_seconds: float = 10.0
    counters: Counters = field(default_factory=Counters)
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._patience = self.give_up_seconds * PATIENCE_IN_LISTINGS

    # ---- domain calls -------------------------------------------------------------------------------------------

    def get(self, path: str, token: str, query: Query | None = None) -> Any:
        """The JSON of one resource.

        :raise TokenRejected: the access token is dead
        :raise CourseForbidden, CourseGone, CanvasRefused: what Canvas says of the resource
        :raise CanvasUnavailable, CanvasBadAnswer: after retries
        """
        return self._fetch(self._url(path, query), token)[0]

    def page(self, url: str, token: str) -> Page:
        """One page of a list; ``url`` is from :meth:`first` or from the page before. Errors as of :meth:`get`."""
        return self._fetch_page(url, token)

    def first(self, path: str, query: Query | None = None) -> str:
        """The address of the first page of a list."""
        return self._url(path, query)

    def delete(self, path: str, token: str) -> int:
        """Sends a DELETE once; answers the status.

        :raise CanvasUnavailable: no answer
        """
        return self._send("DELETE", self._url(path, None), token=token, total_seconds=DELETE_SECONDS).status

    def post_form(self, path: str, form: Mapping[str, str], *, repeatable: bool) -> Answer:
        """POSTs a form without a bearer and without following redirects; throttle refusals are waited out.

        Unless ``repeatable``, a request that may have reached Canvas is never sent twice: a code is good for one use.

        :raise CanvasUnavailable: no answer, or a fault of the server
        """
        url = self._url(path, None)

        def post() -> Answer:
            response = self._send("POST", url, form=form)
            if is_throttled(response):
                raise Throttled(response)
            if response.status >= 500:
                raise CanvasUnavailable(details=f"HTTP {response.status}")
            return response

        patience = _Patience(self)

        def pause(error: CanvasUnavailable, _: int) -> float | None:
            cause = getattr(error.__cause__, "__cause__", None)
            never_taken = isinstance(error, Throttled) or isinstance(cause, httpx.ConnectError | httpx.ConnectTimeout)
            return patience.pause(error) if repeatable or never_taken else None

        return retried(post, on=CanvasUnavailable, pause=pause, sleep=self.sleep)

    # ---- one answer ---------------------------------------------------------------------------------------------

    def _url(self, path: str, query: Query | None) -> str:
        return str(httpx.URL(self.base_url + path, params=query or None))

    def _fetch_page(self, url: str, token: str) -> Page:
        body, response = self._fetch(url, token, want_list=True)
        link = next_link(response.headers.get("link", ""))
        return Page([row for row in body if isinstance(row, dict)], self._safe_next(url, link) if link else None)

    def _safe_next(self, url: str, link: str) -> str:
        try:
            target = httpx.URL(url).join(link)
        except httpx.InvalidURL as error:
            raise PaginationRefused(details="the next link is no address") from error
        home = httpx.URL(self.base_url)
        if (target.scheme, target.host, target.port) != (home.scheme, home.host, home.port) or target.userinfo:
            # the bearer would go to a stranger (canvas facts 6)
            raise PaginationRefused(details="the next link leads to another origin")
        if not target.path.startswith("/api/v1/"):
            raise PaginationRefused(details="the next link leads out of the API")
        return str(target)

    def _fetch(self, url: str, token: str, *, want_list: bool = False) -> tuple[Any, Answer]:
        def get() -> tuple[Any, Answer]:
            response = self._send("GET", url, token=token)
            if is_throttled(response):
                raise Throttled(response)
            return _body(response, want_list=want_list), response

        patience = _Patience(self)
        return retried(get, on=CanvasError, pause=lambda error, _: patience.pause(error), sleep=self.sleep)

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
        self.counters.requests += 1
        try:
            return self.http.request(
                method, url, headers=headers, data=form, total_seconds=total_seconds, max_bytes=MOST_BYTES
            )
        except AnswerTooLarge as error:
            raise CanvasBadAnswer(details="the answer is too large") from error
        except AddressRefused as error:
            raise CanvasBadAnswer("This Canvas has an address that must not be called.") from error
        except OutboundError as error:
            raise CanvasUnavailable(details=type(error).__name__) from error


class _Patience:
    """The patience of one request: failures within the give-up time, throttle refusals for longer."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._failing_since: float | None = None
        self._failures = 0
        self._throttled_seconds = 0.0

    def pause(self, error: CanvasError) -> float | None:
        """Seconds until the next attempt; None when the error is final or the time is up."""
        if isinstance(error, Throttled):
            return self._after_throttle(error.response)
        if isinstance(error, CanvasUnavailable | CanvasBadAnswer) and not isinstance(error, CanvasRefused):
            return self._after_failure()
        return None

    def _after_failure(self) -> float | None:
        transport = self._transport
        now = transport.clock()
        self._failing_since = self._failing_since if self._failing_since is not None else now
        self._failures += 1
        seconds = BACKOFF.seconds(self._failures)
        if now - self._failing_since + seconds > min(transport.give_up_seconds, transport._patience):
            transport._patience -= now - self._failing_since
            return None
        return seconds

    def _after_throttle(self, response: Answer) -> float | None:
        """Until Canvas's bucket should have room; gives up after ``MAX_THROTTLED_SECONDS`` in all."""
        self._transport.counters.throttled += 1
        if self._throttled_seconds >= MAX_THROTTLED_SECONDS:
            return None
        seconds = throttle_delay(response) * random.uniform(0.8, 1.0)  # noqa: S311 (jitter, no secret)
        self._throttled_seconds += seconds
        return seconds


def next_link(header: str) -> str | None:
    """The address of ``rel="next"`` in a Link header, as Canvas writes it."""
    for address, attributes in re.findall(r"<([^>]*)>([^<]*)", header):
        if re.search(r"""\brel=["']?next\b""", attributes):
            return str(address)
    return None


def is_throttled(response: Answer) -> bool:
    """429, or 403 with the throttle's own words; the remaining header proves nothing (canvas facts 5)."""
    return response.status == 429 or (response.status == 403 and b"Rate Limit Exceeded" in response.content[:2000])


def throttle_delay(response: Answer) -> float:
    """Seconds until enough has leaked out of the bucket, 1 to 5; a proxy's Retry-After counts, within these bounds."""
    given = response.headers.get("retry-after", "").strip()
    if given.isdigit():
        wanted = float(given)
    elif given:
        try:
            wanted = parsedate_to_datetime(given).timestamp() - time.time()
        except ValueError:
            wanted = MAX_THROTTLE_PAUSE_SECONDS
    else:
        try:
            remaining = float(response.headers.get("x-rate-limit-remaining", ""))
        except ValueError:
            remaining = ROOM_WANTED - LEAK_PER_SECOND
        wanted = (ROOM_WANTED - remaining) / LEAK_PER_SECOND
    return min(max(wanted, 1.0), MAX_THROTTLE_PAUSE_SECONDS)


def _body(response: Answer, *, want_list: bool) -> Any:
    status = response.status
    if status >= 500 or status == 408:
        raise CanvasUnavailable(details=f"HTTP {status}")
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
    raise ValueError(name)  # NaN and Infinity are no JSON


def _lenient(content: bytes) -> object:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def pages(first: str, fetch: Callable[[str], Page]) -> Iterator[Page]:
    """Walks a list to its end, page by page; ``fetch`` brings one page.

    :raise PaginationRefused: a page leads back to one already seen, or the end never comes
    """
    seen: set[str] = set()
    known: set[str] = set()
    stale = 0
    url: str | None = first
    while url is not None:
        if url in seen or len(seen) >= MOST_PAGES:
            raise PaginationRefused(details="the pages do not end")
        seen.add(url)
        page = fetch(url)
        ids = {str(row.get("id")) for row in page.rows}
        # rows shift by one between numbered pages; two pages in a row without anything new are a loop
        stale = stale + 1 if ids and ids <= known else 0
        if stale >= 2 and page.next:
            raise PaginationRefused(details="the pages repeat themselves")
        known |= ids
        yield page
        url = page.next
