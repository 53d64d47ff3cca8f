"""Access tokens and sessions: signing, checking, opening and refreshing."""

from __future__ import annotations

import re
import time
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import jwt
import psycopg
from flask import request

from tests.standins.auth import audit, hook
from tests.standins.auth.config import Config
from tests.standins.auth.errors import ApiError, invalid
from tests.standins.auth.formats import now
from tests.standins.auth.store import (
    Session,
    Tx,
    User,
    active_refresh_token,
    add_refresh_token,
    find_by_id,
    find_refresh_token,
    find_session,
    open_session,
)
from tests.standins.auth.web import client_address

SECOND_FACTORS = {"totp", "mfa/phone", "mfa/webauthn"}
REFRESH_TOKEN = re.compile("[a-z0-9]{12}")
LOCK_TIMEOUT_MS = 5000


@dataclass(frozen=True)
class _Key:
    kid: str | None
    algorithm: str
    key: Any
    signs: bool


class Tokens:
    """Signs and checks access tokens with the configured keys, or with the shared secret where there are none."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._keys = [_read_key(document) for document in config.jwt_keys]
        if not self._keys:
            self._keys = [_Key(None, "HS256", config.jwt_secret, True)]
        self._signing = next(key for key in self._keys if key.signs)

    def jwks(self) -> list[dict[str, Any]]:
        """The public halves of the asymmetric keys."""
        public = ("alg", "crv", "e", "kid", "kty", "n", "use", "x", "y")
        return [
            {name: document[name] for name in public if name in document} | {"key_ops": ["verify"]}
            for document in self._config.jwt_keys
            if document.get("kty") != "oct"
        ]

    def check(self, token: str) -> dict[str, Any]:
        """The claims of a token that one of our keys signed and that is in force.

        :raise ApiError: 403 ``bad_jwt``
        """
        try:
            header = jwt.get_unverified_header(token)
            key = self._key_for(header)
            return jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm],
                options={"verify_aud": False, "verify_iat": False, "verify_sub": False, "verify_jti": False},
            )
        except jwt.ExpiredSignatureError:
            raise _bad_jwt("token has invalid claims: token is expired") from None
        except jwt.ImmatureSignatureError:
            raise _bad_jwt("token has invalid claims: token is not valid yet") from None
        except jwt.InvalidSignatureError:
            raise _bad_jwt(f"token signature is invalid: {self._signing.algorithm} verification failed") from None
        except jwt.DecodeError:
            if token.count(".") != 2:
                raise _bad_jwt("token is malformed: token contains an invalid number of segments") from None
            raise _bad_jwt("token is malformed: could not decode") from None
        except (jwt.PyJWTError, ValueError) as error:
            raise _bad_jwt(f"token is unverifiable: {error}") from None

    def _key_for(self, header: dict[str, Any]) -> _Key:
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in {key.algorithm for key in self._keys}:
            raise _bad_jwt(f"token signature is invalid: signing method {algorithm} is invalid")
        for key in self._keys:
            if key.algorithm == algorithm and (key.kid == kid or algorithm == "HS256"):
                return key
        raise _bad_jwt(f"token is unverifiable: unrecognized JWT kid {kid} for algorithm {algorithm}")

    def sign(self, claims: dict[str, Any]) -> str:
        """A signed token. A single audience is written as a string."""
        headers = {"kid": self._signing.kid} if self._signing.kid else None
        return jwt.encode(claims, self._signing.key, self._signing.algorithm, headers)

    def issue(self, tx: Tx, user: User, method: str) -> dict[str, Any]:
        """Opens a session proven by ``method`` and answers its tokens."""
        user.last_sign_in_at = now()
        session_id, refresh_token = open_session(
            tx, user, method, request.headers.get("User-Agent", ""), client_address(request)
        )
        return self._answer(tx, user, session_id, refresh_token, method)

    def refresh(self, tx: Tx, token: str) -> dict[str, Any] | ApiError:
        """Swaps a refresh token for the next one of its session.

        A refusal that must keep what it wrote (the revoked family) is returned; all others are raised.
        """
        if not REFRESH_TOKEN.fullmatch(token):
            raise invalid("Refresh token is not valid")
        user, session, issued = self._next_token(tx, token)
        if issued is None:
            return ApiError(400, "refresh_token_already_used", "Invalid Refresh Token: Already Used")
        body = self._answer(tx, user, session.id, issued, "token_refresh")
        tx.execute(
            "update auth.sessions set refreshed_at = %s, user_agent = %s, ip = %s, updated_at = %s where id = %s",
            (
                now().replace(tzinfo=None),
                request.headers.get("User-Agent") or None,
                client_address(request) or None,
                now(),
                session.id,
            ),
        )
        return body

    def _next_token(self, tx: Tx, token: str) -> tuple[User, Session, str | None]:
        """The token to answer with; None when a used token came back and its whole family was revoked."""
        tx.execute(f"set local lock_timeout to {LOCK_TIMEOUT_MS}".encode())
        try:
            row = find_refresh_token(tx, token)
        except psycopg.errors.LockNotAvailable as error:
            message = "Too many concurrent token refresh requests on the same session or refresh token"
            raise ApiError(409, "conflict", message, error) from error
        user = find_by_id(tx, uuid.UUID(row.user_id)) if row else None
        if row is None or user is None:
            raise ApiError(400, "refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found")
        if user.banned:
            raise ApiError(400, "user_banned", "Invalid Refresh Token: User Banned")
        session = find_session(tx, row.session_id) if row.session_id else None
        if session is None:
            raise ApiError(400, "session_not_found", "Invalid Refresh Token: No Valid Session Found")
        self._check_age(session, session.last_refreshed(row.updated_at))

        issued = None
        if row.revoked:
            active = active_refresh_token(tx, session.id)
            if active is not None and active.parent == row.token:
                issued = active.token  # the client never saw the answer to its last refresh
            elif now() > row.updated_at + timedelta(seconds=self._config.reuse_interval):
                if self._config.rotation_enabled:
                    statement = "update auth.refresh_tokens set revoked = true where session_id = %s and not revoked"
                    tx.execute(statement, (session.id,))
                return user, session, None
        audit.record(tx, user, "token_refreshed")
        if issued is None:
            audit.record(tx, user, "token_revoked")
            tx.execute("update auth.refresh_tokens set revoked = true, updated_at = %s where id = %s", (now(), row.id))
            issued = add_refresh_token(tx, user.id, session.id, row.token)
        return user, session, issued

    def _check_age(self, session: Session, last_refreshed: Any) -> None:
        moment = now()
        timebox, inactivity = self._config.session_timebox, self._config.session_inactivity
        past_timebox = timebox and moment > session.created_at + timedelta(seconds=timebox)
        if past_timebox or (session.not_after is not None and moment > session.not_after):
            raise ApiError(400, "session_expired", "Invalid Refresh Token: Session Expired")
        if inactivity and moment > last_refreshed + timedelta(seconds=inactivity):
            raise ApiError(400, "session_expired", "Invalid Refresh Token: Session Expired (Inactivity)")

    def _answer(self, tx: Tx, user: User, session_id: uuid.UUID, refresh_token: str, method: str) -> dict[str, Any]:
        issued_at = int(time.time())
        expires_at = issued_at + self._config.jwt_exp
        session = find_session(tx, session_id)
        amr = session.amr if session else []
        claims: dict[str, Any] = {
            "iss": self._config.jwt_issuer,
            "sub": str(user.id),
            "aud": user.aud or "",
            "exp": expires_at,
            "iat": issued_at,
            "email": user.email or "",
            "phone": user.phone or "",
            "app_metadata": user.raw_app_meta_data,
            "user_metadata": user.raw_user_meta_data,
            "role": user.role or "",
            "aal": "aal2" if any(proof["method"] in SECOND_FACTORS for proof in amr) else "aal1",
            "amr": amr,
            "session_id": str(session_id),
            "is_anonymous": user.is_anonymous,
        }
        if self._config.hook_function:
            claims = hook.run(tx, self._config, user.id, claims, method, client_address(request))
        return {
            "access_token": self.sign(claims),
            "token_type": "bearer",
            "expires_in": self._config.jwt_exp,
            "expires_at": expires_at,
            "refresh_token": refresh_token,
            "user": user.json(),
        }


def _read_key(document: dict[str, Any]) -> _Key:
    algorithm = document.get("alg") or {"EC": "ES256", "RSA": "RS256", "oct": "HS256"}[document["kty"]]
    key = jwt.PyJWK({name: value for name, value in document.items() if name != "key_ops"}, algorithm).key
    return _Key(document.get("kid"), algorithm, key, "sign" in document.get("key_ops", []))


def _bad_jwt(reason: str) -> ApiError:
    return ApiError(403, "bad_jwt", f"invalid JWT: unable to parse or verify signature, {reason}")
