"""The two database handles, and the errors that stand for the database's refusals.

``user(token)`` acts in the caller's name, under row level security. ``service()`` is for what callers may not do
themselves. Check the caller's ownership first, in the same function. A test lists the modules that may use it.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Mapping
from typing import Any, Protocol

import httpx
import structlog
from postgrest import SyncPostgrestClient
from postgrest.exceptions import APIError

from functions.shared.errors import (
    AppError,
    CheckFailed,
    Conflict,
    Forbidden,
    IdempotencyMismatch,
    Internal,
    NotFound,
    PayloadTooLarge,
    Unauthorized,
    Unavailable,
    ValidationFailed,
)
from functions.shared.http import tls
from functions.shared.retries import Backoff, retried
from functions.shared.settings import Settings

log = structlog.get_logger(__name__)

# less than the platform's statement_timeout of 8 s, so that a slow database never holds a thread for longer
TIMEOUT = httpx.Timeout(7.0, connect=2.0, pool=2.0)
LIMITS = httpx.Limits(max_connections=64, max_keepalive_connections=32, keepalive_expiry=5.0)
MAX_ATTEMPTS = 3
BACKOFF = Backoff(first_seconds=0.2, max_seconds=0.4)

# SQLSTATEs of our functions and constraints, codes of PostgREST, and statuses of the platform's gateway
ERRORS: Mapping[str, type[AppError]] = {
    "PT404": NotFound,
    "PGRST116": NotFound,
    "PT409": Conflict,
    "PT422": IdempotencyMismatch,
    "23505": Conflict,
    "23503": Conflict,
    "23001": Conflict,
    "23P01": Conflict,
    "42501": Forbidden,
    "23514": CheckFailed,
    "22023": ValidationFailed,
    "22003": ValidationFailed,
    "22004": ValidationFailed,
    "22P02": ValidationFailed,
    "22P05": ValidationFailed,
    "22001": ValidationFailed,
    "22007": ValidationFailed,
    "22008": ValidationFailed,
    "22021": ValidationFailed,
    "23502": ValidationFailed,
    # what a gateway answers when a filter is too long for a URL
    "400": ValidationFailed,
    "414": ValidationFailed,
    "431": ValidationFailed,
    "PGRST301": Unauthorized,
    "PGRST302": Unauthorized,
    "PGRST303": Unauthorized,
    "401": Unauthorized,
    "413": PayloadTooLarge,
    "PGRST000": Unavailable,
    "PGRST001": Unavailable,
    "PGRST002": Unavailable,
    "PGRST003": Unavailable,
    "57014": Unavailable,
    "40001": Unavailable,
    "40P01": Unavailable,
    "55P03": Unavailable,
    "429": Unavailable,
    "502": Unavailable,
    "503": Unavailable,
    "504": Unavailable,
    "520": Unavailable,
    "service_unavailable": Unavailable,
    "gateway_timeout": Unavailable,
    "bad_gateway": Unavailable,
}
# SQLSTATE classes: connection exceptions, insufficient resources, operator intervention
UNAVAILABLE_CLASSES = ("08", "53", "57P")


class Query(Protocol):
    """A query of postgrest that is ready to be sent."""

    request: Any

    def execute(self) -> Any:
        """Sends the query."""
        ...


class Database:
    """Makes database handles. The threads of a process share one object.

    The shared HTTP client holds no identity, which would leak between callers: each handle has its own headers.
    """

    def __init__(self, settings: Settings) -> None:
        self._url = f"{settings.supabase_url}/rest/v1"
        self._publishable_key = settings.supabase_publishable_key
        self._secret_key = settings.supabase_secret_key
        self._http = httpx.Client(http2=False, timeout=TIMEOUT, limits=LIMITS, trust_env=False, verify=tls())
        # the connections end with this object, even without close()
        weakref.finalize(self, self._http.close)

    def user(self, token: str) -> SyncPostgrestClient:
        """A handle that acts as the owner of an access token, under row level security."""
        return self._client(self._publishable_key, token)

    def service(self) -> SyncPostgrestClient:
        """A handle without row level security. Check the caller's ownership first, in the same function."""
        return self._client(self._secret_key, self._secret_key)

    def schema_version(self, timeout_seconds: float = 1.0) -> str:
        """The newest migration that the database has; empty when the database does not tell.

        "0" when the database has no ``svc_schema_version``, which a migration creates.

        :raise Unavailable: the database does not answer
        """
        headers = {"apikey": self._secret_key, "Authorization": f"Bearer {self._secret_key}"}
        try:
            response = self._http.get(f"{self._url}/rpc/svc_schema_version", headers=headers, timeout=timeout_seconds)
        except httpx.HTTPError as error:
            raise Unavailable from error
        if response.status_code >= 500:
            raise Unavailable
        if response.status_code == 404:
            return "0"
        try:
            answer = response.json()
        except ValueError:
            return ""
        # an answer and a refusal both mean that the database is there
        return answer if response.is_success and isinstance(answer, str) else ""

    def close(self) -> None:
        """Ends the connections."""
        self._http.close()

    def _client(self, key: str, bearer: str) -> SyncPostgrestClient:
        headers = {"apikey": key, "Authorization": f"Bearer {bearer}"}
        return SyncPostgrestClient(self._url, headers=headers, http_client=self._http, retry_enabled=False)


