"""Routes for people: signing up, in and out, their own account, and the mails they ask for."""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from datetime import timedelta
from typing import Any

import psycopg
from flask import Blueprint, Response, jsonify, request

from tests.standins.auth import audit, mails
from tests.standins.auth.errors import DUPLICATE_EMAIL, ApiError, WeakPassword, internal, invalid
from tests.standins.auth.formats import now, token_hash
from tests.standins.auth.params import (
    OtpParams,
    PasswordGrantParams,
    PKCEGrantParams,
    RecoverParams,
    RefreshTokenGrantParams,
    ResendConfirmationParams,
    SignupParams,
    UserUpdateParams,
    read,
)
from tests.standins.auth.passwords import check_strength, encrypt, matches, random_password
from tests.standins.auth.store import (
    Identity,
    Tx,
    User,
    add_identity,
    clear_codes,
    end_sessions,
    find_by_email,
    find_by_id,
    find_by_phone,
    find_identity,
    owner_of_email,
)
from tests.standins.auth.verify import code_fits, finish_email_change
from tests.standins.auth.web import (
    Caller,
    audience,
    bare_phone,
    caller,
    checked_address,
    checked_phone,
    first_audience,
    no_sms,
    server,
)

people = Blueprint("people", __name__)
FLOW_MINUTES = 5
TAKEN = {"users_email_partial_key", "users_phone_key", "identities_provider_id_provider_unique"}


class AlreadyThere(Exception):
    """The address is taken by a confirmed person."""


@people.post("/signup")
def signup() -> Response:
    """Signs somebody up with address and password, or anonymously when neither is given."""
    params = read(request.get_data(), SignupParams)
    if not params.email and not params.phone:
        return _sign_up_anonymously(params)
    return jsonify(_sign_up(params))


def _sign_up_anonymously(params: SignupParams) -> Response:
    if not server().config.anonymous_enabled:
        raise ApiError(422, "anonymous_provider_disabled", "Anonymous sign-ins are disabled")
    _check_signups_open()
    try:
        with server().database.transaction() as tx:
            user = User(uuid.uuid4(), audience(), raw_user_meta_data=params.data or {}, is_anonymous=True)
            user.identities = []
            insert_person(tx, user)
            return jsonify(server().tokens.issue(tx, user, "anonymous"))
    except (ApiError, psycopg.Error) as error:
        raise internal("Database error creating anonymous user", error) from error


def _check_signups_open() -> None:
    if server().config.signup_disabled:
        raise ApiError(422, "signup_disabled", "Signups not allowed for this instance")


def check_signup(params: SignupParams) -> None:
    """What the real server checks of a sign-up before it looks at the address.

    :raise ApiError: 400
    :raise WeakPassword: 422
    """
    if not params.password:
        raise invalid("Signup requires a valid password")
    check_strength(server().config, params.password)
    if params.email and params.phone:
        raise invalid("Only an email address or phone number should be provided on signup.")
    if params.phone and params.code_challenge:
        raise invalid("PKCE not supported for phone signups")
    mails.check_challenge(params.code_challenge, params.code_challenge_method)


def _sign_up(params: SignupParams) -> dict[str, Any]:
    """The person and, where sign-ups confirm themselves, a session. Kept in two transactions, as the real server does:
    a hook that refuses the session leaves the account behind."""
    config, database = server().config, server().database
    _check_signups_open()
    check_signup(params)
    if not params.email:
        raise ApiError(400, "phone_provider_disabled", "Phone signups are disabled")
    if not config.email_enabled:
        raise ApiError(400, "email_provider_disabled", "Email signups are disabled")
    params.email = checked_address(params.email)
    aud = audience()
    try:
        with database.transaction() as tx:
            taken = owner_of_email(tx, params.email, aud)
        encrypted = encrypt(params.password) if taken is None else ""
        with database.transaction() as tx:
            user = _keep_sign_up(tx, params, aud, taken, encrypted)
    except (AlreadyThere, psycopg.errors.UniqueViolation) as error:
        if isinstance(error, psycopg.errors.UniqueViolation) and error.diag.constraint_name not in TAKEN:
            raise internal("Database error saving new user", error) from error
        return _refuse_repeated(params, aud)
    if not user.confirmed:
        if user.invited_at is not None:
            user.raw_user_meta_data, user.identities = {}, []
        return user.json()
    with database.transaction() as tx:
        audit.record(tx, user, "login", {"provider": "email"})
        return server().tokens.issue(tx, user, "password")


