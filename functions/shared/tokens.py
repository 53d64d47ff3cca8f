"""Who is calling: access tokens checked against the signing keys that Auth publishes, ES256 or RS256."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
import jwt

from functions.shared.clock import Clock
from functions.shared.errors import Unauthorized, Unavailable
from functions.shared.http import tls
from functions.shared.settings import Settings

log = logging.getLogger(__name__)

# by the kind of key, never by what a token says; hosted projects choose one of the two
ALGORITHMS = {"EC": "ES256", "RSA": "RS256"}
LEGACY_ALGORITHM = "HS256"
MIN_RSA_BITS = 2048
AUDIENCE = "authenticated"
# what private.custom_access_token makes of a person
PERSON_ROLES = ("authenticated", "app_admin")
# PostgREST allows the same, so that no token is good for REST and dead for functions, or the other way round
LEEWAY_SECONDS = 30
MAX_TOKEN_CHARACTERS = 8192
JWKS_FRESH_SECONDS = 600
# an unknown kid asks anew at once, but not again for this long: forged kids must not become a flood
JWKS_COOL_DOWN_SECONDS = 60
JWKS_RETRY_SECONDS = 2
JWKS_TIMEOUT = httpx.Timeout(3.0, connect=1.5)
MAX_JWKS_BYTES = 256 * 1024


@dataclass(frozen=True)
class Caller:
    """The person (or, for administration, the service) behind a verified token."""

    user_id: str
    role: str
    user_role: str | None
    token: str = field(repr=False)
    is_anonymous: bool
    claims: Mapping[str, Any] = field(repr=False)


class SigningKeys:
    """The public keys behind the JWKS address, cached for the process."""

    def __init__(self, url: str, clock: Clock) -> None:
        self._url = url
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at: float | None = None
        self._failed_at: float | None = None
        self._cooling_since: float | None = None

    def get(self, kid: str) -> jwt.PyJWK:
        """The key named ``kid``.

        :raise Unauthorized: nobody published such a key
        :raise Unavailable: the keys cannot be had at the moment
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
        """Fetches the keys; when that fails, the known ones stay in use."""
        if self._within(self._failed_at, now, JWKS_RETRY_SECONDS):
            return
        try:
            self._keys = fetch_keys(self._url)
        except (httpx.HTTPError, ValueError, RecursionError) as error:
            log.warning("the signing keys could not be fetched: %s", type(error).__name__)
            self._failed_at = self._clock.monotonic()
            # a failed question about an unknown kid is no answer: ask again after the short pause
            self._cooling_since = None
        else:
            self._fetched_at, self._failed_at = self._clock.monotonic(), None


def fetch_keys(url: str) -> dict[str, jwt.PyJWK]:
    """The usable signing keys that an address lists, by kid.

    :raise httpx.HTTPError: no good answer
    :raise ValueError: not a JWKS, or too large
    :raise RecursionError: nested too deeply
    """
    response = httpx.get(url, timeout=JWKS_TIMEOUT, trust_env=False, verify=tls())
    response.raise_for_status()
    if len(response.content) > MAX_JWKS_BYTES:
        raise ValueError("too large")
    return _usable_keys(response.json())


def problem_at_start(settings: Settings) -> str | None:
    """Why no access token of this project can ever be checked, in a sentence; None when there is no reason, or when
    the keys cannot be had at the moment, which callers are told by 503."""
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


def _usable_keys(document: Any) -> dict[str, jwt.PyJWK]:
    """The ES256 and RS256 signing keys of a JWKS, by kid; keys of other kinds are left out.

    :raise ValueError: not a JWKS
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
            log.warning("the JWKS holds a key that cannot be read")
            continue
        if key.key_type == "RSA" and key.key.key_size < MIN_RSA_BITS:
            log.warning("the JWKS holds an RSA key of fewer than %s bits", MIN_RSA_BITS)
            continue
        keys[jwk["kid"]] = key
    return keys


class TokenVerifier:
    """Checks access tokens of one project."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._issuer = settings.jwt_issuer
        self.keys = SigningKeys(settings.supabase_jwks_url, clock)

    def person(self, token: str) -> Caller:
        """The person a token was issued to.

        :raise Unauthorized: forged, expired, or issued by or for somebody else
        :raise Unavailable: the signing keys cannot be had
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
        """Whether a token carries the role service_role; the gateway mints these, with an issuer of its own.

        :raise Unauthorized: forged or expired
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
