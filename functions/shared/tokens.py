"""Checks access tokens with the signing keys that Auth publishes, ES256 or RS256."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
import jwt
import structlog

from functions.shared.clock import Clock
from functions.shared.errors import Unauthorized, Unavailable
from functions.shared.http import tls
from functions.shared.settings import Settings

log = structlog.get_logger(__name__)

# The kind of key decides, never the token. Hosted projects use one of the two.
ALGORITHMS = {"EC": "ES256", "RSA": "RS256"}
LEGACY_ALGORITHM = "HS256"
MIN_RSA_BITS = 2048
AUDIENCE = "authenticated"
# the roles that private.custom_access_token gives to people
PERSON_ROLES = ("authenticated", "app_admin")
# PostgREST allows the same, so that REST and functions accept the same tokens
LEEWAY_SECONDS = 30
MAX_TOKEN_CHARACTERS = 8192
JWKS_FRESH_SECONDS = 600
# An unknown key id is looked up at once, and then not again for this long: forged ids must not flood Auth.
JWKS_COOL_DOWN_SECONDS = 60
JWKS_RETRY_SECONDS = 2
JWKS_TIMEOUT = httpx.Timeout(3.0, connect=1.5)
MAX_JWKS_BYTES = 256 * 1024


@dataclass(frozen=True)
class Caller:
    """The person behind a verified token."""

    user_id: str
    role: str
    user_role: str | None
    token: str = field(repr=False)
    is_anonymous: bool
    claims: Mapping[str, Any] = field(repr=False)


class SigningKeys:
    """The public keys at the JWKS address, cached for the process."""

    def __init__(self, url: str, clock: Clock) -> None:
        self._url = url
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at: float | None = None
        self._failed_at: float | None = None
        self._cooling_since: float | None = None

    def get(self, kid: str) -> jwt.PyJWK:
        """The key with the id ``kid``.

        :raise Unauthorized: Auth publishes no such key
        :raise Unavailable: the keys cannot be fetched at the moment
        """
        with self._lock:
            now = self._clock.monotonic()
            if self._fetched_at is None or now - self._fetched_at > JWKS_FRESH_SECONDS:
                self._refresh(now)
            elif kid not in self._keys and not self._within(self._cooling_since, now, JWKS_COOL_DOWN_SECONDS):
                self._cooling_since = now
                self._refresh(now)
            if kid in self._keys:
                return self._keys[kid]
            if self._fetched_at is None or self._failed_at is not None:
                raise Unavailable(retry_after=JWKS_RETRY_SECONDS)
            raise Unauthorized()

    @staticmethod
    def _within(since: float | None, now: float, seconds: float) -> bool:
        return since is not None and now - since < seconds

    def _refresh(self, now: float) -> None:
        """Fetches the keys. When that fails, the known ones stay in use."""
        if self._within(self._failed_at, now, JWKS_RETRY_SECONDS):
            return
        try:
            self._keys = fetch_keys(self._url)
        except (httpx.HTTPError, ValueError, RecursionError) as error:
            log.warning("signing_keys_unavailable", error=type(error).__name__)
            self._failed_at = self._clock.monotonic()
            # the unknown key may exist, so the next request asks again after the short pause
            self._cooling_since = None
        else:
            self._fetched_at, self._failed_at = self._clock.monotonic(), None


def fetch_keys(url: str) -> dict[str, jwt.PyJWK]:
    """The usable signing keys that an address lists, by key id.

    :raise httpx.HTTPError: there is no answer, or it is an error
    :raise ValueError: the answer is not a JWKS, or too large
    :raise RecursionError: the answer is nested too deeply
    """
    response = httpx.get(url, timeout=JWKS_TIMEOUT, trust_env=False, verify=tls())
    response.raise_for_status()
    if len(response.content) > MAX_JWKS_BYTES:
        raise ValueError("too large")
    return usable_keys(response.json())


def problem_at_start(settings: Settings) -> str | None:
    """Why no access token of this project can ever be checked.

    None when there is no such reason, and when the keys cannot be fetched at the moment; callers then get a 503.
    """
    try:
        keys = fetch_keys(settings.supabase_jwks_url)
    except (httpx.HTTPError, ValueError, RecursionError):
        return None
    if keys:
        return None
    return (
        f"{settings.supabase_jwks_url} lists no ES256 or RS256 key: the project still signs with its legacy secret "
        f"({LEGACY_ALGORITHM}), which functions never hold. Switch on JWT signing keys in the project's settings, "
        "rotate to the new key, then start again (see docs/deploy.md)"
    )


def usable_keys(document: Any) -> dict[str, jwt.PyJWK]:
    """The ES256 and RS256 signing keys of a JWKS, by key id. Keys of other kinds are left out.

    :raise ValueError: the document is not a JWKS
    """
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("not a JWKS")
    keys: dict[str, jwt.PyJWK] = {}
    for jwk in listed:
        if not isinstance(jwk, dict) or not isinstance(jwk.get("kid"), str) or not isinstance(jwk.get("kty"), str):
            continue
        algorithm = ALGORITHMS.get(jwk["kty"])
        if algorithm is None or jwk.get("crv", "P-256") != "P-256":
            continue
        if jwk.get("alg", algorithm) != algorithm or jwk.get("use", "sig") != "sig":
            continue
        try:
            key = jwt.PyJWK(jwk, algorithm=algorithm)
        except (jwt.PyJWTError, ValueError, TypeError):
            log.warning("signing_key_unreadable")
            continue
        if key.key_type == "RSA" and key.key.key_size < MIN_RSA_BITS:
            log.warning("signing_key_too_short", min_bits=MIN_RSA_BITS)
            continue
        keys[jwk["kid"]] = key
    return keys


class TokenVerifier:
    """Checks the access tokens of one project."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._issuer = settings.jwt_issuer
        self.keys = SigningKeys(settings.supabase_jwks_url, clock)

    def person(self, token: str) -> Caller:
        """The person to whom a token was issued.

        :raise Unauthorized: the token is forged or expired, or of another issuer or audience
        :raise Unavailable: the signing keys cannot be fetched
        """
        claims = self._claims(
            token,
            audience=AUDIENCE,
            issuer=self._issuer,
            options={"require": ["exp", "iat", "sub", "iss", "aud"]},
        )
        subject, role = claims["sub"], claims.get("role")
        if role not in PERSON_ROLES or not _is_uuid(subject):
            raise Unauthorized()
        user_role = claims.get("user_role")
        return Caller(
            user_id=str(UUID(subject)),
            role=str(role),
            user_role=user_role if isinstance(user_role, str) else None,
            token=token,
            is_anonymous=claims.get("is_anonymous") is True,
            claims=claims,
        )

    def is_service(self, token: str) -> bool:
        """Whether a token has the role service_role. The gateway issues these, with its own issuer.

        :raise Unauthorized: the token is forged or expired
        """
        claims = self._claims(token, options={"require": ["exp"], "verify_aud": False, "verify_iss": False})
        return claims.get("role") == "service_role"

    def _claims(self, token: str, **checks: Any) -> dict[str, Any]:
        if len(token) > MAX_TOKEN_CHARACTERS or not token.isascii():
            raise Unauthorized()
        try:
            header = jwt.get_unverified_header(token)
            kid = header.get("kid")
            if header.get("alg") not in ALGORITHMS.values() or not isinstance(kid, str):
                raise Unauthorized()
            key = self.keys.get(kid)
            algorithms = [key.algorithm_name]
            claims: dict[str, Any] = jwt.decode(token, key, algorithms=algorithms, leeway=LEEWAY_SECONDS, **checks)
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise Unauthorized() from error
        return claims


def _is_uuid(value: object) -> bool:
    try:
        return isinstance(value, str) and len(value) == 36 and bool(UUID(value))
    except ValueError:
        return False
