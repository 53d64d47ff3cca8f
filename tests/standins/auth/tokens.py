"""Access tokens and sessions: signing, checking, opening and refreshing, and the hook that may change claims."""

from __future__ import annotations

import json
import re
import time
import uuid
from datetime import timedelta
from functools import cache
from typing import Any

import jwt
import psycopg
from flask import request
from psycopg import sql

from tests.standins.auth import store
from tests.standins.auth.config import config
from tests.standins.auth.store import Row, Tx, now
from tests.standins.auth.web import ApiError, invalid

BEARER = re.compile(r"[Bb]earer (\S+)")
ALGORITHM = "ES256"
HOOK_TIMEOUT_MS = 2000
UNCHECKED: Any = {f"verify_{name}": False for name in ("aud", "iat", "sub", "jti")}
REQUIRED_CLAIMS = ["aud", "exp", "iat", "sub", "email", "phone", "role", "aal", "session_id", "is_anonymous"]
PROOFS = (
    "select authentication_method as method, floor(extract(epoch from updated_at))::bigint as timestamp"
    " from auth.mfa_amr_claims where session_id = %s order by updated_at desc"
)


@cache
def key() -> jwt.PyJWK:
    """The key that signs and checks."""
    return jwt.PyJWK({name: value for name, value in config().signing_key.items() if name != "key_ops"}, ALGORITHM)


def claims() -> Row:
    """The claims of this request's token, which our key signed and which is in force.

    :raise ApiError: 401 ``no_authorization`` without a token, 403 ``bad_jwt`` with a bad one
    """
    found = BEARER.fullmatch(request.headers.get("Authorization", ""))
    if found is None:
        raise ApiError(401, "no_authorization", "This endpoint requires a valid Bearer token")
    try:
        if jwt.get_unverified_header(found[1]).get("kid") != key().key_id:
            raise jwt.InvalidTokenError("unrecognized JWT kid")
        read: Row = jwt.decode(found[1], key().key.public_key(), [ALGORITHM], UNCHECKED)
    except (jwt.PyJWTError, ValueError) as error:
        raise ApiError(403, "bad_jwt", f"invalid JWT: unable to parse or verify signature, {error}") from None
    return read


def caller(tx: Tx) -> Row:
    """The signed-in person of this request, with the session's id as ``session_id``.

    :raise ApiError: the token is missing or bad, its person is banned, or its person or session is gone
    """
    subject, session = claims().get("sub"), claims().get("session_id")
    if not subject:
        raise ApiError(403, "bad_jwt", "invalid claim: missing sub claim")
    try:
        user_id, session_id = uuid.UUID(str(subject)), uuid.UUID(str(session or store.NIL))
    except ValueError:
        raise ApiError(400, "bad_jwt", "invalid claim: sub claim must be a UUID") from None
    user = store.find_by_id(tx, user_id)
    if user is None:
        raise ApiError(403, "user_not_found", "User from sub claim in JWT does not exist")
    if is_banned(user):
        raise ApiError(403, "user_banned", "User is banned")
    if session and not tx.execute("select 1 from auth.sessions where id = %s", (session_id,)).fetchone():
        raise ApiError(403, "session_not_found", "Session from session_id claim in JWT does not exist")
    return {**user, "session_id": session_id}


def issue(tx: Tx, user: Row, method: str) -> Row:
    """Opens a session proven by ``method`` and answers its tokens."""
    session_id, refresh_token = store.open_session(tx, user, method)
    return _answer(tx, user, session_id, refresh_token, method)


def refresh(tx: Tx, token: str | None) -> Row:
    """Swaps a refresh token for the next one of its session.

    :raise ApiError: the token is unknown or used, or its person is banned
    """
    if not token:
        raise invalid("Refresh token is not valid")
    row = store.find_refresh_token(tx, token)
    user = store.find_by_id(tx, row["user_id"]) if row else None
    if row is None or user is None:
        raise ApiError(400, "refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found")
    if is_banned(user):
        raise ApiError(400, "user_banned", "Invalid Refresh Token: User Banned")
    return _answer(tx, user, row["session_id"], _following(tx, user, row), "token_refresh")


