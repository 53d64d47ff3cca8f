"""The way of a person from Canvas to a session: login, launch, ticket, session. It knows nothing of HTTP.

The state ties a launch to its login and is used once. The binding ties both to one browser: without it a stranger's
launch would sign a victim in as the stranger. A cookie proves it at once; a browser that keeps none for us reads the
secret back from the platform's storage, and shows it with the ticket.
"""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import structlog

from functions.lti.accounts import RETRY_SECONDS, SHADOW_DOMAIN, Accounts, Session, Visitor
from functions.lti.configuration import launch_url
from functions.lti.errors import (
    AccountBanned,
    BrowserUnproven,
    DeploymentDisabled,
    IdentityInUse,
    LaunchRefused,
    LaunchReused,
    LoginInvalid,
    NotSignedIn,
    RegistrationPending,
    RoleConflict,
    TicketInvalid,
)
from functions.lti.launch import (
    MAX_ID_CHARACTERS,
    PLACEMENT,
    Claims,
    State,
    check_content,
    check_masquerade,
    clean,
    signed_claims,
)
from functions.lti.platform_keys import PlatformKeys
from functions.lti.registrations import Registration
from functions.lti.registrations import by_id as registration_by_id
from functions.lti.registrations import find as find_registration
from functions.lti.roles import course_roles, role_of
from functions.shared.clock import Clock
from functions.shared.database import Database, rpc
from functions.shared.errors import AppError, Unavailable
from functions.shared.origins import is_listed_page
from functions.shared.retries import Backoff, retried
from functions.shared.settings import Settings
from functions.shared.tokens import Caller

log = structlog.get_logger(__name__)

SECRET_BYTES = 32
LOCK_SECONDS = 30
MAX_WAIT_SECONDS = 20.0
POLL_SECONDS = 0.05
MAX_SESSION_ATTEMPTS = 3
BACKOFF = Backoff(first_seconds=0.3, max_seconds=1.0)
MAX_TEXT_CHARACTERS = 2000
MAX_HINT_CHARACTERS = 8000
MAX_STATE_CHARACTERS = 512
STATUS_ERRORS: Mapping[str, type[AppError]] = {"pending": RegistrationPending, "disabled": DeploymentDisabled}


@dataclass(frozen=True)
class Login:
    """A login that began.

    :param key: tells this login's cookie and its storage entry from those of others
    :param binding: the secret that the browser keeps
    :param url: the platform's authorization endpoint, with state and nonce
    :param storage_target: the frame that keeps the secret, where the platform offers one
    """

    key: str
    binding: str
    url: str
    storage_target: str | None
    registration: Registration


@dataclass(frozen=True)
class Landing:
    """A launch that passed.

    :param url: the page to open, with the ticket after the ``#``
    :param is_bound: the browser proved itself by its cookie
    """

    url: str
    key: str
    target_link_uri: str
    is_bound: bool
    storage_target: str | None
    registration: Registration


@dataclass(frozen=True)
class Opened:
    """A session, and the launch that it came from."""

    session: Session
    launch: Mapping[str, Any]