def _keep_sign_up(tx: Tx, params: SignupParams, aud: str, taken: User | None, encrypted: str) -> User:
    config, user = server().config, taken
    if user is not None and user.confirmed:
        raise AlreadyThere
    if user is None:
        user = new_email_user(params.email, encrypted, aud, params.data)
        insert_person(tx, user)
    identity = find_identity(tx, user.id, "email")
    if identity is None:
        identity = _first_identity(tx, user, params.data or {})
    user.identities = [identity]
    if config.autoconfirm:
        audit.record(tx, user, "user_signedup", {"provider": "email"})
        user.confirm(tx)
    else:
        audit.record(tx, user, "user_confirmation_requested", {"provider": "email"})
        mails.begin_flow(tx, user, "email", "email/signup", params.code_challenge, params.code_challenge_method)
        mails.send_confirmation(tx, config, user, params.code_challenge)
    return user


def _first_identity(tx: Tx, user: User, data: dict[str, Any]) -> Identity:
    """The identity of a sign-up. Person and identity share one object of metadata, so that what the confirmation adds
    shows in the answer's identity, but not in its row."""
    unproven = {"sub": str(user.id), "email": user.email, "email_verified": False, "phone_verified": False}
    identity = add_identity(tx, user, "email", data | unproven)
    user.raw_user_meta_data = identity.identity_data
    user.merge_user_metadata(tx, dict(data | unproven))
    for other in user.identities or []:
        if other.id != identity.id:
            tx.execute("delete from auth.identities where id = %s", (other.id,))
    user.refresh_providers(tx)
    return identity


def _refuse_repeated(params: SignupParams, aud: str) -> dict[str, Any]:
    config = server().config
    with server().database.transaction() as tx:
        user = owner_of_email(tx, params.email, aud)
        if user is not None:
            audit.record(tx, user, "user_repeated_signup", {"provider": "email"})
    if config.autoconfirm or user is None:
        raise ApiError(422, "user_already_exists", "User already registered")
    moment = now()
    shown = User(uuid.uuid4(), aud, role="", email=user.email, confirmation_sent_at=moment)
    shown.raw_app_meta_data = {"provider": "email", "providers": ["email"]}
    shown.raw_user_meta_data, shown.identities = params.data or {}, []
    return shown.json()


def new_email_user(email: str, encrypted: str, aud: str, data: dict[str, Any] | None) -> User:
    """A person who signs in by address, not yet written."""
    user = User(uuid.uuid4(), aud, email=email, encrypted_password=encrypted, raw_user_meta_data=data or {})
    user.raw_app_meta_data = {"provider": "email", "providers": ["email"]}
    user.identities = []
    return user


def insert_person(tx: Tx, user: User) -> None:
    """Writes a new person and reads what triggers made of it.

    :raise ApiError: 500 when the database refuses, other than for a taken address
    """
    user.role = server().config.jwt_default_role
    try:
        user.insert(tx)
    except psycopg.errors.UniqueViolation as error:
        if error.diag.constraint_name in TAKEN:
            raise
        raise internal("Database error saving new user", error) from error
    except psycopg.Error as error:
        raise internal("Database error saving new user", error) from error
    user.reload(tx)


@people.post("/token")
def token() -> Response:
    """Signs in: with a password, a refresh token, or the code of a PKCE flow."""
    grants = {"password": _password_grant, "refresh_token": _refresh_grant, "pkce": _pkce_grant}
    grant = grants.get(request.values.get("grant_type", ""))
    if grant is None:
        raise ApiError(400, "invalid_credentials", "unsupported_grant_type")
    return grant()