def rpc(client: SyncPostgrestClient, name: str, args: Mapping[str, Any] | None = None, *, safe: bool = False) -> Any:
    """Calls a database function. Its answer is a scalar, a row or a list of rows, as the function declares.

    :param safe: the function may run twice without harm, so it is called again after a short failure
    :raise AppError: the database refused, see ``ERRORS``
    """
    return _execute(client.rpc(name, dict(args or {})), safe)


def rpc_row(
    client: SyncPostgrestClient, name: str, args: Mapping[str, Any] | None = None, *, safe: bool = False
) -> dict[str, Any]:
    """As :func:`rpc`, for a function that always answers one row, declared as a row or as a set of rows."""
    answer = rpc(client, name, args, safe=safe)
    return dict(answer[0] if isinstance(answer, list) else answer)


def run(query: Query) -> Any:
    """Sends a query. The answer is a list of rows, or one row after ``single()``.

    Reads are repeated when the connection or the database fails for a moment. Writes never are.

    :raise AppError: the database refused, see ``ERRORS``
    """
    return _execute(query, query.request.http_method in ("GET", "HEAD"))


def _execute(query: Query, safe: bool) -> Any:
    def pause(error: Unavailable, failures: int) -> float | None:
        cause = error.__cause__
        # REST refused the token before it did anything, so a write may be sent again, too
        may_repeat = safe or _is_issued_in_future(cause)
        # an attempt that reached its deadline leaves no time for another one
        if not may_repeat or failures == MAX_ATTEMPTS or isinstance(cause, httpx.TimeoutException):
            return None
        return BACKOFF.seconds(failures)

    return retried(lambda: _execute_once(query), on=Unavailable, pause=pause, sleep=time.sleep)


def _execute_once(query: Query) -> Any:
    try:
        answer = query.execute()
    except APIError as error:
        raise mapped_error(error, as_service=_as_service(query)) from error
    except httpx.TransportError as error:
        log.warning("database_unreachable", error=type(error).__name__)
        raise Unavailable from error
    except (UnicodeError, httpx.InvalidURL) as error:
        # the input cannot be written as JSON or as a URL: lone surrogates, NUL in a filter
        raise ValidationFailed from error
    # maybe_single() answers None when there is no row
    return None if answer is None else answer.data


def _as_service(query: Query) -> bool:
    headers = query.request.headers
    return bool(headers.get("Authorization") == f"Bearer {headers.get('apikey')}")


def _is_issued_in_future(error: BaseException | None) -> bool:
    """Whether REST refused a token because its own clock is behind that of the token's issuer."""
    return isinstance(error, APIError) and error.message == "JWT issued at future"


def mapped_error(error: APIError, *, as_service: bool = False) -> AppError:
    """Our error for a refusal of REST or the database. Only the code is taken over, and no text of the database.

    :param as_service: the secret key was sent, so a refused token is our fault and not the caller's
    """
    code = error.code or ""
    kind = ERRORS.get(code)
    if kind is None and code.startswith(UNAVAILABLE_CLASSES):
        kind = Unavailable
    if kind is Unauthorized and as_service:
        # the gateway issues the service's token for each request, so clocks that differ for a moment are a short outage
        kind = Unavailable if _is_issued_in_future(error) else None
    if kind is None:
        log.error("database_refused", error_code=code)
        return Internal()
    if kind is Unavailable:
        log.warning("database_unavailable", error_code=code)
    return kind()
