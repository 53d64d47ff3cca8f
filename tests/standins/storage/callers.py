"""Who asks, and the tokens inside signed URLs."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

import jwt
from aiohttp import web

from tests.standins.storage.errors import Refused, denied, invalid

SIGNED_WITH = "HS256"


@dataclass(frozen=True)
class Caller:
    """In whose name the database is asked; ``claims`` and ``headers`` are JSON texts for policies to read."""

    role: str
    sub: str | None
    claims: str
    method: str
    path: str
    headers: str


class Callers:
    """Verifies callers' tokens with the project's public keys."""

    def __init__(self, jwks: str) -> None:
        self._keys = jwt.PyJWKSet.from_json(jwks).keys

    def of(self, request: web.Request) -> Caller:
        """The caller of a request.

        :raise Refused: there is no token, or it is none of the project's, altered or expired
        """
        sent = request.headers.get("Authorization")
        if sent is None:
            raise invalid("headers must have required property 'authorization'")
        scheme, _, token = sent.strip().partition(" ")
        return self._caller(request, self._claims(token.strip() if scheme.lower() == "bearer" else sent))

    def service(self, request: web.Request) -> Caller:
        """Storage itself, for what rights have been checked before."""
        return self._caller(request, {"role": "service_role"})

    def _claims(self, token: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
            key = next((key for key in self._keys if key.key_id == header.get("kid")), self._keys[0])
            found: dict[str, Any] = jwt.decode(token, key, algorithms=["ES256"], options={"verify_aud": False})
        except jwt.ExpiredSignatureError:
            raise denied('"exp" claim timestamp check failed') from None
        except jwt.InvalidSignatureError:
            raise denied("signature verification failed") from None
        except jwt.InvalidTokenError:
            raise denied("Invalid Compact JWS") from None
        return found

    @staticmethod
    def _caller(request: web.Request, claims: dict[str, Any]) -> Caller:
        role, sub = claims.get("role") or "anon", claims.get("sub")
        headers = json.dumps({name.lower(): value for name, value in request.headers.items()})
        return Caller(str(role), sub, json.dumps(claims), request.method, request.raw_path, headers)


def sign(secret: str, seconds: int, **claims: Any) -> str:
    """A token for a URL; ``claims`` are url (bucket/name), scope, and for uploads upsert and owner."""
    now = int(time.time())
    known = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode({**known, "iat": now, "exp": now + seconds}, secret, algorithm=SIGNED_WITH)


def opened(secret: str, request: web.Request, scope: str, url: str) -> dict[str, Any]:
    """The claims of the token in a signed URL.

    :raise Refused: there is none, it is not ours, altered or expired, or meant for another path or use
    """
    token = request.query.get("token")
    if token is None:
        raise invalid("querystring must have required property 'token'")
    try:
        claims: dict[str, Any] = jwt.decode(token, secret, algorithms=[SIGNED_WITH], options={"require": ["exp"]})
    except jwt.InvalidTokenError as error:
        raise Refused(400, "InvalidJWT", "InvalidJWT", str(error)) from None
    if claims.get("url") != url:
        raise Refused(400, "InvalidSignature", "InvalidSignature", "Invalid signature")
    if claims.get("scope") != scope:
        raise Refused(400, "InvalidSignature", "InvalidSignature", f"Token is not scoped for {scope}")
    return claims
