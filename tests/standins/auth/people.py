"""Routes for people: signing up, in and out, their own account, and the mails they ask for."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from datetime import timedelta
from typing import Any

import bcrypt
import psycopg
from flask import Blueprint, Response, jsonify, request

from tests.standins.auth import mail, store, tokens
from tests.standins.auth.config import config
from tests.standins.auth.store import Row, Tx, now, transaction
from tests.standins.auth.web import ApiError, checked_address, email_exists, invalid, read

people = Blueprint("people", __name__)
FLOW = timedelta(minutes=5)
MAX_PASSWORD_BYTES = 72
PKCE = {"code_challenge": str, "code_challenge_method": str}


def check_password(password: str) -> None:
    """Holds a password against the rules.

    :raise ApiError: 422 ``weak_password`` when it is too short
    """
    if len(password.encode()) < config().password_min_length:
        message = f"Password should be at least {config().password_min_length} characters."
        raise ApiError(422, "weak_password", message, weak_password={"reasons": ["length"]})


def encrypt(password: str | None) -> str:
    """The bcrypt hash of a password; without one, of a password nobody knows.

    :raise ApiError: 400 when longer than bcrypt can tell apart
    """
    if password and len(password.encode()) > MAX_PASSWORD_BYTES:
        raise invalid(f"Password cannot be longer than {MAX_PASSWORD_BYTES} characters")
    return bcrypt.hashpw(
        (password or secrets.token_hex(30)).encode(), bcrypt.gensalt(config().bcrypt_rounds, b"2a")
    ).decode()


def matches(password: str | None, encrypted: str | None) -> bool:
    """Whether the password is the one that was encrypted."""
    known = (password or "").encode()[:MAX_PASSWORD_BYTES]
    return bool(encrypted) and bcrypt.checkpw(known, (encrypted or "").encode())


@people.post("/signup")
def signup() -> Response:
    """Signs somebody up with address and password, or anonymously when neither is given."""
    body = read(email=str, password=str, data=dict, **PKCE)
    if not body.email and not config().anonymous_enabled:
        raise ApiError(422, "anonymous_provider_disabled", "Anonymous sign-ins are disabled")
    if config().signup_disabled:
        raise ApiError(422, "signup_disabled", "Signups not allowed for this instance")
    if body.email:
        return jsonify(_sign_up(body))
    with transaction() as tx:
        user = store.add_user(tx, store.new_user(None, None, body.data))
        return jsonify(tokens.issue(tx, user, "anonymous"))


def _sign_up(body: Any) -> Row:
    """The person and, where sign-ups confirm themselves, a session. Kept in two transactions, as the real server does:
    a hook that refuses the session leaves the account behind."""
    if not body.password:
        raise invalid("Signup requires a valid password")
    check_password(body.password)
    email, encrypted = checked_address(body.email), encrypt(body.password)
    try:
        with transaction() as tx:
            user = store.find_by_email(tx, email)
            if user is not None and user["email_confirmed_at"]:
                return _repeated(body)
            user = user or _new_person(tx, email, encrypted, body.data or {})
            if not config().autoconfirm:
                mail.send(tx, user, body, ("signup", email))
                return store.person_json(user)
            store.confirm(tx, user)
    except psycopg.errors.UniqueViolation:
        return _repeated(body)
    with transaction() as tx:
        return tokens.issue(tx, user, "password")


def _new_person(tx: Tx, email: str, encrypted: str, data: Row) -> Row:
    user = store.add_user(tx, store.new_user(email, encrypted, data))
    store.add_identity(tx, user, data=data)
    data = user["identities"][0]["identity_data"]
    store.update(tx, user, raw_user_meta_data=store.merged(data, {}))
    # what the confirmation adds shows in this answer's identity too, but not in its row: so in the real server
    user["identities"][0]["identity_data"] = data | {"email_verified": config().autoconfirm}
    return user


def _repeated(body: Any) -> Row:
    """A made-up person, so that nobody learns that the address is taken. Where no mail confirms, it is said openly."""
    if config().autoconfirm:
        raise ApiError(422, "user_already_exists", "User already registered")
    shown = store.new_user(body.email, None, body.data)
    return store.person_json({**shown, "identities": [], "role": "", "confirmation_sent_at": now()})


@people.post("/token")
def token() -> Response:
    """Signs in: with a password, a refresh token, or the code of a PKCE flow."""
    grants = {"password": _password_grant, "refresh_token": _refresh_grant, "pkce": _pkce_grant}
    grant = grants.get(request.args.get("grant_type", ""))
    if grant is None:
        raise ApiError(400, "invalid_credentials", "unsupported_grant_type")
    return jsonify(grant())


def _password_grant() -> Row:
    body = read(email=str, password=str)
    if not body.email:
        raise invalid("missing email or phone")
    with transaction() as tx:
        user = store.find_by_email(tx, body.email)
        if user is not None and tokens.is_banned(user):
            raise ApiError(400, "user_banned", "User is banned")
        if user is None or not matches(body.password, user["encrypted_password"]):
            raise ApiError(400, "invalid_credentials", "Invalid login credentials")
        if not user["email_confirmed_at"]:
            raise ApiError(400, "email_not_confirmed", "Email not confirmed")
        return {**tokens.issue(tx, user, "password"), "weak_password": None}


def _refresh_grant() -> Row:
    body = read(refresh_token=str)
    with transaction() as tx:
        return tokens.refresh(tx, body.refresh_token)


def _pkce_grant() -> Row:
    body = read(auth_code=str, code_verifier=str)
    if not body.auth_code or not body.code_verifier:
        raise invalid("invalid request: both auth code and code verifier should be non-empty")
    with transaction() as tx:
        statement = "select *, code_challenge_method::text as way from auth.flow_state where auth_code = %s for update"
        flow = tx.execute(statement, (body.auth_code,)).fetchone()
        user = store.find_by_id(tx, flow["user_id"]) if flow else None
        if flow is None or user is None or not flow["auth_code_issued_at"]:
            raise ApiError(404, "flow_state_not_found", "invalid flow state, no valid flow state found")
        if now() > flow["auth_code_issued_at"] + FLOW:
            raise ApiError(422, "flow_state_expired", "invalid flow state, flow state has expired")
        proof = body.code_verifier
        if flow["way"] == "s256":
            proof = base64.urlsafe_b64encode(hashlib.sha256(proof.encode()).digest()).rstrip(b"=").decode()
        if not hmac.compare_digest(proof.encode(), flow["code_challenge"].encode()):
            raise ApiError(400, "bad_code_verifier", "code challenge does not match previously saved code verifier")
        tx.execute("delete from auth.flow_state where id = %s", (flow["id"],))
        return tokens.issue(tx, user, flow["authentication_method"])


@people.post("/logout")
def logout() -> Response:
    """Ends sessions: all of them, this one, or all others."""
    with transaction() as tx:
        user = tokens.caller(tx)
        scope = request.args.get("scope") or "global"
        if scope not in ("global", "local", "others"):
            raise invalid(f'Unsupported logout scope "{scope}"')
        if scope == "local":
            tx.execute("delete from auth.sessions where id = %s", (user["session_id"],))
        else:
            store.end_sessions(tx, user, user["session_id"] if scope == "others" else None)
    return Response(status=204)


@people.get("/user")
def get_user() -> Response:
    """The caller's own account."""
    with transaction() as tx:
        return jsonify(store.person_json(tokens.caller(tx)))


