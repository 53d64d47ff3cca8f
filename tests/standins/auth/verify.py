"""GET and POST /verify: redeeming a code or link."""

from __future__ import annotations

from datetime import datetime, timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit

from flask import Blueprint, Response, jsonify, request
from markupsafe import escape

from tests.standins.auth import audit
from tests.standins.auth.errors import ApiError, invalid
from tests.standins.auth.formats import now, token_hash
from tests.standins.auth.mails import PKCE_PREFIX
from tests.standins.auth.params import VerifyParams, read
from tests.standins.auth.passwords import encrypt, random_password
from tests.standins.auth.store import (
    Tx,
    User,
    add_identity,
    clear_codes,
    code_exists,
    find_by_email,
    find_identity,
    take_code,
)
from tests.standins.auth.web import audience, checked_address, checked_phone, redirect_target, server

verify = Blueprint("verify", __name__)
KINDS = {
    "email": ("confirmation_token", "recovery_token"),
    "signup": ("confirmation_token",),
    "invite": ("confirmation_token",),
    "recovery": ("recovery_token",),
    "magiclink": ("recovery_token",),
    "email_change": ("email_change_token_current", "email_change_token_new"),
}
FLOWS = {
    "signup": "email/signup",
    "magiclink": "magiclink",
    "recovery": "recovery",
    "invite": "invite",
    "email_change": "email_change",
}
HALF_CONFIRMED = "Confirmation link accepted. Please proceed to confirm link sent to the other email"
LINK_EXPIRED = "Email link is invalid or has expired"
CODE_EXPIRED = "Token has expired or is invalid"
OAUTH_NAMES = {
    400: "invalid_request",
    401: "unauthorized_client",
    403: "access_denied",
    500: "server_error",
    503: "temporarily_unavailable",
}


@verify.post("/verify")
def verify_post() -> Response:
    """Redeems a code; answers a session."""
    params = read(request.get_data(), VerifyParams)
    if not params.type:
        raise invalid("Verify requires a verification type")
    if bool(params.token) == bool(params.token_hash):
        raise invalid("Verify requires either a token or a token hash")
    by_link = not params.token
    if by_link:
        if params.email or params.phone or params.redirect_to:
            raise invalid("Only the token_hash and type should be provided")
    elif params.phone and not params.email:
        params.phone = checked_phone(params.phone)
        raise _expired(CODE_EXPIRED)  # nobody gets codes by text message here
    elif params.email and not params.phone:
        try:
            params.email = checked_address(params.email)
        except ApiError as error:
            raise ApiError(422, error.code, "Invalid email format") from error
        params.token_hash = token_hash(params.email, params.token)
    else:
        raise invalid("Only an email address or phone number should be provided on verify")
    with server().database.transaction() as tx:
        user = _by_link(tx, params) if by_link else _by_code(tx, params)
        if not _redeem(tx, params, user):
            return jsonify({"code": "200", "msg": HALF_CONFIRMED})
        return jsonify(server().tokens.issue(tx, user, "otp"))


@verify.get("/verify")
def verify_get() -> Response:
    """Follows a mailed link: back to the site with a session (or a PKCE code), or with the reason why not."""
    params = VerifyParams(
        type=request.args.get("type", ""), token=request.args.get("token", ""), redirect_to=redirect_target()
    )
    if not params.type:
        raise invalid("Verify requires a verification type")
    if not params.token:
        raise invalid("Verify requires a token or a token hash")
    params.token_hash = params.token
    pkce = params.token.startswith(PKCE_PREFIX)
    flow = FLOWS.get(params.type, "")
    if pkce and not flow:
        raise ApiError(500, "unexpected_failure", f"unsupported authentication method {params.type}")
    try:
        with server().database.transaction() as tx:
            user = _by_link(tx, params)
            if not _redeem(tx, params, user):
                return _go(params.redirect_to, {"message": HALF_CONFIRMED}, also_query=pkce)
            if pkce:
                return _go(params.redirect_to, {}, query={"code": _auth_code(tx, user, flow)})
            session = server().tokens.issue(tx, user, "otp")
    except ApiError as error:
        fields = {"error": OAUTH_NAMES[error.status]} if error.status in OAUTH_NAMES else {}
        fields |= {"error_code": error.code, "error_description": error.message}
        return _go(params.redirect_to, fields, also_query=pkce)
    names = ("access_token", "expires_at", "expires_in", "refresh_token", "token_type")
    return _go(params.redirect_to, {name: str(session[name]) for name in names} | {"type": params.type})


def _go(url: str, fragment: dict[str, str], also_query: bool = False, query: dict[str, str] | None = None) -> Response:
    """A redirect that carries ``fragment`` behind the hash sign, and for PKCE in the query too."""
    target = urlsplit(url)
    added = (query or {}) | (fragment if also_query else {})
    if added:
        target = target._replace(query=urlencode(sorted((dict(parse_qsl(target.query)) | added).items())))
    if fragment:
        target = target._replace(fragment=urlencode(sorted((fragment | {"sb": ""}).items())))
    location = target.geturl()
    page = f'<a href="{escape(location)}">See Other</a>.\n\n'
    return Response(page, 303, {"Location": location}, content_type="text/html; charset=utf-8")


