"""The two database handles, and database refusals as our own errors.

``user(token)`` works in the caller's name, under row level security. ``service()`` is for what the caller may not do
himself, after his ownership was checked in the same function; only the modules a test lists may use it.
"""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Mapping
from typing import Any, Protocol

import httpx
from postgrest import SyncPostgrestClient
from postgrest.exceptions import APIError

from functions.shared.errors import (
    AppError,
    CheckFailed,
    Conflict,
    Forbidden,
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

log = logging.getLogger(__name__)

# under the platform's statement_timeout of 8 s, so that a slow database never holds a thread for longer
TIMEOUT = httpx.Timeout(7.0, connect=2.0, pool=2.0)
LIMITS = httpx.Limits(max_connections=64, max_keepalive_connections=32, keepalive_expiry=5.0)
MAX_ATTEMPTS = 3
BACKOFF = Backoff(first_seconds=0.2, max_seconds=0.4)

# rpc_contract "Form", supabase facts D "Errors", jobs_billing_notify facts E
ERRORS: Mapping[str, type[AppError]] = {
    "PT404": NotFound,
    "PGRST116": NotFound,
    "PT409": Conflict,
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
    # a gateway's own words for a filter too long for a URL
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
# connection exceptions, insufficient resources, operator intervention
UNAVAILABLE_CLASSES = ("08", "53", "57P")


class Query(Protocol):
    """Any built query of postgrest, ready to be executed."""

    request: Any

    def execute(self) -> Any:
        """Sends it."""
        ...


class Database:
    """Makes database handles; one for each process, shared by its threads.

    No identity ever lives on the shared HTTP client: every handle carries its own headers (supabase facts D).
    """

    def __init__(self, settings: Settings) -> None:
        self._url = f"{settings.supabase_url}/rest/v1"
        self._publishable_key = settings.supabase_publishable_key
        self._secret_key = settings.supabase_secret_key
        self._http = httpx.Client(http2=False, timeout=TIMEOUT, limits=LIMITS, trust_env=False, verify=tls())
        # nobody has to remember close(): the connections end with this object
        weakref.finalize(self, self._http.close)

    def user(self, token: str) -> SyncPostgrestClient:
        """A handle that acts as the owner of an access token, under row level security."""
        return self._client(self._publishable_key, token)

    def service(self) -> SyncPostgrestClient:
        """A handle past row level security. Check the caller's ownership first, in the same function."""
        return self._client(self._secret_key, self._secret_key)

    def schema_version(self, timeout_seconds: float = 1.0) -> str:
        """The newest migration that the database has; empty when it does not tell.

        "0" when it does not know the question, because a migration brought that, too.

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
        # REST was reached and the database refused or answered: both mean that it lives
        return answer if response.is_success and isinstance(answer, str) else ""

    def close(self) -> None:
        """Ends the connections."""
        self._http.close()

    def _client(self, key: str, bearer: str) -> SyncPostgrestClient:
        headers = {"apikey": key, "Authorization": f"Bearer {bearer}"}
        return SyncPostgrestClient(self._url, headers=headers, http_client=self._http, retry_enabled=False)


def rpc(client: SyncPostgrestClient, name: str, args: Mapping[str, Any] | None = None, *, safe: bool = False) -> Any:
    """Calls a database function and returns its answer: a scalar, a row or a list of rows, as the function declares.

    :param safe: the function may run twice without harm, so it is called again after a short failure
    :raise AppError: what the database refused, see ``ERRORS``
    """
    return _execute(client.rpc(name, dict(args or {})), safe)


def rpc_row(
    client: SyncPostgrestClient, name: str, args: Mapping[str, Any] | None = None, *, safe: bool = False
) -> dict[str, Any]:
    """As :func:`rpc`, for a function that always answers one row, whether it declares a row or a set of rows."""
    answer = rpc(client, name, args, safe=safe)
    return dict(answer[0] if isinstance(answer, list) else answer)


def run(query: Query) -> Any:
    """Executes a built query and returns its data: a list of rows, or one row after ``single()``.

    Reads are repeated when the connection or the database fails for a moment; writes never.

    :raise AppError: what the database refused, see ``ERRORS``
    """
    return _execute(query, query.request.http_method in ("GET", "HEAD"))


def _execute(query: Query, safe: bool) -> Any:
    def pause(error: Unavailable, failures: int) -> float | None:
        cause = error.__cause__
        # a refused token means that nothing was done yet, so a write may be sent again too
        may_repeat = safe or _is_issued_in_future(cause)
        # an attempt that ran into its deadline has used up the time of the others
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
        log.warning("the database could not be reached: %s", type(error).__name__)
        raise Unavailable from error
    except (UnicodeError, httpx.InvalidURL) as error:
        # what cannot even be written down as JSON or as a URL: lone surrogates, NUL in a filter
        raise ValidationFailed from error
    # maybe_single() answers None for no row
    return None if answer is None else answer.data


def _as_service(query: Query) -> bool:
    headers = query.request.headers
    return bool(headers.get("Authorization") == f"Bearer {headers.get('apikey')}")


def _is_issued_in_future(error: BaseException | None) -> bool:
    """Whether REST refused a token because its own clock is behind that of the token's issuer."""
    return isinstance(error, APIError) and error.message == "JWT issued at future"


def mapped_error(error: APIError, *, as_service: bool = False) -> AppError:
    """Our error for a refusal of REST or the database.

    The message of a rule that our own SQL raised is kept; everything else the database says stays in the log.

    :param as_service: asked with the secret key; then a refused token is our fault, not the caller's
    """
    code = error.code or ""
    kind = ERRORS.get(code)
    if kind is None and code.startswith(UNAVAILABLE_CLASSES):
        kind = Unavailable
    if kind is Unauthorized and as_service:
        # the gateway mints the service's token for each request, so two clocks that differ are a short outage
        kind = Unavailable if _is_issued_in_future(error) else None
    if kind is None:
        log.error("the database answered with code %s", code)
        return Internal()
    if kind is Unavailable:
        log.warning("the database is not available, code %s", code)
    return kind()
