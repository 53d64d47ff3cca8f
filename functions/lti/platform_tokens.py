"""Calls to the services of a platform (gradebook, rosters), with access tokens for our client there.

A token belongs to one registration and one set of scopes. Schools share an issuer, so a token that was kept by issuer
would show one school's records to another. Addresses come from launches and answers of the platform, so each is
checked against the hosts of the registration before a token goes there.
"""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard
from urllib.parse import urljoin, urlsplit

from functions.lti.keys import current_key, load_signing_keys
from functions.lti.registrations import Registration
from functions.lti.registrations import by_id as registration_by_id
from functions.shared.clock import Clock
from functions.shared.crypto import Envelope
from functions.shared.database import Database
from functions.shared.fetch import is_listed
from functions.shared.http import AddressRefused, Answer, Http, OutboundError
from functions.shared.jobs import JobContext, JobFailure

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS = 300
MARGIN_SECONDS = 60
DEFAULT_TOKEN_SECONDS = 300
MAX_TOKEN_SECONDS = 3600
MAX_TOKENS = 1000
MAX_TOKEN_BYTES = 64 * 1024
TOKEN_SECONDS = 10.0
CALL_SECONDS = 15.0
MAX_ANSWER_BYTES = 8 * 1024 * 1024
MAX_PAGES = 200
MAX_RETRY_AFTER_SECONDS = 3600
MAX_TOKEN_CHARACTERS = 16 * 1024
LINK = re.compile(r'<([^<>]*)>((?:\s*;\s*[^\s;,="]+\s*=\s*(?:"[^"]*"|[^\s;,"]+))*)')
NEXT = re.compile(r';\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]+))', re.IGNORECASE)


def unavailable(retry_after_s: int | None = None, detail: str | None = None) -> JobFailure:
    """The platform cannot be reached, fails, or asks for patience: the queue sends the job again."""
    return JobFailure(
        "lti_platform_unavailable",
        "Canvas does not answer at the moment. We try again by ourselves.",
        retry_after_s=retry_after_s,
        detail=detail,
    )


def refused(detail: str) -> JobFailure:
    """The platform does not let us use its service."""
    return JobFailure(
        "lti_service_refused",
        "Canvas does not let us do this in the course. Ask your Canvas administrator to allow it.",
        retryable=False,
        detail=detail,
    )


def bad_answer(detail: str) -> JobFailure:
    """The platform's answer cannot be used."""
    return JobFailure("lti_bad_answer", "Canvas gave an unusable answer. Try again later.", detail=detail)


@dataclass(frozen=True)
class _Token:
    value: str = field(repr=False)
    until: float