@people.put("/user")
def update_user() -> Response:
    """Changes the caller's own account: address, password, metadata."""
    with transaction() as tx:
        user = tokens.caller(tx)
        body = read(email=str, password=str, data=dict, app_metadata=dict, **PKCE)
        if body.app_metadata is not None:
            raise ApiError(403, "not_admin", "Updating app_metadata requires admin privileges")
        email = checked_address(body.email) if body.email else user["email"]
        if body.password is not None:
            _change_password(tx, user, body.password, email)
        if body.data is not None:
            store.update(tx, user, raw_user_meta_data=store.merged(user["raw_user_meta_data"], body.data))
        if email != user["email"]:
            _change_address(tx, user, body, email)
        return jsonify(store.person_json(user))


def _change_password(tx: Tx, user: Row, password: str, email: str | None) -> None:
    check_password(password)
    if not email:
        message = "Updating password of an anonymous user without an email or phone is not allowed"
        raise ApiError(422, "validation_failed", message)
    if matches(password, user["encrypted_password"]):
        raise ApiError(422, "same_password", "New password should be different from the old password.")
    store.change_password(tx, user, encrypt(password), user["session_id"])


def _change_address(tx: Tx, user: Row, body: Any, email: str) -> None:
    """Begins the change of an address: codes go to the new one and, for a secure change, to the current one."""
    if store.find_by_email(tx, email) is not None:
        raise email_exists()
    store.update(tx, user, email_change=email, email_change_confirm_status=0)
    current = [("email_change_current", user["email"])] if config().secure_email_change and user["email"] else []
    if user["is_anonymous"] and config().autoconfirm:
        finish_email_change(tx, user)
    else:
        mail.send(tx, user, body, *current, ("email_change_new", email))


