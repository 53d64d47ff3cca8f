"""What every route needs: who calls, with which rights, from where, and where he may be sent afterwards."""

from __future__ import annotations

import ipaddress
import re
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import Request, current_app, request

from tests.standins.auth.config import Config
from tests.standins.auth.errors import ApiError, internal, invalid
from tests.standins.auth.formats import ADDRESS, PHONE, valid_redirect
from tests.standins.auth.store import Database, Session, Tx, User, find_by_id, find_session

if TYPE_CHECKING:
    from tests.standins.auth.tokens import Tokens

BEARER = re.compile(r"[Bb]earer (\S+)")
KEY = "auth"


@dataclass(frozen=True)
class Server:
    """The parts of a running server."""

    config: Config
    database: Database
    tokens: Tokens


@dataclass(frozen=True)
class Caller:
    """A signed-in person; a token without a session id is possible, then ``session`` is None."""

    user: User
    session: Session | None
    claims: dict[str, Any]


def server() -> Server:
    """The parts of the server that handles this request."""
    found: Server = current_app.extensions[KEY]
    return found


def client_address(incoming: Request) -> str:
    """The caller's address, as the nearest proxy reports it."""
    for part in incoming.headers.get("X-Forwarded-For", "").split(","):
        try:
            return str(ipaddress.ip_address(part.strip()))
        except ValueError:
            continue
    return incoming.remote_addr or ""


def claims_of_request() -> dict[str, Any]:
    """The claims of the bearer token.

    :raise ApiError: 401 ``no_authorization`` without one, 403 ``bad_jwt`` with a bad one
    """
    found = BEARER.fullmatch(request.headers.get("Authorization", ""))
    if found is None:
        raise ApiError(401, "no_authorization", "This endpoint requires a valid Bearer token")
    return server().tokens.check(found[1])


def caller(tx: Tx) -> Caller:
    """The signed-in person of this request.

    :raise ApiError: the token is missing or bad, or its person or session is gone
    """
    claims = claims_of_request()
    subject = claims.get("sub")
    if not subject:
        raise ApiError(403, "bad_jwt", "invalid claim: missing sub claim")
    try:
        user_id = uuid.UUID(str(subject))
    except ValueError:
        raise ApiError(400, "bad_jwt", "invalid claim: sub claim must be a UUID") from None
    user = find_by_id(tx, user_id)
    if user is None:
        raise ApiError(403, "user_not_found", "User from sub claim in JWT does not exist")
    session = None
    if claims.get("session_id"):
        try:
            session_id = uuid.UUID(str(claims["session_id"]))
        except ValueError:
            raise ApiError(403, "bad_jwt", "invalid claim: session_id claim must be a UUID") from None
        session = find_session(tx, session_id) if session_id.int else None
        if session is None and session_id.int:
            message = "Session from session_id claim in JWT does not exist"
            raise ApiError(403, "session_not_found", message)
    return Caller(user, session, claims)


def administrator() -> User:
    """The role that administers, as an actor for the log.

    :raise ApiError: 403 ``not_admin`` when the token's role may not administer
    """
    claims = claims_of_request()
    role = claims.get("role")
    if role not in server().config.jwt_admin_roles:
        raise ApiError(403, "not_admin", "User not allowed")
    return User(id=uuid.UUID(int=0), aud="", role=role, email=role)


def audience(claims: dict[str, Any] | None = None) -> str:
    """The audience this request is about: a header's, the token's, or the usual one."""
    config = server().config
    named = request.headers.get("X-JWT-AUD")
    if named:
        return named
    if claims is not None and claims.get("role") not in config.jwt_admin_roles:
        return first_audience(claims) or config.jwt_aud
    return config.jwt_aud


def first_audience(claims: dict[str, Any]) -> str:
    """The first audience of a token; empty without one."""
    value = claims.get("aud")
    if isinstance(value, list):
        value = value[0] if value else ""
    return str(value or "")


def checked_address(address: str) -> str:
    """An e-mail address in lower case.

    :raise ApiError: 400 ``validation_failed``
    """
    if not address:
        raise invalid("An email address is required")
    if len(address.encode()) > 255:
        raise invalid("An email address is too long")
    if not ADDRESS.fullmatch(address):
        raise invalid("Unable to validate email address: invalid format")
    return address.lower()


def checked_phone(phone: str) -> str:
    """A phone number as digits alone.

    :raise ApiError: 400 ``validation_failed``
    """
    digits = bare_phone(phone)
    if not PHONE.fullmatch(digits):
        raise invalid("Invalid phone number format (E.164 required)")
    return digits


def bare_phone(phone: str) -> str:
    """A phone number without blanks and leading plus."""
    return phone.replace(" ", "").removeprefix("+")


def no_sms() -> ApiError:
    """What a phone code meets: there is no provider for text messages here."""
    return internal("Unable to get SMS provider")


def allowed_redirect(url: str) -> bool:
    """Whether a person may be sent to ``url``."""
    config = server().config
    return valid_redirect(url, config.site_url, config.redirect_allow_list)


def redirect_target() -> str:
    """Where this request wants its person to end up; the site itself when that is not allowed."""
    wanted = request.headers.get("redirect_to") or request.args.get("redirect_to", "")
    for url in (wanted, request.headers.get("Referer", "")):
        if allowed_redirect(url):
            return url
    return server().config.site_url