class LtiService:
    """What the routes call."""

    def __init__(
        self, settings: Settings, database: Database, clock: Clock, accounts: Accounts, keys: PlatformKeys
    ) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock
        self._accounts = accounts
        self._keys = keys
        # a failure shows its page to whoever may show the tool: known as soon as the registration is
        self.registration: Registration | None = None
        self.target_link_uri: str | None = None

    # ---- step 1 and 2: the login -----------------------------------------------------------------------------------

    def login(self, given: Mapping[str, str]) -> Login:
        """Begins a login at the platform.

        :param given: the parameters of the platform's form
        :raise LoginInvalid: a parameter is missing, or the platform, client or page is unknown
        :raise RegistrationPending, DeploymentDisabled: the platform may not send anybody
        """
        issuer, client_id = _parameter(given, "iss"), _parameter(given, "client_id")
        hint, target = _parameter(given, "login_hint"), _parameter(given, "target_link_uri")
        message_hint = _parameter(given, "lti_message_hint", MAX_HINT_CHARACTERS)
        deployment = _deployment(given)
        storage_target = _parameter(given, "lti_storage_target", MAX_ID_CHARACTERS)
        if issuer is None or client_id is None or hint is None or target is None or not self._is_ours(target):
            raise LoginInvalid
        service = self._database.service()
        registration = find_registration(service, issuer, client_id, deployment)
        if registration is None:
            raise LoginInvalid
        self.registration = registration
        if registration.platform_status in STATUS_ERRORS:
            # its addresses are not approved, and a browser must not be sent to them
            raise STATUS_ERRORS[registration.platform_status]
        state, nonce, binding = (secrets.token_urlsafe(SECRET_BYTES) for _ in range(3))
        args = {
            "p_state_hash": digest(state),
            "p_nonce": nonce,
            "p_registration_id": registration.registration_id,
            "p_target_link_uri": target,
            "p_binding_hash": digest(binding),
            "p_deployment_hint": deployment,
            "p_storage_target": storage_target,
        }
        rpc(service, "svc_create_lti_state", args)
        query = {
            "scope": "openid",
            "response_type": "id_token",
            "response_mode": "form_post",
            "prompt": "none",
            "client_id": registration.client_id,
            "redirect_uri": launch_url(self._settings),
            "login_hint": hint,
            "state": state,
            "nonce": nonce,
            **({} if message_hint is None else {"lti_message_hint": message_hint}),
        }
        mark = "&" if urlsplit(registration.auth_url).query else "?"
        url = f"{registration.auth_url}{mark}{urlencode(query)}"
        return Login(_key(state), binding, url, storage_target, registration)

    def recognize(self, given: Mapping[str, str]) -> None:
        """Finds out whose frame shows the page of a login that is refused before it is looked at."""
        with suppress(AppError):
            issuer, client_id = _parameter(given, "iss"), _parameter(given, "client_id")
            if issuer is not None and client_id is not None:
                service, deployment = self._database.service(), _deployment(given)
                self.registration = find_registration(service, issuer, client_id, deployment)

    # ---- step 3: the launch ----------------------------------------------------------------------------------------

    def launch(self, given: Mapping[str, str], cookies: Mapping[str, str]) -> Landing:
        """Checks a launch, makes the account of a new person, and a ticket for a session.

        :param given: the fields of the platform's form
        :param cookies: from a login's key to the secret
        :raise AppError: the launch is refused, and changes nothing but its state
        """
        state_text = given.get("state", "")
        state = self._used_state(state_text)
        if "error" in given:
            if given["error"] == "login_required":
                raise NotSignedIn("login_required")
            raise LaunchRefused("platform_error", 400)
        registration = self.registration
        if state is None or registration is None:
            raise LaunchReused("state")
        self.target_link_uri = state.target_link_uri
        now = self._clock.now().timestamp()
        claims = signed_claims(
            given.get("id_token", ""),
            state,
            registration,
            lambda kid: self._keys.get(registration.jwks_url, kid),
            now,
        )
        deployment = self._deployment(registration, claims.deployment_id)
        check_content(claims, state, self._is_ours)
        key = _key(state_text)
        is_bound = secrets.compare_digest(digest(cookies.get(key, "")), state.binding_hash)
        if not is_bound and state.storage_target is None:
            raise BrowserUnproven("binding")
        check_masquerade(claims)
        ticket = self._hand_off(registration, deployment, claims, state)
        url = f"{claims.target_link_uri}#{urlencode({'lti_ticket': ticket})}"
        return Landing(url, key, claims.target_link_uri, is_bound, state.storage_target, registration)

    def _used_state(self, state: str) -> State | None:
        if not 0 < len(state) <= MAX_STATE_CHARACTERS:
            return None
        service = self._database.service()
        rows = rpc(service, "svc_use_lti_state", {"p_state_hash": digest(state)})
        if not rows:
            return None
        self.registration = registration_by_id(service, rows[0]["registration_id"])
        if rows[0]["outcome"] != "ok":
            return None
        return State(**{name: value for name, value in rows[0].items() if name != "outcome"})

    def _deployment(self, registration: Registration, deployment_id: str) -> str:
        args = {"p_registration_id": registration.registration_id, "p_deployment_id": deployment_id}
        rows = rpc(self._database.service(), "svc_get_lti_deployment", args, safe=True)
        if not rows:
            raise LaunchRefused("deployment", 403)
        if rows[0]["status"] in STATUS_ERRORS:
            raise STATUS_ERRORS[rows[0]["status"]]
        return str(rows[0]["id"])

    def _hand_off(self, registration: Registration, deployment: str, claims: Claims, state: State) -> str:
        """Makes sure of the person's account, and records the launch with a new ticket.

        The e-mail address of the token is contact data. Accounts are found by platform and subject alone.
        """
        service = self._database.service()
        who = self._identity(registration, claims.sub)
        if who["account"] == "blocked":
            raise AccountBanned
        if who["account"] == "missing":
            with self._locked(who["user_id"]):
                # another first launch of this person may have made it meanwhile
                if self._identity(registration, claims.sub)["account"] == "missing":
                    address = f"lti-{uuid.uuid4()}@{SHADOW_DOMAIN}"
                    self._accounts.make(who["user_id"], address, registration.platform_id)
        ticket = secrets.token_urlsafe(SECRET_BYTES)
        roles = course_roles(claims.roles)
        args = {
            "p_identity_id": who["identity_id"],
            "p_deployment": deployment,
            "p_message_type": claims.message_type,
            "p_role": role_of(roles),
            "p_ticket_hash": digest(ticket),
            "p_binding_hash": state.binding_hash,
            "p_roles": roles,
            "p_context_id": claims.context_id,
            "p_claims": claims.kept(),
            "p_name": claims.text("name", 200),
            "p_email": claims.text("email", 320),
            "p_canvas_user_id": claims.canvas_user_id,
        }
        done = rpc(service, "svc_finish_lti_launch", args)[0]
        if done["outcome"] == "role_conflict":
            raise RoleConflict
        log.info("lti_launch", launch_id=done["launch_id"], registration_id=registration.registration_id)
        return ticket

    def _identity(self, registration: Registration, sub: str) -> dict[str, Any]:
        args = {"p_registration_id": registration.registration_id, "p_sub": sub}
        return dict(rpc(self._database.service(), "svc_reserve_lti_identity", args, safe=True)[0])

    # ---- step 5: the session ---------------------------------------------------------------------------------------

    def open_session(self, ticket: str, bindings: Sequence[str], visitor: Visitor) -> Opened:
        """A session for a ticket, once.

        :param bindings: the secrets that the browser shows; one of them must be the ticket's
        :raise TicketInvalid: the ticket is unknown, used, expired, or another browser's
        :raise RegistrationPending, DeploymentDisabled: switched off since the launch
        :raise AccountBanned: the account is blocked or deleted
        :raise Unavailable: Auth does not answer, or not now; the ticket is used up
        """
        args = {"p_ticket_hash": digest(ticket), "p_binding_hashes": [digest(one) for one in bindings]}
        rows = rpc(self._database.service(), "svc_take_lti_ticket", args)
        if not rows:
            raise TicketInvalid
        row = rows[0]
        if row["outcome"] in STATUS_ERRORS:
            raise STATUS_ERRORS[row["outcome"]]

        def pause(_: Unavailable, failures: int) -> float | None:
            return BACKOFF.seconds(failures) if failures < MAX_SESSION_ATTEMPTS else None

        with self._locked(row["user_id"]):
            session = retried(
                lambda: self._accounts.open_session(row["user_id"], visitor),
                on=Unavailable,
                pause=pause,
                sleep=self._clock.sleep,
            )
        return Opened(session, _shown(row))

    def link(self, caller: Caller, ticket: str, bindings: Sequence[str]) -> None:
        """Joins the person of a fresh launch to the account that the caller is signed in to.

        :raise TicketInvalid, RegistrationPending, DeploymentDisabled: as for :meth:`open_session`
        :raise IdentityInUse: the person has an account that was signed in to
        """
        args = {
            "p_ticket_hash": digest(ticket),
            "p_binding_hashes": [digest(one) for one in bindings],
            "p_user_id": caller.user_id,
        }
        outcome = rpc(self._database.service(), "svc_link_lti_identity", args)
        if outcome == "invalid":
            raise TicketInvalid
        if outcome == "in_use":
            raise IdentityInUse
        if outcome in STATUS_ERRORS:
            raise STATUS_ERRORS[outcome]

    def unlink(self, caller: Caller) -> None:
        """Ends every connection of the caller's account to people of Canvas.

        :raise Forbidden: the account signs in from Canvas alone
        """
        rpc(self._database.service(), "svc_unlink_lti_identities", {"p_user_id": caller.user_id}, safe=True)

    # ---- parts -----------------------------------------------------------------------------------------------------

    @contextmanager
    def _locked(self, user_id: str) -> Iterator[None]:
        """Holds a person's lock over all processes; a holder that dies loses it after a while.

        :raise Unavailable: others have held it for too long
        """
        service, args = self._database.service(), {"p_user_id": user_id, "p_holder": str(uuid.uuid4())}
        until = self._clock.monotonic() + MAX_WAIT_SECONDS
        while not rpc(service, "svc_lock_lti_user", {**args, "p_seconds": LOCK_SECONDS}, safe=True):
            if self._clock.monotonic() >= until:
                raise Unavailable(retry_after=RETRY_SECONDS)
            self._clock.sleep(POLL_SECONDS)
        try:
            yield
        finally:
            rpc(service, "svc_unlock_lti_user", args, safe=True)

    def _is_ours(self, url: str) -> bool:
        return is_listed_page(url, self._settings)