def finish_email_change(tx: Tx, user: Row) -> None:
    """The new address becomes the person's own; an anonymous person becomes a permanent one.

    :raise ApiError: 422 ``email_exists`` when somebody else took it meanwhile
    """
    email, was_confirmed = user["email_change"], user["email_confirmed_at"]
    try:
        store.update(tx, user, email=email, email_change="", email_change_confirm_status=0, is_anonymous=False)
    except psycopg.errors.UniqueViolation as error:
        raise email_exists() from error
    store.change_identity(tx, user, email=email, email_verified=True)
    store.clear_codes(tx, user)
    if not was_confirmed:
        store.confirm(tx, user)


@people.post("/otp")
@people.post("/magiclink")
def otp() -> Response:
    """Mails a code and link that sign in; by default an unknown address is signed up first."""
    body = read(email=str, create_user=bool, data=dict, **PKCE)
    body.email = checked_address(body.email)
    mail.check_challenge(body)
    with transaction() as tx:
        user = store.find_by_email(tx, body.email)
    if user is None and (body.create_user is False or config().signup_disabled):
        raise ApiError(422, "otp_disabled", "Signups not allowed for otp")
    if user is None or not user["email_confirmed_at"]:
        body.password = secrets.token_hex(30)
        _sign_up(body)
        if not config().autoconfirm:
            return jsonify({})  # the mail that confirms the address signs in as well
    return _mail_sign_in("magiclink", body)


@people.post("/recover")
def recover() -> Response:
    """Mails a code and link to somebody who forgot the password; says nothing about unknown addresses."""
    body = read(email=str, **PKCE)
    if not body.email:
        raise invalid("Password recovery requires an email")
    body.email = checked_address(body.email)
    return _mail_sign_in("recovery", body)


def _mail_sign_in(kind: str, body: Any) -> Response:
    mail.check_challenge(body)
    with transaction() as tx:
        user = store.find_by_email(tx, body.email)
        if user is not None:
            mail.send(tx, user, body, (kind, body.email))
    return jsonify({})


@people.post("/resend")
def resend() -> Response:
    """Mails a confirmation or an address change once more; says nothing about unknown addresses."""
    body = read(type=str, email=str, **PKCE)
    if body.type not in ("signup", "email_change"):
        raise invalid("Missing one of these types: signup, email_change")
    email = checked_address(body.email)
    with transaction() as tx:
        user = store.find_by_email(tx, email)
        if user is not None and body.type == "signup" and not user["email_confirmed_at"]:
            mail.send(tx, user, body, ("signup", email))
        if user is not None and body.type == "email_change" and user["email_change"]:
            _change_address(tx, user, body, user["email_change"])
    return jsonify({})
