"""Consent, codes and tokens: /login/oauth2/*, as docs/canvas.md describes it."""

from __future__ import annotations

import base64
import binascii
import html
import secrets
import time
from urllib.parse import urlencode, urlsplit

from flask import Blueprint, current_app, jsonify, redirect, request
from flask.typing import ResponseReturnValue

from tests.standins.canvas.world import Code, Person, World

oauth = Blueprint("oauth", __name__)
CODE_LIFE_SECONDS = 600.0


def world() -> World:
    """The world of the running app."""
    found = current_app.config["WORLD"]
    assert isinstance(found, World)
    return found


@oauth.get("/login/oauth2/auth")
def authorize() -> ResponseReturnValue:
    """Consent. A wrong client or redirect never redirects; every other refusal goes back to the caller."""
    state = world()
    args = request.args
    if args.get("client_id") != state.client_id:
        return jsonify(error="invalid_client", error_description="unknown client"), 401
    redirect_uri = args.get("redirect_uri", "")
    host = urlsplit(redirect_uri).hostname
    if not host or (state.redirect_hosts is not None and host not in state.redirect_hosts):
        return jsonify(error="invalid_request", error_description="redirect_uri does not match client settings"), 400
    if args.get("response_type") != "code":
        return _back(redirect_uri, error="unsupported_response_type")
    if state.switches.enforce_scopes and not args.get("scope"):
        return _back(redirect_uri, error="invalid_scope", error_description="A requested scope is invalid")
    if state.switches.approve == "deny":
        return _back(redirect_uri, error=state.switches.oauth_error, error_description="The user said no")
    if state.switches.approve == "ask":
        return _consent_page(redirect_uri)
    login = state.switches.approve_as or args.get("unique_id")
    person = state.person_by_login(login) if login else next(iter(state.people.values()))
    if person is None:
        return _back(redirect_uri, error="access_denied", error_description="unknown login")
    return _approve(person, redirect_uri, args.get("scope", ""), args.get("state"))


@oauth.post("/login/oauth2/accept")
def accept() -> ResponseReturnValue:
    """The buttons of the consent page."""
    state = world()
    with state.lock:
        asked = state.pending.pop(request.form.get("ticket", ""), None)
    if asked is None:
        return jsonify(error="invalid_request"), 400
    person = state.person_by_login(request.form.get("login", ""))
    if person is None:
        return _back(asked["redirect_uri"], state=asked["state"], error="access_denied")
    return _approve(person, asked["redirect_uri"], asked["scope"], asked["state"])


@oauth.post("/login/oauth2/token")
def token() -> ResponseReturnValue:
    """Code exchange and refresh. A refresh answers without a refresh token and kills the old access token."""
    state = world()
    form = request.form
    client_id, client_secret = _client()
    if client_id != state.client_id:
        answer = jsonify(error="invalid_client", error_description="unknown client")
        answer.headers["WWW-Authenticate"] = "Canvas OAuth 2.0"
        return answer, 401
    if client_secret != state.client_secret:
        return jsonify(error="invalid_client", error_description="invalid client"), 401
    with state.lock:
        if form.get("grant_type") == "authorization_code":
            code = state.codes.pop(form.get("code", ""), None)
            if code is None or code.expires_at < time.time():
                return jsonify(error="invalid_grant", error_description="authorization_code not found"), 400
            if form.get("redirect_uri") != code.redirect_uri:
                return jsonify(error="invalid_request", error_description="redirect_uri does not match"), 400
            if form.get("replace_tokens") == "1":
                state.revoke_grants(code.person_id)
            grant = state.new_grant(code.person_id, code.scopes)
            refresh_token: str | None = grant.refresh_token
        elif form.get("grant_type") == "refresh_token":
            wanted = form.get("refresh_token", "")
            found = next((g for g in state.grants if g.refresh_token == wanted and not g.revoked), None)
            if found is None:
                return jsonify(error="invalid_grant", error_description="refresh_token not found"), 400
            state.refresh(found)
            grant, refresh_token = found, None
        else:
            return jsonify(error="unsupported_grant_type"), 400
        person = state.people[grant.person_id]
        answer_body: dict[str, object] = {
            "access_token": grant.access_token,
            "token_type": "Bearer",
            "user": {"id": person.id, "name": person.name, "global_id": f"1{person.id:013d}", "effective_locale": "en"},
        }
        if refresh_token:
            answer_body["refresh_token"] = refresh_token
        if not state.switches.expires_in_absent:
            answer_body["expires_in"] = int(state.switches.token_life_seconds)
    return jsonify(answer_body)


@oauth.delete("/login/oauth2/token")
def revoke() -> ResponseReturnValue:
    """Takes the caller's own token away, refresh token included."""
    state = world()
    with state.lock:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        if not token:
            return jsonify(message="can't delete OAuth access token when not using an OAuth access token"), 400
        grant = state.grant_of(token)
        if grant is None:
            challenge = {"WWW-Authenticate": 'Bearer realm="canvas-lms"'}
            return jsonify(errors=[{"message": "Invalid access token."}]), 401, challenge
        grant.revoked = True
    return jsonify({})


def _approve(person: Person, redirect_uri: str, scope: str, caller_state: str | None) -> ResponseReturnValue:
    state = world()
    code = secrets.token_hex(32)
    with state.lock:
        state.codes[code] = Code(person.id, scope.split(), redirect_uri, time.time() + CODE_LIFE_SECONDS)
    return _back(redirect_uri, state=caller_state, code=code)


def _back(redirect_uri: str, state: str | None = None, **params: str) -> ResponseReturnValue:
    caller_state = state if state is not None else request.args.get("state")
    query = {**params, **({"state": caller_state} if caller_state else {})}
    return redirect(f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{urlencode(query)}", 302)


def _consent_page(redirect_uri: str) -> ResponseReturnValue:
    state = world()
    ticket = secrets.token_urlsafe(16)
    with state.lock:
        state.pending[ticket] = {
            "redirect_uri": redirect_uri,
            "scope": request.args.get("scope", ""),
            "state": request.args.get("state", ""),
        }
        people = list(state.people.values())
    buttons = "".join(
        f'<p><button name="login" value="{html.escape(p.login)}">Authorize as {html.escape(p.name)}</button></p>'
        for p in people
    )
    return (
        "<!doctype html><title>Canvas (stand-in)</title><h1>Canvas stand-in: allow access?</h1>"
        f'<form method="post" action="/login/oauth2/accept"><input type="hidden" name="ticket" value="{ticket}">'
        f'{buttons}<p><button name="login" value="">Cancel</button></p></form>'
    )


def _client() -> tuple[str | None, str | None]:
    authorization = request.headers.get("Authorization", "")
    if authorization.startswith("Basic "):
        try:
            decoded = base64.b64decode(authorization[6:], validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return None, None
        client_id, _, client_secret = decoded.partition(":")
        return client_id, client_secret
    return request.form.get("client_id"), request.form.get("client_secret")