def _password_grant() -> Response:
    params = read(request.get_data(), PasswordGrantParams)
    config, database, aud = server().config, server().database, audience()
    if params.email and params.phone:
        raise invalid("Only an email address or phone number should be provided on login.")
    if params.phone:
        raise ApiError(422, "phone_provider_disabled", "Phone logins are disabled")
    if not params.email:
        raise invalid("missing email or phone")
    if not config.email_enabled:
        raise ApiError(422, "email_provider_disabled", "Email logins are disabled")
    with database.transaction() as tx:
        user = find_by_email(tx, params.email, aud)
    if user is None or not user.encrypted_password:
        raise _wrong_credentials()
    if user.banned:
        raise ApiError(400, "user_banned", "User is banned")
    if not matches(params.password, user.encrypted_password):
        raise _wrong_credentials()
    weak = None
    try:
        check_strength(config, params.password)
    except WeakPassword as error:
        weak = {"message": error.message, "reasons": error.reasons}
    except ApiError:
        weak = None  # too long to be judged; it fits all the same
    if not user.confirmed:
        raise ApiError(400, "email_not_confirmed", "Email not confirmed")
    with database.transaction() as tx:
        audit.record(tx, user, "login", {"provider": "email"})
        body = server().tokens.issue(tx, user, "password")
    return jsonify(body | {"weak_password": weak})


def _wrong_credentials() -> ApiError:
    return ApiError(400, "invalid_credentials", "Invalid login credentials")


def _refresh_grant() -> Response:
    params = read(request.get_data(), RefreshTokenGrantParams)
    with server().database.transaction() as tx:
        body = server().tokens.refresh(tx, params.refresh_token)
    if isinstance(body, ApiError):
        raise body
    return jsonify(body)


def _pkce_grant() -> Response:
    params = read(request.get_data(), PKCEGrantParams)
    if not params.auth_code or not params.code_verifier:
        raise invalid("invalid request: both auth code and code verifier should be non-empty")
    with server().database.transaction() as tx:
        flow = tx.execute(
            "select id, user_id, code_challenge, code_challenge_method::text as method, provider_type,"
            " authentication_method, coalesce(auth_code_issued_at, created_at) as issued_at"
            " from auth.flow_state where auth_code = %s for update",
            (params.auth_code,),
        ).fetchone()
        if flow is None or flow["user_id"] is None:
            raise ApiError(404, "flow_state_not_found", "invalid flow state, no valid flow state found")
        if now() > flow["issued_at"] + timedelta(minutes=FLOW_MINUTES):
            raise ApiError(422, "flow_state_expired", "invalid flow state, flow state has expired")
        user = find_by_id(tx, flow["user_id"])
        if user is None:
            raise ApiError(404, "flow_state_not_found", "invalid flow state, no valid flow state found")
        proof = params.code_verifier
        if flow["method"] == "s256":
            digest = hashlib.sha256(proof.encode()).digest()
            proof = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if not hmac.compare_digest(proof.encode(), flow["code_challenge"].encode()):
            message = "code challenge does not match previously saved code verifier"
            raise ApiError(400, "bad_code_verifier", message)
        audit.record(tx, user, "login", {"provider_type": flow["provider_type"]})
        body = server().tokens.issue(tx, user, flow["authentication_method"])
        tx.execute("delete from auth.flow_state where id = %s", (flow["id"],))
    return jsonify(body)


@people.post("/logout")
def logout() -> Response:
    """Ends sessions: all of them, this one, or all others."""
    with server().database.transaction() as tx:
        who = caller(tx)
        scope = request.args.get("scope") or "global"
        if scope not in ("global", "local", "others"):
            raise invalid(f'Unsupported logout scope "{scope}"')
        audit.record(tx, who.user, "logout")
        if who.session is None or scope == "global":
            end_sessions(tx, who.user.id)
        elif scope == "local":
            tx.execute("delete from auth.sessions where id = %s", (who.session.id,))
        else:
            end_sessions(tx, who.user.id, keep=who.session.id)
    return Response(status=204)


@people.get("/user")
def get_user() -> Response:
    """The caller's own account."""
    with server().database.transaction() as tx:
        who = caller(tx)
        if audience(who.claims) != first_audience(who.claims):
            raise invalid("Token audience doesn't match request audience")
        return jsonify(who.user.json())


@people.put("/user")
def update_user() -> Response:
    """Changes the caller's own account."""
    config, database = server().config, server().database
    with database.transaction() as tx:
        who = caller(tx)
    params = read(request.get_data(), UserUpdateParams)
    user = who.user
    if params.email:
        params.email = checked_address(params.email)
    if params.phone:
        params.phone = checked_phone(params.phone)
    if params.password is not None:
        check_strength(config, params.password)
    _check_rights(params, user)
    new_address = params.email if params.email != (user.email or "") else ""
    encrypted = _new_password(params, who)
    try:
        with database.transaction() as tx:
            if new_address and owner_of_email(tx, new_address, audience(who.claims), besides=user.id):
                raise ApiError(422, "email_exists", DUPLICATE_EMAIL)
            _change_account(tx, params, who, encrypted, new_address)
            if params.phone and params.phone != user.phone:
                raise no_sms()
    except psycopg.errors.UniqueViolation as error:
        raise ApiError(422, "email_exists", DUPLICATE_EMAIL, error) from error
    return jsonify(user.json())


