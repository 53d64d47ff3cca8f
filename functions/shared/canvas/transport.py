"""HTTP to one Canvas host: deadlines, retries, waits for its throttle, size limits, safe paging.

It knows nothing of stored tokens, courses or assignments. It checks every answer, so that the layers above can rely on
its shape.
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

TOTAL_SECONDS = 60.0  # for one answer, also when it comes slowly
DELETE_SECONDS = 5.0  # a revocation that hangs must not keep the person waiting
MAX_RESPONSE_BYTES = 64 * 1024 * 1024
MAX_PAGES = 500
MAX_THROTTLE_PAUSE_SECONDS = 5.0
MAX_THROTTLED_SECONDS = 60.0  # in all, for one request
THROTTLED_RETRY_SECONDS = 30.0  # what a caller is told when that was not enough
BACKOFF = Backoff(first_seconds=0.25, max_seconds=2.0)
LEAK_PER_SECOND = 10.0  # units that leave Canvas's throttle bucket
MIN_ROOM = 200.0  # units that the bucket should have left before the next request
MAX_FAILING_LISTINGS = 6  # that may use their whole give-up time; the rest then gets one attempt each

Query = Mapping[str, str | list[str]]


class TokenRejected(Exception):
    """401 with WWW-Authenticate: Canvas rejects the access token, not the permission."""


class InsufficientScopes(CourseForbidden):
    """The permission that you gave does not cover this call. Connect Canvas again."""

    code = "course_forbidden"


class Throttled(CanvasUnavailable):
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


@dataclass(frozen=True)
class Page:
    """One page of a list, and the address of the next page."""

    rows: list[dict[str, Any]]
    next: str | None


@dataclass
class Transport:
    """Sends requests to one host.

    :param http: shared by all; it holds no identity
    :param base_url: scheme, host and port
    :param give_up_seconds: how long one listing may keep failing before it is reported
    """

    http: Http
    base_url: str
    give_up_seconds: float = 10.0
    counters: Counters = field(default_factory=Counters)
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._patience = self.give_up_seconds * MAX_FAILING_LISTINGS

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
        """Posts a form without a token, and waits while Canvas throttles. Redirects are not followed.

        :param repeatable: without it, a request that may have reached Canvas is not sent again: a code works once
        :raise CanvasUnavailable: Canvas does not answer, or fails
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
            raise PaginationRefused(details="the next link is not a URL") from error
        home = httpx.URL(self.base_url)
        if (target.scheme, target.host, target.port) != (home.scheme, home.host, home.port) or target.userinfo:
            # the access token would go to another host
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
                method, url, headers=headers, data=form, total_seconds=total_seconds, max_bytes=MAX_RESPONSE_BYTES
            )
        except AnswerTooLarge as error:
            raise CanvasBadAnswer(details="the answer is too large") from error
        except AddressRefused as error:
            raise CanvasBadAnswer(
                "This Canvas installation has an address that must not be called. Tell an administrator."
            ) from error
        except OutboundError as error:
            raise CanvasUnavailable(details=type(error).__name__) from error


class _Patience:
    """How long one request is repeated: after failures for the give-up time, after throttling for longer."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._failing_since: float | None = None
        self._failures = 0
        self._throttled_seconds = 0.0

    def pause(self, error: CanvasError) -> float | None:
        """Seconds until the next attempt. None when the error is final or the time is over."""
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
        """Seconds until Canvas's bucket should have room. None after ``MAX_THROTTLED_SECONDS`` in all."""
        self._transport.counters.throttled += 1
        if self._throttled_seconds >= MAX_THROTTLED_SECONDS:
            return None
        seconds = throttle_delay(response) * random.uniform(0.8, 1.0)  # noqa: S311 (jitter, no secret)
        self._throttled_seconds += seconds
        return seconds


def next_link(header: str) -> str | None:
    """The address of ``rel="next"`` in a Link header of Canvas."""
    for address, attributes in re.findall(r"<([^>]*)>([^<]*)", header):
        if re.search(r"""\brel=["']?next\b""", attributes):
            return str(address)
    return None


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
            wanted = MAX_THROTTLE_PAUSE_SECONDS
    else:
        try:
            remaining = float(response.headers.get("x-rate-limit-remaining", ""))
        except ValueError:
            remaining = MIN_ROOM - LEAK_PER_SECOND
        wanted = (MIN_ROOM - remaining) / LEAK_PER_SECOND
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
    raise ValueError(name)  # NaN and Infinity are not JSON


def _lenient(content: bytes) -> object:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def pages(first: str, fetch: Callable[[str], Page]) -> Iterator[Page]:
    """All pages of a list. ``fetch`` gets one page.

    :raise PaginationRefused: a page leads to one that was seen before, or the list does not end
    """
    seen: set[str] = set()
    known: set[str] = set()
    stale = 0
    url: str | None = first
    while url is not None:
        if url in seen or len(seen) >= MAX_PAGES:
            raise PaginationRefused(details="the pages do not end")
        seen.add(url)
        page = fetch(url)
        ids = {str(row.get("id")) for row in page.rows}
        # Rows may move by one between numbered pages. Two pages in a row without a new row are a loop.
        stale = stale + 1 if ids and ids <= known else 0
        if stale >= 2 and page.next:
            raise PaginationRefused(details="the pages repeat themselves")
        known |= ids
        yield page
        url = page.next