class PlatformTokens:
    """The access tokens of this process, by registration and scopes. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens: dict[tuple[str, ...], _Token] = {}

    def get(self, key: tuple[str, ...], now: float) -> str | None:
        """A token that is good for a while yet."""
        with self._lock:
            found = self._tokens.get(key)
            return found.value if found is not None and now < found.until else None

    def put(self, key: tuple[str, ...], token: _Token) -> None:
        """Keeps a token."""
        with self._lock:
            if len(self._tokens) >= MAX_TOKENS:
                self._tokens.clear()
            self._tokens[key] = token

    def drop(self, key: tuple[str, ...], value: str) -> None:
        """Forgets a token that the platform did not accept, unless another one took its place."""
        with self._lock:
            if key in self._tokens and self._tokens[key].value == value:
                del self._tokens[key]


class PlatformServices:
    """The services of one registration's platform.

    :param before_call: is called before each request; raises when the work must end
    """

    def __init__(
        self,
        registration: Registration,
        tokens: PlatformTokens,
        database: Database,
        http: Http,
        crypto: Envelope,
        clock: Clock,
        before_call: Callable[[], None] = lambda: None,
    ) -> None:
        self._registration = registration
        self._tokens = tokens
        self._database = database
        self._http = http
        self._crypto = crypto
        self._clock = clock
        self._before_call = before_call

    def request(
        self,
        method: str,
        url: str,
        scopes: Sequence[str],
        *,
        accept: str | None = None,
        body: Any = None,
        content_type: str | None = None,
    ) -> Answer:
        """One call. A token that the platform does not accept is replaced once.

        :param url: of one of the registration's hosts; it is called byte for byte
        :return: an answer that is neither 401, 403, 429 nor 5xx
        :raise JobFailure: ``lti_platform_unavailable``, ``lti_service_refused`` or ``lti_bad_answer``
        """
        if not is_listed(url, self._registration.hosts):
            raise bad_answer("the address is not at a host of the registration")
        answer = self._authorized(method, url, scopes, accept, body, content_type)
        if answer.status == 401:
            answer = self._authorized(method, url, scopes, accept, body, content_type, is_second=True)
        _check(answer)
        return answer

    def pages(
        self, url: str, scopes: Sequence[str], *, accept: str, max_pages: int = MAX_PAGES
    ) -> Iterator[tuple[Answer, str | None]]:
        """The pages of a list, each with the address of the next one.

        :raise JobFailure: as for :meth:`request`; also when the list does not end
        """
        seen: set[str] = set()
        following: str | None = url
        while following is not None:
            if following in seen or len(seen) >= max_pages:
                raise bad_answer("the list does not end")
            seen.add(following)
            answer = self.request("GET", following, scopes, accept=accept)
            following = next_page(answer)
            yield answer, following

    def _authorized(
        self,
        method: str,
        url: str,
        scopes: Sequence[str],
        accept: str | None,
        body: Any,
        content_type: str | None,
        *,
        is_second: bool = False,
    ) -> Answer:
        key = (self._registration.registration_id, self._registration.token_url, *sorted(scopes))
        token = self._tokens.get(key, self._clock.monotonic())
        if token is None:
            made = self._new_token(scopes)
            self._tokens.put(key, made)
            token = made.value
        headers = {"Authorization": f"Bearer {token}"}
        if accept is not None:
            headers["Accept"] = accept
        if content_type is not None:
            headers["Content-Type"] = content_type
        answer = self._send(method, url, CALL_SECONDS, MAX_ANSWER_BYTES, headers=headers, json=body)
        if answer.status == 401:
            self._tokens.drop(key, token)
            if is_second:
                raise refused("401 with a new token")
        return answer

    def _new_token(self, scopes: Sequence[str]) -> _Token:
        """A token by client credentials: our signature in place of a secret."""
        registration = self._registration
        key = current_key(load_signing_keys(self._database.service(), self._crypto), self._clock)
        now = int(self._clock.now().timestamp())
        claims = {
            "iss": registration.client_id,
            "sub": registration.client_id,
            "aud": registration.token_url,
            "iat": now,
            "exp": now + ASSERTION_SECONDS,
            "jti": str(uuid.uuid4()),
        }
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": key.sign(claims, self._crypto),
            "scope": " ".join(sorted(scopes)),
        }
        began = self._clock.monotonic()
        headers = {"Accept": "application/json"}
        answer = self._send("POST", registration.token_url, TOKEN_SECONDS, MAX_TOKEN_BYTES, headers=headers, data=form)
        if 400 <= answer.status < 429:
            raise refused(f"no token: {answer.status}")
        _check(answer)
        given = _json(answer)
        value, seconds = (given.get("access_token"), given.get("expires_in")) if isinstance(given, dict) else ("", 0)
        if answer.status != 200 or not _is_token(value):
            raise bad_answer("no token in the answer")
        granted = given.get("scope")
        if isinstance(granted, str) and not set(scopes) <= set(granted.split()):
            raise refused("the scope is not allowed")
        lifetime = seconds if type(seconds) is int and 0 < seconds <= MAX_TOKEN_SECONDS else DEFAULT_TOKEN_SECONDS
        return _Token(value, began + max(0, lifetime - MARGIN_SECONDS))

    def _send(self, method: str, url: str, seconds: float, max_bytes: int, **request: Any) -> Answer:
        self._before_call()
        try:
            return self._http.request(
                method, url, total_seconds=seconds, read_seconds=seconds, max_bytes=max_bytes, **request
            )
        except AddressRefused as error:
            raise bad_answer(error.code) from error
        except OutboundError as error:
            raise unavailable(detail=error.code) from error


def services_for(context: JobContext, tokens: PlatformTokens, registration_id: str) -> PlatformServices:
    """The services of a registration, for a job, which may be cancelled before each call.

    :raise JobFailure: the registration is gone
    """
    registration = registration_by_id(context.database.service(), registration_id)
    if registration is None:
        raise JobFailure("lti_deployment_disabled", "This connection to Canvas is gone.", retryable=False)
    return PlatformServices(
        registration, tokens, context.database, context.http, context.crypto, context.clock, context.check_cancelled
    )


def next_page(answer: Answer) -> str | None:
    """The address of the next page, byte for byte, from the Link headers."""
    for header in answer.headers.get_list("link"):
        for found in LINK.finditer(header):
            for relation in NEXT.finditer(found[2]):
                if "next" in (relation[1] or relation[2] or "").lower().split():
                    # an absolute address stays as it is: some platforms mind the case
                    return found[1] if urlsplit(found[1]).scheme else urljoin(answer.url, found[1])
    return None


def json_of(answer: Answer) -> Any:
    """The body of a good answer.

    :raise JobFailure: ``lti_bad_answer``
    """
    if not 200 <= answer.status < 300:
        raise bad_answer(f"status {answer.status}")
    return _json(answer)


def _json(answer: Answer) -> Any:
    try:
        return answer.json()
    except OutboundError as error:
        raise bad_answer(error.code) from error


def _check(answer: Answer) -> None:
    if answer.status == 429 or answer.status >= 500:
        raise unavailable(_retry_after(answer), f"status {answer.status}")
    if answer.status == 403:
        raise refused("403")


def _retry_after(answer: Answer) -> int | None:
    text = answer.headers.get("retry-after", "")
    return min(int(text), MAX_RETRY_AFTER_SECONDS) if text.isascii() and text.isdigit() and len(text) < 9 else None


def _is_token(value: Any) -> TypeGuard[str]:
    return (
        isinstance(value, str)
        and 0 < len(value) <= MAX_TOKEN_CHARACTERS
        and value.isascii()
        and value.isprintable()
        and " " not in value
    )