def _check_rights(params: UserUpdateParams, user: User) -> None:
    if params.app_metadata is not None and user.role != "admin":
        raise ApiError(403, "not_admin", "Updating app_metadata requires admin privileges")
    if user.is_anonymous and params.password and not params.email and not params.phone:
        message = "Updating password of an anonymous user without an email or phone is not allowed"
        raise ApiError(422, "validation_failed", message)
    changed = params.password or params.nonce or (params.email and params.email != user.email)
    if user.is_sso_user and (changed or (params.phone and params.phone != user.phone)):
        message = "Updating email, phone, password of a SSO account only possible via SSO"
        raise ApiError(422, "user_sso_managed", message)


def _new_password(params: UserUpdateParams, who: Caller) -> str | None:
    """The hash of the new password; None when it stays."""
    if params.password is None:
        return None
    config, user = server().config, who.user
    recent = who.session is not None and now() <= who.session.created_at + timedelta(hours=24)
    if config.reauthentication_for_password and not recent:
        if not params.nonce:
            raise ApiError(400, "reauthentication_needed", "Password update requires reauthentication")
        with server().database.transaction() as tx:
            _check_nonce(tx, user, params.nonce)
    if user.encrypted_password and matches(params.password, user.encrypted_password):
        raise ApiError(422, "same_password", "New password should be different from the old password.")
    return encrypt(params.password)


def _check_nonce(tx: Tx, user: User, nonce: str) -> None:
    hashed = token_hash(user.email or "", nonce)
    if not code_fits(hashed, user.reauthentication_token, user.reauthentication_sent_at):
        raise ApiError(422, "reauthentication_not_valid", "Nonce has expired or is invalid")
    user.update(tx, reauthentication_token="")
    clear_codes(tx, user.id)


def _change_account(tx: Tx, params: UserUpdateParams, who: Caller, encrypted: str | None, new_address: str) -> None:
    config, user = server().config, who.user
    if encrypted is not None:
        user.change_password(tx, encrypted or None, keep_session=who.session.id if who.session else None)
        audit.record(tx, user, "user_updated_password")
    if params.data is not None:
        user.merge_user_metadata(tx, params.data)
    if params.app_metadata is not None:
        user.merge_app_metadata(tx, params.app_metadata)
    if new_address and user.is_anonymous and config.autoconfirm:
        user.email_change = new_address
        finish_email_change(tx, user)
        new_address = ""
    audit.record(tx, user, "user_modified")
    if new_address:
        mails.check_challenge(params.code_challenge, params.code_challenge_method)
        mails.begin_flow(tx, user, "email_change", "email_change", params.code_challenge, params.code_challenge_method)
        mails.send_email_change(tx, config, user, new_address, params.code_challenge)


@people.get("/reauthenticate")
def reauthenticate() -> Response:
    """Mails the code that a password change may ask for."""
    with server().database.transaction() as tx:
        user = caller(tx).user
        if not user.email and not user.phone:
            raise invalid("Reauthentication requires the user to have an email or a phone number")
        if user.email and not user.confirmed:
            raise ApiError(422, "email_not_confirmed", "Please verify your email first.")
        audit.record(tx, user, "user_reauthenticate_requested")
        if not user.email:
            raise no_sms()
        mails.send_reauthentication(tx, server().config, user)
    return jsonify({})


@people.post("/otp")
def otp() -> Response:
    """Mails a code that signs in; by default it signs an unknown address up first."""
    params = read(request.get_data(), OtpParams)
    if params.email and params.phone:
        raise invalid("Only an email address or phone number should be provided")
    if params.email and params.channel:
        raise invalid("Channel should only be specified with Phone OTP")
    mails.check_challenge(params.code_challenge, params.code_challenge_method)
    if not params.create_user and not _known(params):
        raise ApiError(422, "otp_disabled", "Signups not allowed for otp")
    if params.email:
        return _send_magic_link(params)
    if params.phone:
        raise ApiError(400, "phone_provider_disabled", "Unsupported phone provider")
    raise invalid("One of email or phone must be set")