def digest(secret: str) -> str:
    """The hash under which the database stores a secret."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _key(state: str) -> str:
    """Names a login in cookies and storage; tells nothing about its state."""
    return digest(f"key:{state}")[:16]


def _parameter(given: Mapping[str, str], name: str, max_characters: int = MAX_TEXT_CHARACTERS) -> str | None:
    value = given.get(name) or None
    if value is not None and (len(value) > max_characters or clean(value) != value.strip()):
        raise LoginInvalid
    return value


def _deployment(given: Mapping[str, str]) -> str | None:
    """The deployment, by the specification's name or by that of Canvas."""
    found = {_parameter(given, name, MAX_ID_CHARACTERS) for name in ("lti_deployment_id", "deployment_id")}
    found.discard(None)
    if len(found) > 1:
        raise LoginInvalid
    return next(iter(found), None)


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """The launch as the front end sees it."""
    claims = Claims(row["claims"])
    context = claims.lti("context")
    if row["context_id"] is None or not isinstance(context, dict):
        context = None
    return {
        "launch_id": row["launch_id"],
        "role": role_of([role for role in claims.lti("roles") or [] if isinstance(role, str)]),
        "context": context and {name: _text(context.get(name)) for name in ("id", "label", "title")},
        "target_link_uri": claims.target_link_uri,
        "placement": _text(claims.raw.get(PLACEMENT)),
        "message_type": claims.message_type,
    }


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
