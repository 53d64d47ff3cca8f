"""Accounts and sessions at Supabase Auth, with the secret key. Plain HTTP: a client object would remember a session."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import structlog

from functions.lti.errors import AccountBanned
from functions.shared.errors import Internal, Unavailable
from functions.shared.http import tls
from functions.shared.settings import Settings

log = structlog.get_logger(__name__)

TIMEOUT = httpx.Timeout(8.0, connect=2.0, pool=10.0)
# Auth computes a hash of a password for each new account, and a class comes all at once
MAKING_TIMEOUT = httpx.Timeout(20.0, connect=2.0, pool=10.0)
LIMITS = httpx.Limits(max_connections=64, max_keepalive_connections=16, keepalive_expiry=5.0)
RETRY_SECONDS = 10
# a name that can never receive mail (RFC 2606); nobody signs in by it
SHADOW_DOMAIN = "lti.invalid"


@dataclass(frozen=True)
class Visitor:
    """Whose browser asks, for Auth's limits and its list of sessions."""

    address: str
    user_agent: str


@dataclass(frozen=True)
class Session:
    """A session as Auth gave it."""

    body: Mapping[str, Any] = field(repr=False)


class Accounts:
    """The calls to Auth. Threads may share it."""

    def __init__(self, settings: Settings) -> None:
        self._url = f"{settings.supabase_url}/auth/v1"
        self._publishable_key = settings.supabase_publishable_key
        self._secret_key = settings.supabase_secret_key
        self._http = httpx.Client(limits=LIMITS, trust_env=False, verify=tls())
        weakref.finalize(self, self._http.close)

    def close(self) -> None:
        """Ends the connections."""
        self._http.close()

    def make(self, user_id: str, address: str, platform_id: str) -> None:
        """Makes a managed account with an id that was reserved for it. Safe to repeat.

        :raise Unavailable: Auth does not answer, or not now
        """
        body = {
            "id": user_id,
            "email": address,
            "email_confirm": True,
            "app_metadata": {"lti": {"managed": True, "platform": platform_id}},
        }
        answer = self._admin("POST", "/admin/users", body, MAKING_TIMEOUT)
        # whatever it answered, an account with the id is what was asked for: an earlier attempt may have made it
        if answer.status_code >= 300 and self.find(user_id) is None:
            log.error("account_not_made", status_code=answer.status_code)
            raise Unavailable(retry_after=RETRY_SECONDS)

    def find(self, user_id: str) -> Mapping[str, Any] | None:
        """An account by its id.

        :raise Unavailable: Auth does not answer, or not now
        """
        answer = self._admin("GET", f"/admin/users/{user_id}")
        if answer.status_code == 404:
            return None
        return _object(answer)

    def open_session(self, user_id: str, visitor: Visitor) -> Session:
        """A session for an account. Hold the person's lock: Auth keeps one one-time token for each person.

        :raise AccountBanned: the account is blocked or deleted
        :raise Unavailable: Auth does not answer, or not now
        :raise Internal: Auth would have signed somebody else in
        """
        account = self.find(user_id)
        if account is None or account.get("deleted_at") or not account.get("email"):
            raise AccountBanned
        link = _object(self._admin("POST", "/admin/generate_link", {"type": "magiclink", "email": account["email"]}))
        if link.get("id") != user_id or link.get("verification_type") != "magiclink":
            # a link for an unknown address makes an account, and an address may change hands in between
            log.error("wrong_account_linked", user_id=user_id, verification_type=link.get("verification_type"))
            if link.get("verification_type") == "signup" and link.get("id") not in (None, user_id):
                self._admin("DELETE", f"/admin/users/{link['id']}")
            raise Internal
        headers = {
            "apikey": self._publishable_key,
            "User-Agent": visitor.user_agent[:500] or "Headstart/1",
            # so that Auth's limits count each address by itself, and not all schools together
            "X-Forwarded-For": visitor.address,
            "Sb-Forwarded-For": visitor.address,
        }
        body = {"type": "email", "token_hash": link.get("hashed_token")}
        answer = self._call("POST", "/verify", headers, body)
        if answer.status_code == 403 and _code(answer) == "user_banned":
            raise AccountBanned
        session = _object(answer)
        if not isinstance(session.get("access_token"), str) or (session.get("user") or {}).get("id") != user_id:
            log.error("wrong_session", user_id=user_id)
            raise Internal
        return Session(session)

    def _admin(self, method: str, path: str, body: Any = None, timeout: httpx.Timeout = TIMEOUT) -> httpx.Response:
        headers = {"apikey": self._secret_key, "Authorization": f"Bearer {self._secret_key}"}
        return self._call(method, path, headers, body, timeout)

    def _call(
        self, method: str, path: str, headers: Mapping[str, str], body: Any, timeout: httpx.Timeout = TIMEOUT
    ) -> httpx.Response:
        try:
            answer = self._http.request(method, f"{self._url}{path}", headers=dict(headers), json=body, timeout=timeout)
        except httpx.HTTPError as error:
            log.warning("auth_unreachable", error=type(error).__name__)
            raise Unavailable(retry_after=RETRY_SECONDS) from error
        if answer.status_code == 429 or answer.status_code in (502, 503, 504):
            log.warning("auth_busy", status_code=answer.status_code)
            raise Unavailable(retry_after=RETRY_SECONDS)
        return answer


def _object(answer: httpx.Response) -> Mapping[str, Any]:
    """The answer's JSON object.

    :raise Unavailable: it is a refusal, or something else
    """
    try:
        body = answer.json()
    except (ValueError, RecursionError):
        body = None
    if answer.status_code != 200 or not isinstance(body, dict):
        log.error("auth_refused", status_code=answer.status_code, error_code=_code(answer))
        raise Unavailable(retry_after=RETRY_SECONDS)
    return body


def _code(answer: httpx.Response) -> str | None:
    """The code of a refusal."""
    try:
        body = answer.json()
    except (ValueError, RecursionError):
        return None
    found = body.get("error_code") or body.get("code") if isinstance(body, dict) else None
    return found if isinstance(found, str) else None