def _by_link(tx: Tx, params: VerifyParams) -> User:
    """Whose link this is. A general ``email`` link learns here what it is for."""
    if params.type not in KINDS:
        raise invalid("Invalid email verification type")
    user = take_code(tx, [params.token_hash], KINDS[params.type])
    if user is None:
        raise _expired(LINK_EXPIRED)
    if user.banned:
        raise ApiError(403, "user_banned", "User is banned")
    if params.type == "email":
        params.type = "magiclink" if user.recovery_token == params.token_hash else "signup"
    sent_at = {
        "signup": user.confirmation_sent_at,
        "invite": user.confirmation_sent_at,
        "recovery": user.recovery_sent_at,
        "magiclink": user.recovery_sent_at,
        "email_change": user.email_change_sent_at,
    }[params.type]
    if not _fresh(sent_at):
        raise _expired(LINK_EXPIRED)
    return user


def _by_code(tx: Tx, params: VerifyParams) -> User:
    """Whose code this is."""
    hashes = [params.token_hash, PKCE_PREFIX + params.token_hash]
    if params.type == "email_change":
        user = take_code(tx, hashes, KINDS["email_change"])
    else:
        user = find_by_email(tx, params.email, audience())
        if user is not None:
            take_code(tx, hashes, KINDS.get(params.type, ("",)))  # locked: whoever comes second waits, then fails
            user.reload(tx)
    if user is None:
        raise _expired(CODE_EXPIRED)
    if user.banned:
        raise ApiError(403, "user_banned", "User is banned")
    confirmation = (user.confirmation_token, user.confirmation_sent_at)
    recovery = (user.recovery_token, user.recovery_sent_at)
    if params.type == "email":
        params.type = "signup" if code_fits(params.token_hash, *confirmation) else "magiclink"
    fitting = {
        "signup": [confirmation],
        "invite": [confirmation],
        "recovery": [recovery],
        "magiclink": [recovery],
        "email_change": [
            (user.email_change_token_current, user.email_change_sent_at),
            (user.email_change_token_new, user.email_change_sent_at),
        ],
    }.get(params.type, [])
    if not any(code_fits(params.token_hash, *code) for code in fitting):
        raise _expired(CODE_EXPIRED)
    return user


def _expired(message: str) -> ApiError:
    return ApiError(403, "otp_expired", message)


def code_fits(hashed: str, stored: str | None, sent_at: datetime | None) -> bool:
    """Whether a code is the one that was mailed, and not too old."""
    return bool(stored) and _fresh(sent_at) and stored in (hashed, PKCE_PREFIX + hashed)


def _fresh(sent_at: datetime | None) -> bool:
    return sent_at is not None and now() <= sent_at + timedelta(seconds=server().config.otp_exp)


def _redeem(tx: Tx, params: VerifyParams, user: User) -> bool:
    """Does what the code is for. False when an address change still waits for the other address."""
    if params.type in ("signup", "invite"):
        _confirm_sign_up(tx, user)
    elif params.type in ("recovery", "magiclink"):
        _sign_in(tx, user)
    elif not _confirm_email_change(tx, params, user):
        return False
    user.refresh_providers(tx)
    user.reload(tx)
    return True


def _confirm_sign_up(tx: Tx, user: User) -> None:
    if not user.encrypted_password and user.invited_at is not None:
        user.change_password(tx, encrypt(random_password()), keep_session=None)
    audit.record(tx, user, "user_signedup", {"provider": "email"})
    user.confirm(tx)
    for identity in user.identities or []:
        if identity.email and identity.email == user.email:
            identity.merge(tx, {"email_verified": True})


def _sign_in(tx: Tx, user: User) -> None:
    user.update(tx, recovery_token="")
    clear_codes(tx, user.id)
    if user.confirmed:
        audit.record(tx, user, "login")
    else:
        audit.record(tx, user, "user_signedup", {"provider": "email"})
        user.confirm(tx)


def _confirm_email_change(tx: Tx, params: VerifyParams, user: User) -> bool:
    config = server().config
    first = user.email_change_confirm_status == 0 and bool(user.email)
    if config.secure_email_change and not config.autoconfirm and first:
        changes = {"email_change_confirm_status": 1}
        for column in ("email_change_token_current", "email_change_token_new"):
            stored = [PKCE_PREFIX + params.token_hash, params.token_hash]
            if getattr(user, column) in stored or code_exists(tx, params.token_hash, column):
                clear_codes(tx, user.id, column)
                user.update(tx, **changes, **{column: ""})
                return False
        user.update(tx, **changes)
        return False
    finish_email_change(tx, user)
    return True


def finish_email_change(tx: Tx, user: User) -> None:
    """The new address becomes the person's own; an anonymous person becomes a permanent one."""
    audit.record(tx, user, "user_modified")
    address = user.email_change or ""
    identity = find_identity(tx, user.id, "email")
    if identity is None:
        add_identity(tx, user, "email", {"email": address, "email_verified": True})
    else:
        identity.merge(tx, {"email": address, "email_verified": True})
    if user.is_anonymous:
        user.update(tx, is_anonymous=False)
    user.load_identities(tx)
    user.update(
        tx,
        email=address,
        email_change="",
        email_change_token_current="",
        email_change_token_new="",
        email_change_confirm_status=0,
    )
    clear_codes(tx, user.id)
    if not user.confirmed:
        user.confirm(tx)


def _auth_code(tx: Tx, user: User, flow: str) -> str:
    """The code of the PKCE flow that asked for this link; its five minutes begin now."""
    row = tx.execute(
        "update auth.flow_state set auth_code_issued_at = %s, updated_at = %s where id = ("
        "  select id from auth.flow_state where user_id = %s and authentication_method = %s"
        "  order by created_at desc limit 1"
        ") returning auth_code",
        (now(), now(), user.id, flow),
    ).fetchone()
    if row is None:
        reason = "No valid flow state found for user."
        raise ApiError(400, "flow_state_not_found", f"No associated flow state found. {reason}")
    return str(row["auth_code"])
