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
    """The credentials of the request's Authorization header, when its scheme is Bearer."""
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    return credentials.strip() or None if scheme.lower() == "bearer" else None


def current_caller() -> Caller:
    """The person who sent the current request.

    :raise Unauthorized: no token, or not a good one
    :raise AnonymousForbidden: an anonymous sign-in, which is no account
    :raise Unavailable: the signing keys cannot be had
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
    """Refuses whoever may not call a route, before anything else of the request is read.

    :raise Unauthorized: no credentials, or bad ones
    :raise AnonymousForbidden: an anonymous sign-in
    :raise Forbidden: a person who is no administrator where one is needed
    :raise Unavailable: the signing keys or the database cannot be had
    """
    match access:
        case Access.PUBLIC:
            pass
        case Access.PERSON:
            current_caller()
        case Access.ADMINISTRATION:
            _require_administration()


def _require_administration() -> None:
    """Lets an administrator or the secret API key through, the key also as the service token it stands for.

    A token in Authorization wins over the API key beside it, as everywhere on the platform. A token names its role for
    as long as it lives, so the database is asked whether the person is an administrator now.
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
        # with the publishable key alone nobody has signed in
        raise Unauthorized
    if not _is_administrator(verifier, token):
        raise Forbidden


def _is_administrator(verifier: TokenVerifier, token: str) -> bool:
    try:
        caller = current_caller()
    except Unauthorized:
        # service_role tokens have no person in them
        if not verifier.is_service(token):
            raise
        return True
    if caller.role != "app_admin":
        return False
    profiles = context().database.user(caller.token).from_("profiles")
    return bool(run(profiles.select("role").eq("user_id", caller.user_id)) == [{"role": "admin"}])


def _is_same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
