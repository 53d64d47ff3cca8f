"""Who sent the current request, and whether they may administer."""

from __future__ import annotations

import hmac

from flask import g, request

from functions.shared.database import run
from functions.shared.errors import AnonymousForbidden, Forbidden, Unauthorized
from functions.shared.tokens import Caller, TokenVerifier
from functions.shared.web.context import context


def bearer_token() -> str | None:
    """The credentials of the request's Authorization header, when its scheme is Bearer."""
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    return credentials.strip() or None if scheme.lower() == "bearer" else None


def current_caller(*, allow_anonymous: bool = False) -> Caller:
    """The person who sent the current request.

    :raise Unauthorized: no token, or not a good one
    :raise AnonymousForbidden: an anonymous sign-in where a person is needed
    :raise Unavailable: the signing keys cannot be had
    """
    caller: Caller | None = g.get("caller")
    if caller is None:
        token = bearer_token()
        if token is None:
            raise Unauthorized()
        caller = g.caller = context().verifier.person(token)
    if caller.is_anonymous and not allow_anonymous:
        raise AnonymousForbidden()
    return caller


def identify() -> None:
    """Refuses requests without good credentials before anything of them is read; routes then decide who may do what.

    :raise Unauthorized: no token, or not a good one, and no secret API key either
    :raise Unavailable: the signing keys cannot be had
    """
    settings, verifier = context().settings, context().verifier
    token = bearer_token() or request.headers.get("apikey", "")
    if _same(token, settings.supabase_secret_key):
        return
    if bearer_token() is None:
        # the publishable key alone names nobody
        raise Unauthorized()
    try:
        current_caller(allow_anonymous=True)
    except Unauthorized:
        if not verifier.is_service(token):
            raise


def require_administration() -> None:
    """Lets an administrator or the secret API key through, the key also as the service token it stands for.

    A token in Authorization wins over the API key beside it, as everywhere on the platform. A token names its role for
    as long as it lives, so the database is asked whether the person is an administrator now.

    :raise Unauthorized: no credentials, or bad ones
    :raise Forbidden: a person who is no administrator, or not any more
    :raise Unavailable: the signing keys or the database cannot be had
    """
    settings, verifier = context().settings, context().verifier
    api_key = request.headers.get("apikey", "")
    token = bearer_token()
    shown = token if token and token != api_key else api_key
    if not shown:
        raise Unauthorized()
    if _same(shown, settings.supabase_secret_key):
        return
    if token is None or _same(shown, settings.supabase_publishable_key):
        # with the publishable key alone nobody has signed in
        raise Unauthorized()
    if not _is_admin(verifier, token):
        raise Forbidden()


def _is_admin(verifier: TokenVerifier, token: str) -> bool:
    try:
        caller = current_caller(allow_anonymous=True)
    except Unauthorized:
        # service_role tokens have no person in them
        if not verifier.is_service(token):
            raise
        return True
    if caller.role != "app_admin":
        return False
    profiles = context().database.user(caller.token).from_("profiles")
    return bool(run(profiles.select("role").eq("user_id", caller.user_id)) == [{"role": "admin"}])


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