def _following(tx: Tx, user: Row, row: Row) -> str:
    """The token that follows. When a used token comes back too late, its whole family is revoked."""
    session = (row["session_id"],)
    if row["revoked"]:
        newest = "select token, parent from auth.refresh_tokens where session_id = %s and not revoked order by id desc"
        active = tx.execute(newest, session).fetchone()
        if active is not None and active["parent"] == row["token"]:
            return str(active["token"])  # the client never saw the answer to its last refresh
        if now() > row["updated_at"] + timedelta(seconds=config().reuse_interval):
            tx.execute("update auth.refresh_tokens set revoked = true where session_id = %s", session)
            tx.commit()  # the refusal does not undo it
            raise ApiError(400, "refresh_token_already_used", "Invalid Refresh Token: Already Used")
    tx.execute("update auth.refresh_tokens set revoked = true, updated_at = now() where id = %s", (row["id"],))
    tx.execute("update auth.sessions set refreshed_at = now() where id = %s", session)
    return store.add_refresh_token(tx, user, row["session_id"], row["token"])


def is_banned(user: Row) -> bool:
    """Whether a ban is in force."""
    return user["banned_until"] is not None and now() < user["banned_until"]


def _answer(tx: Tx, user: Row, session_id: uuid.UUID, refresh_token: str, method: str) -> Row:
    issued_at = int(time.time())
    expires_at = issued_at + config().jwt_exp
    person = store.person_json(user)
    names = ("aud", "email", "phone", "role", "app_metadata", "user_metadata", "is_anonymous")
    said = {"iss": config().jwt_issuer, "sub": person["id"], "exp": expires_at, "iat": issued_at}
    said |= {name: person[name] for name in names} | {"session_id": str(session_id)}
    said |= {"aal": "aal1", "amr": tx.execute(PROOFS, (session_id,)).fetchall()}
    if config().hook_function:
        said = _hooked(tx, said, method)
    return {
        "access_token": jwt.encode(said, key().key, ALGORITHM, {"kid": key().key_id}),
        "token_type": "bearer",
        "expires_in": config().jwt_exp,
        "expires_at": expires_at,
        "refresh_token": refresh_token,
        "user": person,
    }


def _hooked(tx: Tx, said: Row, method: str) -> Row:
    """The claims as the database's function leaves them. It runs in this transaction: a failure undoes the session.

    :raise ApiError: the hook refused (its own status), broke, took over two seconds or dropped a claim (500)
    """
    event = {"user_id": said["sub"], "claims": said, "authentication_method": method}
    function = sql.SQL(".").join(map(sql.Identifier, config().hook_function))
    try:
        tx.execute(sql.SQL("set local statement_timeout to {}").format(HOOK_TIMEOUT_MS))
        row = tx.execute(sql.SQL("select {}(%s) as output").format(function), (json.dumps(event),)).fetchone()
        tx.execute("set local statement_timeout to default")
    except psycopg.Error as error:
        raise ApiError(500, "unexpected_failure", f"Error running hook URI: {config().hook_uri}") from error
    output: Any = (row or {}).get("output") or {}
    refusal, changed = output.get("error") or {}, output.get("claims")
    if refusal.get("message"):
        raise ApiError(int(refusal.get("http_code") or 500), "", str(refusal["message"]))
    wrong = [f"(root): {name} is required" for name in REQUIRED_CLAIMS if name not in (changed or REQUIRED_CLAIMS)]
    if changed is None:
        wrong = ["(root): Invalid type. Expected: object, given: null"]
    if wrong:
        lines = "".join(f"- {line}\n" for line in wrong)
        raise ApiError(500, "", f"output claims do not conform to the expected schema: \n{lines}")
    return {**changed}