def _known(params: OtpParams) -> bool:
    with server().database.transaction() as tx:
        if params.email:
            return find_by_email(tx, checked_address(params.email), audience()) is not None
        return not params.phone or find_by_phone(tx, bare_phone(params.phone), audience()) is not None


@people.post("/magiclink")
def magic_link() -> Response:
    """Mails a link that signs in; signs an unknown address up first."""
    return _send_magic_link(read(request.get_data(), OtpParams))


def _send_magic_link(params: OtpParams) -> Response:
    config, database = server().config, server().database
    if not config.email_enabled:
        raise ApiError(422, "email_provider_disabled", "Email logins are disabled")
    if not params.email:
        raise invalid("Password recovery requires an email")
    params.email = checked_address(params.email)
    mails.check_challenge(params.code_challenge, params.code_challenge_method)
    with database.transaction() as tx:
        user = find_by_email(tx, params.email, audience())
    if user is None or not user.confirmed:
        _sign_up(
            SignupParams(
                email=params.email,
                password=random_password(),
                data=params.data,
                code_challenge=params.code_challenge,
                code_challenge_method=params.code_challenge_method,
            )
        )
        if not config.autoconfirm:
            return jsonify({})  # the mail that confirms the address signs in as well
    with database.transaction() as tx:
        user = find_by_email(tx, params.email, audience())
        if user is not None:
            audit.record(tx, user, "user_recovery_requested")
            mails.begin_flow(tx, user, "magiclink", "magiclink", params.code_challenge, params.code_challenge_method)
            mails.send_recovery(tx, config, user, params.code_challenge)
    return jsonify({})


@people.post("/recover")
def recover() -> Response:
    """Mails a code to somebody who forgot his password; says nothing about unknown addresses."""
    config = server().config
    if not config.email_enabled:
        raise ApiError(400, "email_provider_disabled", "Email logins are disabled")
    params = read(request.get_data(), RecoverParams)
    if not params.email:
        raise invalid("Password recovery requires an email")
    params.email = checked_address(params.email)
    mails.check_challenge(params.code_challenge, params.code_challenge_method)
    with server().database.transaction() as tx:
        user = find_by_email(tx, params.email, audience())
        if user is not None:
            mails.begin_flow(tx, user, "recovery", "recovery", params.code_challenge, params.code_challenge_method)
            audit.record(tx, user, "user_recovery_requested")
            mails.send_recovery(tx, config, user, params.code_challenge)
    return jsonify({})


@people.post("/resend")
def resend() -> Response:
    """Mails a confirmation or an address change once more."""
    config = server().config
    params = read(request.get_data(), ResendConfirmationParams)
    _check_resend(params)
    with server().database.transaction() as tx:
        user = find_by_email(tx, params.email, audience())
        if user is not None and params.type == "signup" and not user.confirmed:
            audit.record(tx, user, "user_confirmation_requested")
            mails.begin_flow(
                tx, user, "email/signup", "email/signup", params.code_challenge, params.code_challenge_method
            )
            mails.send_confirmation(tx, config, user, params.code_challenge)
        if user is not None and params.type == "email_change" and user.email_change:
            mails.begin_flow(
                tx, user, "email_change", "email_change", params.code_challenge, params.code_challenge_method
            )
            mails.send_email_change(tx, config, user, user.email_change, params.code_challenge)
    return jsonify({})


def _check_resend(params: ResendConfirmationParams) -> None:
    if params.type not in ("signup", "email_change", "sms", "phone_change"):
        raise invalid("Missing one of these types: signup, email_change, sms, phone_change")
    if params.type in ("signup", "email_change"):
        mails.check_challenge(params.code_challenge, params.code_challenge_method)
    if not params.email and params.type == "signup":
        raise invalid("Type provided requires an email address")
    if not params.phone and params.type == "sms":
        raise invalid("Type provided requires a phone number")
    if params.email and params.phone:
        raise invalid("Only an email address or phone number should be provided.")
    if params.phone:
        raise ApiError(400, "phone_provider_disabled", "Phone logins are disabled")
    if not params.email:
        raise invalid("Missing email address or phone number")
    if not server().config.email_enabled:
        raise ApiError(400, "email_provider_disabled", "Email logins are disabled")
    params.email = checked_address(params.email)
