"""Who sent the current request, and whether they may call its route."""

from __future__ import annotations

import hmac

from flask import g, request

from functions.shared.database import run
from functions.shared.errors import AnonymousForbidden, Forbidden, Unauthorized
from functions.shared.tokens import Caller, TokenVerifier
from functions.shared.web.context import context
from functions.shared.web.operations import Access


def bearer_token() -> str | None:
    """The token of the Authorization header, when its scheme is Bearer."""
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    return credentials.strip() or None if scheme.lower() == "bearer" else None


def current_caller() -> Caller:
    """The person who sent the current request.

    :raise Unauthorized: there is no token, or it is not valid
    :raise AnonymousForbidden: the person signed in anonymously and has no account
    :raise Unavailable: the signing keys cannot be fetched
    """
    caller: Caller | None = g.get("caller")
    if caller is None:
        token = bearer_token()
        if token is None:
            raise Unauthorized
        caller = g.caller = context().verifier.person(token)
    if caller.is_anonymous:
        raise AnonymousForbidden
    return caller


def admit(access: Access) -> None:
    """Refuses callers who may not use a route, before anything else of the request is read.

    :raise Unauthorized: there are no credentials, or they are not valid
    :raise AnonymousForbidden: the person signed in anonymously
    :raise Forbidden: the route is for administrators, and the person is none
    :raise Unavailable: the signing keys cannot be fetched, or the database does not answer
    """
    match access:
        case Access.PUBLIC:
            pass
        case Access.PERSON:
            current_caller()
        case Access.ADMINISTRATION:
            _require_administration()


def _require_administration() -> None:
    """Accepts administrators and the secret API key. The gateway may have replaced the key by a service token.

    A token in Authorization wins over the API key beside it, as everywhere on the platform. A token keeps its role for
    as long as it is valid, so the database is asked whether the person is an administrator now.
    """
    settings, verifier = context().settings, context().verifier
    api_key = request.headers.get("apikey", "")
    token = bearer_token()
    shown = token if token and token != api_key else api_key
    if not shown:
        raise Unauthorized
    if _is_same(shown, settings.supabase_secret_key):
        return
    if token is None or _is_same(shown, settings.supabase_publishable_key):
        # the publishable key identifies nobody
        raise Unauthorized
    if not _is_administrator(verifier, token):
        raise Forbidden


def _is_administrator(verifier: TokenVerifier, token: str) -> bool:
    try:
        caller = current_caller()
    except Unauthorized:
        # a service token names no person
        if not verifier.is_service(token):
            raise
        return True
    if caller.role != "app_admin":
        return False
    profiles = context().database.user(caller.token).from_("profiles")
    return bool(run(profiles.select("role").eq("user_id", caller.user_id)) == [{"role": "admin"}])


def _is_same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
