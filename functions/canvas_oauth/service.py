"""The life of a grant: a signed-in person starts it, the same person completes it, and disconnecting revokes it. Here
are also the ways in without a developer key: personal access tokens, and hosts that people propose.

A code arrives through the browser of the person who started, and is exchanged only with that person's access token. So
a stranger's consent never reaches another account.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

import structlog

from functions.canvas_oauth.errors import (
    CanvasAccountInUse,
    HostPending,
    OtherCanvasPerson,
    PersonalTokensNotAllowed,
    RedirectNotAllowed,
    StateExpired,
    StateNotYours,
    StateUnknown,
    StateUsed,
)
from functions.canvas_oauth.hosts import check_addresses, instance_domain
from functions.canvas_oauth.personal_tokens import checked as checked_token
from functions.shared.canvas import oauth
from functions.shared.canvas.errors import CanvasError, LmsConnectionNotFound
from functions.shared.canvas.factory import CONNECTION_COLUMNS, SECRET_FIELD, CanvasFactory
from functions.shared.canvas.profile import Profile, own_profile
from functions.shared.canvas.tokens import seal
from functions.shared.canvas.transport import PERSON_SECONDS, NotTaken
from functions.shared.database import Database, rpc, rpc_row, run
from functions.shared.errors import AppError, NotFound, Unavailable
from functions.shared.origins import is_allowed_redirect
from functions.shared.tokens import Caller

log = structlog.get_logger(__name__)

STATE_ERRORS: Mapping[str, type[AppError]] = {"not_yours": StateNotYours, "used": StateUsed, "expired": StateExpired}
CONNECT_ERRORS: Mapping[str, type[AppError]] = {"in_use": CanvasAccountInUse, "other_person": OtherCanvasPerson}
CANVAS_ERROR = re.compile(r"[A-Za-z0-9_.-]{1,100}")


class OAuthService:
    """What the routes call. It knows nothing of HTTP."""

    def __init__(self, database: Database, factory: CanvasFactory) -> None:
        self._database = database
        self._factory = factory
        self._settings = factory.settings

    @property
    def _callback_url(self) -> str:
        return f"{self._settings.functions_url}/canvas-oauth/callback"

    def put_secret(self, connection_id: str, client_secret: str) -> None:
        """Encrypts and stores the secret of our developer key. The route admits administrators only.

        :raise LmsConnectionNotFound: the installation does not exist
        """
        sealed = self._factory.crypto.encrypt(client_secret, row_id=connection_id, field=SECRET_FIELD)
        try:
            rpc(
                self._database.service(),
                "svc_put_lms_secret",
                {"p_lms_connection_id": connection_id, "p_secret_enc": sealed},
                safe=True,
            )
        except NotFound as error:
            raise LmsConnectionNotFound from error

    def start(self, caller: Caller, connection_id: str, redirect_to: str | None) -> dict[str, Any]:
        """Makes a state that this person can use once, and the address of Canvas with it.

        :raise RedirectNotAllowed: ``redirect_to`` is not an address of our front ends
        :raise LmsConnectionNotFound: the installation is unknown, disabled or not set up
        :raise SchoolSecretUnreadable: its secret cannot be opened, so the code could not be exchanged later
        """
        target = redirect_to or self._settings.frontend_url
        if redirect_to is not None and not is_allowed_redirect(redirect_to, self._settings):
            raise RedirectNotAllowed
        query = self._database.user(caller.token).from_("lms_connections").select(f"{CONNECTION_COLUMNS},settings")
        rows = run(query.eq("id", connection_id))
        if not rows:
            raise LmsConnectionNotFound
        installation = self._factory.installation(rows[0])
        state = secrets.token_urlsafe(32)
        service = self._database.service()
        rpc(
            service,
            "svc_create_oauth_state",
            {
                "p_state_hash": state_hash(state),
                "p_user_id": caller.user_id,
                "p_lms_connection_id": connection_id,
                "p_redirect_path": target,
            },
        )
        known = rpc(service, "svc_peek_oauth_state", {"p_state_hash": state_hash(state)}, safe=True)
        url = oauth.authorize_url(installation, self._callback_url, state, self._scopes(caller, rows[0]))
        return {"authorize_url": url, "expires_at": known[0]["expires_at"]}

    def returned(self, state: str, code: str | None, error: str | None) -> str:
        """The address of the front end after consent, with everything after the ``#``. Does not use up the state.

        :raise StateUnknown, StateUsed, StateExpired: the state gives no address
        """
        known = rpc(self._database.service(), "svc_peek_oauth_state", {"p_state_hash": state_hash(state)}, safe=True)
        if not known or not (code or error):
            raise StateUnknown
        if known[0]["outcome"] != "ok":
            raise STATE_ERRORS[known[0]["outcome"]]
        if error or code is None:
            shown = error if error and CANVAS_ERROR.fullmatch(error) else "invalid_request"
            fragment = {"state": state, "error": shown}
        else:
            fragment = {"state": state, "code": code}
        return f"{known[0]['redirect_path']}#{urlencode(fragment)}"

    def complete(self, caller: Caller, state: str, code: str) -> dict[str, Any]:
        """Exchanges the code, stores the tokens and enqueues the first sync. The state is used up before the code.

        :raise StateUnknown, StateNotYours, StateUsed, StateExpired: nothing was sent to Canvas
        :raise NotTaken: nothing is stored, and the state may be used again, because Canvas has not seen the code
        :raise CanvasGrantRefused, CanvasBadAnswer, CanvasUnavailable: nothing is stored
        :raise CanvasAccountInUse: this Canvas account is connected to another account; nothing is stored
        :raise OtherCanvasPerson: this account is connected to another person of this Canvas; nothing is stored
        """
        service = self._database.service()
        known = rpc(
            service, "svc_consume_oauth_state", {"p_state_hash": state_hash(state), "p_user_id": caller.user_id}
        )
        if not known:
            raise StateUnknown
        if known[0]["outcome"] != "ok":
            raise STATE_ERRORS[known[0]["outcome"]]
        connection = self._connection(known[0]["lms_connection_id"])
        installation = self._factory.installation(connection)
        transport = self._factory.transport(installation.base_url, total_seconds=PERSON_SECONDS)
        try:
            tokens = oauth.exchange_code(transport, installation, code, self._callback_url)
        except NotTaken:
            args = {"p_state_hash": state_hash(state), "p_user_id": caller.user_id}
            rpc(service, "svc_release_oauth_state", args, safe=True)
            raise
        try:
            return self._connect(caller, connection, tokens, own_profile(transport, tokens.access_token))
        except Unavailable:
            raise  # the tokens may have been stored and the answer lost, so the grant may be in use
        except AppError:
            # a grant that is not stored must not stay valid
            with suppress(CanvasError):
                oauth.revoke(transport, tokens.access_token)
            raise

    def connect_token(self, caller: Caller, connection_id: str, token: str) -> dict[str, Any]:
        """Connects with a personal access token, which Canvas is asked about first. Answers as :meth:`complete`, with
        the time when the token ends.

        :raise LmsConnectionNotFound: the installation is unknown or switched off
        :raise HostPending: staff have not approved the host; with APP_ENV=local a token that works approves it
        :raise PersonalTokensNotAllowed: the installation's settings do not allow them
        :raise CanvasGrantRefused, CanvasBadAnswer, CanvasUnavailable: nothing is stored
        :raise CanvasAccountInUse, OtherCanvasPerson: as :meth:`complete`
        """
        service = self._database.service()
        connection = self._connection(connection_id)
        is_pending = connection["status"] == "pending"
        if is_pending and not self._settings.is_local:
            raise HostPending
        if connection["settings"].get("allow_personal_tokens") is not True:
            raise PersonalTokensNotAllowed
        origin = self._factory.origin({**connection, "status": "active"} if is_pending else connection)
        transport = self._factory.transport(origin, total_seconds=PERSON_SECONDS)
        tokens = checked_token(transport, token)
        profile = own_profile(transport, token)
        if is_pending:
            approved = service.from_("lms_connections").update({"status": "active"})
            run(approved.eq("id", connection_id).eq("status", "pending"))
        answer = self._connect(caller, connection, tokens, profile, is_personal=True)
        return {**answer, "token_expires_at": tokens.expires_at}

    def propose_host(self, caller: Caller, host: str, name: str | None) -> dict[str, Any]:
        """The installation with this host and its status; a new one is pending.

        :raise HostInvalid: it can be no school's Canvas
        """
        domain = instance_domain(host, local=self._settings.is_local)
        check_addresses(domain, local=self._settings.is_local)
        args = {"p_user_id": caller.user_id, "p_instance_domain": domain, "p_name": name or domain}
        return rpc_row(self._database.service(), "svc_propose_lms_connection", args, safe=True)

    def disconnect(self, caller: Caller, integration_id: str) -> None:
        """Forgets the tokens. A job revokes the grant at Canvas, so this works while Canvas is down. Courses stay.

        :raise NotFound: the integration does not exist, or belongs to another person
        """
        service = self._database.service()
        query = service.from_("integrations").select("id").eq("id", integration_id)
        if not run(query.eq("user_id", caller.user_id).in_("provider", ["canvas", "canvas_feed"])):
            raise NotFound
        rpc(service, "svc_disconnect_integration", {"p_integration_id": integration_id}, safe=True)

    # ---- parts --------------------------------------------------------------------------------------------------

    def _connect(
        self,
        caller: Caller,
        connection: Mapping[str, Any],
        tokens: oauth.Tokens,
        profile: Profile,
        *,
        is_personal: bool = False,
    ) -> dict[str, Any]:
        service = self._database.service()
        scopes = () if is_personal else self._scopes(caller, connection)
        domain = connection["instance_domain"]
        query = service.from_("integrations").select("id").eq("user_id", caller.user_id).eq("provider", "canvas")
        rows = run(query.eq("instance_domain", domain))
        integration_id = rows[0]["id"] if rows else str(uuid.uuid4())
        outcome: dict[str, Any] = {"outcome": "other_id", "integration_id": integration_id}
        # once more at most: two tabs of one person completed together, and the other one inserted the row
        for _ in range(2):
            if outcome["outcome"] == "other_id":
                integration_id = outcome["integration_id"]
                args = {
                    "p_integration_id": integration_id,
                    "p_user_id": caller.user_id,
                    "p_lms_connection_id": connection["id"],
                    "p_external_user_id": tokens.canvas_user_id,
                    "p_scopes": list(scopes),
                    "p_name": profile.name or tokens.name,
                    "p_time_zone": profile.time_zone,
                    "p_is_personal": is_personal,
                    **seal(self._factory.crypto, integration_id, tokens),
                }
                outcome = rpc(service, "svc_connect_integration", args, safe=True)[0]
        if outcome["outcome"] != "connected":
            raise CONNECT_ERRORS[outcome["outcome"]]
        return {
            "integration": {
                "id": integration_id,
                "status": "connected",
                "instance_domain": domain,
                "external_user_id": tokens.canvas_user_id,
                "scopes": list(scopes),
            },
            "job_id": outcome["job_id"],
        }

    def _scopes(self, caller: Caller, connection: Mapping[str, Any]) -> tuple[str, ...]:
        """What this person is asked for: teachers are asked for pages and files, too."""
        query = self._database.user(caller.token).from_("profiles").select("role").eq("user_id", caller.user_id)
        return oauth.scopes_of(any(row["role"] == "teacher" for row in run(query)), connection["settings"])

    def _connection(self, connection_id: str) -> dict[str, Any]:
        service = self._database.service()
        columns = f"{CONNECTION_COLUMNS},settings"
        rows = run(service.from_("lms_connections").select(columns).eq("id", connection_id))
        if not rows or rows[0]["status"] == "disabled":
            raise LmsConnectionNotFound
        return dict(rows[0])


def state_hash(state: str) -> str:
    """The hash under which the database stores a state."""
    return hashlib.sha256(state.encode()).hexdigest()
