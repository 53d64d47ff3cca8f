"""The stored tokens of one integration, refreshed by one process at a time.

A refresh ends the previous access token at once, so two refreshes would invalidate each other. The process that holds
the lease in the database refreshes. All others wait and read the tokens again.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog

from functions.shared.canvas import oauth
from functions.shared.canvas.errors import CanvasUnavailable, ReauthorizationRequired
from functions.shared.crypto import DecryptionFailed, Envelope

log = structlog.get_logger(__name__)

ACCESS_FIELD, REFRESH_FIELD = "access_token", "refresh_token"
LEASE_SECONDS = 60  # longer than one refresh with all its retries
MAX_WAIT_SECONDS = 90.0


class Rpc(Protocol):
    """Calls a database function as the service."""

    def __call__(self, name: str, args: dict[str, Any]) -> Any: ...


@dataclass(frozen=True)
class StoredToken:
    """The tokens of the database, decrypted."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    expires_at: datetime | None
    version: int


@dataclass
class TokenStore:
    """Reads and refreshes the tokens of one integration. ``renew`` gets a new access token from Canvas.

    Threads may share it: one of them refreshes, and the others wait for its token.
    """

    rpc: Rpc
    crypto: Envelope
    integration_id: str
    renew: Callable[[str], oauth.Tokens]
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _known: StoredToken | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def current(self) -> StoredToken:
        """A token that has not expired; an expired one is refreshed first.

        It is not refreshed earlier: with short-lived tokens, a margin would mean a refresh for every request.

        :raise ReauthorizationRequired: no token is stored, or none that we can open
        :raise CanvasUnavailable, CanvasBadAnswer: the token has expired and could not be refreshed
        """
        with self._lock:
            token = self._known or self._read()
            self._known = token
            if token.expires_at is not None and token.expires_at <= datetime.now(UTC):
                return self.replace(token)
            return token

    def replace(self, rejected: StoredToken) -> StoredToken:
        """Another token than the rejected one: the stored one if another process refreshed it, else a new one.

        :raise ReauthorizationRequired: Canvas no longer accepts the grant
        :raise CanvasUnavailable, CanvasBadAnswer: Canvas could not refresh the token
        """
        with self._lock:
            if self._known is not None and self._known.version != rejected.version:
                return self._known  # another thread was here first
            stored = self._read()
            if stored.version == rejected.version:
                stored = self._refresh(stored)
            self._known = stored
            return stored

    def _refresh(self, stale: StoredToken) -> StoredToken:
        lease = {"p_integration_id": self.integration_id, "p_holder": str(uuid.uuid4())}
        deadline = self.clock() + MAX_WAIT_SECONDS
        while self.clock() < deadline:
            if self.rpc("svc_begin_token_refresh", {**lease, "p_ttl_s": LEASE_SECONDS}):
                try:
                    stored = self._read()
                    return self._renewed(stored) if stored.version == stale.version else stored
                finally:
                    self.rpc("svc_end_token_refresh", lease)
            self.sleep(random.uniform(0.1, 0.3))  # noqa: S311 (jitter, no secret)
            stored = self._read()
            if stored.version != stale.version:
                return stored
        raise CanvasUnavailable(details="the refresh of another process does not end")

    def _renewed(self, stored: StoredToken) -> StoredToken:
        if stored.refresh_token is None:
            raise ReauthorizationRequired
        tokens = self.renew(stored.refresh_token)
        version = self.rpc("svc_put_integration_token", {**self._sealed(tokens), "p_expected_version": stored.version})
        if version is None:  # the person connected again meanwhile, and those tokens win
            return self._read()
        refresh_token = tokens.refresh_token or stored.refresh_token
        return StoredToken(tokens.access_token, refresh_token, tokens.expires_at, int(version))

    def _sealed(self, tokens: oauth.Tokens) -> dict[str, Any]:
        return {"p_integration_id": self.integration_id, **seal(self.crypto, self.integration_id, tokens)}

    def _read(self) -> StoredToken:
        rows = self.rpc("svc_get_integration_token", {"p_integration_id": self.integration_id})
        if not rows:
            raise ReauthorizationRequired
        row = rows[0]
        expires_at = row["expires_at"]
        try:
            access_token, refresh_token = opened(self.crypto, self.integration_id, row)
        except DecryptionFailed as error:
            # no key opens them any more: only the person can give new ones
            log.warning("tokens_unreadable", integration_id=self.integration_id)
            raise ReauthorizationRequired from error
        return StoredToken(
            access_token=access_token,
            refresh_token=refresh_token,
            expires_at=datetime.fromisoformat(expires_at) if expires_at else None,
            version=int(row["version"]),
        )


def opened(crypto: Envelope, integration_id: str, row: Mapping[str, Any]) -> tuple[str, str | None]:
    """The access token and the refresh token of a row of the database.

    :raise DecryptionFailed: no listed key opens them
    """
    access_enc, refresh_enc = row["access_token_enc"], row["refresh_token_enc"]
    access_token = crypto.decrypt(access_enc, row_id=integration_id, field=ACCESS_FIELD)
    if not refresh_enc:
        return access_token, None
    return access_token, crypto.decrypt(refresh_enc, row_id=integration_id, field=REFRESH_FIELD)


def seal(crypto: Envelope, integration_id: str, tokens: oauth.Tokens) -> dict[str, Any]:
    """Tokens as the database stores them: encrypted, bound to the integration's id."""
    refresh = tokens.refresh_token
    return {
        "p_access_token_enc": crypto.encrypt(tokens.access_token, row_id=integration_id, field=ACCESS_FIELD),
        "p_refresh_token_enc": crypto.encrypt(refresh, row_id=integration_id, field=REFRESH_FIELD) if refresh else None,
        "p_expires_at": tokens.expires_at.isoformat() if tokens.expires_at else None,
    }
